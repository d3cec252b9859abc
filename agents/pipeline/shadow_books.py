"""Shadow books: each agent alone, at unit size (constant capital, no lots, no caps), so that every agent is measured by
what the desk could do, whatever its weight: at its costs, in its directions (a desk that may not sell short has shadows
that are only long), and not while the market is closed to it. The desk's own halts do not hold them: they would freeze
the evidence. The inverse-volatility control weighs agents by their shadows' volatilities."""

from __future__ import annotations

import math

from agents.core.books import FIRST_SHADOW
from agents.core.types import Floats, NoTrade
from agents.pipeline.bar import MarketAtClose, StepDesk, book_of
from agents.pipeline.orders import target_positions
from agents.pipeline.state import State
from agents.quant.compiled import compiled_inline

DECAY = 1.0 - 2.0 / 121.0
"""Exponential memory of the shadow books' variance, a span of 120 bars."""
MINIMUM_WEIGHT = 10.0
"""Sum of the memory's weights from which a variance counts as known."""


@compiled_inline
def decide_shadows(desk: StepDesk, market: MarketAtClose) -> None:
    """Each agent's forecasts to the orders of its shadow; an abstention asks for no position. On a bar that is
    too old to trade on, a position may only shrink."""
    state, capital = desk.state, desk.parameters.initial_cash
    signal, targets = desk.work.signal, desk.work.targets
    spoken = desk.work.opinions.spoken
    agents, symbols = spoken.shape
    may_short = desk.parameters.limits.allow_short
    for a in range(agents):
        book = book_of(state, FIRST_SHADOW + a, capital)
        for s in range(symbols):
            signal.forecast[s] = spoken[a, s]
        target_positions(signal, market, book, desk.parameters, targets)
        for s in range(symbols):
            if desk.work.suspect[s]:
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
def learn_variance(state: State, last_equity: Floats, capital: float, shadow_return: Floats) -> None:
    """Take in a bar: `shadow_return` [A] is the P&L of each shadow since `last_equity` [B], over its capital.

    An agent's memory begins with its first move."""
    equity, variance, weight = state.equity, state.shadow_variance, state.shadow_weight
    for a in range(len(variance)):
        move = (equity[FIRST_SHADOW + a] - last_equity[FIRST_SHADOW + a]) / capital
        shadow_return[a] = move
        if move != 0.0 or weight[a] > 0.0:
            variance[a] = DECAY * variance[a] + move * move
            weight[a] = DECAY * weight[a] + 1.0


@compiled_inline
def inverse_volatility(state: State, counted: Floats, weights: Floats) -> None:
    """1 / shadow volatility for each agent [A]; agents not yet measurable get the mean of the others, or all equal.
    Those that are not `counted` [A] get nothing."""
    agents, variance, seen = len(weights), state.shadow_variance, state.shadow_weight
    total, known = 0.0, 0
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
