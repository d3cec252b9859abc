"""An interval of a Sharpe ratio that holds at every look at once, however often anybody looks and stops when it suits.

An interval of one look fails one time in ten at each of them; a desk that looks every day for years will see it fail.
Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic confidence
sequences (2024), the Gaussian mixture boundary.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats, Integers
from agents.quant.compiled import compiled
from agents.quant.returns import MINIMUM_PERIODS, STILL

LEVEL = 0.05
"""On each side, in at most so many lives of an agent is the truth ever outside."""
FIRST_LOOK = 60
"""Periods from which on the sequence holds: before, a mean is not near enough to normal."""
NARROWEST_AT = 750.0
"""Periods at which the interval is narrowest for its level: three years of sessions."""
NEIGHBOURS = 5
"""What neighbours have in common is seen in sums of so many periods."""


@compiled
def sharpe_sequence(returns: Floats) -> tuple[float, float]:
    """The interval of the Sharpe ratio per period of returns [T], all there are since the first; NaNs below 60 of them
    or without movement."""
    mean, variance = _mean_and_variance(returns) if len(returns) >= FIRST_LOOK else (0.0, 0.0)
    return _sequence(returns, mean, variance)


@compiled
def _sequence(returns: Floats, mean: float, variance: float) -> tuple[float, float]:
    """`sharpe_sequence` of returns with this mean and variance."""
    count = len(returns)
    if count < FIRST_LOOK or not variance > 1e-30:
        return math.nan, math.nan
    level = 2.0 * LEVEL
    spread = (-2.0 * math.log(level) + math.log(1.0 - 2.0 * math.log(level))) / NARROWEST_AT
    grown = count * spread + 1.0
    reach = math.sqrt(2.0 * grown / (count * count * spread) * math.log(math.sqrt(grown) / level))
    ratio = mean / math.sqrt(variance)
    reach *= math.sqrt(_common(returns, variance) * (1.0 + 0.5 * ratio * ratio))
    return ratio - reach, ratio + reach


@compiled
def _common(returns: Floats, variance: float) -> float:
    """How many times larger the variance of a mean is than independence would make it; not below 1."""
    blocks = len(returns) // NEIGHBOURS
    first = len(returns) - blocks * NEIGHBOURS
    sums = np.zeros(blocks)
    for block in range(blocks):
        for k in range(NEIGHBOURS):
            sums[block] += returns[first + block * NEIGHBOURS + k]
    return max(1.0, _mean_and_variance(sums)[1] / (NEIGHBOURS * variance))


@compiled
def _mean_and_variance(values: Floats) -> tuple[float, float]:
    """Of two or more values: `returns.mean_and_variance`, to the bit."""
    total, squares = 0.0, 0.0
    for value in values:
        total += value
    mean = total / len(values)
    for value in values:
        squares += (value - mean) * (value - mean)
    return mean, squares / (len(values) - 1.0)


@compiled
def ratios_and_sequences(returns: Floats) -> Floats:
    """[A, 3]: the Sharpe ratio per period of each agent's returns [T, A], as `returns.sharpe_ratio` has it, and the two
    ends of its `sharpe_sequence`. NaN are periods that an agent has no part in."""
    known, result = np.empty(len(returns)), np.full((returns.shape[1], 3), np.nan)
    seen, mean, variance = _means_and_variances(returns)
    for a in range(returns.shape[1]):
        if seen[a] < MINIMUM_PERIODS:
            continue
        count = 0
        for t in range(len(returns)):
            if np.isfinite(returns[t, a]):
                known[count] = returns[t, a]
                count += 1
        deviation = math.sqrt(variance[a])
        if deviation > STILL:
            result[a, 0] = mean[a] / deviation
        result[a, 1], result[a, 2] = _sequence(known[:count], mean[a], variance[a])
    return result


@compiled
def _means_and_variances(returns: Floats) -> tuple[Integers, Floats, Floats]:
    """[A] each: periods that each agent has a part in, and `_mean_and_variance` of them, to the bit. All agents side by
    side: one after the other would wait for each sum."""
    agents = returns.shape[1]
    seen, mean, variance = np.zeros(agents, dtype=np.int64), np.zeros(agents), np.zeros(agents)
    for t in range(len(returns)):
        for a in range(agents):
            here = abs(returns[t, a]) < np.inf
            mean[a] = mean[a] + returns[t, a] if here else mean[a]
            seen[a] += here
    for a in range(agents):
        mean[a] /= seen[a]
    for t in range(len(returns)):
        for a in range(agents):
            rest = returns[t, a] - mean[a]
            variance[a] = variance[a] + rest * rest if abs(rest) < np.inf else variance[a]
    for a in range(agents):
        variance[a] /= seen[a] - 1.0
    return seen, mean, variance
