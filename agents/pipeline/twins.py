"""Books that were the same before a block of bars and hear the same in it: one is computed, the others are copied.

So it is with the control of the first weights until tuning moves them, with all controls of a desk of one agent, and
with the desk as the cost model fills it, in a replay. The same are the same bits, so a copy is what computing would
give: controls have the live book's rules but its breakers, whose halts they follow. A broker's fills are the live
book's alone.
"""

from __future__ import annotations

import math

from agents.core.books import FIRST_BENCHMARK, FIRST_SHADOW, LIVE
from agents.core.types import Floats
from agents.pipeline.desk import StepDesk
from agents.pipeline.rows import Span, copy_row
from agents.pipeline.state import Inputs, Outputs, State
from agents.quant.compiled import compiled_inline, compiled_within

NOBODY = -1


@compiled_within
def find_twins(desk: StepDesk, inputs: Inputs) -> None:
    """Before a block: for each book [B] that follows the agents the first other one of the same past, or nobody."""
    state, twin = desk.state, desk.work.twin
    beside = FIRST_SHADOW + len(inputs.weights)
    first = LIVE + 1 if inputs.external else LIVE
    for b in range(len(twin)):
        twin[b] = NOBODY
        if FIRST_BENCHMARK <= b < beside:
            continue
        for c in range(first, min(b, FIRST_BENCHMARK)):
            if twin[b] == NOBODY and _same_past(state, b, c):
                twin[b] = c


@compiled_inline
def _same_past(state: State, b: int, c: int) -> bool:
    """Whether two books are the same to the bit."""
    if not (_same(state.cash[b], state.cash[c]) and _same(state.equity[b], state.equity[c])):
        return False
    same = state.risk_state[b] == state.risk_state[c] and _same(state.peak[b], state.peak[c])
    same = same and same_row(state.worth[b], state.worth[c]) and same_row(state.highs[b], state.highs[c])
    same = same and same_row(state.position[b], state.position[c]) and same_row(state.pending[b], state.pending[c])
    same = same and same_row(state.heard[b], state.heard[c]) and same_row(state.wanted[b], state.wanted[c])
    same = same and same_row(state.followed[b], state.followed[c])
    for s in range(len(state.mark)):
        same = (
            same and same_row(state.moves[b, s], state.moves[c, s]) and same_row(state.stops[b, s], state.stops[c, s])
        )
    return same


@compiled_inline
def same_row(one: Floats, other: Floats) -> bool:
    """Whether two rows are the same bits, where all that are no numbers count as the same."""
    same = True
    for k in range(len(one)):
        same = same and _same(one[k], other[k])
    return same


@compiled_inline
def _same(one: float, other: float) -> bool:
    if one == other:
        return one != 0.0 or math.copysign(1.0, one) == math.copysign(1.0, other)
    return math.isnan(one) and math.isnan(other)


@compiled_within
def copy_twin(state: State, out: Outputs, span: Span, b: int, c: int) -> None:
    """After a block: book `b` is what its twin `c` has become."""
    state.cash[b], state.equity[b], state.peak[b] = state.cash[c], state.equity[c], state.peak[c]
    state.risk_state[b] = state.risk_state[c]
    copy_row(state.worth[c], state.worth[b])
    copy_row(state.highs[c], state.highs[b])
    copy_row(state.position[c], state.position[b])
    copy_row(state.pending[c], state.pending[b])
    copy_row(state.heard[c], state.heard[b])
    copy_row(state.wanted[c], state.wanted[b])
    copy_row(state.followed[c], state.followed[b])
    for s in range(len(state.mark)):
        copy_row(state.moves[c, s], state.moves[b, s])
        copy_row(state.stops[c, s], state.stops[b, s])
    for t in range(span.first, span.stop):
        out.equity[t, b], out.cash[t, b], out.turnover[t, b] = out.equity[t, c], out.cash[t, c], out.turnover[t, c]
