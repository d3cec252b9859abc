"""Which orders close a desk's positions while its database is away: pure, from memory and what the account says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agents.core.exits import ExitBook
from agents.core.orders import Order, OrderState
from agents.core.symbols import base_of
from agents.core.venues import Holdings
from agents.pipeline.order_ids import client_order_id, of_desk

ATTEMPTS = 3
"""So many exits of a symbol follow one word, where the account refuses them."""
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Known:
    """What a desk knows without its database: its newest decision, the positions of its books then, the orders that it
    sent since, and what of the account (by currency) is not its own."""

    decided_at: datetime
    positions: Mapping[str, Decimal]
    orders: Sequence[Order]
    outside: Mapping[str, Decimal]


class RememberedOrders:
    """A desk's orders as `PlacedOrders`, from memory: nothing of what was sent since the decision is in its books."""

    def __init__(self, desk: str) -> None:
        self._desk = desk
        self.sent: Sequence[Order] = ()
        self.exits: Sequence[tuple[Order, OrderState]] = ()
        self.working: Sequence[Order] = ()

    def open_orders(self) -> list[tuple[Order, OrderState]]:
        of_exits: list[tuple[Order, OrderState]] = list(self.exits)
        return [*((order, "acked") for order in (*self.sent, *self.working)), *of_exits]

    def booked(self, _fill_ids: Sequence[str]) -> frozenset[str]:
        return frozenset()

    def known(self, client_order_ids: Sequence[str]) -> frozenset[str]:
        mine = {order.client_order_id for order, _ in self.open_orders()}
        return frozenset(mine.intersection(client_order_ids))

    def ours(self, orders: Sequence[Order]) -> list[Order]:
        """Those of an account's orders that are the desk's by their ids, whenever they were sent."""
        return [order for order in orders if of_desk(order.client_order_id, self._desk)]


def exits_wanted(desk: str, known: Known, holdings: Holdings, book: ExitBook) -> list[Order]:
    """One for each long position that nothing closes yet, at most as large as the desk knows it and as the account
    holds it, by symbol."""
    positions = dict(known.positions)
    for fill in holdings.unbooked:
        positions[fill.symbol] = positions.get(fill.symbol, ZERO) + fill.signed_quantity
    wanted = []
    for symbol, position in sorted(positions.items()):
        base = base_of(symbol)
        held = holdings.totals.get(base, ZERO) - known.outside.get(base, ZERO)
        quantity = min(position, held)
        if quantity <= 0 or book.open_exit(symbol) is not None or book.tried(symbol) >= ATTEMPTS:
            continue
        number = sum(exit_.order.symbol == symbol for exit_ in book.exits) + 1
        wanted.append(
            Order(
                client_order_id=exit_id(desk, book.begun_at, symbol, number),
                decision_time=known.decided_at,
                symbol=symbol,
                side="sell",
                quantity=quantity,
                kind="exit",
            )
        )
    return wanted


def exit_id(desk: str, begun_at: datetime, symbol: str, number: int) -> str:
    """The id of a spool's exit of this number in a symbol: no other spool has it, and a restart derives the same."""
    return client_order_id(desk, begun_at, f"{symbol}|exit|{number}")
