"""The records, in the order in which they flow: market -> signals -> weights -> decision -> order -> fill -> trade.

Arrays are float64 [T, S] (bars oldest first, symbols) unless said otherwise; NaN means "no bar" or "no value".
Money, prices of fills and quantities of orders are Decimal; statistics are float. All times are UTC and aware;
`time` is when a thing happened (for a bar: its close), `available_at` when we could know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from agents.core.arrays import Booleans, Floats, Integers, Times, as_datetime, as_stamp
from agents.core.clock import require_utc
from agents.core.codes import FLATTENING, Clamp, FillStatus, NoTrade, RiskLimit, RiskState, state_of_order
from agents.core.market import Bars, Panel
from agents.core.orders import (
    FINAL_ORDER_STATES,
    MONEY_STEP,
    REMAINDER,
    Contribution,
    CorporateAction,
    Fill,
    Order,
    OrderOutcome,
    OrderState,
    Position,
    Side,
    Trade,
    round_price,
    to_decimal,
    to_float,
    to_price,
)
from agents.core.warm_up import WarmUp

__all__ = [
    "FINAL_ORDER_STATES",
    "FLATTENING",
    "MONEY_STEP",
    "REMAINDER",
    "Bars",
    "Booleans",
    "Clamp",
    "Contribution",
    "CorporateAction",
    "CycleRecord",
    "Fill",
    "FillStatus",
    "Floats",
    "Integers",
    "NoTrade",
    "Order",
    "OrderOutcome",
    "OrderState",
    "Panel",
    "Position",
    "RiskLimit",
    "RiskState",
    "Side",
    "Signals",
    "Times",
    "Trade",
    "WarmUp",
    "WeightSet",
    "WeightsLevel",
    "WorkLogEntry",
    "as_datetime",
    "as_stamp",
    "round_price",
    "state_of_order",
    "to_decimal",
    "to_float",
    "to_price",
]


@dataclass(frozen=True, slots=True)
class Signals:
    """One agent's opinions, [T, S] each: `strength` in [-1, 1] (conviction, positive = long), `confidence` in
    [0, 1], `abstained` True where the agent has no opinion (strength and confidence are then 0 and mean nothing).

    `evidence` holds the numbers behind the opinions, [T, S] each, from which the agent words its reasons.
    """

    strength: Floats
    confidence: Floats
    abstained: Booleans
    evidence: Mapping[str, Floats] = field(default_factory=dict)


class WeightsLevel(StrEnum):
    """Where the weights in force came from, best first."""

    REDIS = "redis"
    DATABASE = "database"
    STATIC = "static"
    EQUAL = "equal"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSet:
    """One version of the agents' weights: non-negative, summing to 1; `version` 0 is a set from the settings.

    `level` says where it was read, `reason` why it was made; after `valid_until` (None: never) it may not be used.
    ValueError where `created_at` is naive.
    """

    version: int
    weights: Mapping[str, Decimal]
    created_at: datetime
    valid_until: datetime | None
    level: WeightsLevel
    reason: str

    def __post_init__(self) -> None:
        require_utc(self.created_at, "created_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLogEntry:
    """What one agent did in one cycle: the time it took, how many opinions it had, and how it failed if not `ok`."""

    time: datetime
    agent_name: str
    action: str
    duration_ms: float
    opinions: int
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleRecord:
    """Everything about n consecutive decisions of one desk; nothing about a decision lives anywhere else.

    A live cycle records n = 1, a replay a segment; both are committed as one transaction. A = `agents`, B = `books`
    (the live one first), S = `symbols`. Arrays are [n, S] and of the live book, but: `time`, `risk_state` and
    `regime` [n]; `forecast` [n, S, A], the signals in the common unit (NaN = abstained); `equity`, `cash` and
    `turnover` [n, B]; `contribution` and `agent_cost` [n, A+1], the bar's P&L and what of it its fills cost, by agent,
    the remainder last; `shadow_return` [n, A], the shadow books' P&L over their constant capital; `hits` of `calls`
    [n, A], how often a shadow's position moved the right way.

    `clamps` hold bits of `Clamp`, `no_trade` and `risk_state` their codes, `regime` numbers of
    `core/regimes.py`. `signals` [A] and `reasons` [A][n][S] are the agents'; `reason` [n] says why the desk did what it
    did. `state` is what the next cycle starts from. `data_version` is that of the bars decided on. A desk's first
    record brings its `warm_up`.
    """

    time: Times
    symbols: tuple[str, ...]
    agents: tuple[str, ...]
    books: tuple[str, ...]
    signals: tuple[Signals, ...]
    reasons: tuple[tuple[tuple[str, ...], ...], ...]
    forecast: Floats
    regime: Integers
    combined: Floats
    multiplier: Floats
    raw_weight: Floats
    target_weight: Floats
    clamps: Integers
    no_trade: Integers
    order_quantity: Floats
    position: Floats
    mark: Floats
    equity: Floats
    cash: Floats
    turnover: Floats
    risk_state: Integers
    contribution: Floats
    agent_cost: Floats
    shadow_return: Floats
    hits: Integers
    calls: Integers
    weights: tuple[WeightSet, ...]
    orders: tuple[Order, ...]
    outcomes: tuple[OrderOutcome, ...]
    actions: tuple[CorporateAction, ...]
    trades: tuple[Trade, ...]
    contributions: tuple[Contribution, ...]
    positions: Mapping[str, Position]
    work_log: tuple[WorkLogEntry, ...]
    reason: tuple[str, ...]
    state: bytes
    data_version: int = 0
    warm_up: WarmUp | None = None
