"""A world of one thread: its time, what goes wrong at each call, and what happened, in order.

Every call of the desk's to the outside goes through `World.call`. There time passes, and there the seed draws whether
the call fails, the process dies, or a person comes in between. What is drawn hangs on the seed and on the calls before
alone, so the same seed is the same history.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.simulation.chance import Plan

START = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Killed(BaseException):
    """The process has ended here; nothing that catches errors catches it."""


class PowerCut(Killed):
    """The machine has: with it goes what the database had not on disk yet."""


class Clock:
    """The clock of the daemon's machine: it may be set, the monotonic one may not."""

    def __init__(self) -> None:
        self.true = START
        self.ahead = timedelta(0)
        self.listener: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return self.true + self.ahead

    def monotonic_s(self) -> float:
        return (self.true - START).total_seconds() + 1000.0

    def sleep_s(self, duration_s: float) -> None:
        self.true += timedelta(seconds=duration_s)
        self.listener()

    @property
    def true_ms(self) -> int:
        """The exchange's."""
        return round(self.true.timestamp() * 1000)


class World:
    """Time, chance and history of one seed."""

    def __init__(self, plan: Plan, *, traced: bool = False) -> None:
        self.plan = plan
        self.clock = Clock()
        self.clock.listener = self._due
        self.rng = random.Random(plan.seed * 7919 + 1)
        self.number = 0
        """Of the last call."""
        self.stood_still = -1
        """The number of the call before which the process last stood still."""
        self.met: Counter[str] = Counter()
        """Faults that happened."""
        self.history: list[str] = []
        self._traced = traced
        self._events: list[tuple[datetime, int, str, Callable[[], None]]] = []
        self._inside = False
        self.calm = False
        """Nothing is drawn any more."""
        self.away_until = {"exchange": START, "database": START}

    # ------------------------------------------------------------ history

    def tell(self, what: str) -> None:
        """Something that a reader of the history wants to know."""
        if self._traced:
            self.history.append(f"{self.clock.true:%d %H:%M:%S.%f}"[:-3] + f" #{self.number:<5} {what}")

    # ------------------------------------------------------------ what comes by itself

    def at(self, moment: datetime, what: str, do: Callable[[], None]) -> None:
        """Do it then, or at the first look after."""
        heapq.heappush(self._events, (moment, len(self._events) + self.number * 1000, what, do))

    def _due(self) -> None:
        if self._inside:
            return
        self._inside = True
        try:
            while self._events and self._events[0][0] <= self.clock.true:
                _, _, what, do = heapq.heappop(self._events)
                self.met[what] += 1
                self.tell(f"** {what}")
                do()
        finally:
            self._inside = False

    # ------------------------------------------------------------ what a call meets

    def allows(self, kind: str) -> bool:
        """Whether this seed may have it."""
        return kind in self.plan.kinds and not self.calm

    def meets(self, kind: str, share: float = 1.0) -> bool:
        """Whether it happens now; `share` makes it more or less frequent than others."""
        if not self.allows(kind) or self.rng.random() >= self.plan.share * share:
            return False
        self.met[kind] += 1
        self.tell(f"** {kind}")
        return True

    def call(self, name: str) -> None:
        """A call begins: time passes, and the process may die first."""
        self.number += 1
        slow_s = self.rng.uniform(5.0, 40.0) if self.meets("slow") else 0.0
        self.clock.sleep_s(0.005 + 0.1 * self.rng.random() + slow_s)
        self.may_die(name)

    def may_die(self, where: str) -> None:
        """Killed, or the power is cut."""
        for kind, end, share in (("killed", Killed, 1.0), ("power cut", PowerCut, 0.5)):
            if self.meets(kind, share):
                raise end(where)

    def killpoint(self, name: str) -> None:
        """One of the program's own named places: tried ten times as often as any other call."""
        self.number += 1
        for kind, end in (("killed", Killed), ("power cut", PowerCut)):
            if self.meets(kind, 10.0):
                raise end(name)
