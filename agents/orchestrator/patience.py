"""How long the daemon waits for the rest of a bar time: on a clock that no one can set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from agents.core.clock import Clock
from agents.core.ports import Arrival
from agents.core.types import Booleans, Times

MOST_QUIET_TIMES = 5.0
"""However restless the feed is, nothing waits longer than so many times the quiet that is asked for."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
JUST_AFTER_S = 0.2
"""By then an exchange has closed the bar, and where there is trade the next one has begun."""


class Patience:
    """A bar time has waited long enough when the feed has been quiet for `quiet_s`, or when its first bar was seen a
    whole interval ago (but `quiet_s` at least, MOST_QUIET_TIMES as long at most): a feed that is never quiet holds no
    decision for ever."""

    def __init__(self, clock: Clock, quiet_s: float, interval_s: float) -> None:
        self._clock = clock
        self._quiet_s = quiet_s
        self._longest_s = min(max(quiet_s, interval_s), MOST_QUIET_TIMES * quiet_s)
        self._started_s = clock.monotonic_s()
        self._quiet_since_s = self._started_s - quiet_s
        self._first_seen_s: dict[np.datetime64, float] = {}

    def note(self, arrival: Arrival) -> None:
        """A poll of the feed came back with this."""
        if arrival.quiet_s is not None:
            self._quiet_since_s = max(self._quiet_since_s, self._clock.monotonic_s() - arrival.quiet_s)

    def has_all(self) -> bool:
        """Whether it is time to believe that the files are there: the feed is quiet, or has been watched for long."""
        return self._is_quiet() or self._clock.monotonic_s() - self._started_s >= self._longest_s

    def overdue(self, waiting: Times) -> Booleans:
        """Which of the `waiting` bar times [P] have waited long enough; it remembers when it saw each first."""
        now_s = self._clock.monotonic_s()
        self._first_seen_s = {time: self._first_seen_s.get(time, now_s) for time in waiting}
        if self._is_quiet():
            return np.ones(len(waiting), dtype=bool)
        return np.array([now_s - seen_s >= self._longest_s for seen_s in self._first_seen_s.values()], dtype=bool)

    def _is_quiet(self) -> bool:
        return self._clock.monotonic_s() - self._quiet_since_s >= self._quiet_s


def pause_until_bar_s(at: datetime, interval: timedelta, poll_s: float) -> float:
    """How long to wait before an exchange is asked again: `poll_s`, or until just after the bar's end where that comes
    first. Half of a poll's time would else be lost at each bar."""
    left_s = (interval - (at - EPOCH) % interval).total_seconds() + JUST_AFTER_S
    return min(poll_s, left_s)
