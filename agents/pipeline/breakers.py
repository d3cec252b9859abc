"""What `risk.limits` look at: the live book's day, its run of losing trades, its groups and orders. An enforced breaker
halts, and a person resumes; what shrinks a weight is part of `risk.apply_limits`."""

from __future__ import annotations

from agents.core.types import Clamp, Floats, RiskLimit
from agents.pipeline.bar import Targets
from agents.pipeline.highs import drawdown_from
from agents.pipeline.parameters import RiskLimits
from agents.pipeline.risk import GROSS_TOLERANCE, group_exposure
from agents.quant.compiled import compiled_inline


@compiled_inline
def note_day(today: Floats, day: int, last_equity: float) -> None:
    """At the first bar of a day (since 1970) its loss begins at `last_equity`, that of the bar before."""
    if today[0] != day:
        today[0], today[1] = day, last_equity


@compiled_inline
def note_trades(today: Floats, realised: Floats) -> None:
    """Count closed trades in a row that lost; `realised` [S, A+1] is what a bar's fills closed, by symbol."""
    symbols, shares = realised.shape
    for s in range(symbols):
        total = 0.0
        for k in range(shares):
            total += realised[s, k]
        if total < 0.0:
            today[2] += 1.0
        elif total > 0.0:
            today[2] = 0.0


@compiled_inline
def breakers_reached(today: Floats, equity: float, limits: RiskLimits) -> int:
    """Bits of `RiskLimit`: the day's loss, and the run of losing trades."""
    reached = 0
    if drawdown_from(today[1], equity) >= limits.daily_loss.at:
        reached |= RiskLimit.DAILY_LOSS
    if today[2] >= limits.losses.at:
        reached |= RiskLimit.LOSSES
    return reached


@compiled_inline
def breaks(reached: int, limits: RiskLimits) -> bool:
    """Whether a breaker among these bits is enforced, so that the desk halts."""
    day, losses = reached & RiskLimit.DAILY_LOSS, reached & RiskLimit.LOSSES
    return (day != 0 and limits.daily_loss.enforced) or (losses != 0 and limits.losses.enforced)


@compiled_inline
def sizes_reached(targets: Targets, limits: RiskLimits) -> int:
    """Bits of `RiskLimit`: an order or a group that was shrunk, or would have been were its limit enforced."""
    weight, current, clamps, reached = targets.weight, targets.current, targets.clamps, 0
    for s in range(len(weight)):
        held = abs(current[s]) if weight[s] * current[s] > 0.0 else 0.0
        if clamps[s] & Clamp.ORDER_SIZE or abs(weight[s]) - held > limits.order_size.at * (1.0 + GROSS_TOLERANCE):
            reached |= RiskLimit.ORDER_SIZE
        if clamps[s] & Clamp.GROUP_CAP:
            reached |= RiskLimit.GROUP
    if not limits.group.enforced:
        for s in range(len(limits.groups)):
            if group_exposure(weight, limits, limits.groups[s]) > limits.group.at * (1.0 + GROSS_TOLERANCE):
                reached |= RiskLimit.GROUP
    return reached
