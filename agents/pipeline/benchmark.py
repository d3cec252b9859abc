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
from agents.core.types import Floats
from agents.pipeline.bar import Book, MarketAtClose
from agents.pipeline.desk import StepDesk, book_of
from agents.pipeline.orders import round_to_lot
from agents.pipeline.parameters import Parameters
from agents.pipeline.rows import market_at_close
from agents.pipeline.state import Inputs, Outputs
from agents.quant.compiled import compiled_inline

MONTHS_MEMORY = 0.5 ** (1.0 / 3.0)
"""Squared returns lose so much of their count at each new month: half in three."""
LEAST_BARS = 20.0
"""Fewer bars tell no volatility; until then `hold_at_volatility` is in cash."""


@compiled_inline
def decide_benchmark(desk: StepDesk, inputs: Inputs, out: Outputs, at: tuple[int, int, int], first: bool) -> None:
    """Orders of a book of the benchmark `at` a close (bar, row, book), where it is to rebalance; `first` of its block.

    Each by itself: what the desk does must not move who only holds."""
    t, k, b = at
    state, rows, due = desk.state, desk.rows, 1 + b - HOLD
    if b == HOLD_AT_VOLATILITY:
        live = rows.equity_before[0] if first else out.equity[t - 1, LIVE]
        held = rows.equity_before[1] if first else out.equity[t - 1, HOLD]
        _learn_squares(state.squares, (live, out.equity[t, LIVE]), (held, out.equity[t, HOLD]))
        if rows.new_month[k]:
            for i in range(len(state.squares)):
                state.squares[i] *= MONTHS_MEMORY
    if rows.rebalances[k] or state.rebalancing[due] != 0.0:
        state.rebalancing[due] = 1.0 if _rebalanced(desk, inputs, t, k, b) else 0.0


@compiled_inline
def _learn_squares(squares: Floats, live: tuple[float, float], held: tuple[float, float]) -> None:
    """Take in a bar's returns of the live book and of `hold` by their equities before and after, once the live one has
    moved."""
    if live[0] <= 0.0 or held[0] <= 0.0:
        return
    moved = live[1] / live[0] - 1.0
    if moved != 0.0 or squares[2] > 0.0:
        hold = held[1] / held[0] - 1.0
        squares[0] += moved * moved
        squares[1] += hold * hold
        squares[2] += 1.0


@compiled_inline
def _rebalanced(desk: StepDesk, inputs: Inputs, t: int, k: int, b: int) -> bool:
    """Orders of book `b` at the close of row `k`; whether it has to rebalance once more at the next."""
    state, parameters, rows = desk.state, desk.parameters, desk.rows
    book, market = book_of(state, b, state.equity[b]), market_at_close(rows, inputs, state.ordered[0], t, k)
    gross = _as_bold_as_live(state.squares, parameters) if b == HOLD_AT_VOLATILITY else 1.0
    part = rows.share[k] * min(gross, parameters.fill_model.leverage) * max(0.0, book.capital)
    return _rebalance(book, market, rows.listed[k], part, parameters)


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
