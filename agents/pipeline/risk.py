"""target weights -> target weights that the limits allow. Risk only ever shrinks, and applying it twice is once."""

from __future__ import annotations

import math

from agents.core.types import Booleans, Clamp, Floats, Integers, RiskState
from agents.quant.compiled import compiled_inline

RECOVERY = 0.8
"""REDUCING ends when the drawdown is back below this share of its threshold."""
GROSS_TOLERANCE = 1e-12


@compiled_inline
def apply_limits(
    weight: Floats,
    current: Floats,
    stale: Booleans,
    state: int,
    symbol_cap: float,
    gross_cap: float,
    allow_short: bool,
    reducing_scale: float,
    clamps: Integers,
) -> None:
    """Shrink `weight` [S] in place (fractions of equity); `clamps` [S] gets the bits of the limits that bit.

    REDUCING scales both caps by `reducing_scale`. HALTED, and `stale` symbols in any state, let a weight only lie
    between zero and the current one. Limits look at the weights that the desk would hold, traded or not, so a
    position that drifted over its cap is cut back even when nobody has a new opinion.
    """
    scale = reducing_scale if state == RiskState.REDUCING else 1.0
    cap = symbol_cap * scale
    gross = 0.0
    for s in range(len(weight)):
        clamps[s] = 0
        if not allow_short and weight[s] < 0.0:
            weight[s] = 0.0
            clamps[s] |= Clamp.NO_SHORTS
        if abs(weight[s]) > cap:
            weight[s] = math.copysign(cap, weight[s])
            clamps[s] |= Clamp.SYMBOL_CAP | (Clamp.REDUCING if state == RiskState.REDUCING else 0)
        if state == RiskState.HALTED or stale[s]:
            low, high = min(0.0, current[s]), max(0.0, current[s])
            if weight[s] < low or weight[s] > high:
                weight[s] = min(high, max(low, weight[s]))
                clamps[s] |= Clamp.HALTED if state == RiskState.HALTED else Clamp.STALE
        gross += abs(weight[s])
    limit = gross_cap * scale
    if gross > limit * (1.0 + GROSS_TOLERANCE):
        for s in range(len(weight)):
            if weight[s] != 0.0:
                weight[s] *= limit / gross
                clamps[s] |= Clamp.GROSS_CAP | (Clamp.REDUCING if state == RiskState.REDUCING else 0)


@compiled_inline
def next_risk_state(state: int, drawdown: float, reduce_drawdown: float, halt_drawdown: float) -> int:
    """The state after a bar whose mark-to-market equity lies `drawdown` below its peak. Only a person leaves HALTED."""
    if state == RiskState.HALTED or drawdown >= halt_drawdown:
        return RiskState.HALTED
    if drawdown >= reduce_drawdown:
        return RiskState.REDUCING
    if state == RiskState.REDUCING and drawdown > RECOVERY * reduce_drawdown:
        return RiskState.REDUCING
    return RiskState.ACTIVE
