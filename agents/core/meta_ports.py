"""What the meta plane's jobs need of the outside world, as narrow Protocols; adapters implement them, replays too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from agents.core.facts import DeskFacts, Period
from agents.core.life_types import LifeChange, LifeChanges, Listing
from agents.core.meta_types import (
    AgentDays,
    BeliefsKind,
    JobRun,
    KeptBeliefs,
    MailSettings,
    Recommendation,
    Report,
    ReportSummary,
    Scorecard,
    Suggestion,
    WeightDecision,
)
from agents.core.types import WeightSet
from agents.core.weights_over_time import WeightsOverTime


class AnalyzerDesk(Protocol):
    """What the performance analyzer needs."""

    def now(self) -> datetime: ...

    def refresh_days(self) -> int:
        """Aggregate what is new into agent days; returns how many days were written. Reads new data only."""
        ...

    def agent_days(self, *, until: datetime, whole_days_only: bool = False) -> AgentDays:
        """Every day up to `until`'s; without that day itself where `whole_days_only`."""
        ...

    def variants_tried(self, agents: Sequence[str]) -> int:
        """How many agents and variants of them were ever tried; at least the number of `agents`."""
        ...

    def record_scorecards(self, cards: Sequence[Scorecard]) -> None:
        """Upsert by (date, agent, window)."""
        ...


@dataclass(frozen=True, slots=True)
class PastChange:
    """A change of weights that can be scored: its version, time, and the weights after and before."""

    version: int
    at: datetime
    weights: Mapping[str, float]
    previous: Mapping[str, float]


class TuningRecord(NamedTuple):
    """When the newest decision about weights was made, since when tuning is paused (None: it is not), and when a person
    last let it go on."""

    decided_at: datetime | None
    paused_at: datetime | None
    resumed_at: datetime | None


class OptimizerDesk(AnalyzerDesk, Protocol):
    """What the weight optimizer needs."""

    @property
    def agents(self) -> tuple[str, ...]: ...

    def weights_in_force(self, at: datetime) -> WeightSet:
        """As the trading plane would use them: newest version that fits, else the settings', else equal."""
        ...

    def tuning_record(self) -> TuningRecord: ...

    def weights_over_time(self) -> WeightsOverTime:
        """Every set of weights that came into force, and when it was decided; oldest first."""
        ...

    def moved_since(self, since: datetime) -> float:
        """By how much the weight that moved most has moved since a time, as a fraction of the book."""
        ...

    def kept_beliefs(self, kind: BeliefsKind) -> KeptBeliefs | None:
        """What was believed when it was last kept; None where nothing is, or what is cannot be read."""
        ...

    def keep_beliefs(self, kind: BeliefsKind, beliefs: KeptBeliefs, at: datetime) -> None:
        """Keep this instead of what was kept before."""
        ...

    def methods_tried(self, method: str) -> int:
        """How many methods, this one included, have ever made a proposal on this desk."""
        ...

    @property
    def listed(self) -> Mapping[str, Listing]:
        """The desk's agents, and where the settings name each."""
        ...

    def life_changes(self) -> LifeChanges:
        """Every change of an agent's state so far, oldest first."""
        ...

    def publish(self, decision: WeightDecision, changes: Sequence[LifeChange] = ()) -> int | None:
        """Commit the decision with the changes of agents' states that it follows from, then, where its weights are in
        force, give the cache its copy and announce it.

        Returns the version; None where the run `decided_for` had committed one before, and nothing is written; None for
        a trial, too, which is kept apart from what was in force.
        """
        ...

    def unscored_changes(self, *, before: datetime) -> Sequence[PastChange]:
        """Changes made before a time whose realised improvement is not known yet."""
        ...

    def score_change(self, version: int, realised: float | None, at: datetime) -> None:
        """Write what a change really brought, once."""
        ...


class ReportDesk(Protocol):
    """What the project manager needs."""

    def now(self) -> datetime: ...

    def last_report_end(self, before: datetime) -> datetime | None:
        """End of the newest report's period that ended before a time."""
        ...

    def facts(self, period: Period) -> DeskFacts:
        """Everything that a report on `period` tells."""
        ...

    def record_metrics(self, at: datetime, metrics: Mapping[str, float]) -> None:
        """Rows of system_metrics."""
        ...

    def sync_suggestions(self, at: datetime, recommendations: Sequence[Recommendation]) -> list[Suggestion]:
        """Open new ones, refresh known ones, mark done what is no longer recommended; returns the open and accepted."""
        ...

    def store_report(self, report: Report, summary: ReportSummary, suggestions: Sequence[Suggestion]) -> int:
        """Insert by period; the id, also of a report that was stored before."""
        ...


class JobStore(Protocol):
    """The table job_runs and the right to run jobs."""

    def lead(self, names: Sequence[str]) -> frozenset[str]:
        """Of the jobs of these names those that this process runs; takes the lead of each that nobody has."""
        ...

    def newest(self, job: str, at: datetime) -> JobRun | None:
        """The run with the latest due time that is not after `at`."""
        ...

    def set_aside(self, *, after: datetime, at: datetime) -> int:
        """Mark runs due later than `after` as not run, so that their due times can come; how many there were."""
        ...

    def claim(self, job: str, due_at: datetime, at: datetime, *, missed: int, stale_before: datetime) -> int | None:
        """The id of a run that is now ours; None where another process has it or it is done. A failed run, and one
        that was started before `stale_before` and never ended, can be claimed again."""
        ...

    def finish(self, run_id: int, *, at: datetime, ok: bool, detail: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Mail:
    """A message in the outbox. `recipients` maps each address to "" (it waits), "sent", or why it was refused."""

    id: int
    report_id: int
    message: bytes
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    recipients: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMail:
    """A report's message for the outbox: "pending" with its bytes, or "skipped", and why in `detail`. It covers
    `period`; `said` is what it says in short, by which the next one knows whether anything has changed."""

    report_id: int
    message_id: str
    message: bytes | None
    state: Literal["pending", "skipped"]
    detail: str
    period: Period
    recipients: Sequence[str] = ()
    said: str = ""


@dataclass(frozen=True, slots=True)
class LastMail:
    """The newest mail that somebody got: when it left, up to when it told, and what it said in short."""

    left_at: datetime
    period_end: datetime
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of sending a mail: each recipient's state, and when it is tried again (None: it is over)."""

    state: Literal["pending", "sent", "failed"]
    detail: str
    recipients: Mapping[str, str]
    next_attempt_at: datetime | None


class Outbox(Protocol):
    """Messages that wait, and what became of them."""

    def mail_settings(self) -> MailSettings | None: ...

    def last_mail(self, at: datetime) -> LastMail | None:
        """The newest mail that somebody got; without those that a clock ahead of time sent."""
        ...

    def first_period_start(self) -> datetime | None:
        """Since when there has been news for the mail, sent or not; None where no report was ever meant for it."""
        ...

    def enqueue(self, mail: NewMail, at: datetime) -> bool:
        """One row for each report; repeating it changes nothing. A pending mail takes the place of those that nobody
        got yet. False, and nothing done, where its period does not begin where the last mail that left ended, or where
        one is being sent at this moment."""
        ...

    def waiting(self) -> Sequence[Mail]:
        """Messages that some recipient has not got yet, oldest first, whether or not their next attempt is due."""
        ...

    def claim(self, mail_id: int, at: datetime) -> bool:
        """Whether this process may send the mail now: no other one does."""
        ...

    def settle(self, mail_id: int, attempt: Attempt, at: datetime) -> None:
        """Write down what came of an attempt."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a server did: `problem` is why nobody got the mail ("" where somebody did), in one line without secrets;
    `refused` maps recipients whom it did not take mail for to why."""

    problem: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def complaint(self) -> str:
        """Everything that went wrong, in one line; "" where everybody got it."""
        return self.problem or "; ".join(f"{address}: {why}" for address, why in self.refused.items())


class Mailer(Protocol):
    """Sends bytes; a refusal or an outage is a value."""

    def send(self, settings: MailSettings, message: bytes, recipients: Sequence[str]) -> Delivery: ...
