"""The only file that reads the time.

Everything else receives a moment as an argument named `at` (or a bound named `until`), always UTC and aware.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

INSTANT = timedelta(microseconds=1)
"""The smallest step of time here: the resolution of the database's."""

CLOCK_STEP = timedelta(hours=2)
"""What is dated later than this after now was made by a clock that was wrong; what is dated less was made before the
clock was set back by so much, and still counts."""


class Clock(Protocol):
    """What a driver needs of time: now, a duration that never runs backwards, and a way to wait."""

    def now(self) -> datetime:
        """The present moment, UTC and aware."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary origin; never decreases, unmoved by clock steps."""
        ...

    def sleep_s(self, duration_s: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep_s(self, duration_s: float) -> None:
        time.sleep(duration_s)


class SimulatedClock:
    """A clock that a replay or a test moves; it refuses to go back."""

    def __init__(self, start: datetime) -> None:
        self._now = require_utc(start, "start")
        self._origin = self._now

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return (self._now - self._origin).total_seconds()

    def sleep_s(self, duration_s: float) -> None:
        self.advance_to(datetime.fromtimestamp(self._now.timestamp() + duration_s, UTC))

    def advance_to(self, at: datetime) -> None:
        """Move to `at`; ValueError where that lies in the past."""
        if require_utc(at, "at") < self._now:
            raise ValueError(f"the simulated clock stands at {self._now} and cannot go back to {at}")
        self._now = at


class FastClock:
    """A clock that stands at `start` until it is told to `go`, and then runs `factor` times as fast as the machine's:
    an hour's bar in a second."""

    def __init__(self, start: datetime, factor: float) -> None:
        self._start = require_utc(start, "start")
        self._factor = factor
        self._origin_s: float | None = None

    def go(self) -> None:
        """Time passes from now on."""
        self._origin_s = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic_s())

    def monotonic_s(self) -> float:
        return 0.0 if self._origin_s is None else (time.monotonic() - self._origin_s) * self._factor

    def sleep_s(self, duration_s: float) -> None:
        time.sleep(duration_s / self._factor)


def require_utc(moment: datetime, name: str) -> datetime:
    """`moment` in UTC; ValueError for a naive datetime, whose meaning nobody can know."""
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{name} is a naive datetime ({moment}); times must be timezone-aware")
    return moment.astimezone(UTC)
