"""close prices -> the market's regime at each bar: calm or turbulent; up, sideways or down. Causal, and it forgets.

Each symbol's returns are measured in its own volatility of the last year of bars, so that a coin does not drown a
currency. *Volatility* is the root mean square of such returns over a month, over all symbols: 1 is as usual. *Trend* is
the t-statistic of their daily mean over a quarter: what the market as a whole did, over what it would do by chance.

A state begins where a figure crosses one threshold and ends where it crosses another, further in (hysteresis), so that
it does not flicker; one that is not reached anew for HELD_BARS ends. All sums are of whole steps, so a label is the
same however much of the past is given beyond REGIME_BARS.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.regimes import UNKNOWN
from agents.core.types import Floats, Integers
from agents.quant.compiled import compiled
from agents.quant.indicators import LONGEST_GAP_BARS

USUAL_BARS, SHORT_BARS, TREND_BARS, HELD_BARS = 250, 20, 60, 120
REGIME_BARS = USUAL_BARS + TREND_BARS + HELD_BARS + LONGEST_GAP_BARS + 1
"""A label hangs on so many bars."""
TURBULENT, CALM_AGAIN = 1.35, 1.05
TRENDING, SIDEWAYS_AGAIN = 1.25, 0.25
STEP, SQUARE_STEP = 2.0**40, 2.0**50
"""Returns, and those in usual ones, are counted in steps of 1 / STEP, squares of returns finer: a window's sum fits
into 63 bits all the same."""
LARGEST = 30.0
"""A return counts for at most so many of its usual ones, and never for more than 1: the price doubled."""


@compiled
def regimes_of(close: Floats) -> Integers:
    """[T] the regime at each bar of adjusted closes [T, S], NaN where there is none; UNKNOWN while fewer than half of
    the bars of a window are there."""
    bars, symbols = close.shape
    change = np.zeros((bars, symbols), dtype=np.int64)
    square = np.zeros((bars, symbols), dtype=np.int64)
    there = np.zeros((bars, symbols), dtype=np.int64)
    last, age = np.full(symbols, np.nan), np.zeros(symbols, dtype=np.int64)
    usual, known = np.zeros(symbols, dtype=np.int64), np.zeros(symbols, dtype=np.int64)
    market = np.zeros((3, bars), dtype=np.int64)  # mean return in usual ones, its square, mean of all squares
    seen = np.zeros(bars, dtype=np.int64)
    for t in range(bars):
        total, squares, count = 0.0, 0.0, 0
        for s in range(symbols):
            age[s] += 1
            if math.isfinite(close[t, s]) and close[t, s] > 0.0:
                if math.isfinite(last[s]) and age[s] <= LONGEST_GAP_BARS:
                    moved = min(1.0, close[t, s] / last[s] - 1.0)
                    change[t, s], there[t, s] = round(moved * STEP), 1
                    square[t, s] = round(moved * moved * SQUARE_STEP)
                last[s], age[s] = close[t, s], 0
            usual[s] += square[t, s]
            known[s] += there[t, s]
            if t >= USUAL_BARS:
                usual[s] -= square[t - USUAL_BARS, s]
                known[s] -= there[t - USUAL_BARS, s]
            if there[t, s] and 2 * known[s] >= USUAL_BARS and usual[s] > 0:
                own = change[t, s] / STEP / math.sqrt(usual[s] / (SQUARE_STEP) / known[s])
                own = min(LARGEST, max(-LARGEST, own))
                total += own
                squares += own * own
                count += 1
        if count:
            mean = total / count
            market[0, t], market[1, t] = round(mean * STEP), round(mean * mean * STEP)
            market[2, t], seen[t] = round(squares / count * STEP), 1
    return _states(market, seen)


@compiled
def _states(market: Integers, seen: Integers) -> Integers:
    """The labels [T], from the market's bars [3, T] and where there is one."""
    bars = len(seen)
    result = np.full(bars, UNKNOWN)
    moved, squared, restless, month, quarter = 0, 0, 0, 0, 0
    turbulent, trend = HELD_BARS, HELD_BARS  # bars since a threshold was crossed; HELD_BARS: in no such state
    rising = False
    for t in range(bars):
        moved, squared, quarter = moved + market[0, t], squared + market[1, t], quarter + seen[t]
        restless, month = restless + market[2, t], month + seen[t]
        if t >= TREND_BARS:
            moved, squared = moved - market[0, t - TREND_BARS], squared - market[1, t - TREND_BARS]
            quarter -= seen[t - TREND_BARS]
        if t >= SHORT_BARS:
            restless, month = restless - market[2, t - SHORT_BARS], month - seen[t - SHORT_BARS]
        if 2 * month < SHORT_BARS or 2 * quarter < TREND_BARS:
            turbulent, trend = HELD_BARS, HELD_BARS
            continue
        size = math.sqrt(restless / STEP / month)
        turbulent = 0 if size >= TURBULENT else turbulent + 1 if size > CALM_AGAIN else HELD_BARS
        strength = moved / STEP / math.sqrt(squared / STEP) if squared > 0 else 0.0
        if abs(strength) >= TRENDING:
            rising, trend = strength > 0.0, 0
        else:
            still = strength > SIDEWAYS_AGAIN if rising else strength < -SIDEWAYS_AGAIN
            trend = trend + 1 if still else HELD_BARS
        way = 1 if trend >= HELD_BARS else 0 if rising else 2
        result[t] = 3 * (1 if turbulent < HELD_BARS else 0) + way
    return result
