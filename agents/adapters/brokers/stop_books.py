"""What is known of the stops at an exchange: by the desk's record, by the account's books, and by this process.

A stop counts as over for the record only when all that it was filled is in the desk's books: until then it is looked
up by its id, however long ago it was set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from agents.adapters.brokers.venue_books import Seen, VenueBooks, crossing_id, find, key_of
from agents.adapters.exchanges.account_rows import VenueOrder
from agents.core.clock import Clock
from agents.core.errors import DataError
from agents.core.orders import Fill, Order, OrderOutcome
from agents.core.venues import PlacedOrders, RestingStop, StopPlan, StopRecord

GRACE_S = 60.0
"""A stop that the exchange does not know may still be on its way so long after the first look that found nothing."""
LOOK_BACK = timedelta(days=2)
ZERO = Decimal(0)


class StopSeen(NamedTuple):
    """A symbol at one look: fills that no decision has booked, what was sold and is not shown yet, what other orders of
    the desk may still sell, stops that work (by id, with their rows), whether one was reached, whether one may be on
    its way, and the desk's working orders that would enlarge the position."""

    fills: Sequence[Fill]
    hidden: Decimal
    being_sold: Decimal
    working: Mapping[str, tuple[RestingStop, VenueOrder]]
    reached: bool
    pending: bool
    entries: Sequence[VenueOrder]


class StopBooks:
    """Of one account; `reading` reads it, `chasing` are ids of orders of which nobody knows whether they are there."""

    def __init__(
        self, reading: VenueBooks, orders: PlacedOrders, stops: StopRecord, clock: Clock, chasing: Set[str]
    ) -> None:
        self._reading = reading
        self._orders = orders
        self._stops = stops
        self._clock = clock
        self._chasing = chasing
        self._missing_since_s: dict[str, float] = {}
        self._resting: dict[str, dict[str, Decimal]] = {}
        self._counted: dict[str, Decimal] = {}
        self._begun = False

    # ------------------------------------------------------------ what this process knows, without asking anyone

    def resting(self, symbol: str) -> dict[str, Decimal]:
        """The stops of a symbol that may work, by id, with their quantities."""
        if not self._begun:
            for stop in self._stops.standing():
                if stop.state in ("sending", "resting", "reached"):
                    self._note(stop.order)
            self._begun = True
        return self._resting.setdefault(symbol, {})

    def counted(self, key: str) -> Decimal:
        """What of a stop's fills the desk's books have, or the decision that is being made books."""
        return self._counted.get(key, ZERO)

    def gone(self, symbol: str, key: str) -> None:
        """It does not work any more."""
        self.resting(symbol).pop(key, None)

    def _note(self, order: Order) -> None:
        self._resting.setdefault(order.symbol, {})[order.client_order_id] = order.quantity

    # ------------------------------------------------------------ the account

    def symbols(self) -> set[str]:
        """Those with stops on record that have not ended."""
        return {stop.order.symbol for stop in self._stops.standing()}

    def at_decision(self, seen: Mapping[str, Seen], fills: dict[str, list[Fill]]) -> list[OrderOutcome]:
        """The fills of stops, taken out of those that no decision has booked: the one that asks books them."""
        for books in seen.values():
            for order in books.orders.values():
                if order.client_id in books.stops:
                    shown = (t.quantity for t in books.trades if t.order_id == order.venue_id)
                    self._counted[order.client_id] = sum(shown, start=ZERO)
        stops = {key for books in seen.values() for key in books.stops}
        return [
            OrderOutcome(client_order_id=key, state="filled", fills=tuple(fills.pop(key)), of_stop=True)
            for key in sorted(stops & set(fills))
        ]

    def look(self, symbol: str) -> StopSeen:
        """Ask the account about a symbol, and bring the record up to date. DataError where the exchange does not know
        the symbol any more; ServiceError."""
        start = self._clock.now() - LOOK_BACK
        open_orders = [(o, state) for o, state in self._orders.open_orders() if o.symbol == symbol]
        reached_before = [s.order for s in self._stops.standing() if s.state == "reached" and s.order.symbol == symbol]
        start = min([start, *(order.decision_time for order in (*(o for o, _ in open_orders), *reached_before))])
        books = self._reading.books([symbol], round(start.timestamp() * 1000)).get(symbol)
        if books is None:
            raise DataError(f"the exchange does not know {symbol} at the moment")
        fills = self._reading.new_fills({symbol: books})
        shown: dict[str, Decimal] = {}
        for trade in books.trades:
            shown[trade.order_id] = shown.get(trade.order_id, ZERO) + trade.quantity
        working, pending, reached = {}, False, False
        by_id = {order.client_id: order for order in books.orders.values()}
        for stop in self._stops.standing():
            key = stop.order.client_order_id
            if stop.order.symbol != symbol or stop.state in ("none", "refused"):
                continue
            found = by_id.get(key)
            if found is None:
                pending |= self._is_missing(stop)
                continue
            self._missing_since_s.pop(key, None)
            hidden = found.filled > shown.get(found.venue_id, ZERO)
            reached |= key in fills or hidden
            self._write(stop, found, unbooked=key in fills or hidden)
            if found.status == "open":
                working[key] = stop, found
        ours = [order for order in books.orders.values() if key_of(order, books.ours) is not None]
        hidden_sold = sum((o.filled - shown.get(o.venue_id, ZERO) for o in ours if o.side == "sell"), start=ZERO)
        return StopSeen(
            fills=[fill for own in fills.values() for fill in own],
            hidden=max(ZERO, hidden_sold),
            being_sold=self._being_sold(open_orders, books),
            working=working,
            reached=reached,
            pending=pending,
            entries=[o for o in ours if o.status == "open" and o.side == "buy" and o.client_id not in books.stops],
        )

    def _being_sold(self, open_orders: Sequence[tuple[Order, str]], books: Seen) -> Decimal:
        """What the desk's other orders may still sell, those of which nobody knows whether they are there included."""
        total = ZERO
        for order, state in open_orders:
            if order.side != "sell":
                continue
            found = find(order, books)
            rests = [one.quantity - one.filled for one in found if one.status == "open"]
            on_its_way = not found and state in ("sending", "unknown")
            on_its_way |= crossing_id(order.client_order_id) in self._chasing
            filled = sum((one.filled for one in found), start=ZERO)
            total += order.quantity - filled if on_its_way else sum(rests, start=ZERO)
        return total

    def _is_missing(self, stop: RestingStop) -> bool:
        """Whether a stop that the exchange does not show may still be on its way; else it is over."""
        key, now_s = stop.order.client_order_id, self._clock.monotonic_s()
        if now_s - self._missing_since_s.setdefault(key, now_s) < GRACE_S:
            return True
        self._missing_since_s.pop(key)
        self._stops.note(replace(stop, state="ended", reason="the exchange does not know it"))
        self.gone(stop.order.symbol, key)
        return False

    def _write(self, stop: RestingStop, found: VenueOrder, *, unbooked: bool) -> None:
        key, symbol = stop.order.client_order_id, stop.order.symbol
        if found.status == "open":
            now = replace(stop, state="resting", reason="")
            self.resting(symbol)[key] = found.quantity
        else:
            self.gone(symbol, key)
            words = "reached" if found.filled else f"over at the exchange: {found.status}"
            now = replace(stop, state="reached" if unbooked else "ended", reason=words)
        if now != stop:
            self._stops.note(now)

    # ------------------------------------------------------------ the record

    def number(self, symbol: str, plan: StopPlan) -> int:
        """The number of the next stop that the last decision sets for a symbol."""
        _, at = plan.order_of(symbol, 0)
        return self._stops.set_by(at, symbol)

    def sending(self, stop: RestingStop) -> None:
        """On record before it leaves; from then on it may be there."""
        self.drop_words(stop.order.symbol)
        self._stops.note(stop)
        self._note(stop.order)

    def answered(self, stop: RestingStop, answer: OrderOutcome) -> None:
        """What came of it; one whose answer is lost is looked for."""
        if answer.state == "acked":
            self._stops.note(replace(stop, state="resting"))
        elif answer.state != "unknown":
            self.gone(stop.order.symbol, stop.order.client_order_id)
            self._stops.note(replace(stop, state="refused", reason=answer.reason))

    def ended(self, key: str, why: str) -> None:
        """One that was taken back, of which nothing new was filled."""
        for stop in self._stops.standing():
            if stop.order.client_order_id == key:
                self.gone(stop.order.symbol, key)
                self._stops.note(replace(stop, state="ended", reason=why))

    def say(self, words: RestingStop) -> bool:
        """Put on record why no stop rests; whether that is news."""
        symbol = words.order.symbol
        before = [s for s in self._stops.standing() if s.order.symbol == symbol and s.state in ("none", "refused")]
        if before:  # one row for each symbol, however often it is said
            key = before[0].order.client_order_id
            words = replace(words, order=replace(words.order, client_order_id=key))
        if words not in before:
            self._stops.note(words)
        return all(stop.reason != words.reason for stop in before)

    def drop_words(self, symbol: str) -> None:
        """What was said of why none rests does not hold any more."""
        for stop in self._stops.standing():
            if stop.order.symbol == symbol and stop.state in ("none", "refused"):
                self._stops.note(replace(stop, state="ended"))
