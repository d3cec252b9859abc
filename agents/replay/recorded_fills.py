"""The fills on record, at the decisions that settled them: what a parity check gives the step in a broker's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from agents.core.recorded import Recorded
from agents.core.types import Bars, Fill, Floats, as_stamp
from agents.pipeline.stop_orders import stop_id


class RecordedFills(NamedTuple):
    """Recorded fills at the decisions that settled them, of orders and of stops, each grids [T, S] by name: signed
    `quantity`, mean `price`, `fee`, and the costs inside the price, `spread` and `impact`."""

    orders: Mapping[str, Floats]
    stops: Mapping[str, Floats]


def recorded_fills(recorded: Recorded, bars: Bars, memory: int, desk: str) -> RecordedFills:
    """Those of some decisions of a desk; `bars` hold `memory` rows before the first decision."""
    parts: tuple[list[tuple[tuple[int, int], Fill]], list[tuple[tuple[int, int], Fill]]] = ([], [])
    met = np.isfinite(bars.open)
    for decision_time, fill in recorded.fills:
        if fill.symbol not in recorded.symbols:
            continue
        s = recorded.symbols.index(fill.symbol)
        stopped = fill.client_order_id == stop_id(desk, decision_time, fill.symbol)
        side: Literal["left", "right"] = "left" if stopped else "right"
        since = int(np.searchsorted(bars.time, as_stamp(decision_time), side=side))
        later = np.flatnonzero(met[since:, s])  # an order meets the next bar of its symbol, a stop that of its decision
        if len(later) and 0 <= since + int(later[0]) - memory < len(recorded.time):
            parts[stopped].append(((since + int(later[0]) - memory, s), fill))
    shape = len(recorded.time), len(recorded.symbols)
    return RecordedFills(_fill_grids(parts[0], shape), _fill_grids(parts[1], shape))


def _fill_grids(fills: Sequence[tuple[tuple[int, int], Fill]], shape: tuple[int, int]) -> dict[str, Floats]:
    grids = {name: np.zeros(shape) for name in ("quantity", "value", "fee", "spread", "impact", "parts", "last")}
    for cell, fill in fills:
        quantity, price = float(fill.signed_quantity), float(fill.price)
        grids["quantity"][cell] += quantity
        grids["value"][cell] += quantity * price
        grids["last"][cell] = price
        grids["parts"][cell] += 1
        for name, amount in (("fee", fill.fee), ("spread", fill.spread_cost), ("impact", fill.impact_cost)):
            grids[name][cell] += float(amount)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = grids["value"] / grids["quantity"]
    grids["price"] = np.where(grids["parts"] == 1, grids["last"], np.where(grids["quantity"] != 0.0, mean, np.nan))
    return grids
