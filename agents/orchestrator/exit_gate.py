"""The ordinary way of orders to an account, which is closed while exits are under way that are not on record."""

from __future__ import annotations

from collections.abc import Sequence

from agents.core.orders import EXITING, Order, OrderOutcome
from agents.core.ports import Broker
from agents.orchestrator.broker_in_front import BrokerInFront
from agents.orchestrator.offline_exits import OfflineExits


class ExitGate(BrokerInFront):
    """The ordinary way to a broker, closed while exits are under way that are not on record."""

    def __init__(self, broker: Broker, exits: OfflineExits) -> None:
        super().__init__(broker)
        self._exits = exits

    def place(self, orders: Sequence[Order]) -> Sequence[OrderOutcome]:
        """Send them, or say of each that it was not."""
        with self._exits.lock:
            if self._exits.begun:
                keys = [order.client_order_id for order in orders]
                return [OrderOutcome(client_order_id=key, state="not_placed", reason=EXITING) for key in keys]
            self._exits.note_sent(orders)
            return self._broker.place(orders)
