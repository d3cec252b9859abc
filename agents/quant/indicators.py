"""Causal indicators over [T, S] arrays: row t depends on rows up to t only, columns are independent.

NaN marks a missing bar. Loops take bar by bar and all symbols of it at once, as they lie in memory, with choices
instead of branches, so that the machine works on several symbols in one instruction; a symbol's numbers do not hang
on how many others there are. Every function forgets: windows are exact, exponential means lose the weight of what is
older than `forgetting_bars(span)` bars. Nothing is ever divided by a scale that is zero: such results are NaN.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled, compiled_bare, compiled_inline

FORGOTTEN_WEIGHT = 1e-13
NOTHING = 1e-200
"""A sum of weights below it begins anew, before its numbers lose digits."""
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
    result = np.empty((bars - first, symbols))
    weighted, weight = np.zeros(symbols), np.zeros(symbols)
    for t in range(bars):
        row, into = values[t], result[max(t - first, 0)]  # what is written there before `first` is overwritten
        for s in range(symbols):
            here, kept = abs(row[s]) < np.inf, weight[s] * decay >= NOTHING
            total = (weighted[s] * decay if kept else 0.0) + (row[s] if here else 0.0)
            count = (weight[s] * decay if kept else 0.0) + (1.0 if here else 0.0)
            weighted[s], weight[s] = total, count
            into[s] = total / count if here else np.nan
    return result


def rolling_mean_std(values: Floats, window: int, minimum: int) -> tuple[Floats, Floats]:
    """Mean and population standard deviation of the last `window` bars, missing bars left out; NaN where fewer than
    `minimum` are there.

    Nothing is ever subtracted from a running sum, so no error builds up: a window is a tail of one block of `window`
    bars and a head of the next, and the two are merged (Chan, Golub, LeVeque, "Updating formulae and a pairwise
    algorithm for computing sample variances", 1979).
    """
    mean, deviation = np.empty(values.shape), np.empty(values.shape)
    tail = np.zeros((window + 1, 3, values.shape[1]))  # count, mean, squares of the last k bars of the block before
    head = np.zeros((3, values.shape[1]))  # of the block that is being filled
    _mean_std(values, minimum, (head, tail), mean, deviation)
    return mean, deviation


@compiled_bare
def _mean_std(values: Floats, minimum: int, room: tuple[Floats, Floats], mean: Floats, deviation: Floats) -> None:
    head, tail = room
    bars, symbols = values.shape
    window = len(tail) - 1
    for t in range(bars):
        filled = t % window + 1
        _take_in(values[t], head, head)
        before = tail[window - filled]
        n0, m0, q0, n1, m1, q1 = head[0], head[1], head[2], before[0], before[1], before[2]
        means, deviations = mean[t], deviation[t]
        for s in range(symbols):
            n = n1[s] + n0[s]
            apart = m0[s] - m1[s] if (n0[s] > 0.0) & (n1[s] > 0.0) else 0.0
            merged = m1[s] + apart * n0[s] / n
            square = (q1[s] + q0[s] + apart * apart * n1[s] * n0[s] / n) / n
            enough = (n >= minimum) & (n > 0.0)
            means[s] = (merged if n1[s] > 0.0 else m0[s]) if enough else np.nan
            deviations[s] = math.sqrt(square) if enough else np.nan
        if filled == window:
            for k in range(1, window + 1):
                _take_in(values[t - k + 1], tail[k - 1], tail[k])
            head[:] = 0.0


@compiled_inline
def _take_in(row: Floats, before: Floats, after: Floats) -> None:
    """Counts, means and sums of squares about them [3, S], with one more value of each symbol [S] that has one."""
    counts, means, squares = before[0], before[1], before[2]
    counted, moved, squared = after[0], after[1], after[2]
    for s in range(len(row)):
        here = abs(row[s]) < np.inf
        value = row[s] if here else means[s]
        count = counts[s] + (1.0 if here else 0.0)
        step = value - means[s]
        centre = means[s] + step / max(count, 1.0)
        squared[s] = squares[s] + step * (value - centre)
        moved[s] = centre
        counted[s] = count


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


def rolling_extreme(values: Floats, window: int, minimum: int, sign: float) -> Floats:
    """The largest (`sign` 1) or smallest (`sign` -1) of the last `window` bars; NaN where fewer than `minimum`.

    As in `rolling_mean_std`, a window is a tail of one block and a head of the next, so a bar costs three comparisons
    whatever the window (M. van Herk, "A fast algorithm for local minimum and maximum filters", 1992).
    """
    result, symbols = np.empty(values.shape), values.shape[1]
    block = np.full((window, symbols), -np.inf)
    tail = np.full((window + 1, symbols), -np.inf)  # the extreme of the last k bars of the block before
    count, head = np.zeros(symbols), np.full(symbols, -np.inf)
    _extreme(values, (sign, max(minimum, 1)), (block, tail), (count, head), result)
    return result


@compiled_bare
def _extreme(
    values: Floats,
    limits: tuple[float, int],
    blocks: tuple[Floats, Floats],
    state: tuple[Floats, Floats],
    result: Floats,
) -> None:
    bars, symbols = values.shape
    (sign, least), (block, tail), (count, head) = limits, blocks, state
    window = len(block)
    for t in range(bars):
        place = t % window
        row, into, kept, before = values[t], result[t], block[place], tail[window - 1 - place]
        for s in range(symbols):
            value = sign * row[s] if abs(row[s]) < np.inf else -np.inf
            # what leaves the window is still in the block's place: it was there a window ago
            there = count[s] + (1.0 if value > -np.inf else 0.0) - (1.0 if kept[s] > -np.inf else 0.0)
            count[s], kept[s] = there, value
            head[s] = head[s] if head[s] > value else value
            most = head[s] if head[s] > before[s] else before[s]
            into[s] = sign * most if there >= least else np.nan
        if place == window - 1:
            for k in range(1, window + 1):
                older, newer, added = tail[k - 1], tail[k], block[window - k]
                for s in range(symbols):
                    newer[s] = older[s] if older[s] > added[s] else added[s]
            head[:] = -np.inf


@compiled
def changes(values: Floats) -> Floats:
    """Difference to the last value present, at most LONGEST_GAP_BARS back; NaN else and at a missing bar."""
    bars, symbols = values.shape
    result = np.empty((bars, symbols))
    last, gone = np.full(symbols, np.nan), np.zeros(symbols)
    for t in range(bars):
        row, into = values[t], result[t]
        for s in range(symbols):
            here = abs(row[s]) < np.inf
            gap = gone[s] + 1.0
            into[s] = row[s] - last[s] if here & (gap <= LONGEST_GAP_BARS) else np.nan
            last[s] = row[s] if here else last[s]
            gone[s] = 0.0 if here else gap
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
    result = np.empty((bars - first, symbols))
    gained, lost, weight = np.zeros(symbols), np.zeros(symbols), np.zeros(symbols)
    for t in range(bars):
        row, into = moves[t], result[max(t - first, 0)]
        for s in range(symbols):
            here, kept = abs(row[s]) < np.inf, weight[s] * decay >= NOTHING
            gain = (gained[s] * decay if kept else 0.0) + (row[s] if here & (row[s] > 0.0) else 0.0)
            loss = (lost[s] * decay if kept else 0.0) + (-row[s] if here & (row[s] < 0.0) else 0.0)
            count = (weight[s] * decay if kept else 0.0) + (1.0 if here else 0.0)
            gained[s], lost[s], weight[s] = gain, loss, count
            held = max(count, NOTHING)  # without a value yet nothing is divided by nothing
            gains = gain / held
            total = gains + loss / held
            index = 100.0 * gains / total if total > 1e-12 else 50.0
            into[s] = index if here else np.nan
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
