"""The meta plane's daemon: due jobs run, turn after turn, until it is told to stop.

APScheduler is the ticker only; what is due is asked of the database (`agents.tuning.job_runner`).
Run as a file it is `quorum meta`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from agents.core.clock import Clock
from agents.core.errors import AgentsError
from agents.core.log import log_event
from agents.meta import start_command
from agents.tuning.job_runner import JobRunner

logger = logging.getLogger(__name__)
SUPERVISE_S = 5.0
TICK_LATE_S = 120.0
NUDGE_AFTER_TICKS = 1.5


class MetaOrchestrator(JobRunner):
    """`tick` runs what is due, `run_now` every job once."""


class Ticker:
    """APScheduler around `tick`, with a supervisor: a scheduler that dies silently is noticed by its silence."""

    def __init__(
        self, tick: Callable[[], Any], clock: Clock, *, every_s: float, longest_turn_s: float, alive: Callable[[], None]
    ) -> None:
        self._tick = tick
        self._longest_turn_s = longest_turn_s
        self._clock = clock
        self._every_s = every_s
        self._alive = alive
        self._stopping = threading.Event()
        self._last_s = clock.monotonic_s()
        self._busy = False
        self._problem = ""

    def stop(self, *_: object) -> None:
        """Finish the turn that runs and return from `run`."""
        self._stopping.set()

    def run(self) -> bool:
        """Until `stop`; False where the scheduler stopped ticking and the process should be restarted."""
        scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(1)})
        scheduler.add_job(
            self._turn,
            IntervalTrigger(seconds=self._every_s, timezone=UTC),
            id="tick",
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
            next_run_time=self._clock.now() + timedelta(milliseconds=50),
        )
        scheduler.add_listener(self._note, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        scheduler.start()
        ticking = True
        try:
            while not self._stopping.wait(SUPERVISE_S):
                silent_s = self._clock.monotonic_s() - self._last_s
                patience_s = self._longest_turn_s if self._busy else max(TICK_LATE_S, 4.0 * self._every_s)
                if silent_s > patience_s:
                    log_event(
                        logger, "the scheduler has stopped ticking", level=logging.CRITICAL, silent_s=round(silent_s)
                    )
                    ticking = False
                    break
                if not self._busy and silent_s > NUDGE_AFTER_TICKS * self._every_s + SUPERVISE_S:
                    self._nudge(scheduler)
                self._alive()
        finally:
            scheduler.shutdown(wait=ticking)
        return ticking

    def _nudge(self, scheduler: BackgroundScheduler) -> None:
        """The next tick is planned by the machine's clock: where that was set back, it would be far away."""
        log_event(logger, "no tick for a while; was the clock set back?", level=logging.WARNING)
        scheduler.modify_job("tick", next_run_time=self._clock.now())

    def _turn(self) -> None:
        self._busy, self._last_s = True, self._clock.monotonic_s()
        try:
            self._tick()
            self._problem = ""
        except AgentsError as error:
            if str(error) != self._problem:  # an alarm on the edge, not for each tick
                log_event(logger, "cannot work now; trying again", level=logging.ERROR, error=error)
            self._problem = str(error)
        finally:
            self._busy, self._last_s = False, self._clock.monotonic_s()

    def _note(self, event: JobEvent) -> None:
        log_event(logger, "a tick was lost", level=logging.ERROR, error=getattr(event, "exception", None))


if __name__ == "__main__":
    start_command("meta", *sys.argv[1:])
