"""A desk under a kill switch: nothing leaves while it is pulled, and the desk is halted once the record can take it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime

from agents.core.log import log_event
from agents.core.orders import KILLED, TOO_MANY
from agents.core.ports import Broker, Journal, KillSwitch, RiskEvent
from agents.core.types import Order, OrderOutcome, RiskState
from agents.orchestrator.broker_in_front import BrokerInFront
from agents.orchestrator.order_rate import OrderRate

logger = logging.getLogger(__name__)
LOOK_S = 1.0
"""So often the kill switch is looked at."""


class KillWatch:
    """Looks at the switch without any other service, tells each edge once, and owes the record a halt for each.

    That the switch is let go resumes nothing: the harm that it was pulled for may still be there, and a file also
    vanishes by a clean-up. The halt on record ends as every other one, by a person with a reason.
    """

    def __init__(self, switch: KillSwitch) -> None:
        self._switch = switch
        self._looking = threading.Lock()
        self._told: str | None = None
        self._owed: str | None = None

    def watch(self, stopping: threading.Event) -> None:
        """Look every second until `stopping`, whatever the caller waits for: a frozen database, a slow agent."""

        def keep_looking() -> None:
            while not stopping.wait(LOOK_S):
                self.look()

        threading.Thread(target=keep_looking, name="kill switch", daemon=True).start()

    def look(self) -> None:
        """Tell what has changed since the last look."""
        with self._looking:
            reason = self._switch.pulled()
            if (reason is None) == (self._told is None):
                return
            facts = {"kind": "kill_file", "subject": "orders"}
            if reason is not None:
                self._owed = reason
                log_event(logger, "ALARM", level=logging.CRITICAL, **facts, detail=reason)
            else:
                remedy = "the desk stays halted until quorum resume"
                log_event(logger, "alarm is over", level=logging.WARNING, **facts, remedy=remedy)
            self._told = reason

    def settle(self, journal: Journal, state: RiskState, at: datetime) -> None:
        """Put on record that the desk, now in `state`, is halted: where the switch is pulled, or was since."""
        self.look()
        reason = self._owed or self._told
        if reason is None:
            return
        waiting = [command.state for command in journal.pending_commands()]
        if (waiting[-1] if waiting else state) is not RiskState.HALTED:
            words = f"kill file: {reason}"
            journal.record_risk_event(
                RiskEvent(at=at, before=state, after=RiskState.HALTED, reason=words, actor="person", applied=False)
            )
        with self._looking:
            if self._owed is reason:
                self._owed = None


class GuardedBroker(BrokerInFront):
    """A broker to which no order goes while the switch is pulled, and not too many in a minute; looked at right before
    sending. What takes risk off (`cancel`) goes through."""

    def __init__(self, broker: Broker, switch: KillSwitch, rate: OrderRate) -> None:
        super().__init__(broker)
        self._switch = switch
        self._rate = rate

    def place(self, orders: Sequence[Order]) -> Sequence[OrderOutcome]:
        """Send the orders; what may not leave is "not_placed"."""
        reason = self._switch.pulled()
        if reason is not None:
            log_event(logger, "nothing is sent", level=logging.WARNING, orders=len(orders), reason=reason)
            return _not_placed(orders, KILLED)
        room = self._rate.room_for(len(orders))
        answers = list(self._broker.place(orders[:room])) if room else []
        return [*answers, *_not_placed(orders[room:], TOO_MANY)]


def _not_placed(orders: Sequence[Order], reason: str) -> list[OrderOutcome]:
    return [OrderOutcome(client_order_id=o.client_order_id, state="not_placed", reason=reason) for o in orders]
