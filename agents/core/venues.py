"""What an account at a real venue is asked for and answers, and what a desk keeps of it; Decimal throughout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from agents.core.cash_flows import FlowKind, NewFlow
from agents.core.orders import Fill, Order, OrderState, Side
from agents.core.ports import Broker

BreakKind = Literal["position", "cash", "order"]
Remedy = Literal["adopt", "ignore"]


def adopted_id(venue_id: str) -> str:
    """How the record names an order of others that a person adopted, by the venue's own id."""
    return f"adopted-{venue_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignOrder:
    """An order on the desk's account that the desk did not place; `works`: it may still be filled. `traded` is what its
    fills changed of the symbol's quantity, signed."""

    venue_id: str
    client_id: str
    symbol: str
    side: Side
    quantity: Decimal
    at: datetime
    works: bool
    traded: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """An account at one moment: totals by currency, the desk's fills that its record has not booked yet, and orders of
    others."""

    totals: Mapping[str, Decimal]
    unbooked: Sequence[Fill]
    foreign: Sequence[ForeignOrder]


class MoneyMove(NamedTuple):
    """A finished deposit (positive) or withdrawal of a currency, what it cost in it, or interest or a fee, by the
    venue's own id, as the venue tells of it."""

    key: str
    kind: FlowKind
    currency: str
    amount: Decimal
    at: datetime
    symbol: str | None = None
    """Whose interest or fee it is, where it is one's."""


class Dividends(NamedTuple):
    """Of one stock: all the cash, how many times it came, and when last."""

    cash: Decimal
    times: int
    newest: datetime


class FundingBooked(NamedTuple):
    """Funding of perpetual futures in the desk's books: all the cash, how many times it came; and the moment from which
    on what is settled is booked by the next decision."""

    cash: Decimal
    times: int
    next_from: datetime


class VenueBroker(Broker, Protocol):
    """A broker on a real account, whose own books can be compared with the desk's."""

    def balances(self) -> Mapping[str, Decimal]:
        """Totals by currency: one question, where `holdings` are several for each symbol."""
        ...

    def holdings(self) -> Holdings | None:
        """The account now; None where it changed while it was asked, and nothing can be said. ServiceError where the
        venue does not answer."""
        ...

    def moves(self, currency: str, since: datetime) -> Sequence[MoneyMove]:
        """Deposits and withdrawals of a currency since then, oldest first; none where the venue tells of none."""
        ...

    def dividends(self, since: datetime) -> Mapping[str, Decimal]:
        """What the venue has paid of them since then, by symbol; empty where it tells of none."""
        ...

    def resolved(self) -> Sequence[tuple[Order, OrderState]]:
        """Orders whose outcome was not known and is now, "acked" or "not_placed", with their new state."""
        ...


StopState = Literal["sending", "resting", "reached", "none", "refused", "ended"]
"""Of a stop on record: it may be on its way; the venue has it; it was reached, and not all of that is in the desk's
books; none can rest there; the venue would not have it; or it is over."""


class WantedStop(NamedTuple):
    """Closes all that is `held` (positive) of a symbol where its price reaches `price`."""

    side: Side
    held: Decimal
    price: Decimal


class StopPlan(Protocol):
    """What a desk wants to rest at its venue, as of its last decision."""

    def wanted(self, unbooked: Mapping[str, Sequence[Fill]], /) -> Mapping[str, WantedStop]:
        """By symbol, given the fills that no decision has booked yet."""
        ...

    def held(self, symbol: str, /) -> Decimal:
        """The position in the desk's books, signed."""
        ...

    def order_of(self, symbol: str, number: int, /) -> tuple[str, datetime]:
        """The id of the stop that the last decision sets for a symbol, the first being number 0, and its time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingStop:
    """A stop that is to rest at a venue: the order (`kind` "stop") that closes `quantity` of a position where its price
    reaches `stop_price`, set at a decision; `reason` says why it is as it is."""

    order: Order
    stop_price: Decimal
    state: StopState
    reason: str = ""


class StopRecord(Protocol):
    """What a desk has on record of its stops at a venue."""

    def known(self, client_order_ids: Sequence[str]) -> frozenset[str]:
        """Which of these orders are such stops."""
        ...

    def standing(self) -> Sequence[RestingStop]:
        """Those that have not ended."""
        ...

    def set_by(self, decision: datetime, symbol: str) -> int:
        """How many a decision has set for a symbol that were not refused."""
        ...

    def note(self, stop: RestingStop) -> None:
        """Put it on record as it is now, by its order's id."""
        ...


class PlacedOrders(Protocol):
    """What a desk has on record of its orders."""

    def open_orders(self) -> Sequence[tuple[Order, OrderState]]:
        """Orders without a final state, with their state."""
        ...

    def booked(self, fill_ids: Sequence[str]) -> frozenset[str]:
        """Which of these fills are on record, and so in the desk's books."""
        ...

    def known(self, client_order_ids: Sequence[str]) -> frozenset[str]:
        """Which of these orders are the desk's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A difference between the two sides' books of one symbol, or of the desk's cash (its currency), as it stands on
    record; `asked` is what a person wants done about it, and why."""

    id: int
    kind: BreakKind
    name: str
    ours: Decimal
    theirs: Decimal
    asked: Remedy | None
    reason: str


class Reconciliation(Protocol):
    """What a desk keeps of the account that it trades on, beside its own orders and fills."""

    def outside(self) -> Mapping[str, Decimal] | None:
        """What of each currency is on the account and not the desk's; None before the first look."""
        ...

    def set_outside(self, amounts: Mapping[str, Decimal], at: datetime, reason: str) -> None:
        """Put these amounts in the place of those of before."""
        ...

    def told_until(self) -> datetime:
        """Deposits and withdrawals up to then are in the books, or are not the desk's: the first look, or the newest
        word of a person about the desk's cash. Only after a first look."""
        ...

    def dividends(self, since: datetime) -> Mapping[str, Dividends]:
        """Those in the desk's books since then, each from the day on which it went ex, by symbol."""
        ...

    def funding(self, since: datetime) -> FundingBooked:
        """What was settled and booked since then."""
        ...

    def book(self, flows: Sequence[NewFlow]) -> int:
        """Put cash flows on record, each once; how many were not there yet."""
        ...

    def reserved(self) -> Decimal:
        """What of the desk's capital is on the account and not used yet (a ramp)."""
        ...

    def paid_elsewhere(self) -> Sequence[tuple[str, str, Decimal, Decimal]]:
        """(symbol, currency, amount, worth) of fees, summed, that were paid in another currency than the price's."""
        ...

    def breaks(self) -> Sequence[Break]:
        """Those that are open."""
        ...

    def note(self, found: Mapping[tuple[BreakKind, str], tuple[Decimal, Decimal]], at: datetime) -> None:
        """What a look found, (ours, theirs) by kind and name: open what is new, close what is gone."""
        ...

    def close(self, broken: Break, resolution: str, at: datetime) -> None:
        """It is settled."""
        ...

    def adopt(self, orders: Sequence[ForeignOrder]) -> None:
        """Take orders of others for the desk's own: their fills are booked from then on."""
        ...
