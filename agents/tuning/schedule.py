"""What is due? Pure: a job's plan, its newest run on record, and the time -> a due run or None.

Due times are multiples of a job's interval since 1970, so restarts, missed hours and clock steps cannot shift, skip or
double one: the table's UNIQUE (job, due_at) decides, the scheduler is only a ticker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agents.core.clock import require_utc
from agents.core.meta_types import JobPlan, JobRun

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ATTEMPTS = 3
RETRY_AFTER = timedelta(minutes=5)
UNFINISHED_GRACE = timedelta(seconds=60)
LATE_AFTER_SHARE = 0.5
LATE_AFTER_LEAST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Due:
    """A run that should happen now; `missed` due times before it that nobody ran are covered by it."""

    plan: JobPlan
    due_at: datetime
    missed: int


def slot(every: timedelta, at: datetime) -> datetime:
    """The newest due time at or before `at`."""
    return EPOCH + ((require_utc(at, "at") - EPOCH) // every) * every


def due(plan: JobPlan, newest: JobRun | None, at: datetime) -> Due | None:
    """The run of `plan` that is due at `at`. A failed one is due again after five minutes, three times in all; one that
    was begun and never ended is due again once its deadline is well over. A clock that was set back makes nothing due."""
    now = slot(plan.every, at)
    if newest is None:
        return Due(plan, now, 0)
    if newest.due_at < now:
        # A run by hand has a due time of its own, between two slots.
        return Due(plan, now, max(0, (now - slot(plan.every, newest.due_at)) // plan.every - 1))
    if newest.attempts >= ATTEMPTS:
        return None
    if newest.status == "failed" and newest.finished_at is not None and at >= newest.finished_at + RETRY_AFTER:
        return Due(plan, newest.due_at, 0)
    if newest.status == "running" and newest.started_at is not None and newest.started_at < stale_before(plan, at):
        return Due(plan, newest.due_at, 0)
    return None


def stale_before(plan: JobPlan, at: datetime) -> datetime:
    """A run that was begun before this and has not ended will never end."""
    return at - timedelta(seconds=plan.deadline_s) - UNFINISHED_GRACE


def next_due(plans: Sequence[JobPlan], after: datetime) -> datetime:
    """The first due time of any job later than `after`."""
    return min(slot(plan.every, after) + plan.every for plan in plans)


def lateness(plan: JobPlan, newest: JobRun | None, at: datetime) -> timedelta | None:
    """How long ago this job should have succeeded, where that is so long ago that someone should know; else None."""
    now = slot(plan.every, at)
    if newest is not None and newest.status == "succeeded" and newest.due_at >= now:
        return None
    grace = max(LATE_AFTER_LEAST, plan.every * LATE_AFTER_SHARE)
    if newest is not None and newest.status == "succeeded" and newest.due_at >= now - plan.every:
        late = at - now
    else:
        late = at - (now if newest is None else min(now, newest.due_at))
    return late if late > grace else None
