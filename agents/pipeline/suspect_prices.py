"""A bar whose price is not believed: what a position is worth meanwhile, and which orders it may fill."""

from __future__ import annotations

import math

from agents.core.types import Booleans, FillStatus, Floats
from agents.pipeline.bar import BarFills, Book
from agents.quant.compiled import compiled_inline


@compiled_inline
def cautious_price(position: float, mark: float, doubt: float) -> float:
    """What one unit of a position counts: of the last believed close and the suspect price (NaN: none) the lower one
    for a long position, the higher one for a short one, but at most twice the believed one: a short position then has
    lost its whole value, as a long one at a price of 0. Without that bound one wrong print could halt the desk."""
    if position == 0.0 or not math.isfinite(doubt):
        return mark
    return min(mark, doubt) if position > 0.0 else min(max(mark, doubt), 2.0 * mark)


@compiled_inline
def offer_exits(book: Book, opened: Floats, suspect: Booleans, mark: Floats, price: Floats) -> None:
    """`price` [S] at which a book's orders may be filled at the open: at a suspect bar only what closes the position,
    at the more cautious of the last believed close and the open; NaN where nothing may. Such orders are cut to that
    part."""
    for s in range(len(opened)):
        price[s] = opened[s]
        if not suspect[s]:
            continue
        order, held = book.order[s], book.position[s]
        if order * held < 0.0:
            book.order[s] = math.copysign(min(abs(order), abs(held)), order)
            price[s] = cautious_price(held, mark[s], opened[s])
        else:
            price[s] = math.nan


@compiled_inline
def refuse_entries(book: Book, suspect: Booleans, price: Floats, fills: BarFills) -> None:
    """Give the orders that a suspect bar did not fill their status: they have expired."""
    for s in range(len(price)):
        if suspect[s] and book.order[s] != 0.0 and not math.isfinite(price[s]):
            fills.status[s] = FillStatus.SUSPECT
