"""What falls due between the bars of a replay, on simulated time: the replay's hook, joined to the scheduled jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from agents.core.meta_types import ScheduledJob
from agents.tuning.schedule import EPOCH, slot


class JobsBetweenBars:
    """Jobs with a pace, and `run`, which does everything that is due at a time and not done."""

    def __init__(self, jobs: Sequence[ScheduledJob], run: Callable[[datetime], object]) -> None:
        self._jobs = tuple(jobs)
        self._run = run
        self._due = [EPOCH for _ in self._jobs]

    def next_due(self, after: datetime) -> datetime:
        """The first due time of any job later than `after`, which may not lie before the last one asked for."""
        for k, job in enumerate(self._jobs):
            if self._due[k] <= after:
                following = self._due[k] + job.every
                self._due[k] = following if following > after else slot(job.every, after) + job.every
        return min(self._due)

    def run(self, at: datetime) -> None:
        """Everything that is due at `at`, where the simulated clock stands now."""
        self._run(at)
