"""Causal ranks over [T, S] arrays, under the rules of `indicators`: NaN is no bar, columns are independent."""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled


@compiled
def percentile_rank(values: Floats, window: int, minimum: int) -> Floats:
    """Share of the last `window` bars that lie below the newest value, ties counting half, 0..1.

    The window is compared whole, eight values in one instruction: up to some hundreds of bars that is faster than
    anything that keeps it sorted, whose every step waits for the one before.
    """
    bars, symbols = values.shape
    result = np.full((bars, symbols), np.nan)
    held = np.full((symbols, window), np.nan)
    count = np.zeros(symbols, dtype=np.int64)
    for t in range(bars):
        place = t % window
        for s in range(symbols):
            value, row = values[t, s], held[s]
            comes = math.isfinite(value)
            count[s] += (1 if comes else 0) - (1 if math.isfinite(row[place]) else 0)
            row[place] = value if comes else np.nan
            if not comes or count[s] < minimum:
                continue
            below, same = 0, 0
            for k in range(window):
                below += 1 if row[k] < value else 0
                same += 1 if row[k] == value else 0
            result[t, s] = (below + 0.5 * same) / count[s]
    return result
