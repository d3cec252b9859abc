"""Shadow books: each agent alone, at unit size (constant capital, no lots, no caps), so that every agent is measured by
what the desk could do, whatever its weight: at its costs, in its directions (a desk that may not sell short has shadows
that are only long), and not while the market is closed to it. The desk's own halts do not hold them: they would freeze
the evidence. The inverse-volatility control weighs agents by their shadows' volatilities."""

from __future__ import annotations

import math

from agents.core.books import FIRST_SHADOW
from agents.core.types import Floats, NoTrade
from agents.pipeline.bar import CombinedSignal
from agents.pipeline.desk import StepDesk, book_of
from agents.pipeline.orders import target_positions
from agents.pipeline.rows import market_at_close
from agents.pipeline.state import Inputs, Outputs, State
from agents.quant.compiled import compiled_inline

DECAY = 1.0 - 2.0 / 121.0
"""Exponential memory of the shadow books' variance, a span of 120 bars."""
MINIMUM_WEIGHT = 10.0
"""Sum of the memory's weights from which a variance counts as known."""


@compiled_inline
def measure_shadow(desk: StepDesk, inputs: Inputs, out: Outputs, at: tuple[int, int, int], last_equity: float) -> None:
    """Return, hits and variance of a shadow `at` a close (bar, row, book)."""
    t, k, b = at
    state, rows, a = desk.state, desk.rows, b - FIRST_SHADOW
    _count_hits(desk, inputs, out, at)
    move = (state.equity[b] - last_equity) / desk.parameters.initial_cash
    out.shadow_return[t, a] = move
    _learn_variance(state, a, move)
    rows.variance[k, a], rows.variance_weight[k, a] = state.shadow_variance[a], state.shadow_weight[a]


@compiled_inline
def _count_hits(desk: StepDesk, inputs: Inputs, out: Outputs, at: tuple[int, int, int]) -> None:
    """How many of the shadow's positions moved, and how many of them the right way."""
    t, k, a = at[0], at[1], at[2] - FIRST_SHADOW
    rows, position, opened, closed = desk.rows, desk.state.position[FIRST_SHADOW + a], inputs.open[t], inputs.close[t]
    calls, hits = 0, 0
    for s in range(len(position)):
        if position[s] != 0.0 and rows.has_bar[k, s] and not rows.suspect[k, s]:
            gain = position[s] * (closed[s] - opened[s])
            calls += 1 if gain != 0.0 else 0
            hits += 1 if gain > 0.0 else 0
    out.calls[t, a] += calls
    out.hits[t, a] += hits


@compiled_inline
def decide_shadow(desk: StepDesk, inputs: Inputs, t: int, k: int, a: int) -> None:
    """The agent's forecasts to the orders of its shadow; an abstention asks for no position. On a bar that is too old
    to trade on, a position may only shrink."""
    state, work, rows, capital = desk.state, desk.work, desk.rows, desk.parameters.initial_cash
    book, targets = book_of(state, FIRST_SHADOW + a, capital), work.targets
    may_short = desk.parameters.limits.allow_short
    signal = CombinedSignal(rows.opinions.spoken[k, a], work.multiplier[k], rows.unit_weight[k], rows.cost_band[k])
    market = market_at_close(rows, inputs, state.ordered[0], t, k)
    target_positions(signal, market, book, desk.parameters, targets)
    for s in range(len(book.order)):
        if rows.suspect[k, s]:
            book.order[s] = 0.0
            continue
        if not market.has_bar[s]:
            continue  # an order works until its symbol's next bar
        weight, book.order[s] = targets.weight[s], 0.0
        if market.leaving[s]:
            book.order[s] = -book.position[s]
        elif not may_short or market.stale[s]:
            weight = _allowed(weight, targets.current[s], may_short, market.stale[s])
            if weight != targets.current[s]:
                book.order[s] = weight * capital / market.price[s] - book.position[s]
        elif targets.no_trade[s] == NoTrade.TRADED:
            book.order[s] = weight * capital / market.price[s] - book.position[s]


@compiled_inline
def _allowed(weight: float, current: float, may_short: bool, stale: bool) -> float:
    """The weight that the desk's direction rules leave, and a market on which positions may only shrink."""
    if not may_short:
        weight = max(0.0, weight)
    return min(max(0.0, current), max(min(0.0, current), weight)) if stale else weight


@compiled_inline
def _learn_variance(state: State, a: int, move: float) -> None:
    """Take in a bar's return of agent `a`'s shadow, whose memory begins with its first move."""
    variance, weight = state.shadow_variance, state.shadow_weight
    if move != 0.0 or weight[a] > 0.0:
        variance[a] = DECAY * variance[a] + move * move
        weight[a] = DECAY * weight[a] + 1.0


@compiled_inline
def inverse_volatility(variance: Floats, seen: Floats, counted: Floats, weights: Floats) -> None:
    """1 / shadow volatility for each agent [A]; agents not yet measurable get the mean of the others, or all equal.
    Those that are not `counted` [A] get nothing; `variance` and `seen` [A] are as in `Rows`."""
    agents, total, known = len(weights), 0.0, 0
    for a in range(agents):
        weights[a] = 0.0
        if counted[a] > 0.0 and seen[a] >= MINIMUM_WEIGHT and variance[a] > 0.0:
            weights[a] = 1.0 / math.sqrt(variance[a] / seen[a])
            total += weights[a]
            known += 1
    for a in range(agents):
        if known == 0:
            weights[a] = counted[a]
        elif counted[a] > 0.0 and weights[a] == 0.0:
            weights[a] = total / known
