"""The meta plane's driver: what is due runs, in order, each in its own time; one failure does not stop the next.

APScheduler is the ticker only. Due-ness, retries and the lead are questions to the database, so that a second daemon
stands by and a restart neither skips nor doubles a run.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from agents.core.clock import Clock
from agents.core.errors import AgentsError
from agents.core.log import log_event
from agents.core.meta_types import JobPlan
from agents.core.ports import JobStore
from agents.tuning.schedule import Due, due, stale_before

logger = logging.getLogger(__name__)

JOBS = ("performance_analyzer", "weight_optimizer", "parity_check", "project_manager")
"""In the order in which they run when they fall due together."""
DETAIL_CHARACTERS = 400
SUPERVISE_S = 5.0
TICK_LATE_S = 120.0


Runner = Callable[[JobPlan, datetime], str]
"""Runs one job, for a due time, to its end or its deadline; a line on what came out. Raises where the job failed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one run."""

    job: str
    due_at: datetime
    ok: bool
    detail: str


class MetaOrchestrator:
    """Looks for due jobs and runs them. `watch` is called on every turn after the jobs, to look after alarms and mail."""

    def __init__(
        self,
        store: JobStore,
        plans: Sequence[JobPlan],
        runner: Runner,
        clock: Clock,
        watch: Callable[[datetime], None] | None = None,
    ) -> None:
        self._store = store
        self._plans = tuple(plans)
        self._runner = runner
        self._clock = clock
        self._watch = watch
        self._standing_by = False

    def tick(self) -> list[Ran]:
        """One look at the clock and the table; runs what is due. Nothing where another process has the lead."""
        if not self._leads():
            return []
        ran = []
        for plan in self._plans:
            now = self._clock.now()
            found = due(plan, self._store.newest(plan.name), now)
            if found is not None:
                ran += self._run(found, now)
        if self._watch is not None:
            self._watch(self._clock.now())
        return ran

    def run_now(self) -> list[Ran]:
        """Every job of the plans once, now, whatever is due; the due time of such a run is this moment."""
        ran = []
        for plan in self._plans:
            now = self._clock.now()
            ran += self._run(Due(plan, now, 0), now)
        if self._watch is not None:
            self._watch(self._clock.now())
        return ran

    def _leads(self) -> bool:
        leads = self._store.lead()
        if leads == self._standing_by:
            self._standing_by = not leads
            log_event(logger, "this process runs the jobs" if leads else "another process runs the jobs; standing by")
        return leads

    def _run(self, found: Due, now: datetime) -> list[Ran]:
        plan = found.plan
        run_id = self._store.claim(
            plan.name, found.due_at, now, missed=found.missed, stale_before=stale_before(plan, now)
        )
        if run_id is None:
            return []
        if found.missed:
            log_event(
                logger, "missed runs are covered by this one", level=logging.WARNING, job=plan.name, missed=found.missed
            )
        started_s = self._clock.monotonic_s()
        try:
            detail, ok = self._runner(plan, found.due_at), True
        except Exception as error:  # whatever a job does, the next one runs
            detail, ok = f"{type(error).__name__}: {error}" if not isinstance(error, AgentsError) else str(error), False
        detail = detail.split("\n")[0][:DETAIL_CHARACTERS]
        took_s = self._clock.monotonic_s() - started_s
        log_event(
            logger,
            "job done" if ok else "job failed",
            level=logging.INFO if ok else logging.ERROR,
            job=plan.name,
            due_at=found.due_at.isoformat(),
            took_s=f"{took_s:.2f}",
            detail=detail,
        )
        self._store.finish(run_id, at=self._clock.now(), ok=ok, detail=detail)
        return [Ran(plan.name, found.due_at, ok, detail)]


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
                self._alive()
        finally:
            scheduler.shutdown(wait=ticking)
        return ticking

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
    from agents.meta.standalone import run_all

    sys.exit(run_all(sys.argv[1:]))
