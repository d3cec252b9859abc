"""What a stop leaves to the decisions after it: a symbol that may not be entered again yet."""

from __future__ import annotations

from agents.core.types import Clamp, NoTrade
from agents.pipeline.bar import Book, MarketAtClose, Targets
from agents.pipeline.parameters import StopRules
from agents.quant.compiled import compiled_inline, compiled_short_loops

ENTRY, BEST, WAIT = 0, 1, 2
"""Columns of `State.stops`."""


@compiled_inline
def has_stops(rules: StopRules) -> bool:
    """Whether any stop is set."""
    return rules.loss > 0.0 or rules.trailing > 0.0


@compiled_short_loops
def keep_out(targets: Targets, book: Book) -> None:
    """A symbol that waits after a stop has no target weight; before the limits, which look at all weights."""
    for s in range(len(targets.weight)):
        if book.stops[s, WAIT] > 0.0:
            targets.weight[s] = 0.0


@compiled_short_loops
def count_waiting(targets: Targets, market: MarketAtClose, book: Book) -> None:
    """Say at which symbols that is so, and count one decision of those that are not held any more."""
    for s in range(len(targets.weight)):
        if book.stops[s, WAIT] > 0.0 and market.has_bar[s]:
            targets.weight[s] = 0.0
            targets.clamps[s] |= Clamp.STOPPED
            targets.no_trade[s] = NoTrade.STOPPED
            if book.position[s] == 0.0:
                book.stops[s, WAIT] -= 1.0
