"""What falls due between the bars of a replay, on simulated time: the replay's hook, joined to the scheduled jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from agents.core.meta_types import ScheduledJob
from agents.tuning.schedule import next_due


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
