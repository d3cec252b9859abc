"""The scheduled jobs in a replay: the same functions at the same due times, on arrays and at the simulated clock.

A job whose inputs have not changed since its last run is not computed again: on daily bars eleven of twelve reports a
day, and every weekend. Of a report only the rules run; its pages are not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, overload

from agents.core.facts import Period, RuleFacts, ScoredChanges, Trading
from agents.core.meta_ports import OptimizerDesk
from agents.core.meta_types import JobRun, ScheduledJob, Scorecard, WeightDecision
from agents.core.replay_types import Finding
from agents.tuning.past_changes import score_past
from agents.tuning.recommendations import recommend
from agents.tuning.rule_cards import cards_for_rules
from agents.tuning.schedule import slot
from agents.tuning.scorecards import Thresholds, update_scorecards
from agents.tuning.tuning_settings import Tuning
from agents.tuning.weight_decision import decided
from agents.wiring.job_words import headline

VIEWED_WINDOWS = (30, 0)
"""What the view agent_performance shows, and what rules read; the others' are made at the end."""
RECENT_DECISIONS = 7
"""As many as rules look back on."""


class ReplayedDesk(OptimizerDesk, Protocol):
    """What the jobs read of a replay beside what they read live."""

    decisions: list[WeightDecision]
    scorecards: tuple[Scorecard, ...]
    scored: ScoredChanges

    @property
    def seen(self) -> int:
        """Grows with every new bar."""
        ...

    def trading(self, since: int) -> Trading:
        """What the desk did at the bars seen after the first `since`."""
        ...


class ArrayJobs:
    """The scheduled jobs of one replay; `run` does what is due between two bars."""

    def __init__(
        self,
        jobs: Sequence[ScheduledJob],
        desk: ReplayedDesk,
        thresholds: Thresholds,
        tuning: Tuning,
        all_scorecards: bool = False,
    ) -> None:
        self.findings: list[Finding] = []
        self.scorecards: list[Scorecard] = []
        """Of every analysis, where `all_scorecards`."""
        self._all_scorecards = all_scorecards
        self._jobs = tuple(jobs)
        self._desk = desk
        self._thresholds = thresholds
        self._tuning = tuning
        self._next = [datetime.min.replace(tzinfo=UTC) for _ in self._jobs]
        self._analyzed = self._reported = -1
        self._analysis = ""
        self._decided: tuple[object, ...] = ()
        self._open: dict[str, Finding] = {}
        self._ran: list[tuple[str, datetime, datetime, str]] = []

    def run(self, at: datetime) -> None:
        """Every job that is due at `at` and not done, in the jobs' order."""
        for k, job in enumerate(self._jobs):
            if at < self._next[k]:
                continue
            due_at = self._next[k]
            self._next[k] += job.every
            if at >= self._next[k]:  # due times that lie before the history, or that were slept through
                due_at = slot(job.every, at)
                self._next[k] = due_at + job.every
            if job.name == "performance_analyzer":
                detail = self._analyze(at)
            elif job.name == "weight_optimizer":
                detail = self._optimize(at, due_at)
            else:
                detail = self._report(at, job.every)
            self._ran.append((job.name, due_at, at, detail))

    @property
    def runs(self) -> Sequence[JobRun]:
        """Every run so far, oldest first."""
        return _Runs(self._ran)

    def finish(self, at: datetime) -> None:
        """Scorecards over all windows, as they stand after the last bar."""
        update_scorecards(self._desk, self._thresholds, at)

    def _analyze(self, at: datetime) -> str:
        """Only what somebody reads, of most replays the figures that rules look at; the rest is made at the end."""
        desk = self._desk
        if desk.seen != self._analyzed:
            self._analyzed = desk.seen
            if self._all_scorecards:
                outcome = update_scorecards(desk, self._thresholds, at, VIEWED_WINDOWS)
                self._analysis = headline("performance_analyzer", outcome)
                self.scorecards += desk.scorecards
            else:
                desk.refresh_days()
                desk.record_scorecards(cards_for_rules(desk.agent_days(until=at)))
                self._analysis = f"{len(desk.agents)} agents, as far as rules look"
        return self._analysis

    def _optimize(self, at: datetime, due_at: datetime) -> str:
        desk = self._desk
        desk.refresh_days()
        days = desk.agent_days(until=at, whole_days_only=True)
        inputs = (len(days.date), desk.weights_in_force(at).version)
        last = desk.decisions[-1] if desk.decisions else None
        if last is not None and inputs == self._decided and last.status in ("hold", "fallback"):
            desk.publish(replace(last, at=at, decided_for=due_at))
            score_past(desk, days, self._tuning.score_after_days, at)
        else:
            decided(desk, self._tuning, at, due_at)
            self._decided = inputs
        newest = desk.decisions[-1]
        return headline("weight_optimizer", {"decision": newest.status, "reason": newest.reason})

    def _report(self, at: datetime, period: timedelta) -> str:
        desk = self._desk
        if desk.seen == self._reported:
            for finding in self._open.values():
                finding.reports += 1
            return self._to_do()
        facts = _rule_facts(desk, Period(at - period, at), max(self._reported, 0))
        self._reported = desk.seen
        recommendations = {r.fingerprint: r for r in recommend(facts)}
        for fingerprint in [known for known in self._open if known not in recommendations]:
            self._open.pop(fingerprint).closed_at = at
        for fingerprint, r in recommendations.items():
            if fingerprint in self._open:
                self._open[fingerprint].reports += 1
            else:
                self._open[fingerprint] = Finding(fingerprint, r.severity, r.title, at)
                self.findings.append(self._open[fingerprint])
        return self._to_do()

    def _to_do(self) -> str:
        count = len(self._open)
        found = f"{count} thing{'' if count == 1 else 's'} to do"
        return f"{found}; in a replay only the rules of a report run, no page is written"


class _Runs(Sequence[JobRun]):
    """Rows of job_runs, made when they are read: most replays have tens of thousands, and nobody who reads them."""

    def __init__(self, ran: Sequence[tuple[str, datetime, datetime, str]]) -> None:
        self._ran = ran

    def __len__(self) -> int:
        return len(self._ran)

    @overload
    def __getitem__(self, place: int) -> JobRun: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[JobRun]: ...
    def __getitem__(self, place: int | slice) -> JobRun | Sequence[JobRun]:
        if isinstance(place, slice):
            return _Runs(self._ran[place])
        name, due_at, at, detail = self._ran[place]
        return JobRun(
            job=name,
            due_at=due_at,
            started_at=at,
            finished_at=at,
            status="succeeded",
            detail=detail,
            attempts=1,
        )


def _rule_facts(desk: ReplayedDesk, period: Period, since: int) -> RuleFacts:
    """What the report's rules look at, of the bars seen after the first `since`; a replay has no machine to look at."""
    return RuleFacts(
        period=period,
        trading=desk.trading(since),
        scorecards=desk.scorecards,
        scored=desk.scored,
        recent_decisions=tuple(reversed(desk.decisions[-RECENT_DECISIONS:])),
    )
