"""What every book does with a bar: corporate actions before its open, and its worth at the close."""

from __future__ import annotations

import math

from agents.pipeline.corporate_actions import ActionEffects, Actions, apply_actions
from agents.pipeline.desk import StepDesk
from agents.pipeline.rows import Rows
from agents.pipeline.state import Inputs, Outputs, State
from agents.pipeline.suspect_prices import cautious_price
from agents.quant.compiled import compiled_inline


@compiled_inline
def act(desk: StepDesk, inputs: Inputs, out: Outputs, at: tuple[int, int, int]) -> None:
    """Apply corporate actions and funding to a book `at` (bar, row, book), where there are any."""
    t, k, b = at
    rows = desk.rows
    if rows.acts[k]:
        actions = Actions(
            inputs.split[t],
            inputs.dividend[t],
            inputs.delisting[t],
            inputs.funding[t],
            rows.mark_before[k],
            rows.doubt_before[k],
            desk.parameters.lots,
        )
        effects = ActionEffects(
            out.split_change[t], out.action_cash[t], out.funding[t], out.contribution[t], out.realised[t]
        )
        apply_actions(desk.state, b, actions, effects)


@compiled_inline
def value_book(state: State, rows: Rows, k: int, b: int) -> float:
    """Mark book `b` to the close of row `k`, at believed prices; returns what it would be worth at most, were the
    suspect ones true (`cautious_price`)."""
    position, mark, doubt, value, lost = state.position[b], rows.mark[k], rows.doubt[k], state.cash[b], 0.0
    for s in range(len(mark)):
        if position[s] != 0.0:
            value += position[s] * cautious_price(position[s], mark[s], doubt[s])
            if math.isfinite(rows.feared[k, s]):
                lost += position[s] * (mark[s] - cautious_price(position[s], mark[s], rows.feared[k, s]))
    state.equity[b] = value
    state.peak[b] = max(state.peak[b], value)
    feared: float = value - lost
    return feared
