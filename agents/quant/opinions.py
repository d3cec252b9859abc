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
    opinion = said.reshape(-1), sure.reshape(-1)
    _bound(close.reshape(-1), strength.reshape(-1), confidence.reshape(-1), opinion, abstained.reshape(-1))
    return said, sure, abstained


@compiled_bare
def _bound(
    close: Floats, strength: Floats, confidence: Floats, opinion: tuple[Floats, Floats], abstained: Booleans
) -> None:
    said, sure = opinion
    for i in range(len(close)):
        x, c = strength[i], confidence[i]
        here = (abs(close[i]) < np.inf) & (abs(x) < np.inf) & (abs(c) < np.inf)
        x = -1.0 if x < -1.0 else x
        x = 1.0 if x > 1.0 else x
        c = c if c > 0.0 else 0.0
        c = 1.0 if c > 1.0 else c
        said[i] = x if here else 0.0
        sure[i] = c if here else 0.0
        abstained[i] = not here


def raw_opinions(strength: Floats, confidence: Floats, abstained: Booleans, raw: Floats) -> None:
    """strength x confidence into `raw` [T, S], which may be one agent's part of a larger array; NaN where abstained."""
    _multiply(strength, confidence, abstained, raw)


@compiled_bare
def _multiply(strength: Floats, confidence: Floats, abstained: Booleans, raw: Floats) -> None:
    bars, symbols = strength.shape
    for t in range(bars):
        for s in range(symbols):
            raw[t, s] = np.nan if abstained[t, s] else strength[t, s] * confidence[t, s]


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
