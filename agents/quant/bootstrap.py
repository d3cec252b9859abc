"""The circular block bootstrap: a sample [T] is drawn again and again in blocks of neighbours, going round its end.

Blocks keep what neighbours have in common, so that autocorrelation within them is accounted for. The same seed draws
the same blocks. Source: Politis and Romano, A Circular Block-Resampling Procedure for Stationary Data (1992).
"""

from __future__ import annotations

import functools
import math

import numpy as np

from agents.core.types import Floats, Integers
from agents.quant.compiled import compiled

RESAMPLES = 499
"""So many times a sample is drawn."""


def block_length(periods: int) -> int:
    """Length of a bootstrap block: 1.5 x the cube root of the sample, so that mild autocorrelation stays inside."""
    return max(1, min(periods, int(1.5 * float(periods) ** (1.0 / 3.0) + 0.5)))


@functools.lru_cache(maxsize=64)
def block_starts(periods: int, seed: int) -> tuple[Integers, int]:
    """Starts [RESAMPLES, blocks] of the blocks drawn from so many periods, and the length of a block.

    The last ones are kept: all agents of a desk are as old as each other. The array is read-only.
    """
    length = block_length(periods)
    blocks = -(-periods // length)
    starts = np.random.default_rng(seed).integers(0, periods, (RESAMPLES, blocks))
    starts.flags.writeable = False
    return starts, length


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
