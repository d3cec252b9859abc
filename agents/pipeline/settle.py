"""One book's orders at one bar: matched, or as a broker filled them, and what they make of position and cash."""

from __future__ import annotations

import math

from agents.core.books import FIRST_SHADOW, LIVE
from agents.core.types import FillStatus, Floats
from agents.pipeline.bar import BarFills, Book
from agents.pipeline.desk import StepDesk
from agents.pipeline.fills import match_orders
from agents.pipeline.limit_orders import match_resting, rest
from agents.pipeline.rows import copy_row, market_within
from agents.pipeline.state import Inputs, Outputs
from agents.pipeline.stopped import has_stops
from agents.pipeline.stops import keeps_stops, note_entry
from agents.pipeline.suspect_prices import expire_at_doubt
from agents.quant.compiled import compiled_inline

NOTHING_HELD = 1e-9
"""Units below which a position is rounding of floats."""


@compiled_inline
def settle_orders(desk: StepDesk, inputs: Inputs, out: Outputs, at: tuple[int, int, int], book: Book) -> bool:
    """Fill the working orders of a book `at` (bar, row, book) into `work.fills`; False where there was none."""
    t, k, b = at
    state, work, rows, parameters = desk.state, desk.work, desk.rows, desk.parameters
    fills, agents = work.fills, len(inputs.weights)
    has_account = b < FIRST_SHADOW or b >= FIRST_SHADOW + agents
    market, rests = market_within(rows, inputs, t, k), keeps_stops(b, agents) and rest(book, parameters.orders)
    some = match_resting(book, market, parameters, fills, work.filled_at) if rests else False
    if b == LIVE and inputs.external:
        _take_brokers(inputs, t, fills, work.filled_at, rests)
    elif not rests:
        some = match_orders(book, market, parameters, fills, has_account)
    if not (some or (b == LIVE and inputs.external)):
        return False
    if rows.doubted[k]:
        expire_at_doubt(book.order, rows.suspect[k], fills)
    stopped, traded, paid = has_stops(parameters.stops) and keeps_stops(b, agents), 0.0, 0.0
    for s in range(len(fills.quantity)):
        filled = fills.quantity[s]
        book.order[s] = 0.0 if math.isfinite(inputs.open[t, s]) else book.order[s] - filled
        if filled != 0.0:
            if stopped:
                note_entry(book.stops[s], book.position[s], filled, fills.price[s])
                work.filled[s] = filled
            held = book.position[s] + filled
            book.position[s] = 0.0 if abs(held) < NOTHING_HELD else held
            paid += filled * fills.price[s] + fills.fee[s]
            traded += abs(filled) * fills.price[s]
    state.cash[b] -= paid
    out.turnover[t, b] = traded / book.capital
    return True


@compiled_inline
def _take_brokers(inputs: Inputs, t: int, fills: BarFills, at: Floats, rests: bool) -> None:
    """What a broker filled of the live book's orders. Where one rested and the bar's prices do not tell when it was
    filled, the market stood `at` [S] its own price."""
    copy_row(inputs.broker_fills.quantity[t], fills.quantity)
    copy_row(inputs.broker_fills.price[t], fills.price)
    copy_row(inputs.broker_fills.fee[t], fills.fee)
    if rests:
        for s in range(len(at)):
            at[s] = fills.price[s] if not math.isfinite(at[s]) else at[s]


@compiled_inline
def note_fills(fills: BarFills, external: bool, out: Outputs, t: int) -> None:
    """Record the live book's fills; what a broker's status and costs were, its own answers say."""
    quantity, price, fee = out.fill_quantity[t], out.fill_price[t], out.fill_fee[t]
    status, spread, impact = out.fill_status[t], out.fill_spread[t], out.fill_impact[t]
    for s in range(len(quantity)):
        if not external:
            status[s] = fills.status[s]
        if fills.quantity[s] != 0.0:
            quantity[s] = fills.quantity[s]
            price[s] = fills.price[s]
            fee[s] = fills.fee[s]
            if not external:
                spread[s] = fills.spread_cost[s]
                impact[s] = fills.impact_cost[s]


@compiled_inline
def any_unfilled(fills: BarFills) -> bool:
    """Whether a bar did not fill all of an order."""
    unfilled = False
    for s in range(len(fills.status)):
        unfilled = unfilled or (fills.status[s] != FillStatus.NONE and fills.status[s] != FillStatus.FILLED)
    return unfilled
