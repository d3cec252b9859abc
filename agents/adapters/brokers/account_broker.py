"""The broker of a real account, at an exchange or of stocks: orders are sent once, the account's own books are read.

What an answer to an order says of its fills counts for nothing here: fills come from the account's list of executions,
each by its own id, when a decision books them (`poll`). So a lost answer, one that comes twice and one that comes in
another order all end in the same record. An order works until the next decision; what is left of it then is taken back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from agents.adapters.brokers.chasing import Chases
from agents.adapters.brokers.market_rules import MarketRules
from agents.adapters.brokers.resting_stops import RestingStops
from agents.adapters.brokers.stop_books import StopBooks
from agents.adapters.brokers.taking_back import take_all_back, take_back
from agents.adapters.brokers.venue_books import (
    Seen,
    VenueBooks,
    as_order,
    crossing_id,
    find,
    foreign_in,
    money_moves,
    still_working,
)
from agents.adapters.exchanges.account_rows import VenueOrder
from agents.adapters.exchanges.order_errors import (
    OrderFormError,
    OrderLimitedError,
    OrderRefusedError,
    OrderUnknownError,
)
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.core import orders as words
from agents.core.clock import Clock
from agents.core.errors import DataError, ServiceError
from agents.core.killpoint import killpoint
from agents.core.log import log_event
from agents.core.orders import CANCELLED, Fill, Order, OrderOutcome, OrderState
from agents.core.venues import Holdings, MoneyMove, PlacedOrders, StopPlan, StopRecord

logger = logging.getLogger(__name__)
LOOK_BACK = timedelta(days=2)
"""An execution that the exchange shows later than this after it happened is found by comparing what is held."""
MARGIN = timedelta(hours=1)
GRACE_S = 60.0
"""An order that the exchange does not know may still be on its way: it counts as never placed so long after the first
look that found nothing."""
STANDSTILL = timedelta(minutes=2)
"""Sending the orders of one decision takes seconds; a process that stood still meanwhile buys nothing any more."""
REST = "the rest expired at the next bar"
_ENDS: Mapping[str, OrderState] = {
    "closed": "filled",
    "canceled": "cancelled",
    "expired": "expired",
    "rejected": "rejected",
}
"""ccxt's words for how an order ended -> ours."""
ZERO = Decimal(0)


class AccountBroker:
    """One account; `symbols` are the desk's, all with the same quote. `record` is what the desk knows of its orders,
    whose last decision was at `since`."""

    def __init__(
        self, account: TradingAccount, record: PlacedOrders, symbols: Sequence[str], since: datetime, clock: Clock
    ) -> None:
        self._account = account
        self._record = record
        self._symbols = tuple(symbols)
        self._clock = clock
        self._reading = VenueBooks(account, record)
        self._rules = MarketRules(account)
        self.chases = Chases(account, record, clock)
        self._missing_since_s: dict[str, float] = {}
        self._taken_back: set[str] = set()
        self._busy: frozenset[str] = frozenset()
        self._since = since
        self.stops: RestingStops | None = None

    def keep_stops(self, stops: StopRecord, plan: StopPlan, why_not: Callable[[Order], str]) -> RestingStops:
        """From now on let the stops of a desk rest at the exchange: see `RestingStops`."""
        self._reading.stops = stops
        books = StopBooks(self._reading, self._record, stops, self._clock, self.chases.unanswered)
        self.stops = RestingStops(self._account, books, plan, why_not, self._clock)
        return self.stops

    # ------------------------------------------------------------ orders

    def place(self, orders: Sequence[Order]) -> list[OrderOutcome]:
        """Sales first, which free money. No other leaves after one whose outcome is not known, or that met a limit of
        requests, no purchase after a standstill, and none where an order of before works on."""
        answers: dict[str, OrderOutcome] = {}
        why_no_more, began = "", self._clock.now()
        for order in sorted(orders, key=lambda order: order.side != "sell"):
            late = order.side == "buy" and self._clock.now() - began > STANDSTILL
            why_not = why_no_more or (
                words.UNRESOLVED if order.symbol in self._busy else words.TOO_LATE if late else ""
            )
            if why_not:
                answers[order.client_order_id] = _outcome(order, "not_placed", why_not)
                continue
            try:
                answer = self._place(order)
            except OrderLimitedError as error:
                answer, why_no_more = _outcome(order, "rejected", str(error)), words.LIMITED
            answers[order.client_order_id] = answer
            if answer.state == "unknown":
                why_no_more = words.UNANSWERED
        return [answers[order.client_order_id] for order in orders]

    def _place(self, order: Order) -> OrderOutcome:
        try:
            quantity, problem = self._rules.allowed(order)
        except (ServiceError, DataError) as error:
            return _outcome(order, "not_placed", str(error))
        if problem:
            return _outcome(order, "rejected", problem)
        if self.stops is not None:
            quantity, problem = self.stops.make_room(order, quantity)
            if problem:
                return _outcome(order, "not_placed", problem)
        try:
            self._send(order, quantity)
        except OrderLimitedError:
            raise
        except OrderRefusedError as error:
            return _outcome(order, "rejected", str(error))
        except OrderUnknownError as error:
            log_event(
                logger, "an order's answer is lost", level=logging.ERROR, order=order.client_order_id, error=error
            )
            return _outcome(order, "unknown", str(error))
        killpoint("order.after_accept")
        return _outcome(order, "acked")

    def _send(self, order: Order, quantity: Decimal) -> None:
        """Send it. One that is refused for its form is not there: where the exchange's rules have changed since they
        were asked for, it is sent as they are now, once. OrderRefusedError, OrderUnknownError."""
        try:
            self._account.place(self._rules.on_tick(order), quantity)
        except OrderFormError as error:
            again = None if order.kind == "stop" else self._rules.as_they_are_now(order, str(error))
            if again is None:
                raise
            self._account.place(self._rules.on_tick(order), again)
        self._rules.clear(order.symbol)

    def cancel(self, client_order_ids: Sequence[str]) -> list[OrderOutcome]:
        """What was filled before comes with the next `poll`, and so does the order's end. ServiceError where an answer
        is lost: then it is asked again."""
        answers = []
        for order, _ in self._record.open_orders():
            if order.client_order_id in client_order_ids and take_back(
                self._account, order.symbol, order.client_order_id
            ):
                self._taken_back.add(order.client_order_id)
                answers.append(_outcome(order, "acked", CANCELLED))
        return answers

    # ------------------------------------------------------------ what became of them

    def poll(self, since: datetime) -> list[OrderOutcome]:
        """How the desk's orders stand, and fills that are in no book yet; orders that still work are taken back first,
        also such as the record has as ended. ServiceError where the exchange does not answer: nothing is decided."""
        self._since = max(since, self._since)  # a new desk asks for all that ever was
        working = self._record.open_orders()
        seen = take_all_back(self._account, lambda: self._books(working), self._clock)
        self._busy = frozenset(one.symbol for _, one in still_working(seen))
        fills = self._reading.new_fills(seen)
        reached = [] if self.stops is None else self.stops.books.at_decision(seen, fills)
        answers = [self._standing(order, state, seen, fills) for order, state in working]
        late = [fill for own in fills.values() for fill in own]
        for fill in late:  # of orders that had ended
            log_event(logger, "ALARM", level=logging.ERROR, kind="late_fill", subject=fill.symbol, fill=fill.fill_id)
        return [
            *reached,
            *(answer for answer in answers if answer is not None),
            *(
                OrderOutcome(client_order_id=key, state="partial", reason="a late fill", fills=tuple(own))
                for key, own in fills.items()
            ),
        ]

    def lookup(self, client_order_id: str) -> OrderOutcome | None:
        """As the exchange knows it; "unknown" while it may still be on its way."""
        order = next((o for o, _ in self._record.open_orders() if o.client_order_id == client_order_id), None)
        if order is None:
            return None
        try:
            known = self._account.order(order.symbol, client_order_id)
        except DataError as error:  # taken off the exchange with it: what the account holds tells in the end
            return _outcome(order, "unknown", str(error))
        if known is None:
            listed = self._account.orders(order.symbol, self._start_ms([order]))
            known = next((o for o in listed if o.client_id == client_order_id), None)
        if known is None:
            return None if self._long_missing(client_order_id) else _outcome(order, "unknown", "not there yet")
        self._missing_since_s.pop(client_order_id, None)
        return _outcome(order, "acked")

    def resolved(self) -> list[tuple[Order, OrderState]]:
        found: list[tuple[Order, OrderState]] = []
        for order, state in self._record.open_orders():
            if state in ("sending", "unknown"):
                answer = self.lookup(order.client_order_id)
                if answer is None or answer.state != "unknown":
                    found.append((order, "not_placed" if answer is None else "acked"))
        return found

    def holdings(self) -> Holdings | None:
        before = self._account.totals()
        seen = self._books(self._record.open_orders())
        if self._account.totals() != before:
            return None
        fills = [fill for own in self._reading.new_fills(seen).values() for fill in own]
        foreign = [order for books in seen.values() for order in foreign_in(books)]
        return Holdings(totals=before, unbooked=fills, foreign=foreign)

    def open_orders(self) -> list[Order]:
        books = self._books([]).values()
        return [as_order(order) for seen in books for order in seen.orders.values() if order.status == "open"]

    def positions(self) -> dict[str, Decimal]:
        """Of spot: what the account holds of each symbol's base, the desk's or not."""
        totals = self._account.totals()
        held = {symbol: totals.get(symbol.partition("/")[0], ZERO) for symbol in self._symbols}
        return {symbol: quantity for symbol, quantity in held.items() if quantity}

    def balances(self) -> dict[str, Decimal]:
        return self._account.totals()

    def moves(self, currency: str, since: datetime) -> list[MoneyMove]:
        return money_moves(self._account, currency, since)

    def dividends(self, since: datetime) -> dict[str, Decimal]:
        return self._account.dividends(round(since.timestamp() * 1000))

    # ------------------------------------------------------------ inside

    def _start_ms(self, orders: Sequence[Order]) -> int:
        moments = [self._clock.now() - LOOK_BACK, self._since - MARGIN, *(o.decision_time - MARGIN for o in orders)]
        return round(min(moments).timestamp() * 1000)

    def _books(self, working: Sequence[tuple[Order, OrderState]]) -> dict[str, Seen]:
        return self._reading.books(self._symbols, self._start_ms([order for order, _ in working]))

    def _standing(
        self, order: Order, state: OrderState, seen: Mapping[str, Seen], fills: dict[str, list[Fill]]
    ) -> OrderOutcome | None:
        """How one open order stands; takes its fills out of `fills`. It has ended when the exchange says so and all
        that was filled is there: executions may be shown later than the order's end."""
        key = order.client_order_id
        own = tuple(fills.pop(key, ()))
        found = find(order, seen[order.symbol]) if order.symbol in seen else []
        if not found:
            return self._not_there(order, state)
        self._missing_since_s.pop(key, None)
        ids = {one.venue_id for one in found}
        shown = sum((t.quantity for t in seen[order.symbol].trades if t.order_id in ids), start=ZERO)
        end = None if any(one.status == "open" for one in found) else _ENDS.get(found[-1].status)
        if end is None or shown < sum(one.filled for one in found) or self._may_still_cross(order, found):
            return OrderOutcome(client_order_id=key, state="partial" if shown else "acked", fills=own)
        if end == "cancelled":
            by_person = key in self._taken_back
            self._taken_back.discard(key)
            return OrderOutcome(
                client_order_id=key,
                state="cancelled" if by_person else "expired",
                reason=CANCELLED if by_person else REST,
                fills=own,
            )
        return OrderOutcome(client_order_id=key, state=end, fills=own)

    def _may_still_cross(self, order: Order, found: Sequence[VenueOrder]) -> bool:
        """Whether the market order that goes on for one that chased may be on its way."""
        key, there = crossing_id(order.client_order_id), {one.client_id for one in found}
        return key in self.chases.unanswered and key not in there and not self._long_missing(key)

    def _not_there(self, order: Order, state: OrderState) -> OrderOutcome | None:
        if state in ("acked", "partial"):
            return None  # it was there: an exchange that forgets it says nothing about its end
        answer = self.lookup(order.client_order_id)
        return _outcome(order, "not_placed", "the exchange does not know it") if answer is None else answer

    def _long_missing(self, key: str) -> bool:
        now_s = self._clock.monotonic_s()
        return now_s - self._missing_since_s.setdefault(key, now_s) >= GRACE_S


def _outcome(order: Order, state: OrderState, reason: str = "") -> OrderOutcome:
    return OrderOutcome(client_order_id=order.client_order_id, state=state, reason=reason)
