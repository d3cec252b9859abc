"""The stops that a desk wants to rest at its venue, as its state is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from agents.core.orders import Fill
from agents.core.venues import WantedStop
from agents.orchestrator.orchestrator import Orchestrator
from agents.pipeline.order_ids import client_order_id
from agents.pipeline.resting_stops import wanted_stops

ZERO = Decimal(0)


class DeskStopPlan:
    """Of one desk, as `core.venues.StopPlan`."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    def wanted(self, unbooked: Mapping[str, Sequence[Fill]]) -> Mapping[str, WantedStop]:
        """By symbol, where a stop is set."""
        desk = self._orchestrator
        held = {symbol: position.quantity for symbol, position in desk.ledger().positions.items()}
        return wanted_stops(desk.account(), desk.plan.symbols, held, unbooked, desk.plan.parameters.stops)

    def held(self, symbol: str) -> Decimal:
        """The position in the books."""
        position = self._orchestrator.ledger().positions.get(symbol)
        return ZERO if position is None else position.quantity

    def order_of(self, symbol: str, number: int) -> tuple[str, datetime]:
        """The id hangs on the decision, so that a process that starts anew gives the same."""
        at = self._orchestrator.decided_at
        return client_order_id(self._orchestrator.plan.desk, at, f"{symbol}|rest|{number}"), at
