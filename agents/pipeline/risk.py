"""target weights -> target weights that the limits allow. Risk only ever shrinks, and applying it twice is once."""

from __future__ import annotations

import math

from agents.core.types import Clamp, Floats, RiskState
from agents.pipeline.bar import MarketAtClose, Targets
from agents.pipeline.parameters import RiskLimits
from agents.quant.compiled import compiled_inline

RECOVERY = 0.8
"""REDUCING ends when the drawdown is back below this share of its threshold."""
MOST = int(RiskState.HALTED)
GROSS_TOLERANCE = 1e-12
"""A gross exposure above its cap by this fraction is rounding of floats."""


@compiled_inline
def apply_limits(targets: Targets, market: MarketAtClose, risk_state: int, limits: RiskLimits) -> None:
    """Shrink the target weights [S] in place; their `clamps` get the bits of the limits that did it.

    REDUCING scales both caps. HALTED, a book that waits, and stale symbols in any state, let a weight only lie between
    zero and the current one; that of a symbol which leaves the universe is zero, as are all where a person flattens.
    Limits look at the weights that the desk would hold, traded or not, so a position that drifted over its cap is cut
    back even when nobody has a new opinion.
    """
    weight, current, clamps = targets.weight, targets.current, targets.clamps
    halted, reducing = risk_state == RiskState.HALTED, risk_state == RiskState.REDUCING
    scale = limits.reducing_scale if reducing else 1.0
    cap = limits.symbol_cap * scale
    gross = 0.0
    for s in range(len(weight)):
        clamps[s] = 0
        if not limits.allow_short and weight[s] < 0.0:
            weight[s] = 0.0
            clamps[s] |= Clamp.NO_SHORTS
        if abs(weight[s]) > cap:
            weight[s] = math.copysign(cap, weight[s])
            clamps[s] |= Clamp.SYMBOL_CAP | (Clamp.REDUCING if reducing else 0)
        if limits.order_size.enforced:
            held = abs(current[s]) if weight[s] * current[s] > 0.0 else 0.0
            if abs(weight[s]) - held > limits.order_size.at * (1.0 + GROSS_TOLERANCE):
                weight[s] = math.copysign(held + limits.order_size.at, weight[s])
                clamps[s] |= Clamp.ORDER_SIZE
        if market.leaving[s]:
            weight[s] = 0.0
            clamps[s] |= Clamp.LEAVING
        elif halted and market.flatten:
            clamps[s] |= Clamp.FLATTENED if weight[s] != 0.0 else 0
            weight[s] = 0.0
        elif halted or market.stale[s] or market.waits:
            low, high = min(0.0, current[s]), max(0.0, current[s])
            if weight[s] < low or weight[s] > high:
                weight[s] = min(high, max(low, weight[s]))
                clamps[s] |= Clamp.HALTED if halted else Clamp.STALE if market.stale[s] else Clamp.DOUBT
    if limits.group.enforced:
        _limit_groups(targets, limits, scale)
    for s in range(len(weight)):
        gross += abs(weight[s])
    limit = limits.gross_cap * scale
    if gross > limit * (1.0 + GROSS_TOLERANCE):
        for s in range(len(weight)):
            if weight[s] != 0.0:
                weight[s] *= limit / gross
                clamps[s] |= Clamp.GROSS_CAP | (Clamp.REDUCING if reducing else 0)


@compiled_inline
def group_exposure(weight: Floats, limits: RiskLimits, group: int) -> float:
    """The sum of the absolute weights [S] of one group; 0 for -1, which is none."""
    total = 0.0
    for s in range(len(limits.groups)):
        if group >= 0 and limits.groups[s] == group:
            total += abs(weight[s])
    return total


@compiled_inline
def _limit_groups(targets: Targets, limits: RiskLimits, scale: float) -> None:
    """Scale all weights of a group alike, as far as its cap wants it."""
    weight, clamps, cap = targets.weight, targets.clamps, limits.group.at * scale
    for first in range(len(limits.groups)):
        group = limits.groups[first]
        exposure = group_exposure(weight, limits, group)
        if exposure > cap * (1.0 + GROSS_TOLERANCE):
            for s in range(len(limits.groups)):
                if limits.groups[s] == group and weight[s] != 0.0:
                    weight[s] *= cap / exposure
                    clamps[s] |= Clamp.GROUP_CAP | (Clamp.REDUCING if scale < 1.0 else 0)


@compiled_inline
def control_risk_state(own: int, live: int) -> int:
    """A control book's state, from what its own drawdown asks for and the live book's state.

    It halts and resumes with the live book, which a person looks after. Nobody would ever resume a control alone, and
    it would no longer say what other weights had earned; so its own drawdown only makes it REDUCING.
    """
    if live == RiskState.HALTED:
        return RiskState.HALTED
    return RiskState.ACTIVE if own == RiskState.ACTIVE else RiskState.REDUCING


@compiled_inline
def ordered_at_least(ordered: float, risk_state: int) -> int:
    """The state where a person has ordered one (`State.ordered`): no rule loosens it."""
    return max(risk_state, min(int(ordered), MOST))


@compiled_inline
def next_risk_state(risk_state: int, drawdown: float, recent_drawdown: float, limits: RiskLimits) -> int:
    """The state after a bar whose mark-to-market equity lies `drawdown` below its peak, and `recent_drawdown` below the
    highest of its last months (fractions).

    The peak halts, and only a person leaves HALTED: a slow loss must not be forgotten. What reduces is the recent high:
    anchored at a peak of long ago, a desk that is reduced earns too little to come back there, and stays reduced for
    ever (G. Yang and L. Zhong, "Towards optimal portfolio strategy to control maximum drawdown", 2013, whose rolling
    drawdown of one year this is; S. Grossman and Z. Zhou, 1993, have the anchored one).
    """
    if risk_state == RiskState.HALTED or drawdown >= limits.halt_drawdown:
        return RiskState.HALTED
    if recent_drawdown >= limits.reduce_drawdown:
        return RiskState.REDUCING
    if risk_state == RiskState.REDUCING and recent_drawdown > RECOVERY * limits.reduce_drawdown:
        return RiskState.REDUCING
    return RiskState.ACTIVE
