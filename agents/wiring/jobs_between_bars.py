"""What falls due between the bars of a replay, on simulated time: the replay's hook, joined to the scheduled jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from agents.core.clock import Clock
from agents.core.meta_types import ScheduledJob
from agents.tuning.job_runner import JobRunner
from agents.tuning.schedule import next_due
from agents.wiring.job_process import in_this_process
from agents.wiring.meta import MetaPlane
from agents.wiring.scheduled_jobs import scheduled_jobs


class JobsBetweenBars:
    """Jobs with a pace, and `run`, which does everything that is due at a time and not done."""

    def __init__(self, jobs: Sequence[ScheduledJob], run: Callable[[datetime], object]) -> None:
        self._jobs = tuple(jobs)
        self._run = run

    def next_due(self, after: datetime) -> datetime:
        """The first due time of any job later than `after`."""
        return next_due(self._jobs, after)

    def run(self, at: datetime) -> None:
        """Everything that is due at `at`, where the simulated clock stands now."""
        self._run(at)


def jobs_on_tables(plane: MetaPlane, clock: Clock) -> JobsBetweenBars:
    """The very jobs of a live desk, on its tables, at the times of a simulated clock."""
    jobs = scheduled_jobs(plane.settings, paced_by=plane.every)
    runner = JobRunner(plane.jobs, jobs, in_this_process(plane), clock)
    return JobsBetweenBars(jobs, lambda _at: runner.tick())
