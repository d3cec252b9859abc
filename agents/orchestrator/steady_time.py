"""How late it is for the feed: a clock that jumps ahead does not close bars that nobody has seen end.

A step ahead may be a wrong clock, or a wrong clock that was put right; only time tells. For a while after it, time is
counted from before the step by the clock that nobody can set; then the wall clock is believed.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from agents.core.clock import Clock
from agents.core.log import log_event

logger = logging.getLogger(__name__)
STEP = timedelta(seconds=60)
"""A clock that gains less than this between two looks is only put right a little."""
DOUBT_S = 900.0
"""A step ahead that is not taken back for so long is believed."""


class SteadyTime:
    """The wall clock of a daemon that looks at it often, without fresh steps ahead."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._steady_s = clock.now(), clock.monotonic_s()
        self._ahead = timedelta(0)
        self._doubted_s = 0.0

    def now(self) -> datetime:
        """The wall clock's time, less what it gained by steps that are younger than DOUBT_S."""
        wall, steady_s = self._clock.now(), self._clock.monotonic_s()
        step = wall - self._wall - timedelta(seconds=steady_s - self._steady_s)
        self._wall, self._steady_s = wall, steady_s
        if step > STEP:
            self._ahead, self._doubted_s = self._ahead + step, steady_s
            log_event(
                logger,
                "the clock jumped ahead; bars that only this closes wait",
                level=logging.WARNING,
                by_s=round(step.total_seconds()),
                for_s=DOUBT_S,
            )
        elif step < -STEP:
            self._ahead = max(timedelta(0), self._ahead + step)
        if self._ahead and steady_s - self._doubted_s >= DOUBT_S:
            log_event(logger, "the clock is believed", ahead_s=round(self._ahead.total_seconds()))
            self._ahead = timedelta(0)
        return wall - self._ahead
