"""funding of perpetual futures -> cash of a book, and whose it is.

Who holds a perpetual future when its funding is settled pays or gets it. Of what is settled within a bar that is who
holds it at the bar's end, fills of its orders and stops included; up to its open, who held it before (see
`corporate_actions`). It is cash and no price: marks, stops and what agents see know nothing of it.
"""

from __future__ import annotations

from agents.core.books import LIVE
from agents.core.types import Floats
from agents.pipeline.attribution import attribute_cash
from agents.pipeline.fills import whole_money
from agents.pipeline.state import Inputs, Outputs, State
from agents.quant.compiled import compiled_inline, compiled_within


@compiled_within
def fund_within(state: State, inputs: Inputs, out: Outputs, t: int, b: int) -> None:
    """What is settled within bar `t`, after its fills, on what book `b` holds."""
    for s in range(len(inputs.funding_within[t])):
        if inputs.funding_within[t, s] != 0.0:
            pay_funding(state, (b, s), inputs.funding_within[t, s], out.funding_within[t], out.contribution[t])


@compiled_inline
def pay_funding(state: State, of: tuple[int, int], per_unit: float, paid: Floats, contribution: Floats) -> None:
    """Cash `per_unit` of a position `of` (book, symbol), in whole 1e-8; of the live book it is noted in `paid` [S] and
    goes by the holdings, into `contribution` [A+1] and the pools."""
    b, s = of
    held = state.position[b, s]
    if held == 0.0:
        return
    cash = whole_money(held * per_unit)
    state.cash[b] += cash
    if b == LIVE and cash != 0.0:
        paid[s] += cash
        attribute_cash(cash, state.holding[s], state.pool[s], contribution)
