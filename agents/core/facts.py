"""What is known about a desk at one moment, for recommendations and reports (for alarms: `core/alarm_types.py`). A
replay gives its rules `RuleFacts`, from arrays: money is then a float, and what belongs to a machine is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from agents.core.believed import PastBeliefs
from agents.core.book_curves import BookCurve, CapitalFlow
from agents.core.effective import EffectiveWeight
from agents.core.exposure import Exposure
from agents.core.meta_types import Heartbeat, JobRun, OpenAlarm, Scorecard, WeightDecision
from agents.core.regimes import ByRegime
from agents.core.types import OrderState, RiskState, Trade, WeightsLevel
from agents.core.value_added import AgentValueAdded, CostsOfPeriod, OlderRules, ProfitPart, SlippageOfKind

Amount = Decimal | float  # money: exact on a desk, a float in a replay on arrays


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` (exclusive) to `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FillCosts:
    """What fills cost: fees on top, spread and impact inside the price."""

    fees: Amount
    spread: Amount
    impact: Amount

    @property
    def total(self) -> float:
        return float(self.fees) + float(self.spread) + float(self.impact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trading:
    """What the desk did in a period. `no_trade` maps a reason for leaving a symbol alone to how often it held;
    `pnl` is that of the `trades` that were closed."""

    decisions: int
    orders: int
    no_trade: Mapping[str, int]
    costs: FillCosts
    trades: int
    pnl: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class FillTotals:
    """`delay` is the way from the price decided on to the open that was traded, in money."""

    fills: int
    notional: Decimal
    delay: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrades:
    """The trades closed in a period: how many won, the best and the worst P&L, and some of them, newest first."""

    won: int
    best: Decimal | None
    worst: Decimal | None
    newest: Sequence[Trade]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestDecision:
    """The desk at its newest decision."""

    time: datetime
    equity: float
    cash: float
    risk_state: RiskState
    weights_level: WeightsLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectSymbol:
    """A symbol whose newest bar is not believed; `price` is its close, `accepted` that of the last bar that is, `bars`
    how many are not since, or since a person's last "no"; `word`: that person's on the newest; `held`: the position."""

    symbol: str
    time: datetime
    price: float
    accepted_at: datetime
    accepted: float
    bars: int
    word: str = ""
    held: float = 0.0

    @property
    def feared(self) -> float:
        """What the position has lost if the price is true; 0 where it has gained."""
        return max(0.0, self.held * (self.accepted - self.price))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPosition:
    """An open position at the newest mark; None where the symbol was never marked."""

    symbol: str
    quantity: Decimal
    average_entry_price: Decimal
    mark: float | None
    value: float | None
    unrealised_pnl: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRiskEvent:
    """A change of the risk state on record, or an order to change it, by `actor`."""

    time: datetime
    from_state: str
    to_state: str
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWork:
    """An agent's calls in a period; `failure` is one of its failures in words, durations are in milliseconds."""

    agent_name: str
    cycles: int
    failures: int
    opinions: int
    mean_ms: float
    longest_ms: float
    failure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """A decision about the weights on record, and what it later brought: None while `realised_at` is None, or where it
    cannot be measured."""

    version: int
    decision: WeightDecision
    realised_improvement: float | None
    realised_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedWeights:
    """Weights that came into force at `at`."""

    at: datetime
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunerTotals:
    """How the tuner's decisions ended, since the desk's first day."""

    decisions: int
    changes: int
    holds: int
    fallbacks: int
    reverts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredChanges:
    """Changes of weights whose effect has been measured: how many, how many gained, and the mean change of the annual
    Sharpe ratio that was expected and that came (None where nothing was asked or scored)."""

    count: int
    gained: int
    expected: float | None = None
    realised: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something that persons have put on the desk's list."""

    title: str
    state: str
    priority: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityDifference:
    """One value that a replay of the desk's own decisions makes differently; `time` is an ISO stamp."""

    kind: str
    time: str
    subject: str
    recorded: str
    recomputed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCheck:
    """The newest replay of the desk's own decisions: `counts` of what differs, `slippage` (recorded, by the model)."""

    checked_from: datetime
    checked_to: datetime
    decisions: int
    differences: int
    counts: Mapping[str, int]
    examples: Sequence[ParityDifference]
    slippage: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemState:
    """The machine, the database and the cache at one moment."""

    cpu_percent: float
    load_1m: float
    cpus: int
    memory_percent: float
    disk_free_bytes: int
    database_bytes: int
    slow_queries: int
    commits: int
    rollbacks: int
    redis_alive: bool

    def metrics(self) -> dict[str, float]:
        """The figures that system_metrics keeps, by their names there."""
        return {
            "cpu_percent": self.cpu_percent,
            "load_1m": self.load_1m,
            "memory_percent": self.memory_percent,
            "disk_free_bytes": float(self.disk_free_bytes),
            "database_bytes": float(self.database_bytes),
            "slow_queries": float(self.slow_queries),
            "redis_alive": float(self.redis_alive),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFacts:
    """What the rules of recommendations look at. `recent_decisions` about the weights are the newest, newest first;
    `job_runs` are newest first too."""

    period: Period
    trading: Trading
    scorecards: Sequence[Scorecard]
    scored: ScoredChanges
    recent_decisions: Sequence[WeightDecision]
    work: Sequence[AgentWork] = ()
    job_runs: Sequence[JobRun] = ()
    quarantined_rows: int = 0
    system: SystemState | None = None
    acts_as_owner: bool = False
    exposure: Exposure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskFacts(RuleFacts):
    """Everything that a report tells. `orders` counts the period's by state; `contributions` are agents' parts of its
    P&L; `weights` those in force, largest first; `applied` every set since the first day, `beliefs` what was believed
    meanwhile, thinned out; `task_counts` is by (state, priority). What has a default is of all history."""

    system: SystemState
    newest: NewestDecision | None
    curves: Sequence[BookCurve]
    positions: Sequence[HeldPosition]
    fills: FillTotals
    closed: ClosedTrades
    orders: Mapping[OrderState, int]
    contributions: Mapping[str, float]
    weights: Mapping[str, Decimal]
    weight_history: Sequence[RecordedDecision]
    applied: Sequence[AppliedWeights]
    tuner: TunerTotals
    jobs: Sequence[JobRun]
    tasks: Sequence[Task]
    freshness: Mapping[str, datetime | None]
    risk_events: Sequence[RecordedRiskEvent]
    parity: ParityCheck | None
    alarms: Sequence[OpenAlarm]
    heartbeats: Sequence[Heartbeat] = ()
    task_counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    beliefs: Sequence[PastBeliefs] = ()
    value_added: Sequence[AgentValueAdded] = ()
    by_agent: Sequence[ProfitPart] = ()
    by_symbol: Sequence[ProfitPart] = ()
    by_side: Sequence[ProfitPart] = ()
    older_rules: OlderRules = field(default_factory=OlderRules)
    yearly_costs: Sequence[CostsOfPeriod] = ()
    slippage: Sequence[SlippageOfKind] = ()
    external: Sequence[str] = ()
    by_regime: ByRegime | None = None
    effective: Sequence[EffectiveWeight] = ()
    capital: Sequence[CapitalFlow] = ()
