"""From an order to money: orders, fills and outcomes, corporate actions, positions, closed trades and their shares.

Quantities and amounts are Decimal, to eight places, prices too (small ones to more); times are aware UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from agents.core.clock import require_utc

MONEY_STEP = Decimal("0.00000001")
CANCELLED, KEPT_BACK = "cancelled", "a person halted the desk before it was sent"
"""Why an order that a person's halt took back, or did not let out, was never filled."""
TOO_MANY = "more orders within a minute than risk.limits.orders_per_minute allows"
KILLED = "the kill file was there when it was to be sent"
TOO_LATE = "its bar was too old when it was to be sent"
PRICE_DIGITS = 8
"""A small price keeps at least so many digits."""
REMAINDER = "remainder"
"""Name of the attribution row that holds what no agent asked for: rounding, buffer lag, caps, partial fills."""
UNRECONCILED = "the exchange and the record differ about it (quorum reconcile)"
UNRESOLVED = "the outcome of an earlier order is not known yet"
UNANSWERED = "the exchange did not answer the order before it"
LIMITED = "the exchange asked to be left alone for a while"
STOPPED_MEANWHILE = "its stop at the exchange has sold it"
STOP_UNKNOWN = "whether its stop still rests at the exchange is not known"
EXITING = "positions were closed while the database was away, which is not on record yet"
TOO_FAR = "its price is further from the last trusted one than risk.limits.price_distance allows"
OrderState = Literal[
    "intent", "sending", "unknown", "acked", "partial", "filled", "cancelled", "expired", "rejected", "not_placed"
]
ENDED: tuple[OrderState, ...] = ("filled", "cancelled", "expired", "rejected")
"""How an order ends that a venue had."""
FINAL_ORDER_STATES: tuple[OrderState, ...] = (*ENDED, "not_placed")
"""Nothing more happens to such an order, but that a fill may still come late. One that is "partial" still works; when
its rest expires, it is "expired"."""
_UNPROVEN: tuple[OrderState, ...] = ("unknown", "acked", "partial", *FINAL_ORDER_STATES)
NEXT_STATES: dict[OrderState, tuple[OrderState, ...]] = {
    "intent": ("sending", *_UNPROVEN),
    "sending": _UNPROVEN,
    "unknown": _UNPROVEN,
    "acked": ("acked", "partial", *ENDED),
    "partial": ("partial", *ENDED),
}
"""Forward only: what an answer may make of an order. "sending" is committed before an order leaves for a real venue, so
an "intent" has never left; "unknown" is one whose answer was lost, and only the venue's own books resolve it."""
Side = Literal["buy", "sell"]
OrderKind = Literal["market", "limit", "chase", "stop", "adopted", "exit"]
"""What a decision ordered: at the market, at the touch, or there first and then at the market; a stop that was reached;
what a person took over from others; or what closed a position while the database was away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order for the next bar, or a stop that was reached, of a positive `quantity` of units. Desk, decision, symbol
    and kind make its id. One that rests (limit, chase) has the price at which it does; a stop that is to rest at a
    venue has the price at which it is reached, one without is reached.

    ValueError where the quantity is not positive, `decision_time` is naive, or a price is missing or of no use.
    """

    client_order_id: str
    decision_time: datetime
    symbol: str
    side: Side
    quantity: Decimal
    kind: OrderKind = "market"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None

    @property
    def rests(self) -> bool:
        """Whether it waits for its price; when within the bar that comes is not known."""
        return self.kind in ("limit", "chase")

    def __post_init__(self) -> None:
        require_utc(self.decision_time, "decision_time")
        if self.rests != (self.limit_price is not None):
            raise ValueError(f"order {self.client_order_id} of kind {self.kind} has the limit price {self.limit_price}")
        if self.stop_price is not None and self.kind != "stop":
            raise ValueError(f"order {self.client_order_id} of kind {self.kind} has the stop price {self.stop_price}")
        if not self.quantity > 0:
            raise ValueError(f"order {self.client_order_id} has quantity {self.quantity}, must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A part of an order that was executed. `fee` is paid on top; `spread_cost` and `impact_cost` are the money that is
    inside `price`. Where the venue took the fee in another currency than the price's, `fee` is its worth, `fee_paid`
    the amount in `fee_currency`; one that was taken out of what was bought is taken off `quantity`. ValueError where
    quantity or price is not positive or `time` is naive.
    """

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
    fee_currency: str = ""
    fee_paid: Decimal = Decimal(0)

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
    """A broker's answer about one order, as a value; `reason` says why nothing or not all was filled. `of_stop`: these
    are fills of a stop that rested at the venue, which the decision that books them makes an order of."""

    client_order_id: str
    state: OrderState
    reason: str = ""
    fills: tuple[Fill, ...] = ()
    of_stop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CorporateAction:
    """A split, dividend, delisting or funding as it changed the live book: by `quantity_change` units and `cash`, which
    a split pays for fractions, a delisting for all. `ratio` is new units for each old one, 1 where nothing was split.
    """

    time: datetime
    symbol: str
    kind: Literal["split", "dividend", "delisting", "funding"]
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
        return round_price(self.cost / self.quantity)


def to_decimal(value: float) -> Decimal:
    """A float as money: eight decimals, half to even; ValueError where it is not finite."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not an amount of money")
    return Decimal(repr(float(value))).quantize(MONEY_STEP, rounding=ROUND_HALF_EVEN)


def to_price(value: float) -> Decimal:
    """A price as a Decimal, rounded as `round_price` does; ValueError where it is not finite."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a price")
    return round_price(Decimal(repr(float(value))))


def round_price(price: Decimal) -> Decimal:
    """Eight decimals, and below 0.1 so many more that eight digits are left: a coin may cost 0.00000000812."""
    places = PRICE_DIGITS - 1 - price.adjusted() if price else 0
    return price.quantize(MONEY_STEP.scaleb(min(0, PRICE_DIGITS - places)), rounding=ROUND_HALF_EVEN)


def to_float(value: Decimal) -> float:
    """Money as a float, for statistics only."""
    return float(value)
