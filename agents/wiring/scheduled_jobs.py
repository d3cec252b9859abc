"""What the settings say of the scheduled jobs: which there are, how often each runs, and how long it may take."""

from __future__ import annotations

from datetime import timedelta

from agents.core.errors import UsageError
from agents.core.meta_types import ScheduledJob
from agents.core.settings import Settings
from agents.tuning.job_runner import JOBS


def scheduled_jobs(
    settings: Settings, only: str | None = None, *, paced_by: timedelta | None = None
) -> tuple[ScheduledJob, ...]:
    """The jobs with their pace (`paced_by` for all, where given), in the order in which they run; UsageError where
    `only` names none."""
    meta = settings.meta
    hours = dict(
        zip(JOBS, (meta.analyzer_hours, meta.optimizer_hours, meta.parity_hours, meta.report_hours), strict=True)
    )
    if only is not None and only not in hours:
        raise UsageError(f"no job is named '{only}'; known are {', '.join(JOBS)}")
    return tuple(
        ScheduledJob(name=name, every=paced_by or timedelta(hours=every), deadline_s=meta.deadline_s)
        for name, every in hours.items()
        if only in (None, name) and not (paced_by and name == "parity_check")  # a paced desk is a replay itself
    )
