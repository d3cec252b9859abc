"""`quorum jobs`: what ran, what is due, what failed."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime

from rich.text import Text

from agents.adapters.database.engine import Row
from agents.adapters.database.job_store import PostgresJobStore
from agents.cli.screen import Screen, rows_table
from agents.core.clock import SystemClock
from agents.core.meta_types import JobRun, ScheduledJob
from agents.core.settings import load_settings
from agents.tuning.schedule import lateness, slot
from agents.wiring.connections import connect_to_read
from agents.wiring.scheduled_jobs import scheduled_jobs

RUNS_SHOWN = 12
FOR_EVER = datetime.max.replace(tzinfo=UTC)
JOB_COLUMNS = ("job", "every", "last", "status")
DUE_COLUMNS = ("next_due",)


def jobs(options: Namespace, screen: Screen) -> int:
    """Pace, lateness and the newest runs; the demo's jobs ran on a simulated clock, so none of them is due."""
    settings = load_settings(options.settings)
    connections = connect_to_read(settings, demo=options.demo, say=screen.say)
    try:
        store = PostgresJobStore(connections.meta)
        now = None if options.demo else SystemClock().now()
        began = store.began_at() or now
        jobs_known = {job: store.newest(job.name, now or FOR_EVER) for job in scheduled_jobs(settings)}
        plans = [_job_row(job, newest, now, began) for job, newest in jobs_known.items()]
        runs = [
            {"job": r.job, "due_at": r.due_at, "status": r.status, "attempts": r.attempts, "detail": r.detail}
            for r in store.recent(RUNS_SHOWN)
        ]
    finally:
        connections.close()
    lines = [{**run, "status": _with_attempts(run)} for run in runs]
    screen.result(
        {"plans": plans, "runs": runs},
        rows_table("Jobs", plans, JOB_COLUMNS if options.demo else JOB_COLUMNS + DUE_COLUMNS),
        *(Text(f"{plan['job']} is late by {plan['late_by_s'] / 3600:.1f} h") for plan in plans if plan["late_by_s"]),
        rows_table("Newest runs", lines, ("job", "due_at", "status", "detail")),
    )
    return 0


def _job_row(job: ScheduledJob, newest: JobRun | None, now: datetime | None, began: datetime | None) -> Row:
    late = lateness(job, newest, now, began) if now else None
    return {
        "job": job.name,
        "every": f"{job.every.total_seconds() / 3600:g} h",
        "next_due": slot(job.every, now) + job.every if now else None,
        "last": newest.due_at if newest else None,
        "status": newest.status if newest else "never ran",
        "late_by_s": late.total_seconds() if late else None,
    }


def _with_attempts(run: Row) -> str:
    return str(run["status"]) if run["attempts"] == 1 else f"{run['status']}, attempt {run['attempts']}"
