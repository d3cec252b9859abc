"""Causal indicators over [T, S] arrays: row t depends on rows up to t only, columns are independent.

NaN marks a missing bar. What a bar needs of the one before it is summed in a pass of its own over some rows (`STRIP`),
all else in loops over numbers as they lie in memory, with choices instead of branches, so that the machine works on
several in one instruction, whether bars of one symbol or of many; a symbol's numbers do not hang on how many others
there are. Every function forgets: windows are exact, exponential means lose the weight of what is older than
`forgetting_bars(span)` bars. Nothing is ever divided by a scale that is zero: such results are NaN.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled_bare
from agents.quant.running import gaps_in
from agents.quant.windows import blocks_of, rolling_mean_std, root_mean_square

FORGOTTEN_WEIGHT = 1e-13
STRIP = 2048
"""So many numbers of an array are gone through before the next pass over them: they stay in the nearest memory."""
LONGEST_GAP_BARS = 10
"""A change over a longer gap is no bar's return: after it an indicator warms up anew."""


def forgetting_bars(span: float) -> int:
    """Bars after which an exponential mean of this span has forgotten all but 1e-13 of what came before."""
    return math.ceil(math.log(FORGOTTEN_WEIGHT) / math.log(1.0 - 2.0 / (span + 1.0)))


def ewma(values: Floats, span: float, first: int = 0) -> Floats:
    """Exponentially weighted mean with decay 1 - 2/(span + 1) for each bar, missing bars included; of the rows from
    `first` on.

    Weights are normalised over the values present (pandas' ewm(span, adjust=True, ignore_na=False)), so the mean
    of a constant is that constant from the first bar on. NaN at a missing bar.
    """
    result = np.empty((len(values) - first, values.shape[1]))
    _means(values.reshape(-1), _decay(span), _strips(values), result.reshape(-1))
    return result


def moving_average_gap(prices: Floats, fast: float, slow: float, first: int = 0) -> Floats:
    """`ewma` of span `fast` less that of span `slow`, of the rows from `first` on; of log prices it is the line of the
    MACD (G. Appel, 1979)."""
    result = np.empty((len(prices) - first, prices.shape[1]))
    _gap(prices.reshape(-1), (_decay(fast), _decay(slow)), _strips(prices), result.reshape(-1))
    return result


def trend_crossover(prices: Floats, bar_volatility: Floats, fast: float, slow: float) -> tuple[Floats, Floats]:
    """(x, response) of two exponential means of log `prices` [T, S], as `ewma` defines them; of the newest rows, those
    of which `bar_volatility` [n, S] is given.

    x = (mean(fast) - mean(slow)) / (bar volatility x sqrt(slow - fast)), about 1 for a usual trend at any speed.
    The response x exp(-x^2 / 4) / (sqrt(2) exp(-1/2)) rises to 1 at x = sqrt(2) and falls again: stretched trends
    turn. Source: Baz, Granger, Harvey, Le Roux, Rattray, "Dissecting Investment Strategies in the Cross Section and
    Time Series", 2015.
    """
    crossing = moving_average_gap(prices, fast, slow, len(prices) - len(bar_volatility))
    response = np.empty(crossing.shape)
    _standardised(crossing.reshape(-1), bar_volatility.reshape(-1), math.sqrt(slow - fast), response.reshape(-1))
    np.exp(response, out=response)
    response *= crossing
    response /= math.sqrt(2.0) * math.exp(-0.5)
    return crossing, response


def rsi(close: Floats, length: int, first: int = 0) -> Floats:
    """Wilder's relative strength index, 0..100, from log price changes (so that a price's scale does not matter
    and a halving weighs like a doubling); his smoothing is an exponential mean of span 2 * length - 1.

    50 where prices did not move at all. Of the rows from `first` on. Source: J. W. Wilder, New Concepts in Technical
    Trading Systems, 1978.
    """
    moves, result = changes(np.log(close)), np.empty((len(close) - first, close.shape[1]))
    _strength_index(moves.reshape(-1), _decay(2.0 * length - 1.0), _strips(close), result.reshape(-1))
    return result


def changes(values: Floats) -> Floats:
    """Difference to the last value present, at most LONGEST_GAP_BARS back; NaN else and at a missing bar."""
    result = np.empty(values.shape)
    _changes(values.reshape(-1), values.shape[1], result.reshape(-1))
    return result


def volatility(close: Floats, window: int, minimum: int, first: int = 0) -> Floats:
    """Root mean square of log returns over the last `window` bars, as a fraction for each bar; NaN during warm-up
    and where prices did not move. Of the rows from `first` on."""
    begin = blocks_of(first, window)
    known = max(0, begin - LONGEST_GAP_BARS)
    return root_mean_square(changes(np.log(close[known:]))[begin - known :], window, minimum)[first - begin :]


def bollinger_percent_b(close: Floats, window: int, width: float, first: int = 0) -> Floats:
    """%B: 0 at the lower band, 1 at the upper; bands at `width` population deviations from the simple mean. Of the rows
    from `first` on.

    Source: J. Bollinger, Bollinger on Bollinger Bands, 2001. NaN where the price did not move.
    """
    begin = blocks_of(first, window)
    mean, deviation = (figure[first - begin :] for figure in rolling_mean_std(close[begin:], window, window))
    _percent_b(close[first:].reshape(-1), mean.reshape(-1), deviation.reshape(-1), width)
    return deviation


def _decay(span: float) -> float:
    return 1.0 - 2.0 / (span + 1.0)


def _strips(values: Floats) -> tuple[int, Floats, Floats]:
    """(symbols; room for four figures of some rows; what they carry from the rows before)."""
    symbols = values.shape[1]
    rows = max(1, STRIP // symbols)
    return symbols, np.empty((4, rows * symbols)), np.zeros((4, symbols))


@compiled_bare
def _means(values: Floats, decay: float, strips: tuple[int, Floats, Floats], result: Floats) -> None:
    symbols, room, carried = strips
    skipped = len(values) - len(result)
    for start in range(0, len(values), room.shape[1]):
        strip = values[start : start + room.shape[1]]
        total, count = room[0], room[1]
        for i in range(len(strip)):
            here = abs(strip[i]) < np.inf
            total[i], count[i] = strip[i] if here else 0.0, 1.0 if here else 0.0
        _two_decayed((total, count), len(strip), symbols, (decay, decay), carried)
        begin = max(skipped - start, 0)  # of the rows that are wanted
        row, total, count, into = strip[begin:], total[begin:], count[begin:], result[max(start - skipped, 0) :]
        for i in range(len(row)):
            into[i] = total[i] / max(count[i], 1.0) if abs(row[i]) < np.inf else np.nan


@compiled_bare
def _gap(values: Floats, decays: tuple[float, float], strips: tuple[int, Floats, Floats], result: Floats) -> None:
    symbols, room, carried = strips
    skipped = len(values) - len(result)
    for start in range(0, len(values), room.shape[1]):
        strip = values[start : start + room.shape[1]]
        fast, slow, fast_count, slow_count = room[0], room[1], room[2], room[3]
        for i in range(len(strip)):
            here = abs(strip[i]) < np.inf
            fast[i], fast_count[i] = strip[i] if here else 0.0, 1.0 if here else 0.0
            slow[i], slow_count[i] = fast[i], fast_count[i]
        _two_decayed((fast, slow), len(strip), symbols, decays, carried[:2])
        _two_decayed((fast_count, slow_count), len(strip), symbols, decays, carried[2:])
        begin = max(skipped - start, 0)
        row, fast, slow, into = strip[begin:], fast[begin:], slow[begin:], result[max(start - skipped, 0) :]
        fast_count, slow_count = fast_count[begin:], slow_count[begin:]
        for i in range(len(row)):
            gap = fast[i] / max(fast_count[i], 1.0) - slow[i] / max(slow_count[i], 1.0)
            into[i] = gap if abs(row[i]) < np.inf else np.nan


@compiled_bare
def _strength_index(moves: Floats, decay: float, strips: tuple[int, Floats, Floats], result: Floats) -> None:
    """100 x mean gain / (mean gain + mean loss), exponential means as `ewma` defines them."""
    symbols, room, carried = strips
    skipped = len(moves) - len(result)
    for start in range(0, len(moves), room.shape[1]):
        strip = moves[start : start + room.shape[1]]
        gained, lost, count, again = room[0], room[1], room[2], room[3]
        for i in range(len(strip)):
            move = strip[i] if abs(strip[i]) < np.inf else 0.0
            gained[i], lost[i] = move if move > 0.0 else 0.0, -move if move < 0.0 else 0.0
            count[i] = 1.0 if abs(strip[i]) < np.inf else 0.0
            again[i] = 0.0
        _two_decayed((gained, lost), len(strip), symbols, (decay, decay), carried[:2])
        _two_decayed((count, again), len(strip), symbols, (decay, decay), carried[2:])
        begin = max(skipped - start, 0)
        row, gained, lost, count = strip[begin:], gained[begin:], lost[begin:], count[begin:]
        into = result[max(start - skipped, 0) :]
        for i in range(len(row)):
            held = max(count[i], 1.0)
            gains = gained[i] / held
            total = gains + lost[i] / held
            index = 100.0 * gains / (total if total > 1e-12 else 1.0)
            index = index if total > 1e-12 else 50.0
            into[i] = index if abs(row[i]) < np.inf else np.nan


@compiled_bare
def _two_decayed(
    figures: tuple[Floats, Floats], count: int, symbols: int, decays: tuple[float, float], carried: Floats
) -> None:
    """Sums of each of two figures in place, in which a bar before counts `decays` as much; `carried` [2, S] from the
    strip before, and to the next."""
    (one, other), (keep_one, keep_other) = figures, decays
    if symbols == 1:
        sum_one, sum_other = carried[0, 0], carried[1, 0]
        for i in range(count):
            sum_one = sum_one * keep_one + one[i]
            sum_other = sum_other * keep_other + other[i]
            one[i], other[i] = sum_one, sum_other
        carried[0, 0], carried[1, 0] = sum_one, sum_other
        return
    for s in range(symbols):
        one[s] += carried[0, s] * keep_one
        other[s] += carried[1, s] * keep_other
    later_one, later_other = one[symbols:], other[symbols:]
    for i in range(count - symbols):
        later_one[i] += one[i] * keep_one
        later_other[i] += other[i] * keep_other
    last_one, last_other = one[count - symbols :], other[count - symbols :]
    for s in range(symbols):
        carried[0, s], carried[1, s] = last_one[s], last_other[s]


@compiled_bare
def _standardised(crossing: Floats, bar_volatility: Floats, size: float, exponent: Floats) -> None:
    """Crossings in bar volatilities, in place, and the exponent of their response."""
    for i in range(len(crossing)):
        scale = bar_volatility[i] * size
        x = crossing[i] / scale
        crossing[i], exponent[i] = x, -0.25 * x * x


@compiled_bare
def _changes(values: Floats, symbols: int, result: Floats) -> None:
    if gaps_in(values) == 0:
        result[:symbols] = np.nan
        later, into = values[symbols:], result[symbols:]
        for i in range(len(later)):
            into[i] = later[i] - values[i]
        return
    for s in range(symbols):
        last, gone = np.nan, 0
        for i in range(s, len(values), symbols):
            here = abs(values[i]) < np.inf
            gone += 1
            result[i] = values[i] - last if here and gone <= LONGEST_GAP_BARS else np.nan
            if here:
                last, gone = values[i], 0


@compiled_bare
def _percent_b(close: Floats, mean: Floats, deviation: Floats, width: float) -> None:
    """Into `deviation`."""
    for i in range(len(close)):
        moved = deviation[i] > 1e-12 * abs(mean[i])
        size = 2.0 * width * (deviation[i] if moved else 1.0)
        percent = (close[i] - (mean[i] - width * deviation[i])) / size
        deviation[i] = percent if moved else np.nan
