"""A live desk's jobs on its tables, at the due times of a simulated clock: what replays on arrays are held to."""

from __future__ import annotations

from agents.core.clock import Clock
from agents.tuning.job_runner import JobRunner
from agents.wiring.job_process import in_this_process
from agents.wiring.jobs_between_bars import JobsBetweenBars
from agents.wiring.meta import MetaPlane
from agents.wiring.scheduled_jobs import scheduled_jobs


def jobs_on_tables(plane: MetaPlane, clock: Clock) -> JobsBetweenBars:
    """The very jobs of a live desk, in this process."""
    jobs = scheduled_jobs(plane.settings, paced_by=plane.every)
    runner = JobRunner(plane.jobs, jobs, in_this_process(plane), clock)
    return JobsBetweenBars(jobs, lambda _at: runner.tick())
