"""Indicators of momentum, of the cross-section and of charts; causal, [T, S], NaN where there is no value.

As in `indicators`, row t depends on rows up to t only, and what is older than a window is forgotten.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled, compiled_bare
from agents.quant.indicators import LONGEST_GAP_BARS, volatility
from agents.quant.windows import blocks_of, rolling_extreme, rolling_mean

LEAST_SYMBOLS = 3
"""A cross-section of fewer symbols has no middle to stand above or below."""
AT_ONCE = 8
"""A row's room is a multiple of it, so that no symbol is compared alone."""
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


def place_among_symbols(values: Floats) -> Floats:
    """Each symbol's place among those with a value at the same bar: -1 the lowest, 0 the middle, +1 the highest, in
    equal steps (ties share a place); NaN where fewer than LEAST_SYMBOLS have one."""
    result = np.empty(values.shape)
    room = np.empty((2, -(-values.shape[1] // AT_ONCE) * AT_ONCE))
    _places(np.round(values, DECIMALS), room, result)
    return result


@compiled_bare
def _places(values: Floats, room: Floats, result: Floats) -> None:
    bars, symbols = values.shape
    row, twice = room[0], room[1]
    row[:] = np.nan
    for t in range(bars):
        count = 0
        for s in range(symbols):
            here = abs(values[t, s]) < np.inf
            row[s] = values[t, s] if here else np.nan
            count += 1 if here else 0
        twice[:] = 0.0
        for k in range(symbols):
            other = row[k]
            for s in range(len(row)):
                twice[s] += (1.0 if other < row[s] else 0.0) + (1.0 if other <= row[s] else 0.0)
        for s in range(symbols):
            known = (count >= LEAST_SYMBOLS) and abs(row[s]) < np.inf
            result[t, s] = (twice[s] - count) / (count - 1.0) if known else np.nan


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
    conversion, base, slow = (_middle(tops, bottoms, length, drawn - since).reshape(-1) for length in lengths)
    prices = np.log(close[first:])
    cloud, lines = np.empty(prices.shape), np.empty(prices.shape)
    ahead = lengths[1] * prices.shape[1]
    _beyond(prices.reshape(-1), (conversion, base, slow), ahead, cloud.reshape(-1), lines.reshape(-1))
    return cloud, lines


@compiled_bare
def _beyond(prices: Floats, middles: tuple[Floats, Floats, Floats], ahead: int, cloud: Floats, lines: Floats) -> None:
    """How far the newest prices lie beyond a cloud that was drawn `ahead`, 0 inside; and the lines' distance. Of
    middles there may be more rows."""
    conversion, base, slow = middles
    newest_conversion, newest_base = conversion[len(base) - len(lines) :], base[len(base) - len(lines) :]
    for i in range(len(lines)):
        lines[i] = newest_conversion[i] - newest_base[i]
    unseen = min(max(0, ahead - (len(base) - len(lines))), len(cloud))  # rows for which no cloud was drawn yet
    cloud[:unseen] = np.nan
    begin = max(0, len(base) - len(lines) - ahead)
    leading, following, edge = conversion[begin:], base[begin:], slow[begin:]
    seen, into = prices[unseen:], cloud[unseen:]
    for i in range(len(into)):
        one, other, price = (leading[i] + following[i]) / 2.0, edge[i], seen[i]
        above = price - (one if one > other else other)
        below = (other if one > other else one) - price
        beyond = (above if above > 0.0 else 0.0) - (below if below > 0.0 else 0.0)
        into[i] = beyond if abs(one + other + price) < np.inf else np.nan


def _middle(tops: Floats, bottoms: Floats, length: int, first: int) -> Floats:
    """Middle of the range of `length` bars, of log prices, of the rows from `first` on."""
    begin = blocks_of(first, length)
    middle = rolling_extreme(tops[begin:], length, length // 2, 1.0)
    middle += rolling_extreme(bottoms[begin:], length, length // 2, -1.0)
    middle /= 2.0
    return middle[first - begin :]


def above_mean(close: Floats, window: int) -> Floats:
    """Log price less its simple mean over `window` bars, of which at least half must be there."""
    prices = np.log(close)
    return prices - rolling_mean(prices, window, window // 2)
