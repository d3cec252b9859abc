"""The records, in the order in which they flow: market -> signals -> weights -> decision -> order -> fill -> trade.

Arrays are float64 [T, S] (bars oldest first, symbols) unless said otherwise; NaN means "no bar" or "no value".
Money, prices of fills and quantities of orders are Decimal; statistics are float. All times are UTC and aware;
`time` is when a thing happened (for a bar: its close), `available_at` when we could know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.core.clock import require_utc

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Integers = NDArray[np.int64]
Times = NDArray[np.datetime64]

MONEY_STEP = Decimal("0.00000001")
REMAINDER = "remainder"
"""Name of the attribution row that holds what no agent asked for: rounding, buffer lag, caps, partial fills."""


def to_decimal(value: float) -> Decimal:
    """A float as money: eight decimals, half to even; ValueError where it is not finite."""
    if not np.isfinite(value):
        raise ValueError(f"{value} is not an amount of money")
    return Decimal(repr(float(value))).quantize(MONEY_STEP, rounding=ROUND_HALF_EVEN)


def to_float(value: Decimal) -> float:
    """Money as a float, for statistics only."""
    return float(value)


def as_datetime(moment: np.datetime64) -> datetime:
    """A time of an array as an aware UTC datetime, to the microsecond."""
    return datetime.fromisoformat(f"{moment.astype('datetime64[us]')}+00:00")


def as_stamp(moment: datetime) -> np.datetime64:
    """An aware datetime as a time of an array; ValueError for a naive one."""
    return np.datetime64(require_utc(moment, "moment").replace(tzinfo=None), "us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Raw bars of several symbols on one time axis, as they were traded.

    `time` [T] datetime64[us] are bar closes, strictly increasing, `opened` [T] the opens. `open high low close` are unadjusted prices,
    `volume` units traded. `adjustment` is adjusted close / close (a positive factor; only its ratios carry
    meaning). `split` is the number of new shares for each old one that takes effect before this bar's open
    (1 = none), `dividend` the cash for each share that goes ex before this bar's open (0 = none).
    `exogenous` maps a name to a series known at each bar's close.
    """

    time: Times
    opened: Times
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    adjustment: Floats
    split: Floats
    dividend: Floats
    exogenous: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_axis(self.time, len(self.symbols), self.open, self.high, self.low, self.close, self.volume)
        _check_axis(self.time, len(self.symbols), self.adjustment, self.split, self.dividend, *self.exogenous.values())

    def rows(self, start: int, stop: int) -> Bars:
        """Bars `start` to `stop` (exclusive) as views."""
        arrays = {name: getattr(self, name)[start:stop] for name in _BAR_ARRAYS}
        return Bars(
            **arrays,
            symbols=self.symbols,
            exogenous={name: series[start:stop] for name, series in self.exogenous.items()},
        )

    def where(self, chosen: Booleans) -> Bars:
        """The bars of a mask [T]."""
        arrays = {name: getattr(self, name)[chosen] for name in _BAR_ARRAYS}
        return Bars(
            **arrays,
            symbols=self.symbols,
            exogenous={name: series[chosen] for name, series in self.exogenous.items()},
        )

    def followed_by(self, later: Bars) -> Bars:
        """This piece of a history and the next as one; a series that only one of them has is missing in the other."""

        def series(bars: Bars, name: str) -> Floats:
            return bars.exogenous[name] if name in bars.exogenous else np.full(bars.open.shape, np.nan)

        arrays = {name: np.concatenate([getattr(self, name), getattr(later, name)]) for name in _BAR_ARRAYS}
        names = sorted({*self.exogenous, *later.exogenous})
        exogenous = {name: np.concatenate([series(self, name), series(later, name)]) for name in names}
        return Bars(**arrays, symbols=self.symbols, exogenous=exogenous)


_BAR_ARRAYS = ("time", "opened", "open", "high", "low", "close", "volume", "adjustment", "split", "dividend")


@dataclass(frozen=True, slots=True)
class Panel:
    """What agents see: adjusted prices (splits and dividends folded in), known at each bar's close.

    `time` datetime64 [T] of bar closes in UTC; `open high low close volume` float64 [T, S], NaN where there is no
    bar; `exogenous` maps a name to a [T, S] series known at each time. Prices have no absolute scale: an agent
    must answer the same when a symbol's prices are all multiplied by one number.
    """

    time: Times
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    exogenous: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_axis(
            self.time,
            len(self.symbols),
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            *self.exogenous.values(),
        )

    def rows(self, start: int, stop: int) -> Panel:
        """Bars `start` to `stop` (exclusive) as views."""
        return Panel(
            time=self.time[start:stop],
            symbols=self.symbols,
            open=self.open[start:stop],
            high=self.high[start:stop],
            low=self.low[start:stop],
            close=self.close[start:stop],
            volume=self.volume[start:stop],
            exogenous={name: series[start:stop] for name, series in self.exogenous.items()},
        )


def _check_axis(time: Times, symbols: int, *arrays: Floats) -> None:
    if time.ndim != 1 or not np.issubdtype(time.dtype, np.datetime64):
        raise ValueError(f"time must be a datetime64 vector, not {time.dtype} with {time.ndim} dimensions")
    if len(time) > 1 and not bool((time[1:] > time[:-1]).all()):
        raise ValueError("time must be strictly increasing")
    for array in arrays:
        if array.shape != (len(time), symbols):
            raise ValueError(f"an array has shape {array.shape}, expected {(len(time), symbols)}")


@dataclass(frozen=True, slots=True)
class Signals:
    """One agent's opinions, [T, S] each: `strength` in [-1, 1] (conviction, positive = long), `confidence` in
    [0, 1], `abstained` True where the agent has no opinion (strength and confidence are then 0 and mean nothing).

    `evidence` holds the numbers behind the opinion, [T, S] each, from which the agent words its reason.
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
    """One version of the agents' weights: non-negative, summing to 1. `version` 0 is a set from the settings."""

    version: int
    weights: Mapping[str, Decimal]
    created_at: datetime
    valid_until: datetime | None
    level: WeightsLevel
    reason: str

    def __post_init__(self) -> None:
        require_utc(self.created_at, "created_at")


class RiskState(StrEnum):
    """ACTIVE trades; REDUCING trades at a reduced scale; HALTED lets positions only shrink until a person resumes."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


RISK_STATES = (RiskState.ACTIVE, RiskState.REDUCING, RiskState.HALTED)


class NoTrade(StrEnum):
    """Why a symbol was left alone at a decision; the position in this tuple order is the step's code."""

    TRADED = ""
    NO_BAR = "no bar for this symbol"
    WARM_UP = "volatility not yet measurable"
    NO_OPINION = "every agent abstained: position held"
    BUFFER = "inside the buffer"
    TOO_SMALL = "below the minimum trade"
    LOT = "less than one lot"
    ON_TARGET = "already on target"
    STALE = "data is stale: positions may only shrink"


NO_TRADES = tuple(NoTrade)
CLAMPS = {1: "symbol cap", 2: "gross cap", 4: "no shorts", 8: "reducing", 16: "halted", 32: "stale data"}
"""Bits of the clamp column: which limits shrank a target."""


class FillStatus(StrEnum):
    """What became of an order at the bar it was meant for; the order of members is the matcher's code."""

    NONE = ""
    FILLED = "filled"
    PARTIAL = "partial"
    NO_BAR = "expired: no bar"
    NO_VOLUME = "expired: no volume"
    NO_CASH = "rejected: not enough buying power"
    HALTED = "rejected: symbol halted"
    UNKNOWN_SYMBOL = "rejected: unknown symbol"


FILL_STATUSES = tuple(FillStatus)

OrderState = Literal["intent", "acked", "partial", "filled", "expired", "rejected", "unknown", "not_placed"]
Side = Literal["buy", "sell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A market order for the next bar's open. `client_order_id` is a function of desk, decision and symbol."""

    client_order_id: str
    decision_time: datetime
    symbol: str
    side: Side
    quantity: Decimal

    def __post_init__(self) -> None:
        require_utc(self.decision_time, "decision_time")
        if not self.quantity > 0:
            raise ValueError(f"order {self.client_order_id} has quantity {self.quantity}, must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A part of an order that was executed; `fee` is paid on top, the costs inside `price` are split beside it."""

    fill_id: str
    client_order_id: str
    time: datetime
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    spread_cost: Decimal
    impact_cost: Decimal

    def __post_init__(self) -> None:
        require_utc(self.time, "time")
        if not (self.quantity > 0 and self.price > 0):
            raise ValueError(f"fill {self.fill_id} has quantity {self.quantity} at {self.price}")

    @property
    def signed_quantity(self) -> Decimal:
        """Positive for a buy."""
        return self.quantity if self.side == "buy" else -self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOutcome:
    """A broker's answer about one order, as a value; `reason` says why nothing or not all was filled."""

    client_order_id: str
    state: OrderState
    reason: str = ""
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CorporateAction:
    """A split or dividend as it changed our book: `quantity_change` shares (fractions paid out in `cash`)."""

    time: datetime
    symbol: str
    kind: Literal["split", "dividend"]
    ratio: Decimal
    quantity_change: Decimal
    cash: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A closed slice of a position: every fill that shrinks it realises one, against the average entry price.

    `pnl` is net of both sides' fees and includes the dividends and cash in lieu that the slice received.
    """

    trade_id: str
    symbol: str
    opened_at: datetime
    closed_at: datetime
    side: Literal["long", "short"]
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    fees: Decimal
    pnl: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One agent's share of a trade's P&L; the shares of a trade, with the remainder's, sum to it exactly."""

    trade_id: str
    agent_name: str
    contribution: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """An open position of the ledger: signed `quantity`, its signed entry `cost` (sum of quantity x price), and
    `carried`, the cash that belongs to it: entry fees (negative), dividends, cash in lieu of fractions."""

    quantity: Decimal
    cost: Decimal
    carried: Decimal
    opened_at: datetime

    @property
    def average_entry_price(self) -> Decimal:
        """Cost of one unit."""
        return (self.cost / self.quantity).quantize(MONEY_STEP)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLogEntry:
    """What one agent did in one cycle: how long, how many opinions, how it failed."""

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

    `time` [n]; arrays are [n, S], [n, A] or [n, B] with A = `agents`, B = `books` (the live one first). A live
    cycle records n = 1, a replay a segment; both are committed as one transaction. `forecast` [n, S, A] is the
    signal in the common unit (NaN = abstained). `equity`, `cash`, `turnover` are [n, B]; `contribution` [n, A+1] is
    the live book's P&L of the bar by agent, the remainder last. `shadow_return` [n, A] is the shadow books' P&L of the
    bar over their constant capital. `reason` [n] says why the desk did what it did. `state` is what the next cycle starts from.
    """

    time: Times
    symbols: tuple[str, ...]
    agents: tuple[str, ...]
    books: tuple[str, ...]
    signals: tuple[Signals, ...]
    reasons: tuple[tuple[tuple[str, ...], ...], ...]
    forecast: Floats
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
