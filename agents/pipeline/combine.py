"""signals -> forecasts in one unit -> one combined forecast for each symbol.

The unit: an agent's mean absolute forecast is 1, so that "2" means twice its usual conviction, whoever says it.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.pipeline.bar import CombinedSignal
from agents.pipeline.parameters import Sizing
from agents.quant.compiled import compiled, compiled_inline

PRIOR_MEAN_STRENGTH = 0.35
PRIOR_VOTES = 100.0
"""Until an agent has spoken often, its scale leans on a usual one, as if 100 votes of 0.35 had been heard."""


@compiled
def scale_forecasts(raw: Floats, window: int, cap: float) -> tuple[Floats, Floats]:
    """Raw opinions (strength x confidence, NaN = abstained) [T, A, S] -> (forecast [T, S, A], correlation [T, A, A]).

    forecast = raw / mean |raw| of that agent's votes on all symbols in the last `window` bars, clipped to +-cap.
    correlation is the uncentred one of raw opinions over the same window (abstention counts as 0 there),
    1 on the diagonal, floored at 0: disagreement must not be levered up.
    """
    bars, agents, symbols = raw.shape
    forecast = np.full((bars, symbols, agents), np.nan)
    correlation = np.zeros((bars, agents, agents))
    size = np.zeros(agents)
    votes = np.zeros(agents)
    products = np.zeros((agents, agents))
    for t in range(bars):
        for sign in (1.0, -1.0):  # the newest bar comes into the sums, the one that leaves the window goes out
            u = t if sign > 0 else t - window
            if u < 0:
                continue
            for a in range(agents):
                for s in range(symbols):
                    value = raw[u, a, s]
                    if not math.isfinite(value):
                        continue
                    size[a] += sign * abs(value)
                    votes[a] += sign
                    products[a, a] += sign * value * value
                    for b in range(a):
                        other = raw[u, b, s]
                        if math.isfinite(other):
                            products[a, b] += sign * value * other
        for a in range(agents):
            scale = (PRIOR_VOTES + votes[a]) / (PRIOR_VOTES * PRIOR_MEAN_STRENGTH + max(size[a], 0.0))
            for s in range(symbols):
                value = raw[t, a, s]
                if math.isfinite(value):
                    forecast[t, s, a] = min(cap, max(-cap, value * scale))
            correlation[t, a, a] = 1.0
            for b in range(a):
                spread = products[a, a] * products[b, b]
                if spread > 1e-18:
                    value = min(1.0, max(0.0, products[a, b] / math.sqrt(spread)))
                    correlation[t, a, b] = value
                    correlation[t, b, a] = value
    return forecast, correlation


@compiled_inline
def combine(forecast: Floats, correlation: Floats, weights: Floats, sizing: Sizing, combined: CombinedSignal) -> None:
    """One bar: forecasts [S, A], their correlation [A, A] and weights [A] -> `combined`, but for its unit weights.

    combined = multiplier x sum(w f) / sum(w) over the agents that vote on the symbol: an abstention (NaN) leaves the
    denominator. multiplier = 1 / sqrt(w' C w) of the voters' normalised weights, capped: it restores the unit that
    averaging imperfectly correlated forecasts shrinks. The result is clipped to the forecast cap. At most 63 agents,
    since those that vote are bits of one integer.
    """
    symbols, agents = forecast.shape
    cap = sizing.forecast_cap
    last_voters = -1
    last_multiplier = 1.0
    for s in range(symbols):
        voters, total, weight = 0, 0.0, 0.0
        for a in range(agents):
            value = forecast[s, a]
            if math.isfinite(value) and weights[a] > 0.0:
                total += weights[a] * value
                weight += weights[a]
                voters |= 1 << a
        if voters == 0:
            combined.forecast[s] = math.nan
            combined.multiplier[s] = math.nan
            continue
        if voters != last_voters:
            variance = 0.0
            for a in range(agents):
                if voters & (1 << a):
                    variance += weights[a] * weights[a]
                    for b in range(a):
                        if voters & (1 << b):
                            variance += 2.0 * weights[a] * weights[b] * correlation[a, b]
            last_multiplier = min(sizing.multiplier_cap, weight / math.sqrt(variance))
            last_voters = voters
        combined.multiplier[s] = last_multiplier
        combined.forecast[s] = min(cap, max(-cap, last_multiplier * total / weight))
