"""Indicators of momentum, of the cross-section and of charts; causal, [T, S], NaN where there is no value.

As in `indicators`, row t depends on rows up to t only, and what is older than a window is forgotten.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled
from agents.quant.indicators import LONGEST_GAP_BARS, volatility
from agents.quant.windows import blocks_of, rolling_extreme, rolling_mean

LEAST_SYMBOLS = 3
"""A cross-section of fewer symbols has no middle to stand above or below."""
DECIMALS = 12
"""Compared values are rounded so, lest a rank hang on the last bits of a sum."""


@compiled
def last_known(values: Floats) -> Floats:
    """The newest value at most LONGEST_GAP_BARS bars old; NaN where there is none."""
    bars, symbols = values.shape
    result = np.empty((bars, symbols))
    last, age = np.full(symbols, np.nan), np.zeros(symbols)
    for t in range(bars):
        row, into = values[t], result[t]
        for s in range(symbols):
            here = abs(row[s]) < np.inf
            last[s] = row[s] if here else last[s]
            age[s] = 0.0 if here else age[s] + 1.0
            into[s] = last[s] if age[s] <= LONGEST_GAP_BARS else np.nan
    return result


def past_change(close: Floats, span: int, skip: int) -> Floats:
    """Log price change from `span` bars ago to `skip` bars ago; a missing bar counts as the last one before it."""
    prices = last_known(np.log(close))
    change = np.full(close.shape, np.nan)
    if span < len(close):
        change[span:] = prices[span - skip : len(close) - skip] - prices[: len(close) - span]
    return change


def standard_change(change: Floats, close: Floats, span: int, skip: int) -> Floats:
    """`past_change` in its own standard deviations: bar volatility over `span` bars x sqrt(span - skip)."""
    return change / (volatility(close, span, span // 2) * math.sqrt(span - skip))


@compiled
def _places(values: Floats) -> Floats:
    bars, symbols = values.shape
    result = np.full((bars, symbols), np.nan)
    for t in range(bars):
        row = values[t]
        count = 0
        for s in range(symbols):
            count += 1 if abs(row[s]) < np.inf else 0
        if count < LEAST_SYMBOLS:
            continue
        for s in range(symbols):
            own, twice = row[s], 0
            for k in range(symbols):
                twice += 2 if (row[k] < own) & (row[k] > -np.inf) else 0
                twice += 1 if row[k] == own else 0
            if math.isfinite(own):
                result[t, s] = (twice - count) / (count - 1.0)
    return result


def place_among_symbols(values: Floats) -> Floats:
    """Each symbol's place among those with a value at the same bar: -1 the lowest, 0 the middle, +1 the highest, in
    equal steps (ties share a place); NaN where fewer than LEAST_SYMBOLS have one."""
    return _places(np.round(values, DECIMALS))


def ichimoku(
    high: Floats, low: Floats, close: Floats, lengths: tuple[int, int, int], first: int = 0
) -> tuple[Floats, Floats]:
    """(cloud, lines) of prices, both in log price, of the rows from `first` on.

    `cloud` is how far the close lies beyond the cloud: 0 inside, positive above. The cloud is drawn `lengths[1]` bars
    ahead, so that of today is known since then. `lines` is conversion less base line. Source: G. Hosoda (Ichimoku
    Sanjin), 1969, of conversion, base and leading spans over `lengths` = (9, 26, 52) bars.
    """
    drawn = max(0, first - lengths[1])  # the first row whose cloud is seen
    since = min(blocks_of(drawn, length) for length in lengths)
    tops, bottoms = np.log(high[since:]), np.log(low[since:])
    conversion, base, slow = (_middle(tops, bottoms, length, drawn - since) for length in lengths)
    leading = [_later(span, lengths[1])[first - drawn :] for span in ((conversion + base) / 2.0, slow)]
    return _beyond(np.log(close[first:]), *leading), (conversion - base)[first - drawn :]


@compiled
def _beyond(price: Floats, one_edge: Floats, other_edge: Floats) -> Floats:
    """How far prices lie beyond a cloud of these two edges: 0 inside, positive above."""
    bars, symbols = price.shape
    result = np.empty((bars, symbols))
    for t in range(bars):
        for s in range(symbols):
            one, other = one_edge[t, s], other_edge[t, s]
            above = price[t, s] - (one if one > other else other)
            below = (other if one > other else one) - price[t, s]
            known = abs(one + other + price[t, s]) < np.inf
            beyond = (above if above > 0.0 else 0.0) - (below if below > 0.0 else 0.0)
            result[t, s] = beyond if known else np.nan
    return result


def _middle(tops: Floats, bottoms: Floats, length: int, first: int) -> Floats:
    """Middle of the range of `length` bars, of log prices, of the rows from `first` on."""
    begin = blocks_of(first, length)
    highest = rolling_extreme(tops[begin:], length, length // 2, 1.0)
    lowest = rolling_extreme(bottoms[begin:], length, length // 2, -1.0)
    return ((highest + lowest) / 2.0)[first - begin :]


def _later(values: Floats, bars: int) -> Floats:
    """What was known `bars` bars ago."""
    result = np.full(values.shape, np.nan)
    result[bars:] = values[: max(0, len(values) - bars)]
    return result


def above_mean(close: Floats, window: int) -> Floats:
    """Log price less its simple mean over `window` bars, of which at least half must be there."""
    prices = np.log(close)
    return prices - rolling_mean(prices, window, window // 2)
