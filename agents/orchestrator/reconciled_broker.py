"""The broker of an account: what may be sent, and that it is being sent, is on record before it leaves."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from agents.core.clock import Clock
from agents.core.log import log_event
from agents.core.orders import UNRESOLVED, Order, OrderOutcome
from agents.core.ports import Broker, Journal
from agents.orchestrator.broker_in_front import BrokerInFront
from agents.orchestrator.reconciliation import Reconciler

logger = logging.getLogger(__name__)


class ReconciledBroker(BrokerInFront):
    """A broker to which an order goes only where both sides' books agree, and not before it is on record that it is
    being sent."""

    def __init__(self, broker: Broker, reconciler: Reconciler, journal: Journal, clock: Clock) -> None:
        super().__init__(broker)
        self._reconciler = reconciler
        self._journal = journal
        self._clock = clock

    def place(self, orders: Sequence[Order]) -> Sequence[OrderOutcome]:
        """Send what may be sent; what may not is "not_placed"."""
        # As the record is now, not at the last look: one bar may follow another within seconds.
        unresolved = {o.symbol for o, state in self._journal.open_orders() if state in ("sending", "unknown")}
        kept = {o.client_order_id: UNRESOLVED for o in orders if o.symbol in unresolved}
        kept |= {order.client_order_id: why for order in orders if (why := self._reconciler.why_not(order))}
        free = [order for order in orders if order.client_order_id not in kept]
        answers = {
            key: OrderOutcome(client_order_id=key, state="not_placed", reason=reason) for key, reason in kept.items()
        }
        if kept:
            log_event(logger, "orders are kept back", level=logging.WARNING, orders=len(kept), why=set(kept.values()))
        if free:
            sending = [OrderOutcome(client_order_id=o.client_order_id, state="sending") for o in free]
            self._journal.record_outcomes(self._clock.now(), sending)
            answers |= {answer.client_order_id: answer for answer in self._broker.place(free)}
        return [answers[order.client_order_id] for order in orders]

    def lookup(self, client_order_id: str) -> OrderOutcome | None:
        """As the broker's; of an order that never left, None without asking."""
        states = {order.client_order_id: state for order, state in self._journal.open_orders()}
        return None if states.get(client_order_id) == "intent" else self._broker.lookup(client_order_id)
