"""What is recorded when the desk itself changes its risk state; a person's change is on record as a command."""

from __future__ import annotations

import logging

from agents.core.books import LIVE
from agents.core.log import log_event
from agents.core.ports import Journal, RiskEvent
from agents.core.types import RiskState, as_datetime
from agents.orchestrator.cycle_parts import Decision
from agents.pipeline.parameters import RiskLimits
from agents.pipeline.risk import drawdown_from, recent_high
from agents.pipeline.state import State

logger = logging.getLogger(__name__)


def note_risk(journal: Journal, decision: Decision, limits: RiskLimits) -> None:
    """Record and log that a decision left the desk in another state than it was in, and by which drawdown."""
    was, now = decision.obeyed, RiskState(decision.state.risk_state[LIVE])
    if was == now:
        return
    reason = drawdown_words(decision.state, limits)
    log_event(logger, "risk state changed", level=logging.WARNING, before=was, after=now, reason=reason)
    at = as_datetime(decision.cycle.time[-1])
    journal.record_risk_event(RiskEvent(at=at, before=was, after=now, reason=reason, actor="desk", applied=True))


def drawdown_words(state: State, limits: RiskLimits) -> str:
    """The live book's drawdown from its peak, and from its recent high where that is another."""
    equity, peak = float(state.equity[LIVE]), float(state.peak[LIVE])
    words = f"drawdown {drawdown_from(peak, equity):.1%}"
    recent = recent_high(state.highs[LIVE], limits.reduce_months, peak)
    return words if recent == peak else f"{words}, {drawdown_from(recent, equity):.1%} of {limits.reduce_months} months"
