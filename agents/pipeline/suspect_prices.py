"""A bar whose price is not believed: nothing is filled at it, and positions count at the last believed close.

A wrong print then moves no curve and halts nothing. What a book would be worth were the print true is looked at all the
same (`books._waits_in_doubt`): where that would reduce or halt it, nothing may grow until the price is believed, which
counts the whole loss at once, or refused.
"""

from __future__ import annotations

import math

from agents.core.types import Booleans, FillStatus, Floats
from agents.pipeline.bar import BarFills
from agents.quant.compiled import compiled_inline


@compiled_inline
def cautious_price(position: float, mark: float, doubt: float) -> float:
    """What one unit of a position counts: of the last believed close and the suspect price (NaN: none) the lower one
    for a long position, the higher one for a short one, but at most twice the believed one: a short position then has
    lost its whole value, as a long one at a price of 0.

    It is what is feared, and what decisions of older versions counted (`Inputs.doubt_counts`)."""
    if position == 0.0 or not math.isfinite(doubt):
        return mark
    return min(mark, doubt) if position > 0.0 else min(max(mark, doubt), 2.0 * mark)


@compiled_inline
def believed_opens(opened: Floats, suspect: Booleans, price: Floats) -> None:
    """`price` [S] at which orders may be filled at the open: NaN at a suspect bar, where nobody knows what a fill would
    have cost; one at the wrong price would be a loss, or a gain, for good."""
    for s in range(len(opened)):
        price[s] = math.nan if suspect[s] else opened[s]


@compiled_inline
def expire_at_doubt(order: Floats, suspect: Booleans, fills: BarFills) -> None:
    """The orders that met a suspect bar have expired: an exit is decided on again at its close."""
    for s in range(len(order)):
        if suspect[s] and order[s] != 0.0:
            fills.status[s] = FillStatus.SUSPECT
