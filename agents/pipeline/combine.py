"""signals -> forecasts in one unit -> one combined forecast for each symbol.

The unit: an agent's mean absolute forecast is 1, so that "2" means twice its usual conviction, whoever says it.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.pipeline.bar import CombinedSignal, Opinions
from agents.pipeline.parameters import Sizing
from agents.quant.compiled import compiled, compiled_inline

PRIOR_MEAN_STRENGTH = 0.35
PRIOR_VOTES = 100.0
"""Until an agent has spoken often, its scale leans on a usual one, as if 100 votes of 0.35 had been heard."""


STEPS = 2.0**40
"""Opinions and their products, all within [-1, 1], are rounded to 1e-12; 8 million of them can be summed."""
BITS = 62
"""So many agents' votes fit into one whole number."""


@compiled
def scale_forecasts(raw: Floats, window: int, cap: float, first: int = 0) -> tuple[Floats, Floats]:
    """Raw opinions (strength x confidence, NaN = abstained) [T, A, S] -> (forecast [T, S, A], correlation [T, A, A]),
    of the rows from `first` on.

    forecast = raw / mean |raw| of that agent's votes on all symbols in the last `window` bars, clipped to +-cap.
    correlation is the uncentred one of raw opinions over the same window (abstention counts as 0 there),
    1 on the diagonal, floored at 0: disagreement must not be levered up.

    Sums are of whole `STEPS`, so they are exact: the same window gives the same bits, whatever was before it and in
    whatever order symbols come.
    """
    bars, agents, symbols = raw.shape
    forecast = np.full((bars - first, symbols, agents), np.nan)
    correlation = np.zeros((bars - first, agents, agents))
    size = np.zeros(agents, dtype=np.int64)
    votes = np.zeros(agents, dtype=np.int64)
    products = np.zeros((agents, agents), dtype=np.int64)
    # What each bar of the window brought into the sums, to be taken out again when it leaves.
    brought_size = np.zeros((min(window, bars), agents), dtype=np.int64)
    brought_votes = np.zeros((min(window, bars), agents), dtype=np.int64)
    brought = np.zeros((min(window, bars), agents, agents), dtype=np.int64)
    for t in range(bars):
        place = t % window
        for a in range(agents):
            size_now, votes_now = _size_and_votes(raw[t, a])
            size[a] += size_now - brought_size[place, a]
            votes[a] += votes_now - brought_votes[place, a]
            brought_size[place, a], brought_votes[place, a] = size_now, votes_now
            for b in range(a + 1):
                both = _common_steps(raw[t, a], raw[t, b])
                products[a, b] += both - brought[place, a, b]
                brought[place, a, b] = both
        if t < first:
            continue
        row = t - first
        for a in range(agents):
            scale = (PRIOR_VOTES + votes[a]) / (PRIOR_VOTES * PRIOR_MEAN_STRENGTH + size[a] / STEPS)
            for s in range(symbols):
                value = raw[t, a, s]
                if math.isfinite(value):
                    forecast[row, s, a] = min(cap, max(-cap, value * scale))
            correlation[row, a, a] = 1.0
            for b in range(a):
                spread = float(products[a, a]) * float(products[b, b])
                if spread > 0.0:
                    value = min(1.0, max(0.0, products[a, b] / math.sqrt(spread)))
                    correlation[row, a, b] = value
                    correlation[row, b, a] = value
    return forecast, correlation


@compiled_inline
def _size_and_votes(opinions: Floats) -> tuple[int, int]:
    """Of an agent's opinions [S] on a bar: the sum of their sizes, and how many there are."""
    size, votes = 0, 0
    for value in opinions:
        if math.isfinite(value):
            size += _whole_steps(abs(value))
            votes += 1
    return size, votes


@compiled_inline
def _common_steps(one: Floats, other: Floats) -> int:
    """The sum of two agents' opinions multiplied, over the symbols [S] on which both have one; without a branch, so
    that the machine takes several symbols at once."""
    total = 0
    for s in range(len(one)):
        product = one[s] * other[s]
        total += _whole_steps(product if abs(product) < np.inf else 0.0)
    return total


@compiled_inline
def _whole_steps(value: float) -> int:
    return math.floor(value * STEPS + 0.5)


@compiled_inline
def note_opinions(forecast: Floats, opinions: Opinions) -> None:
    """Forecasts [S, A] of one bar into `opinions`, by agent, so that the machine takes several symbols at once."""
    symbols, agents = forecast.shape
    alike, voters = opinions.alike, opinions.voters
    for s in range(symbols):
        voters[s] = 0
    for a in range(agents):
        spoken, voted = opinions.spoken[a], opinions.voted[a]
        for s in range(symbols):
            value = forecast[s, a]
            here = abs(value) < math.inf
            spoken[s] = value if here else 0.0
            voted[s] = 1.0 if here else 0.0
            voters[s] = 2 * voters[s] + (1 if here else 0)
    for s in range(symbols):
        first = 0
        while voters[first] != voters[s] or (agents > BITS and not _same_voters(forecast[first], forecast[s])):
            first += 1
        alike[s] = first


@compiled_inline
def combine(opinions: Opinions, correlation: Floats, weights: Floats, sizing: Sizing, combined: CombinedSignal) -> None:
    """One bar: opinions of agents, their correlation [A, A] and weights [A] -> `combined`, but for its unit weights.

    combined = multiplier x sum(w f) / sum(w) over the agents that vote on the symbol: an abstention leaves the
    denominator. multiplier = 1 / sqrt(w' C w) of the voters' normalised weights, capped: it restores the unit that
    averaging imperfectly correlated forecasts shrinks. The result is clipped to the forecast cap.
    """
    total, multiplier, weight, alike = combined.forecast, combined.multiplier, opinions.weight, opinions.alike
    for s in range(len(total)):
        total[s] = 0.0
        weight[s] = 0.0
    for a in range(len(weights)):
        spoken, voted, mine = opinions.spoken[a], opinions.voted[a], weights[a]
        if mine > 0.0:
            for s in range(len(total)):
                total[s] += mine * spoken[s]
                weight[s] += mine * voted[s]
    cap = sizing.forecast_cap
    for s in range(len(total)):
        if weight[s] == 0.0:
            total[s] = math.nan
            multiplier[s] = math.nan
            continue
        if alike[s] == s:
            spread = math.sqrt(_variance(opinions.voted, s, correlation, weights))
            multiplier[s] = min(sizing.multiplier_cap, weight[s] / spread)
        else:
            multiplier[s] = multiplier[alike[s]]
        total[s] = min(cap, max(-cap, multiplier[s] * total[s] / weight[s]))


@compiled_inline
def _same_voters(one: Floats, other: Floats) -> bool:
    """Whether the same agents vote in both [A]."""
    same = 0
    for a in range(len(one)):
        same += 1 if math.isfinite(one[a]) == math.isfinite(other[a]) else 0
    return same == len(one)


@compiled_inline
def _variance(voted: Floats, s: int, correlation: Floats, weights: Floats) -> float:
    """w' C w over the agents that have `voted` [A, S] on symbol `s`."""
    variance = 0.0
    for a in range(len(weights)):
        if voted[a, s] > 0.0 and weights[a] > 0.0:
            variance += weights[a] * weights[a]
            for b in range(a):
                if weights[b] > 0.0:
                    variance += voted[b, s] * (2.0 * weights[a] * weights[b] * correlation[a, b])
    return variance
