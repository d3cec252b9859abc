"""Causal ranks over [T, S] arrays, under the rules of `indicators`: NaN is no bar, columns are independent."""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled


@compiled
def percentile_rank(values: Floats, window: int, minimum: int) -> Floats:
    """Share of the last `window` bars that lie below the newest value, ties counting half, 0..1.

    The window is kept sorted: a bar moves the values between the one that leaves and the one that comes.
    """
    bars, symbols = values.shape
    result = np.full((bars, symbols), np.nan)
    ordered = np.empty(window + 1)
    for s in range(symbols):
        count = 0
        for t in range(bars):
            old = values[t - window, s] if t >= window else np.nan
            value = values[t, s]
            leaves, comes = math.isfinite(old), math.isfinite(value)
            gone = _first_not_below(ordered, count, old) if leaves else count
            place = _first_not_below(ordered, count, value) if comes else count
            if place > gone:  # what is between moves down
                place -= 1 if comes and leaves else 0
                for k in range(gone, place):
                    ordered[np.uint64(k)] = ordered[np.uint64(k + 1)]
            else:
                for k in range(gone, place, -1):
                    ordered[np.uint64(k)] = ordered[np.uint64(k - 1)]
            count += (1 if comes else 0) - (1 if leaves else 0)
            if not comes:
                continue
            ordered[place] = value
            after = place + 1
            while after < count and ordered[after] == value:
                after += 1
            if count >= minimum:
                result[t, s] = (place + 0.5 * (after - place)) / count
    return result


@compiled
def _first_not_below(ordered: Floats, count: int, value: float) -> int:
    """The first place of the `count` rising numbers that holds no smaller one."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low
