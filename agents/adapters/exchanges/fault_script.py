"""What goes wrong at a made-up exchange: which request meets which fault, as scripted or as a seed draws it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

Kind = Literal[
    "limited",
    "banned",
    "error",
    "maintenance",
    "lost",
    "cut",
    "page",
    "empty",
    "elsewhere",
    "slow",
    "late",
    "unheard",
    "gateway",
    "delayed",
    "quoted",
    "frozen",
    "shuffled",
]
KINDS: tuple[Kind, ...] = ("limited", "error", "lost", "cut", "page", "empty", "late")
"""Those that pass by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, with requests whose method and path ("POST /api/v3/order") contain `path`: with
    `count` of them after the first `after` were answered well, or (`count` 0) with all from `begins` to before `ends`
    of the exchange's time.

    limited: 429, come back in `seconds`; banned: the same as 418. error: a gateway's 502. maintenance: 503. lost:
    the connection ends without an answer, cut: in the middle of one. page: a web page instead of an answer; empty:
    nothing at all. elsewhere: not from where you are, 451. slow: the answer takes `seconds`. late: the newest
    candle that is over is shown as it was before its end. unheard: the connection ends, and the request never came;
    gateway: it was obeyed, and the answer is a gateway's 504; delayed: an order is accepted after `seconds`, and
    nobody hears of it. quoted: 400, with all that was sent in its words, the key among it.
    frozen: nothing comes, and the connection stays open.

    Of its stream of candles (path "stream"), for a time only. lost, cut, error, page: connections end, and the next
    one does right after it subscribed. limited, banned, maintenance: they end, and none is accepted. empty, slow,
    frozen: they stay, and nothing is said. late: the last state of a candle is lost. shuffled: messages come in another
    order, and twice.
    """

    kind: Kind
    path: str = ""
    after: int = 0
    count: int = 1
    begins: datetime | None = None
    ends: datetime | None = None
    seconds: float = 1.0

    def meets(self, number: int, at: datetime) -> bool:
        """Whether the request of this number, from 0 on among those of its path, meets it."""
        if self.count:
            return self.after <= number < self.after + self.count
        return (self.begins is None or at >= self.begins) and (self.ends is None or at < self.ends)


class FaultScript:
    """Faults in order, the first that a request meets counts; beside them a `share` of all requests meets one of
    `kinds` that `seed` draws. `met` counts requests by what they met. Safe for threads."""

    def __init__(
        self, faults: Sequence[Fault] = (), *, share: float = 0.0, seed: int = 0, kinds: Sequence[Kind] = KINDS
    ) -> None:
        self._faults = tuple(faults)
        self._share = share
        self._kinds = tuple(kinds)
        self._seed, self._bar_noted = seed, -1
        self._rng = np.random.default_rng(seed)
        self._seen = [0] * len(self._faults)
        self.met: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self, path: str, at: datetime) -> Fault | None:
        """What this request meets; None where it is answered well."""
        with self._lock:
            met: Fault | None = None
            for k, fault in enumerate(self._faults):
                if fault.path in path:
                    if met is None and fault.meets(self._seen[k], at):
                        met = fault
                    self._seen[k] += 1
            drawn, which = self._rng.random(), int(self._rng.integers(len(self._kinds)))
            if met is None and drawn < self._share:
                met = Fault(kind=self._kinds[which], seconds=0.0)
            if met is not None:
                self.met[met.kind] += 1
        return met

    def of_stream(self, path: str, at: datetime, bar: int) -> Fault | None:
        """What the stream meets while `at` is within the bar of this number; what is drawn lasts for the bar."""
        for fault in self._faults:
            if fault.path in path and not fault.count and fault.meets(0, at):
                return self._note_stream(fault, bar)
        rng = np.random.default_rng([self._seed, bar]) if self._share else None
        if rng is None or rng.random() >= self._share:
            return None
        return self._note_stream(Fault(kind=self._kinds[int(rng.integers(len(self._kinds)))], path=path), bar)

    def _note_stream(self, fault: Fault, bar: int) -> Fault:
        with self._lock:
            if self._bar_noted != bar:
                self._bar_noted = bar
                self.met[f"stream {fault.kind}"] += 1
        return fault
