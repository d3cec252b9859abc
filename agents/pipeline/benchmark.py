"""The benchmark: what the plainest alternative to the desk would have made, at the desk's costs and in its lots.

`hold` has an equal part of its equity in each symbol that is listed, and is rebalanced at the first bar of a month,
when a symbol comes or goes, and where its last orders were not filled whole. It knows no drawdown rule: who holds,
holds. `hold_at_volatility` holds the same, scaled at those times by the volatility that the live book had over that of
`hold`, both as known then, of the months before, each of which counts for less than the next; the rest is cash. So it
is as bold as the desk was, a month late, and never levered beyond the desk's limits.
"""

from __future__ import annotations

import math

from agents.core.books import HOLD, HOLD_AT_VOLATILITY, LIVE
from agents.core.types import FillStatus, Floats
from agents.pipeline.bar import BarFills, Book, MarketAtClose, StepDesk, book_of
from agents.pipeline.orders import round_to_lot
from agents.pipeline.parameters import Parameters
from agents.pipeline.state import State
from agents.quant.compiled import compiled_inline

MONTHS_MEMORY = 0.5 ** (1.0 / 3.0)
"""Squared returns lose so much of their count at each new month: half in three."""
LEAST_BARS = 20.0
"""Fewer bars tell no volatility; until then `hold_at_volatility` is in cash."""


@compiled_inline
def learn_squares(state: State, last_equity: Floats) -> None:
    """Take in a bar's returns of the live book and of `hold` since `last_equity` [B], once the live one has moved."""
    squares, equity = state.squares, state.equity
    if last_equity[LIVE] <= 0.0 or last_equity[HOLD] <= 0.0:
        return
    live = equity[LIVE] / last_equity[LIVE] - 1.0
    if live != 0.0 or squares[2] > 0.0:
        held = equity[HOLD] / last_equity[HOLD] - 1.0
        squares[0] += live * live
        squares[1] += held * held
        squares[2] += 1.0


@compiled_inline
def repeat_unfilled(state: State, b: int, fills: BarFills) -> None:
    """Where a bar did not fill all of an order of book `b` of the benchmark, that book is rebalanced once more."""
    for s in range(len(fills.status)):
        if fills.status[s] != FillStatus.NONE and fills.status[s] != FillStatus.FILLED:
            state.rebalancing[1 + b - HOLD] = 1.0


@compiled_inline
def decide_benchmark(desk: StepDesk, market: MarketAtClose, month: int) -> None:
    """Orders of both books, at a close in `month` (since 1970); what waits for its symbol's next bar is left alone."""
    state, parameters = desk.state, desk.parameters
    listed, rebalancing = state.listed, state.rebalancing
    members = 0
    for s in range(len(listed)):
        stays = 0.0 if market.leaving[s] else max(listed[s], 1.0 if market.has_bar[s] else 0.0)
        if stays != listed[s]:
            listed[s] = stays
            rebalancing[1:] = 1.0
        members += 1 if stays > 0.0 else 0
    if rebalancing[0] != month:
        rebalancing[0] = month
        rebalancing[1:] = 1.0
        for k in range(len(state.squares)):
            state.squares[k] *= MONTHS_MEMORY
    share = 1.0 / members if members > 0 else 0.0
    for b in (HOLD, HOLD_AT_VOLATILITY):
        due = 1 + b - HOLD  # each by itself: what the desk does must not move who only holds
        if rebalancing[due] == 0.0:
            continue
        rebalancing[due] = 0.0
        book = book_of(state, b, state.equity[b])
        gross = _as_bold_as_live(state.squares, parameters) if b == HOLD_AT_VOLATILITY else 1.0
        part = share * min(gross, parameters.fill_model.leverage) * max(0.0, book.capital)
        if _rebalance(book, market, listed, part, parameters):
            rebalancing[due] = 1.0


@compiled_inline
def _as_bold_as_live(squares: Floats, parameters: Parameters) -> float:
    """The gross exposure at which `hold` would have been as volatile as the live book, within the desk's limit."""
    if squares[2] < LEAST_BARS or squares[1] <= 0.0:
        return 0.0
    return min(parameters.limits.gross_cap, math.sqrt(squares[0] / squares[1]))


@compiled_inline
def _rebalance(book: Book, market: MarketAtClose, listed: Floats, part: float, parameters: Parameters) -> bool:
    """Orders that give each listed symbol the value `part`, and close the others; whether some cannot be given yet,
    since a position may only shrink now."""
    waits = False
    smallest = parameters.sizing.minimum_trade * book.capital
    for s in range(len(listed)):
        price, held, lot = market.price[s], book.position[s], parameters.lots[s]
        book.order[s] = 0.0
        if not math.isfinite(price):
            continue
        goal = round_to_lot(part / price, lot) if listed[s] > 0.0 else 0.0
        difference = goal - held
        if difference == 0.0 or abs(difference) < lot * 0.5:
            continue
        if goal != 0.0 and abs(difference) * price < smallest:
            continue
        if difference > 0.0 and market.stale[s]:
            waits = True
            continue
        book.order[s] = difference
    return waits
