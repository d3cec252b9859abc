"""An interval of a Sharpe ratio that holds at every look at once, however often anybody looks and stops when it suits.

An interval of one look fails one time in ten at each of them; a desk that looks every day for years will see it fail.
Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic confidence
sequences (2024), the Gaussian mixture boundary.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats

LEVEL = 0.05
"""On each side, in at most so many lives of an agent is the truth ever outside."""
FIRST_LOOK = 60
"""Periods from which on the sequence holds: before, a mean is not near enough to normal."""
NARROWEST_AT = 750.0
"""Periods at which the interval is narrowest for its level: three years of sessions."""
NEIGHBOURS = 5
"""What neighbours have in common is seen in sums of so many periods."""


def sharpe_sequence(returns: Floats) -> tuple[float, float]:
    """The interval of the Sharpe ratio per period of returns [T], all there are since the first; NaNs below 60 of them
    or without movement."""
    count = len(returns)
    variance = float(np.var(returns, ddof=1)) if count >= FIRST_LOOK else 0.0
    if not variance > 1e-30:
        return math.nan, math.nan
    level = 2.0 * LEVEL
    spread = (-2.0 * math.log(level) + math.log(1.0 - 2.0 * math.log(level))) / NARROWEST_AT
    grown = count * spread + 1.0
    reach = math.sqrt(2.0 * grown / (count * count * spread) * math.log(math.sqrt(grown) / level))
    ratio = float(np.mean(returns)) / math.sqrt(variance)
    reach *= math.sqrt(_common(returns, variance) * (1.0 + 0.5 * ratio * ratio))
    return ratio - reach, ratio + reach


def _common(returns: Floats, variance: float) -> float:
    """How many times larger the variance of a mean is than independence would make it; not below 1."""
    blocks = len(returns) // NEIGHBOURS
    sums = returns[len(returns) - blocks * NEIGHBOURS :].reshape(blocks, NEIGHBOURS).sum(axis=1)
    return max(1.0, float(np.var(sums, ddof=1)) / (NEIGHBOURS * variance))
