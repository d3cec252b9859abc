"""The desk's record, opened for writing: by the one process that trades, or for a person who orders a risk state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.reader import DeskReader
from agents.core.clock import SystemClock
from agents.core.ports import RiskEvent
from agents.core.types import RiskState
from agents.wiring.connections import Connections


@contextmanager
def desk_journal(connections: Connections) -> Iterator[PostgresJournal]:
    """The journal, held by this process alone; DeskBusyError where another one trades the desk."""
    journal = PostgresJournal(connections.trader)
    journal.hold_desk()
    try:
        yield journal
    finally:
        journal.release()


def order_risk_state(connections: Connections, state: RiskState, reason: str) -> RiskState:
    """A person's halt or resume, obeyed at the next decision; returns the state until then."""
    before = DeskReader(connections.trader).risk_state() or RiskState.ACTIVE
    event = RiskEvent(at=SystemClock().now(), before=before, after=state, reason=reason, actor="person", applied=False)
    PostgresJournal(connections.trader).record_risk_event(event)
    return before
