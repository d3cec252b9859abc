"""What the drivers need of the outside world, as narrow Protocols; adapters implement them, tests twin them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

from agents.core.facts import DeskFacts, Period
from agents.core.meta_types import (
    AgentDays,
    JobRun,
    MailSettings,
    Recommendation,
    Report,
    ReportSummary,
    Scorecard,
    Suggestion,
    WeightDecision,
)
from agents.core.types import (
    Bars,
    CycleRecord,
    Floats,
    Order,
    OrderOutcome,
    OrderState,
    Panel,
    Position,
    RiskState,
    Signals,
    WeightSet,
)


class Agent(Protocol):
    """An alpha model. `signals` must be a pure function of the panel, causal, and forget everything older than
    `bars_needed` bars; see DESIGN promise 2 in ARCHITECTURE.md."""

    @property
    def name(self) -> str: ...

    @property
    def bars_needed(self) -> int: ...

    def signals(self, panel: Panel) -> Signals: ...

    def reason(self, panel: Panel, time_index: int, symbol_index: int) -> str: ...


class BarSource(Protocol):
    """Where bars are read from."""

    def window(self, *, until: datetime, count: int) -> Bars:
        """The last `count` bar times up to and including `until`, of all symbols of the desk."""
        ...

    def after(self, time: datetime | None, *, limit: int) -> Bars:
        """At most `limit` bar times later than `time` (None: from the beginning), oldest first."""
        ...


class DeskBars(BarSource, Protocol):
    """The bars of a desk's symbols."""

    def symbols(self) -> tuple[str, ...]:
        """The symbols there are bars of, in a fixed order."""
        ...

    def narrowed(self, symbols: tuple[str, ...]) -> DeskBars:
        """The same source, of these symbols only."""
        ...


class Feed(Protocol):
    """Brings new bars into the desk's store, from which they are read."""

    def poll(self, at: datetime) -> int:
        """Take in what is new and closed at `at`; how many bars were new. DataError where the feed cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a desk stopped: its last decision and the step's state after it."""

    time: datetime
    state: bytes
    positions: Mapping[str, Position]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskEvent:
    """A change of the risk state, made by the desk (then it is `applied`) or ordered by a person for its next cycle."""

    at: datetime
    before: RiskState
    after: RiskState
    reason: str
    actor: Literal["desk", "person"]
    applied: bool


class Journal(Protocol):
    """The record of everything decided; each call is one transaction that happens wholly or not at all."""

    def last(self) -> Resumption | None:
        """The newest decision, None for a new desk."""
        ...

    def record(self, cycle: CycleRecord) -> None:
        """Commit decisions with all that belongs to them; repeating the same cycle changes nothing."""
        ...

    def record_outcomes(self, at: datetime, outcomes: Iterable[OrderOutcome]) -> None:
        """Commit what a broker said about orders between decisions."""
        ...

    def forecasts(self, agents: Sequence[str], symbols: Sequence[str], *, until: datetime, count: int) -> Floats:
        """Recorded strength x confidence, float64 [<= count, A, S], NaN where abstained, oldest first."""
        ...

    def open_orders(self) -> Sequence[tuple[Order, OrderState]]:
        """Orders without a final state, with their state, oldest decision first."""
        ...

    def record_risk_event(self, event: RiskEvent) -> None:
        """Commit a change of the risk state, or a person's order to change it."""
        ...

    def pending_command(self) -> RiskState | None:
        """The newest risk state that a person ordered and the desk has not obeyed yet."""
        ...

    def mark_commands_obeyed(self, at: datetime) -> None:
        """The pending commands are part of a recorded decision now."""
        ...


class PaperVenue(Protocol):
    """The paper venue's durable list of orders that it accepted."""

    def accept(self, orders: Sequence[Order]) -> None:
        """Keep orders, all or none; the same id again changes nothing."""
        ...

    def has(self, client_order_id: str) -> bool:
        """Whether an order of this id was accepted."""
        ...


class WeightStore(Protocol):
    """The truth about weights."""

    def newest(self) -> WeightSet | None: ...

    def publish(self, weights: Mapping[str, Decimal], *, at: datetime, method: str, reason: str) -> WeightSet: ...


class WeightCache(Protocol):
    """A versioned copy of the weights that may be missing, stale or wrong; every method answers within 0.5 s."""

    def read(self) -> WeightSet | None:
        """The copy, None on a miss or while the cache is out of order; InvalidWeightsError where it is rubbish."""
        ...

    def write(self, weights: WeightSet) -> bool:
        """Put the copy and announce its version; False where the cache did not take it."""
        ...

    def announced(self) -> int | None:
        """The newest version announced since the last call, without waiting."""
        ...

    @property
    def alive(self) -> bool:
        """False while the cache is known to be out of order."""
        ...


class Broker(Protocol):
    """A venue, real or paper, on one account. Refusals are values; an outcome that is not known is "unknown", never
    "rejected". ServiceError where the venue does not answer."""

    def place(self, orders: Sequence[Order]) -> Sequence[OrderOutcome]:
        """Send the orders of one decision; the same client order id twice is one order. One answer for each."""
        ...

    def cancel(self, client_order_ids: Sequence[str]) -> Sequence[OrderOutcome]:
        """Take orders back; the answer says what became of each until then."""
        ...

    def poll(self, since: datetime) -> Sequence[OrderOutcome]:
        """States and fills of orders that changed after `since`, however often it is asked. "partial" is no final
        state: the order still works, and later answers bring the other fills."""
        ...

    def open_orders(self) -> Sequence[Order]:
        """What works at the venue, placed by this desk or not."""
        ...

    def positions(self) -> Mapping[str, Decimal]:
        """Signed quantity by symbol; symbols without a position are left out."""
        ...

    def balances(self) -> Mapping[str, Decimal]:
        """Money by currency."""
        ...

    def lookup(self, client_order_id: str) -> OrderOutcome | None:
        """What the venue knows of an order; None where it was never placed."""
        ...


# ---------------------------------------------------------------- meta plane


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


class OptimizerDesk(AnalyzerDesk, Protocol):
    """What the weight optimizer needs."""

    @property
    def agents(self) -> tuple[str, ...]: ...

    def weights_in_force(self, at: datetime) -> WeightSet:
        """As the trading plane would use them: newest version that fits, else the settings', else equal."""
        ...

    def methods_tried(self, method: str) -> int:
        """How many methods, this one included, have ever made a proposal on this desk."""
        ...

    def publish(self, decision: WeightDecision) -> int | None:
        """Commit the decision, then, where its weights are in force, give the cache its copy and announce it. Returns the version;
        None where the run `decided_for` had committed one before."""
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

    def last_report_end(self) -> datetime | None:
        """End of the newest report's period."""
        ...

    def facts(self, period: Period) -> DeskFacts:
        """Everything that a report on `period` tells."""
        ...

    def record_metrics(self, at: datetime, metrics: Mapping[str, float]) -> None:
        """Rows of system_metrics."""
        ...

    def sync_suggestions(self, at: datetime, recommendations: Sequence[Recommendation]) -> list[Suggestion]:
        """Open new ones, refresh known ones, mark done what is no longer recommended; returns those that are open or accepted."""
        ...

    def store_report(self, report: Report, summary: ReportSummary, suggestions: Sequence[Suggestion]) -> int:
        """Insert by period; the id, also of a report that was stored before."""
        ...


class JobStore(Protocol):
    """The table job_runs and the right to run jobs."""

    def lead(self) -> bool:
        """Whether this process is the one that runs jobs; takes the lead where nobody has it."""
        ...

    def newest(self, job: str) -> JobRun | None:
        """The run with the latest due time."""
        ...

    def claim(self, job: str, due_at: datetime, at: datetime, *, missed: int, stale_before: datetime) -> int | None:
        """The id of a run that is now ours; None where another process has it or it is done. A failed run, and one
        that was started before `stale_before` and never ended, can be claimed again."""
        ...

    def finish(self, run_id: int, *, at: datetime, ok: bool, detail: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Mail:
    """A message in the outbox."""

    id: int
    report_id: int
    message: bytes
    attempts: int
    created_at: datetime
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMail:
    """A report's message for the outbox: "pending" with its bytes, or "skipped", and why in `detail`."""

    report_id: int
    message_id: str
    message: bytes | None
    state: Literal["pending", "skipped"]
    detail: str


class Outbox(Protocol):
    """Messages that wait, and what became of them."""

    def mail_settings(self) -> MailSettings | None: ...

    def last_sent_at(self) -> datetime | None: ...

    def enqueue(self, mail: NewMail, at: datetime) -> None:
        """One row for each report; repeating it changes nothing."""
        ...

    def waiting(self) -> Sequence[Mail]:
        """Messages that are not sent yet, oldest first, whether or not their next attempt is due."""
        ...

    def settle(
        self, mail_id: int, *, state: str, detail: str, at: datetime, next_attempt_at: datetime | None
    ) -> None: ...


class Mailer(Protocol):
    """Sends bytes; a refusal or an outage is a value."""

    def send(self, settings: MailSettings, message: bytes) -> str:
        """ "" when the server took it, else why not, in one line without secrets."""
        ...
