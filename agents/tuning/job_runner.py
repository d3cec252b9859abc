"""What is due runs, in order, each in its own time; one failure does not stop the next.

Due-ness, retries and the lead are questions to the job store, so that a second process stands by and a restart neither
skips nor doubles a run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.core.clock import Clock
from agents.core.errors import AgentsError
from agents.core.log import log_event
from agents.core.meta_ports import JobStore
from agents.core.meta_types import JobPlan
from agents.tuning.schedule import Due, due, stale_before

logger = logging.getLogger(__name__)

JOBS = ("performance_analyzer", "weight_optimizer", "parity_check", "project_manager")
"""In the order in which they run when they fall due together."""
DETAIL_CHARACTERS = 400


Runner = Callable[[JobPlan, datetime], str]
"""Runs one job, for a due time, to its end or its deadline; a line on what came out. Raises where the job failed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one run."""

    job: str
    due_at: datetime
    ok: bool
    detail: str


class JobRunner:
    """Looks for due jobs and runs them. `watch` is called after the jobs of every turn: alarms and mail."""

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
