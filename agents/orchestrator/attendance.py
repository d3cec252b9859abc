"""Which waiting bar times may be decided upon: those where every symbol that is due has its bar, or is given up. Pure.

A symbol is due at a bar time if it has had a bar before, was not taken off the market since (a person told), did not
stay away from the last few times at which it was due (it has left, then, or does not trade), and, at a time that is
none of the calendar's own, if a whole interval has passed since its newest bar: exchanges that close at other hours
wait for their own only. It is given up where a newer bar of it is there, or the bar time has waited long enough (the
caller says so).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from agents.core.types import Bars, Booleans, Integers, Times

LEFT_AFTER_BARS = 3
"""A symbol that was given up so often in a row is not waited for any more, until it has a bar again."""
OFF_THE_MARKET = 1_000_000
"""Stands for bars missed by a symbol that was delisted."""
WHOLE_INTERVAL = 0.95
"""So much of an interval counts as one: a daily session is 23 hours after the one before when clocks go forward."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who has been there: the time of each symbol's newest bar (NaT: it never had one), and how many bar times in a row
    it has missed since, although it was due; [S] each."""

    newest: Times
    missed: Integers

    def due(self, time: np.datetime64, interval: timedelta, *, regular: bool) -> Booleans:
        """The symbols [S] that should have a bar at `time`, which is one of the calendar's own if `regular`."""
        waited_for: Booleans = ~np.isnat(self.newest) & (self.missed < LEFT_AFTER_BARS)
        if regular:
            return waited_for
        return waited_for & (time - self.newest >= np.timedelta64(interval) * WHOLE_INTERVAL)

    def without(self, delisted: Booleans) -> Attendance:
        """Once the symbols of the mask `delisted` [S] are off the market: nobody waits for them."""
        return Attendance(self.newest, np.where(delisted, OFF_THE_MARKET, self.missed))

    def after(self, time: np.datetime64, present: Booleans, due: Booleans) -> Attendance:
        """Once `time` is decided upon with the bars of the mask `present` [S]."""
        missed = np.where(present, 0, self.missed + due)
        return Attendance(np.where(present, time, self.newest), missed)

    def seen_in(self, window: Bars) -> Attendance:
        """After a look at all bars so far: a symbol that turns out to have a newer bar has come back."""
        newest = attendance_of(window).newest
        back = ~np.isnat(newest) & (np.isnat(self.newest) | (newest > self.newest))
        return Attendance(np.where(back, newest, self.newest), np.where(back, 0, self.missed))


def attendance_of(window: Bars) -> Attendance:
    """Who is in the bars so far, and who was taken off the market after the last of its own."""
    there, told = present_in(window), np.isfinite(window.delisting)
    newest = np.full(len(window.symbols), np.datetime64("NaT", "us"))
    delisted = np.zeros(len(window.symbols), dtype=bool)
    for s in np.nonzero(there.any(axis=0))[0]:
        last = np.nonzero(there[:, s])[0][-1]
        newest[s], delisted[s] = window.time[last], told[last + 1 :, s].any()
    return Attendance(newest, np.zeros(len(window.symbols), dtype=np.int64)).without(delisted)


def present_in(bars: Bars) -> Booleans:
    """Which symbols have a bar, [T, S]."""
    return np.isfinite(bars.close)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Bar times [P] without a decision, oldest first: who is there [P, S], who is taken off the market before which of
    them [P, S], which times are the calendar's own [P], and which have waited long enough [P]."""

    time: Times
    present: Booleans
    delisted: Booleans
    regular: Booleans
    overdue: Booleans


def complete_bars(before: Attendance, waiting: Waiting, interval: timedelta) -> list[Attendance]:
    """The attendance after each of the oldest waiting bar times that may be decided upon; as many as there are of them.

    The oldest that is not complete holds those behind it: decisions are made in the order of time.
    """
    result: list[Attendance] = []
    for t, time in enumerate(waiting.time):
        present = waiting.present[t]
        before = before.without(waiting.delisted[t] & ~present)
        due = before.due(time, interval, regular=bool(waiting.regular[t]))
        missing = due & ~present & ~waiting.present[t + 1 :].any(axis=0)
        if missing.any() and not waiting.overdue[t]:
            break
        before = before.after(time, present, due)
        result.append(before)
    return result
