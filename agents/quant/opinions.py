"""What an agent says, brought into its bounds; [T, S] each."""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Booleans, Floats
from agents.quant.compiled import compiled, compiled_bare


def bounded_opinions(close: Floats, strength: Floats, confidence: Floats) -> tuple[Floats, Floats, Booleans]:
    """Strength within [-1, 1], confidence within [0, 1], and where it abstains: an opinion needs a bar, a finite
    strength and a finite confidence; else both are 0."""
    shape = close.shape
    if strength.shape != shape:  # the same for all symbols
        strength, confidence = (np.repeat(values, shape[1], axis=1) for values in (strength, confidence))
    said, sure, abstained = np.empty(shape), np.empty(shape), np.empty(shape, dtype=np.bool_)
    _bound(close, strength, confidence, (said, sure), abstained)
    return said, sure, abstained


@compiled_bare
def _bound(
    close: Floats, strength: Floats, confidence: Floats, opinion: tuple[Floats, Floats], abstained: Booleans
) -> None:
    said, sure = opinion
    for t in range(len(close)):
        for s in range(close.shape[1]):
            x, c = strength[t, s], confidence[t, s]
            here = (abs(close[t, s]) < np.inf) & (abs(x) < np.inf) & (abs(c) < np.inf)
            x = -1.0 if x < -1.0 else x
            x = 1.0 if x > 1.0 else x
            c = c if c > 0.0 else 0.0
            c = 1.0 if c > 1.0 else c
            said[t, s] = x if here else 0.0
            sure[t, s] = c if here else 0.0
            abstained[t, s] = not here


@compiled
def agreement(total: Floats, spoken: Floats) -> Floats:
    """How far votes agree: |their sum| over the sum of their sizes, 0 where nobody says anything, NaN where unknown."""
    bars, symbols = total.shape
    result = np.empty((bars, symbols))
    for t in range(bars):
        for s in range(symbols):
            size = spoken[t, s]
            result[t, s] = abs(total[t, s]) / size if size > 1e-12 else 0.0 * size
    return result


@compiled
def place_between(value: Floats, low: Floats, high: Floats) -> Floats:
    """-1 at `low`, +1 at `high`, cut there; NaN where both are the same but for rounding."""
    bars, symbols = value.shape
    result = np.empty((bars, symbols))
    for t in range(bars):
        for s in range(symbols):
            width = high[t, s] - low[t, s]
            place = 2.0 * (value[t, s] - low[t, s]) / width - 1.0
            place = -1.0 if place < -1.0 else place
            place = 1.0 if place > 1.0 else place
            result[t, s] = place if width > 1e-12 * abs(high[t, s]) else np.nan
    return result


@compiled
def mean_over_symbols(values: Floats) -> Floats:
    """[T, 1] the mean of what is there at each bar of [T, S]; NaN where nothing is."""
    bars, symbols = values.shape
    result = np.full((bars, 1), np.nan)
    for t in range(bars):
        total, count = 0.0, 0
        for s in range(symbols):
            if math.isfinite(values[t, s]):
                total += values[t, s]
                count += 1
        if count > 0:
            result[t, 0] = total / count
    return result


@compiled
def share_above(values: Floats, bounds: Floats) -> Floats:
    """[T, 1] the share of the symbols with a value and a bound, [T, S] each, whose value is above it; NaN for none."""
    bars, symbols = values.shape
    result = np.full((bars, 1), np.nan)
    for t in range(bars):
        above, count = 0, 0
        for s in range(symbols):
            count += 1 if (abs(values[t, s]) < np.inf) & (abs(bounds[t, s]) < np.inf) else 0
            above += 1 if (values[t, s] > bounds[t, s]) & (values[t, s] < np.inf) & (bounds[t, s] > -np.inf) else 0
        if count > 0:
            result[t, 0] = above / count
    return result
