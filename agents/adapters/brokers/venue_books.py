"""An account's own books, read back: which orders and executions of them are the desk's, and which are of others."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from agents.adapters.brokers.venue_fills import FeeWorth, fill_of, moved_by
from agents.adapters.exchanges.account_rows import VenueOrder, VenueTrade
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.core.errors import DataError, ServiceError, SettingsError
from agents.core.log import log_event
from agents.core.orders import Fill, Order
from agents.core.venues import ForeignOrder, MoneyMove, PlacedOrders, StopRecord, adopted_id

logger = logging.getLogger(__name__)
ZERO = Decimal(0)
CROSSING = "x"
"""No id of a desk's order ends like this."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The account's books in one symbol: orders by the exchange's id, executions, the ids among them that the record
    knows, and those of stops among these."""

    orders: Mapping[str, VenueOrder]
    trades: Sequence[VenueTrade]
    ours: frozenset[str]
    stops: frozenset[str] = frozenset()


class VenueBooks:
    """Reads one account and tells by `record` what is the desk's."""

    def __init__(self, account: TradingAccount, record: PlacedOrders) -> None:
        self._account = account
        self._record = record
        self._worth = FeeWorth(account)
        self.stops: StopRecord | None = None
        """The desk's stops that rest there, where it keeps such."""
        self._gone: set[str] = set()

    def books(self, symbols: Sequence[str], start_ms: int) -> dict[str, Seen]:
        """The books since then, by symbol, without those that the exchange does not know any more. Executions are asked
        for first: an order that is filled in between would else have ended without them."""
        books = {}
        for symbol in symbols:
            try:
                trades = self._account.trades(symbol, start_ms)
                listed = self._account.orders(symbol, start_ms)
                orders = {order.venue_id: order for order in (*listed, *self._older_stops(symbol, listed))}
            except DataError as error:
                if symbol not in self._gone:
                    log_event(logger, "ALARM", level=logging.ERROR, kind="market_gone", subject=symbol, why=error)
                self._gone.add(symbol)
                continue
            self._gone.discard(symbol)
            ids = [key for order in orders.values() for key in _keys_of(order)]
            stops = frozenset() if self.stops is None else self.stops.known(ids)
            books[symbol] = Seen(orders, trades, self._record.known(ids) | stops, stops)
        return books

    def _older_stops(self, symbol: str, listed: Sequence[VenueOrder]) -> list[VenueOrder]:
        """Stops that were set before the time that was asked for and may have been reached since, by their ids."""
        there = {order.client_id for order in listed}
        standing = () if self.stops is None else self.stops.standing()
        asked = [s for s in standing if s.order.symbol == symbol and s.state in ("sending", "resting", "reached")]
        found = [
            self._account.order(symbol, s.order.client_order_id) for s in asked if s.order.client_order_id not in there
        ]
        return [order for order in found if order is not None]

    def new_fills(self, seen: Mapping[str, Seen]) -> dict[str, list[Fill]]:
        """Fills of the desk's orders that are in no book yet, by the order's id."""
        found: list[tuple[str, VenueTrade]] = []
        for books in seen.values():
            for trade in books.trades:
                order = books.orders.get(trade.order_id)
                key = key_of(order, books.ours) if order is not None else None
                if key is not None:
                    found.append((key, trade))
        booked = self._record.booked([self._fill_id(trade) for _, trade in found])
        fills: dict[str, list[Fill]] = {}
        for key, trade in found:
            if self._fill_id(trade) not in booked:
                fills.setdefault(key, []).append(fill_of(trade, key, self._fill_id(trade), self._worth))
        return fills

    def _fill_id(self, trade: VenueTrade) -> str:
        return f"{self._account.name}-{trade.symbol.replace('/', '')}-{trade.trade_id}"


def crossing_id(client_order_id: str) -> str:
    """The id at the exchange of the market order that goes on where one that chased did not get it all."""
    return client_order_id + CROSSING


def _keys_of(order: VenueOrder) -> tuple[str, ...]:
    return order.client_id, order.client_id.removesuffix(CROSSING), adopted_id(order.venue_id)


def key_of(order: VenueOrder, ours: frozenset[str]) -> str | None:
    """By which of its ids the record knows an order; None where it is not the desk's."""
    return next((key for key in _keys_of(order) if key in ours), None)


def find(order: Order, books: Seen) -> list[VenueOrder]:
    """The desk's order in the account's books, and the one that went on for it, if any, behind it."""
    found = (o for o in books.orders.values() if key_of(o, books.ours) == order.client_order_id)
    return sorted(found, key=lambda o: o.client_id.endswith(CROSSING))


def still_working(books: Mapping[str, Seen]) -> list[tuple[str, VenueOrder]]:
    """Orders of the desk, but no stops, that may still be filled, with the id by which the record knows each; also such
    as are on record as never placed, which the exchange took later than anybody waits."""
    found = [(key_of(o, seen.ours - seen.stops), o) for seen in books.values() for o in seen.orders.values()]
    return [(key, order) for key, order in found if key is not None and order.status == "open"]


def foreign_in(books: Seen) -> list[ForeignOrder]:
    """Orders of others that work, or that were filled."""
    found = []
    for order in books.orders.values():
        traded = sum((moved_by(t) for t in books.trades if t.order_id == order.venue_id), start=ZERO)
        if key_of(order, books.ours) is None and (traded or order.status == "open"):
            found.append(
                ForeignOrder(
                    venue_id=order.venue_id,
                    client_id=order.client_id,
                    symbol=order.symbol,
                    side="buy" if order.side == "buy" else "sell",
                    quantity=order.quantity,
                    at=datetime.fromtimestamp(order.time_ms / 1000, UTC),
                    works=order.status == "open",
                    traded=traded if order.side == "buy" else -traded,
                )
            )
    return found


def money_moves(account: TradingAccount, currency: str, since: datetime) -> list[MoneyMove]:
    """What the account tells of money that came or went since then; none where it does not tell."""
    try:
        found = account.moves(currency, round(since.timestamp() * 1000))
    except (DataError, ServiceError, SettingsError) as error:  # a key may not be allowed to ask: a break stays one
        log_event(logger, "deposits are not told", level=logging.WARNING, why=error)
        return []
    kinds = [move.kind or ("deposit" if move.amount > 0 else "withdrawal") for move in found]
    return [
        MoneyMove(
            key=f"{account.name}-{kind}-{move.move_id}",
            kind=kind,
            currency=move.currency,
            amount=move.amount,
            at=datetime.fromtimestamp(move.time_ms / 1000, UTC),
            symbol=move.symbol,
        )
        for kind, move in zip(kinds, found, strict=True)
    ]


def as_order(order: VenueOrder) -> Order:
    """As the desk would have it on record."""
    return Order(
        client_order_id=order.client_id or order.venue_id,
        decision_time=datetime.fromtimestamp(order.time_ms / 1000, UTC),
        symbol=order.symbol,
        side="buy" if order.side == "buy" else "sell",
        quantity=order.quantity,
    )
