"""Simulated time: a history is cut where something falls due, and what is due runs between the cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np

from agents.core.clock import SimulatedClock
from agents.core.types import Times, as_datetime, as_stamp

Progress = Callable[[int, int, datetime, float], None]
"""(bars done, bars in all, simulated time, equity)."""


class BetweenBars(Protocol):
    """What falls due between bars, such as the scheduled jobs. What is due at D sees every bar up to D, and the bars
    after D are traded with the weights that it left."""

    def next_due(self, after: datetime) -> datetime:
        """The first due time later than `after`."""
        ...

    def run(self, at: datetime) -> None:
        """Run what is due at `at`; again, after a kill, it does what is left of it."""
        ...


class SimulatedTime(NamedTuple):
    """The clock of a replay and what falls due on it; None: nothing does."""

    clock: SimulatedClock
    between_bars: BetweenBars | None = None


class Timeline:
    """Cuts a history where something falls due. Due times are followed by themselves, not by bars: what is due with a
    bar's very close runs after it."""

    def __init__(self, time: SimulatedTime, since: datetime) -> None:
        self._clock, self._between, self._ran = time.clock, time.between_bars, since

    def segments(self, time: Times, first: int, longest: int | None = None) -> Iterator[tuple[int, int]]:
        """(first, stop) of rows to trade one after the other, at most `longest` of them at once; the clock stands at
        the first bar of a segment while it is traded."""
        while first < len(time):
            opens = as_datetime(time[first])
            due = self._run_until(opens)
            reach = len(time) if due is None else int(np.searchsorted(time, as_stamp(due), side="right"))
            stop = min(reach, first + longest) if longest else reach
            self._clock.advance_to(opens)
            yield first, stop
            self._clock.advance_to(as_datetime(time[stop - 1]))
            first = stop

    def _run_until(self, at: datetime) -> datetime | None:
        """Run all that is due before `at`; when the next is due."""
        if self._between is None:
            return None
        while (due := self._between.next_due(self._ran)) < at:
            self._clock.advance_to(due)
            self._between.run(due)
            self._ran = due
        return due
