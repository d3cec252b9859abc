"""The circular block bootstrap: a sample [T] is drawn again and again in blocks of neighbours, going round its end.

Blocks keep what neighbours have in common, so that autocorrelation within them is accounted for. The same seed draws
the same blocks. Source: Politis and Romano, A Circular Block-Resampling Procedure for Stationary Data (1992).
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats, Integers
from agents.quant.blocks import RESAMPLES as RESAMPLES
from agents.quant.blocks import block_length as block_length
from agents.quant.blocks import block_starts as block_starts
from agents.quant.compiled import compiled


@compiled
def resampled_sharpe(returns: Floats, starts: Integers, length: int) -> Floats:
    """Sharpe ratio per period of each resample of returns [T], [RESAMPLES]; 0 for one without movement."""
    sums = _circular_sums(returns, length)
    squares = _circular_sums(returns * returns, length)
    count = starts.shape[1] * length
    result = np.empty(starts.shape[0])
    for b in range(starts.shape[0]):
        total, square = 0.0, 0.0
        for k in range(starts.shape[1]):
            total += sums[starts[b, k]]
            square += squares[starts[b, k]]
        mean = total / count
        variance = (square / count - mean * mean) * count / (count - 1.0)
        result[b] = mean / math.sqrt(variance) if variance > 1e-300 else 0.0
    return result


@compiled
def resampled_sums(values: Floats, starts: Integers, length: int) -> Floats:
    """Sum of each resample of values [T], [RESAMPLES]."""
    sums = _circular_sums(values, length)
    result = np.empty(starts.shape[0])
    for b in range(starts.shape[0]):
        total = 0.0
        for k in range(starts.shape[1]):
            total += sums[starts[b, k]]
        result[b] = total
    return result


@compiled
def _circular_sums(values: Floats, length: int) -> Floats:
    """Sum of the `length` values from each place on, going round the end."""
    n = len(values)
    result = np.empty(n)
    total = 0.0
    for k in range(length):
        total += values[k % n]
    for t in range(n):
        result[t] = total
        total += values[(t + length) % n] - values[t]
    return result
