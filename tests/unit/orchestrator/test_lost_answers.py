"""What a desk was to become is on record, and the answer to the commit is lost: it must not go on as what it was."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agents.core.cash_flows import CashFlow
from agents.core.errors import ServiceError
from agents.core.ports import RiskEvent
from agents.core.types import RiskState
from agents.orchestrator.account import Account, take_waiting
from agents.orchestrator.commands import InDoubtError, Pause, obey_waiting
from agents.pipeline.ledger import Ledger
from agents.pipeline.state import new_state
from tests.twins import MemoryJournal

NOW = datetime(2026, 3, 4, tzinfo=UTC)
PAUSE = Pause(after=NOW, at=NOW)


class LostAnswers(MemoryJournal):
    """Commits, and says that it could not."""

    def obey(self, commands, *, after):
        super().obey(commands, after=after)
        raise ServiceError("the connection ended")

    def take_flows(self, taken, *, after, at):
        super().take_flows(taken, after=after, at=at)
        raise ServiceError("the connection ended")


class NoBroker:
    def cancel(self, client_order_ids):
        return []


def test_a_halt_whose_commit_is_not_answered_leaves_the_desk_in_doubt():
    """Seen: obeyed on record, and the desk bought on."""
    journal = LostAnswers()
    journal.record_risk_event(
        RiskEvent(at=NOW, before=RiskState.ACTIVE, after=RiskState.HALTED, reason="r", actor="person", applied=False)
    )
    with pytest.raises(InDoubtError):
        obey_waiting(journal, NoBroker(), new_state(1, 1, 1000.0), ("A",), PAUSE)
    assert journal.pending_commands() == [], "nobody will hear of it again"


def test_cash_whose_commit_is_not_answered_leaves_the_desk_in_doubt():
    """Seen: taken on record, and in no book until the next start, or never."""
    journal = LostAnswers()
    journal.flows = [CashFlow(id=1, kind="deposit", amount=Decimal(5), source="person")]
    with pytest.raises(InDoubtError):
        take_waiting(journal, Account(new_state(1, 1, 1000.0), Ledger(cash=Decimal(1000)), 0.0), PAUSE)
    assert journal.waiting_flows(NOW) == []
