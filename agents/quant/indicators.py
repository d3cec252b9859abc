"""Causal indicators over [T, S] arrays: row t depends on rows up to t only, columns are independent.

NaN marks a missing bar. Every function forgets: windows are exact, exponential means lose the weight of what is
older than `forgetting_bars(span)` bars. Nothing is ever divided by a scale that is zero: such results are NaN.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled

FORGOTTEN_WEIGHT = 1e-13
LONGEST_GAP_BARS = 10
"""A change over a longer gap is no bar's return: after it an indicator warms up anew."""


def forgetting_bars(span: float) -> int:
    """Bars after which an exponential mean of this span has forgotten all but 1e-13 of what came before."""
    return math.ceil(math.log(FORGOTTEN_WEIGHT) / math.log(1.0 - 2.0 / (span + 1.0)))


def blocks_of(first: int, window: int) -> int:
    """The row from which figures over `window` bars are computed where only those of row `first` and later are wanted:
    the block before that row's own is all that they remember, so they are the same to the bit."""
    return max(0, first // window - 1) * window


@compiled
def ewma(values: Floats, span: float, first: int = 0) -> Floats:
    """Exponentially weighted mean with decay 1 - 2/(span + 1) for each bar, missing bars included; of the rows from
    `first` on.

    Weights are normalised over the values present (pandas' ewm(span, adjust=True, ignore_na=False)), so the mean
    of a constant is that constant from the first bar on. NaN at a missing bar.
    """
    bars, symbols = values.shape
    decay = 1.0 - 2.0 / (span + 1.0)
    result = np.full((bars - first, symbols), np.nan)
    for s in range(symbols):
        weighted, weight = 0.0, 0.0
        for t in range(bars):
            weighted *= decay
            weight *= decay
            if weight < 1e-200:
                weighted, weight = 0.0, 0.0
            value = values[t, s]
            if np.isfinite(value):
                weighted += value
                weight += 1.0
                if t >= first:
                    result[t - first, s] = weighted / weight
    return result


@compiled
def rolling_mean_std(values: Floats, window: int, minimum: int) -> tuple[Floats, Floats]:
    """Mean and population standard deviation of the last `window` bars, missing bars left out; NaN where fewer than
    `minimum` are there.

    Nothing is ever subtracted from a running sum, so no error builds up: a window is a tail of one block of `window`
    bars and a head of the next, and the two are merged (Chan, Golub, LeVeque, "Updating formulae and a pairwise
    algorithm for computing sample variances", 1979).
    """
    bars, symbols = values.shape
    mean = np.full((bars, symbols), np.nan)
    deviation = np.full((bars, symbols), np.nan)
    tail = np.zeros((window + 1, 3))  # count, mean, squares of the last k bars of the block before
    for s in range(symbols):
        count, centre, squares = 0.0, 0.0, 0.0  # of the block that is being filled
        tail[:] = 0.0
        for t in range(bars):
            value = values[t, s]
            if np.isfinite(value):
                count += 1.0
                step = value - centre
                centre += step / count
                squares += step * (value - centre)
            filled = t % window + 1
            n1, m1, q1 = tail[window - filled]
            n = n1 + count
            if n >= minimum:
                apart = centre - m1 if count > 0.0 and n1 > 0.0 else 0.0
                mean[t, s] = m1 + apart * count / n if n1 > 0.0 else centre
                deviation[t, s] = math.sqrt((q1 + squares + apart * apart * n1 * count / n) / n)
            if filled == window:
                n0, m0, q0 = 0.0, 0.0, 0.0
                for k in range(1, window + 1):
                    value = values[t - k + 1, s]
                    if np.isfinite(value):
                        n0 += 1.0
                        step = value - m0
                        m0 += step / n0
                        q0 += step * (value - m0)
                    tail[k] = (n0, m0, q0)
                count, centre, squares = 0.0, 0.0, 0.0
    return mean, deviation


@compiled
def trend_crossover(prices: Floats, bar_volatility: Floats, fast: float, slow: float) -> tuple[Floats, Floats]:
    """(x, response) of two exponential means of log `prices` [T, S], as `ewma` defines them; of the newest rows, those
    of which `bar_volatility` [n, S] is given.

    x = (mean(fast) - mean(slow)) / (bar volatility x sqrt(slow - fast)), about 1 for a usual trend at any speed.
    The response x exp(-x^2 / 4) / (sqrt(2) exp(-1/2)) rises to 1 at x = sqrt(2) and falls again: stretched trends
    turn. Source: Baz, Granger, Harvey, Le Roux, Rattray, "Dissecting Investment Strategies in the Cross Section and
    Time Series", 2015.
    """
    rows, symbols = bar_volatility.shape
    first = len(prices) - rows
    crossing, response = np.empty((rows, symbols)), np.empty((rows, symbols))
    keep_fast, keep_slow = 1.0 - 2.0 / (fast + 1.0), 1.0 - 2.0 / (slow + 1.0)
    size = math.sqrt(slow - fast)
    peak = math.sqrt(2.0) * math.exp(-0.5)
    sum_fast, weight_fast = np.zeros(symbols), np.zeros(symbols)
    sum_slow, weight_slow = np.zeros(symbols), np.zeros(symbols)
    for t in range(first):
        _remember(prices[t], keep_fast, sum_fast, weight_fast)
        _remember(prices[t], keep_slow, sum_slow, weight_slow)
    newest = prices[first:]
    for t in range(rows):
        _remember(newest[t], keep_fast, sum_fast, weight_fast)
        _remember(newest[t], keep_slow, sum_slow, weight_slow)
        for s in range(symbols):
            apart = sum_fast[s] / weight_fast[s] - sum_slow[s] / weight_slow[s]
            crossing[t, s] = apart / (bar_volatility[t, s] * size) if abs(newest[t, s]) < np.inf else np.nan
    for t in range(rows):
        for s in range(symbols):
            x = crossing[t, s]
            response[t, s] = x * math.exp(-0.25 * x * x) / peak
    return crossing, response


@compiled
def _remember(prices: Floats, keep: float, total: Floats, weight: Floats) -> None:
    """One bar [S] more in exponential sums and weights; without a branch, so that the machine takes several symbols at
    once."""
    for s in range(len(prices)):
        here = abs(prices[s]) < np.inf
        total[s] = total[s] * keep + (prices[s] if here else 0.0)
        weight[s] = weight[s] * keep + (1.0 if here else 0.0)


@compiled
def rolling_extreme(values: Floats, window: int, minimum: int, sign: float) -> Floats:
    """The largest (`sign` 1) or smallest (`sign` -1) of the last `window` bars; NaN where fewer than `minimum`.

    As in `rolling_mean_std`, a window is a tail of one block and a head of the next, so a bar costs three comparisons
    whatever the window (M. van Herk, "A fast algorithm for local minimum and maximum filters", 1992).
    """
    bars, symbols = values.shape
    result = np.full((bars, symbols), np.nan)
    block = np.empty(window)
    tail = np.empty(window + 1)  # the extreme of the last k bars of the block before
    for s in range(symbols):
        count, head = 0, -np.inf
        tail[:] = -np.inf
        for t in range(bars):
            if t >= window and math.isfinite(values[t - window, s]):
                count -= 1
            value = sign * values[t, s]
            if math.isfinite(value):
                count += 1
            else:
                value = -np.inf
            place = t % window
            block[place] = value
            head = max(head, value)
            if count >= minimum and count > 0:
                result[t, s] = sign * max(head, tail[window - 1 - place])
            if place == window - 1:
                head = -np.inf
                for k in range(1, window + 1):
                    head = max(head, block[window - k])
                    tail[k] = head
                head = -np.inf
    return result


@compiled
def changes(values: Floats) -> Floats:
    """Difference to the last value present, at most LONGEST_GAP_BARS back; NaN else and at a missing bar."""
    bars, symbols = values.shape
    result = np.full((bars, symbols), np.nan)
    for s in range(symbols):
        last, last_bar = np.nan, 0
        for t in range(bars):
            if np.isfinite(values[t, s]):
                if t - last_bar <= LONGEST_GAP_BARS:
                    result[t, s] = values[t, s] - last
                last, last_bar = values[t, s], t
    return result


def volatility(close: Floats, window: int, minimum: int, first: int = 0) -> Floats:
    """Root mean square of log returns over the last `window` bars, as a fraction for each bar; NaN during warm-up
    and where prices did not move. Of the rows from `first` on."""
    begin = blocks_of(first, window)
    known = max(0, begin - LONGEST_GAP_BARS)
    moves = changes(np.log(close[known:]))[begin - known :]
    mean, deviation = rolling_mean_std(moves, window, minimum)
    return _root_mean_square(mean[first - begin :], deviation[first - begin :])


@compiled
def _root_mean_square(mean: Floats, deviation: Floats) -> Floats:
    """Of what has this mean and deviation; NaN where it does not move. Overwrites `deviation`."""
    bars, symbols = mean.shape
    for t in range(bars):
        for s in range(symbols):
            size = math.sqrt(mean[t, s] * mean[t, s] + deviation[t, s] * deviation[t, s])
            deviation[t, s] = size if size > 1e-9 else np.nan
    return deviation


def rsi(close: Floats, length: int, first: int = 0) -> Floats:
    """Wilder's relative strength index, 0..100, from log price changes (so that a price's scale does not matter
    and a halving weighs like a doubling); his smoothing is an exponential mean of span 2 * length - 1.

    50 where prices did not move at all. Of the rows from `first` on. Source: J. W. Wilder, New Concepts in Technical
    Trading Systems, 1978.
    """
    return _strength_index(changes(np.log(close)), 2.0 * length - 1.0, first)


@compiled
def _strength_index(moves: Floats, span: float, first: int) -> Floats:
    """100 x mean gain / (mean gain + mean loss), exponential means as `ewma` defines them; of the rows from `first`
    on."""
    bars, symbols = moves.shape
    decay = 1.0 - 2.0 / (span + 1.0)
    result = np.full((bars - first, symbols), np.nan)
    for s in range(symbols):
        gained, lost, weight = 0.0, 0.0, 0.0
        for t in range(bars):
            gained *= decay
            lost *= decay
            weight *= decay
            if weight < 1e-200:
                gained, lost, weight = 0.0, 0.0, 0.0
            move = moves[t, s]
            if math.isfinite(move):
                gained += max(move, 0.0)
                lost += max(-move, 0.0)
                weight += 1.0
                if t >= first:
                    gains, total = gained / weight, gained / weight + lost / weight
                    result[t - first, s] = 100.0 * gains / total if total > 1e-12 else 50.0
    return result


def bollinger_percent_b(close: Floats, window: int, width: float, first: int = 0) -> Floats:
    """%B: 0 at the lower band, 1 at the upper; bands at `width` population deviations from the simple mean. Of the rows
    from `first` on.

    Source: J. Bollinger, Bollinger on Bollinger Bands, 2001. NaN where the price did not move.
    """
    begin = blocks_of(first, window)
    mean, deviation = (figure[first - begin :] for figure in rolling_mean_std(close[begin:], window, window))
    close = close[first:]
    with np.errstate(invalid="ignore", divide="ignore"):
        percent = (close - (mean - width * deviation)) / (2.0 * width * deviation)
    return np.where(deviation > 1e-12 * np.abs(mean), percent, np.nan)
