"""Which blocks a bootstrap draws; without compiled code, so that reading commands can use it."""

from __future__ import annotations

import functools

import numpy as np

from agents.core.types import Integers

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
