"""A broker in front of another: all but what it changes is the other's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from agents.core.orders import Order, OrderOutcome
from agents.core.ports import Broker


class BrokerInFront:
    """Hands every question on; who holds orders back has a `place` of its own."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def place(self, orders: Sequence[Order]) -> Sequence[OrderOutcome]:
        return self._broker.place(orders)

    def cancel(self, client_order_ids: Sequence[str]) -> Sequence[OrderOutcome]:
        return self._broker.cancel(client_order_ids)

    def poll(self, since: datetime) -> Sequence[OrderOutcome]:
        return self._broker.poll(since)

    def open_orders(self) -> Sequence[Order]:
        return self._broker.open_orders()

    def positions(self) -> Mapping[str, Decimal]:
        return self._broker.positions()

    def balances(self) -> Mapping[str, Decimal]:
        return self._broker.balances()

    def lookup(self, client_order_id: str) -> OrderOutcome | None:
        return self._broker.lookup(client_order_id)
