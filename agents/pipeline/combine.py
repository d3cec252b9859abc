"""signals -> forecasts in one unit -> one combined forecast for each symbol.

The unit: an agent's mean absolute forecast is 1, so that "2" means twice its usual conviction, whoever says it.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats, Integers
from agents.pipeline.bar import CombinedSignal, Opinions
from agents.pipeline.parameters import Sizing
from agents.quant.compiled import compiled_bare, compiled_inline
from agents.quant.halves import in_two

PRIOR_MEAN_STRENGTH = 0.35
PRIOR_VOTES = 100.0
"""Until an agent has spoken often, its scale leans on a usual one, as if 100 votes of 0.35 had been heard."""


STEPS = 2.0**40
"""Opinions and their products, all within [-1, 1], are rounded to 1e-12; 8 million of them can be summed."""
BLOCK = 128
"""Bars that are summed at a time."""
BITS = 62
"""So many agents' votes fit into one whole number."""


def scale_forecasts(raw: Floats, window: int, cap: float, first: int = 0) -> tuple[Floats, Floats]:
    """Raw opinions (strength x confidence, NaN = abstained) [T, A, S] -> (forecast [T, S, A], correlation [T, A, A]),
    of the rows from `first` on.

    forecast = raw / mean |raw| of that agent's votes on all symbols in the last `window` bars, clipped to +-cap.
    correlation is the uncentred one of raw opinions over the same window (abstention counts as 0 there),
    1 on the diagonal, floored at 0: disagreement must not be levered up.

    Sums are of whole `STEPS`, so they are exact: the same window gives the same bits, whatever was before it, in
    whatever order symbols come, and in however many parts rows are computed.
    """
    bars, agents, symbols = raw.shape
    raw = np.ascontiguousarray(raw)
    forecast, correlation = np.empty((bars - first, symbols, agents)), np.empty((bars - first, agents, agents))

    def scale(start: int, stop: int) -> None:
        begin, part = max(0, first + start - window), slice(start, stop)
        figures = agents * (agents + 1) // 2 + 2 * agents
        brought, moving = np.zeros((2, figures, window + BLOCK), np.int64), np.zeros((figures, BLOCK + 1), np.int64)
        room = np.empty((agents, BLOCK)), np.empty((figures, BLOCK)), brought[0], brought[1], moving
        scale_rows(raw[begin : first + stop], cap, room, forecast[part], correlation[part])

    in_two(scale, bars - first, raw.size)
    return forecast, correlation


@compiled_bare
def scale_rows(
    raw: Floats,
    cap: float,
    room: tuple[Floats, Floats, Integers, Integers, Integers],
    forecast: Floats,
    correlation: Floats,
) -> None:
    """Of the newest rows of `raw`, as many as are asked for."""
    opinions, sums, brought, kept, moving = room
    bars = len(raw)
    skipped = bars - len(forecast)
    for start in range(0, bars, BLOCK):
        block = raw[start : start + BLOCK]
        _sums_of_bars(block, opinions, sums)
        _sums_of_windows(sums, len(block), brought, kept, moving)
        brought, kept = kept, brought
        begin, row = max(0, skipped - start), max(0, start - skipped)  # what is wanted: in the block, in the result
        if begin < len(block):
            wanted = slice(row, row + len(block) - begin)
            _forecasts(block, moving, (begin, cap), opinions, forecast[wanted])
            _correlations(moving, begin, opinions[0], correlation[wanted])


@compiled_bare
def _sums_of_bars(raw: Floats, opinions: Floats, sums: Floats) -> None:
    """Whole steps of each bar: agents' products (a, b <= a), then sizes, then votes. Bars lie beside each other, so
    that the machine takes several at once, however few symbols there are."""
    bars, agents, symbols = raw.shape
    sums[:] = 0.0
    for s in range(symbols):
        pair = 0
        for a in range(agents):
            mine, size, votes = opinions[a], sums[len(sums) - 2 * agents + a], sums[len(sums) - agents + a]
            for t in range(bars):
                here = abs(raw[t, a, s]) < np.inf
                mine[t] = raw[t, a, s] if here else 0.0
                votes[t] += 1.0 if here else 0.0
            for t in range(bars):
                size[t] += np.floor(abs(mine[t]) * STEPS + 0.5)
            for b in range(a + 1):
                other, both = opinions[b], sums[pair]
                pair += 1
                for t in range(bars):
                    both[t] += np.floor(mine[t] * other[t] * STEPS + 0.5)


@compiled_bare
def _sums_of_windows(sums: Floats, bars: int, brought: Integers, kept: Integers, moving: Integers) -> None:
    """Of a window's last bars, for each bar of a block. `brought` is what they brought in, to be taken out when they
    leave, and `kept` that for the next block; `moving` begins with the sums before the block."""
    window = brought.shape[1] - BLOCK
    for figure in range(len(sums)):
        came, now, into = brought[figure], sums[figure], moving[figure, 1:]
        newest, later, next_came = came[window:], came[bars:], kept[figure]
        for t in range(bars):
            newest[t] = int(now[t])
        for t in range(bars):
            into[t] = newest[t] - came[t]
        total = moving[figure, 0]
        for t in range(bars):
            total += into[t]
            into[t] = total
        moving[figure, 0] = total
        for k in range(window):
            next_came[k] = later[k]


@compiled_bare
def _forecasts(raw: Floats, sums: Integers, wanted: tuple[int, float], scales: Floats, forecast: Floats) -> None:
    begin, cap = wanted
    bars, symbols, agents = forecast.shape
    for a in range(agents):
        sizes, votes = sums[len(sums) - 2 * agents + a, begin + 1 :], sums[len(sums) - agents + a, begin + 1 :]
        scale = scales[a]
        for t in range(bars):
            scale[t] = (PRIOR_VOTES + votes[t]) / (PRIOR_VOTES * PRIOR_MEAN_STRENGTH + sizes[t] / STEPS)
    newest = raw[begin:]
    for t in range(bars):
        for s in range(symbols):
            into = forecast[t, s]
            for a in range(agents):
                value = newest[t, a, s] * scales[a, t]
                value = cap if value > cap else value
                into[a] = -cap if value < -cap else value


@compiled_bare
def _correlations(sums: Integers, begin: int, row: Floats, correlation: Floats) -> None:
    bars, agents, _ = correlation.shape
    for a in range(agents):
        first = a * (a + 1) // 2
        mine = sums[first + a, begin + 1 :]
        for b in range(a):
            both, other = sums[first + b, begin + 1 :], sums[b * (b + 1) // 2 + b, begin + 1 :]
            for t in range(bars):
                spread = float(mine[t]) * float(other[t])
                value = both[t] / math.sqrt(spread if spread > 0.0 else 1.0)
                value = value if (value > 0.0) & (spread > 0.0) else 0.0
                row[t] = value if value < 1.0 else 1.0
            for t in range(bars):
                correlation[t, a, b] = row[t]
                correlation[t, b, a] = row[t]
        for t in range(bars):
            correlation[t, a, a] = 1.0


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
