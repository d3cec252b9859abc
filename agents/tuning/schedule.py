"""What is due? Pure: a scheduled job, its newest run on record, and the time -> a due run or None.

Due times are multiples of a job's interval since 1970, so restarts, missed hours and clock steps cannot shift, skip or
double one. Whether a run is still to be made, the table job_runs decides, where (job, due_at) is unique.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agents.core.clock import require_utc
from agents.core.meta_types import JobRun, ScheduledJob

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ATTEMPTS = 3
RETRY_AFTER = timedelta(minutes=5)
UNFINISHED_GRACE = timedelta(seconds=60)
"""A run may end so much after its deadline."""
LATE_AFTER_SHARE = 0.5
LATE_AFTER_LEAST = timedelta(minutes=10)
"""A job is late after half its interval, and not before ten minutes."""


@dataclass(frozen=True, slots=True)
class Due:
    """A run that should happen now. It covers `missed` due times before it that nobody ran."""

    job: ScheduledJob
    due_at: datetime
    missed: int


def slot(every: timedelta, at: datetime) -> datetime:
    """The newest due time at or before `at`."""
    return EPOCH + ((require_utc(at, "at") - EPOCH) // every) * every


def due(job: ScheduledJob, newest: JobRun | None, at: datetime) -> Due | None:
    """The run of `job` that is due at `at`, given its newest run.

    A failed run is due again after five minutes, three times in all. One that was begun and never ended is due again
    when its deadline is over by a minute. `newest` is the newest that was due by `at`: runs of the future, which a
    clock ahead of time made, must not be given. A clock that was set back makes nothing due twice.
    """
    now = slot(job.every, at)
    if newest is None:
        return Due(job, now, 0)
    if newest.due_at < now:
        # A run by hand has a due time of its own, between two slots.
        return Due(job, now, max(0, (now - slot(job.every, newest.due_at)) // job.every - 1))
    if newest.attempts >= ATTEMPTS:
        return None
    if newest.status == "failed" and newest.finished_at is not None and at >= newest.finished_at + RETRY_AFTER:
        return Due(job, newest.due_at, 0)
    if newest.status == "running" and newest.started_at is not None and newest.started_at < stale_before(job, at):
        return Due(job, newest.due_at, 0)
    return None


def stale_before(job: ScheduledJob, at: datetime) -> datetime:
    """A run of `job` that was begun before this time and has not ended at `at` will never end."""
    return at - timedelta(seconds=job.deadline_s) - UNFINISHED_GRACE


def lateness(
    job: ScheduledJob, newest: JobRun | None, at: datetime, began_at: datetime | None = None
) -> timedelta | None:
    """How long ago this job should have succeeded, given its newest run.

    None where it did, or is late by less than half its interval (by ten minutes, where that is more). Nothing could
    succeed before the desk `began_at` (None: nobody knows when).
    """
    now = slot(job.every, at)
    since = now
    if newest is not None and newest.status == "succeeded":
        if newest.due_at >= now:
            return None
        if newest.due_at < now - job.every:
            since = newest.due_at
    elif newest is not None:
        since = min(now, newest.due_at)
    late = at - (since if began_at is None else max(since, began_at))
    return late if late > max(LATE_AFTER_LEAST, job.every * LATE_AFTER_SHARE) else None
