"""What is recorded and logged, once for each edge, when the desk itself changes its risk state or reaches a limit; a
person's change is on record as a command."""

from __future__ import annotations

import logging

from agents.core.alarm_types import LIMIT_OVER, LIMIT_REACHED
from agents.core.books import LIVE
from agents.core.log import log_event
from agents.core.ports import Journal, RiskEvent
from agents.core.types import RiskLimit, RiskState, as_datetime
from agents.orchestrator.cycle_parts import Decision
from agents.pipeline.highs import drawdown_from, recent_high
from agents.pipeline.parameters import RiskLimits
from agents.pipeline.state import State

logger = logging.getLogger(__name__)


def note_risk(journal: Journal, decision: Decision, before: State, limits: RiskLimits) -> None:
    """Record and log in what a decision left the desk otherwise than it was `before`: its state, and limits reached."""
    at, now = as_datetime(decision.cycle.time[-1]), RiskState(decision.state.risk_state[LIVE])

    def record(was: RiskState, reason: str) -> None:
        journal.record_risk_event(RiskEvent(at=at, before=was, after=now, reason=reason, actor="desk", applied=True))

    if decision.obeyed != now:
        reason = halt_words(decision.state, limits)
        log_event(logger, "risk state changed", level=logging.WARNING, before=decision.obeyed, after=now, reason=reason)
        record(decision.obeyed, reason)
    was, reached = int(before.reached[0]), int(decision.state.reached[0])
    for limit in RiskLimit:
        if reached & limit and not was & limit:
            log_event(logger, "ALARM", level=logging.ERROR, kind="risk_limit", subject=limit)
            record(now, f"{LIMIT_REACHED}{limit}")
        elif was & limit and not reached & limit:
            log_event(logger, "alarm is over", kind="risk_limit", subject=limit)
            record(now, f"{LIMIT_OVER}{limit}")


def halt_words(state: State, limits: RiskLimits) -> str:
    """Which breakers halted the desk, or how deep its drawdown is."""
    enforced = {RiskLimit.DAILY_LOSS: limits.daily_loss.enforced, RiskLimit.LOSSES: limits.losses.enforced}
    broken = [str(limit) for limit, is_enforced in enforced.items() if is_enforced and int(state.reached[0]) & limit]
    return ", ".join(broken) or drawdown_words(state, limits)


def drawdown_words(state: State, limits: RiskLimits) -> str:
    """The live book's drawdown from its peak, and from its recent high where that is another."""
    equity, peak = float(state.equity[LIVE]), float(state.peak[LIVE])
    words = f"drawdown {drawdown_from(peak, equity):.1%}"
    recent = recent_high(state.highs[LIVE], limits.reduce_months, peak)
    return words if recent == peak else f"{words}, {drawdown_from(recent, equity):.1%} of {limits.reduce_months} months"
