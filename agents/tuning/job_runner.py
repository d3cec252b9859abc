"""What is due runs, in order, each in its own time; one failure does not stop the next.

Due-ness, retries and the lead are questions to the job store, so that a second process stands by and a restart neither
skips nor doubles a run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.core.clock import CLOCK_STEP, Clock
from agents.core.errors import AgentsError
from agents.core.log import log_event
from agents.core.meta_ports import JobStore
from agents.core.meta_types import ScheduledJob
from agents.tuning.schedule import Due, due, stale_before

logger = logging.getLogger(__name__)

JOBS = ("performance_analyzer", "weight_optimizer", "parity_check", "project_manager")
"""In the order in which they run when they fall due together."""
WATCH = "watch"
"""Led like a job, by one process of all: alarms, mail, and what a clock ahead of time left behind."""
DETAIL_CHARACTERS = 400


Runner = Callable[[ScheduledJob, datetime], str]
"""Runs one job, for a due time, to its end or its deadline; a line on what came out. Raises where the job failed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one run."""

    job: str
    due_at: datetime
    ok: bool
    detail: str


class JobRunner:
    """Looks for due jobs and runs those that it leads. `watch`, for alarms and mail, is called after the jobs of every
    turn by one process of all."""

    def __init__(
        self,
        store: JobStore,
        jobs: Sequence[ScheduledJob],
        runner: Runner,
        clock: Clock,
        watch: Callable[[datetime], None] | None = None,
    ) -> None:
        self._store = store
        self._jobs = tuple(jobs)
        self._runner = runner
        self._clock = clock
        self._watch = watch
        self._all = frozenset((*(job.name for job in jobs), WATCH))
        self._led = self._all
        self._stopping = False

    def stop(self) -> None:
        """Begin no further job; called by a daemon that stops."""
        self._stopping = True

    def tick(self) -> list[Ran]:
        """One look at the clock and the table; runs what is due of what no other process leads."""
        led, ran = self._lead(), list[Ran]()
        if WATCH in led:
            self._set_aside_the_future()
        for job in self._jobs:
            if job.name not in led:
                continue
            if self._stopping:
                return ran
            now = self._clock.now()
            due_run = due(job, self._store.newest(job.name, now), now)
            if due_run is not None:
                ran += self._run(due_run, now)
        if self._watch is not None and WATCH in led:
            self._watch(self._clock.now())
        return ran

    def run_now(self) -> list[Ran]:
        """Every job once, now, whatever is due; the due time of such a run is this moment."""
        ran = []
        for job in self._jobs:
            now = self._clock.now()
            ran += self._run(Due(job, now, 0), now)
        if self._watch is not None:
            self._watch(self._clock.now())
        return ran

    def _lead(self) -> frozenset[str]:
        """What this process runs; said where that changes."""
        led = self._store.lead(tuple(sorted(self._all)))
        if led != self._led:
            self._led = led
            if led == self._all:
                log_event(logger, "this process runs the jobs")
            elif not led:
                log_event(logger, "another process runs the jobs; standing by")
            else:
                others = ", ".join(sorted(self._all - led))
                log_event(logger, "another process runs some of the jobs", ours=", ".join(sorted(led)), theirs=others)
        return led

    def _set_aside_the_future(self) -> None:
        """Runs that are dated later than any small step of the clock: their due times are still to come."""
        now = self._clock.now()
        runs = self._store.set_aside(after=now + CLOCK_STEP, at=now)
        if runs:
            log_event(
                logger, "runs dated in the future are set aside; was the clock ahead?", level=logging.ERROR, runs=runs
            )

    def _run(self, due_run: Due, now: datetime) -> list[Ran]:
        job = due_run.job
        run_id = self._store.claim(
            job.name, due_run.due_at, now, missed=due_run.missed, stale_before=stale_before(job, now)
        )
        if run_id is None:
            return []
        if due_run.missed:
            log_event(
                logger,
                "missed runs are covered by this one",
                level=logging.WARNING,
                job=job.name,
                missed=due_run.missed,
            )
        started_s = self._clock.monotonic_s()
        try:
            detail, ok = self._runner(job, due_run.due_at), True
        except Exception as error:  # whatever a job does, the next one runs
            detail, ok = f"{type(error).__name__}: {error}" if not isinstance(error, AgentsError) else str(error), False
        detail = detail.split("\n")[0][:DETAIL_CHARACTERS]
        took_s = self._clock.monotonic_s() - started_s
        log_event(
            logger,
            "job done" if ok else "job failed",
            level=logging.INFO if ok else logging.ERROR,
            job=job.name,
            due_at=due_run.due_at.isoformat(),
            took_s=f"{took_s:.2f}",
            detail=detail,
        )
        self._store.finish(run_id, at=self._clock.now(), ok=ok, detail=detail)
        return [Ran(job.name, due_run.due_at, ok, detail)]
