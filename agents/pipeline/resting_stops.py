"""The stops that are to rest at a venue between two decisions: where the step would close each position. Pure.

The step's state has each position's entry and best price as of the last decision. What was filled since moves the entry
price of what is held now, as the step will have it when it books those fills (`stops.note_entry`); the best price moves
at decisions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from agents.core.books import LIVE
from agents.core.orders import Fill, to_float, to_price
from agents.core.types import Floats
from agents.core.venues import WantedStop
from agents.pipeline.parameters import StopRules
from agents.pipeline.state import State
from agents.pipeline.stopped import BEST, ENTRY
from agents.pipeline.stops import note_entry, stop_price

ZERO = Decimal(0)


def wanted_stop(held: Decimal, stop: Floats, mark: float, fills: Sequence[Fill], rules: StopRules) -> WantedStop | None:
    """Of one symbol: `held` and `stop` [3] as of the last decision, `mark` its last believed close, `fills` those that
    no decision has booked yet. None where nothing is held or no stop is set."""
    stop = stop.copy()
    if held and stop[ENTRY] <= 0.0:  # held since before stops were set: as the step has it at the next bar
        stop[ENTRY] = stop[BEST] = mark
    for fill in fills:
        note_entry(stop, to_float(held), to_float(fill.signed_quantity), to_float(fill.price))
        held += fill.signed_quantity
    price = stop_price(to_float(held), stop, rules)
    if not (np.isfinite(price) and price > 0.0):
        return None
    return WantedStop("sell" if held > 0 else "buy", abs(held), to_price(price))


def wanted_stops(
    state: State,
    symbols: Sequence[str],
    held: Mapping[str, Decimal],
    unbooked: Mapping[str, Sequence[Fill]],
    rules: StopRules,
) -> dict[str, WantedStop]:
    """By symbol; `held` are the positions of the desk's books, `unbooked` the fills since."""
    wanted = {}
    for s, symbol in enumerate(symbols):
        stop, mark = state.stops[LIVE, s], float(state.mark[s])
        found = wanted_stop(held.get(symbol, ZERO), stop, mark, unbooked.get(symbol, ()), rules)
        if found is not None:
            wanted[symbol] = found
    return wanted
