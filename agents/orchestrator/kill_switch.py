"""A desk under a kill switch: nothing leaves while it is pulled, and the desk is halted once the record can take it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from agents.core.log import log_event
from agents.core.orders import KILLED
from agents.core.ports import Broker, Journal, KillSwitch, RiskEvent
from agents.core.types import Order, OrderOutcome, RiskState

logger = logging.getLogger(__name__)


class KillWatch:
    """Looks at the switch without any other service, tells each edge once, and owes the record a halt for each.

    That the switch is let go resumes nothing: the harm that it was pulled for may still be there, and a file also
    vanishes by a clean-up. The halt on record ends as every other one, by a person with a reason.
    """

    def __init__(self, switch: KillSwitch) -> None:
        self._switch = switch
        self._told: str | None = None
        self._owed: str | None = None

    def look(self) -> None:
        """Tell what has changed since the last look."""
        reason = self._switch.pulled()
        if (reason is None) == (self._told is None):
            return
        if reason is not None:
            self._owed = reason
            log_event(logger, "ALARM", level=logging.CRITICAL, kind="kill_file", subject="orders", detail=reason)
        else:
            remedy = "the desk stays halted until quorum resume"
            log_event(logger, "alarm is over", level=logging.WARNING, kind="kill_file", subject="orders", remedy=remedy)
        self._told = reason

    def settle(self, journal: Journal, state: RiskState, at: datetime) -> None:
        """Put on record that the desk, now in `state`, is halted: where the switch is pulled, or was since."""
        self.look()
        reason = self._told or self._owed
        if reason is None:
            return
        waiting = [command.state for command in journal.pending_commands()]
        if (waiting[-1] if waiting else state) is not RiskState.HALTED:
            words = f"kill file: {reason}"
            journal.record_risk_event(
                RiskEvent(at=at, before=state, after=RiskState.HALTED, reason=words, actor="person", applied=False)
            )
        self._owed = None


class GuardedBroker:
    """A broker to which no order goes while the switch is pulled; looked at right before sending."""

    def __init__(self, broker: Broker, switch: KillSwitch) -> None:
        self._broker = broker
        self._switch = switch

    def place(self, orders: Sequence[Order]) -> Sequence[OrderOutcome]:
        """Send the orders, or none of them: then each is "not_placed"."""
        reason = self._switch.pulled()
        if reason is None:
            return self._broker.place(orders)
        log_event(logger, "nothing is sent", level=logging.WARNING, orders=len(orders), reason=reason)
        return [OrderOutcome(client_order_id=o.client_order_id, state="not_placed", reason=KILLED) for o in orders]

    def cancel(self, client_order_ids: Sequence[str]) -> Sequence[OrderOutcome]:
        """As the broker's: what takes risk off goes through."""
        return self._broker.cancel(client_order_ids)

    def poll(self, since: datetime) -> Sequence[OrderOutcome]:
        """As the broker's."""
        return self._broker.poll(since)

    def open_orders(self) -> Sequence[Order]:
        """As the broker's."""
        return self._broker.open_orders()

    def positions(self) -> Mapping[str, Decimal]:
        """As the broker's."""
        return self._broker.positions()

    def balances(self) -> Mapping[str, Decimal]:
        """As the broker's."""
        return self._broker.balances()

    def lookup(self, client_order_id: str) -> OrderOutcome | None:
        """As the broker's."""
        return self._broker.lookup(client_order_id)
