"""Equity and returns of a book, and the simple figures of them, by numpy alone: a command that shows a few figures
need not start numba. An undefined figure is NaN, never 0; a caller shows it as n/a.

Sums run from the oldest value to the newest, as a compiled loop would add them up; `np.sum` adds in pairs and gives
other bits.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats, Integers, Times

SECONDS_PER_YEAR = 365.25 * 86400.0
MINIMUM_PERIODS = 20
"""Fewer returns than this have no Sharpe ratio."""
STILL = 1e-15
"""Returns with no larger deviation do not move, and have no Sharpe ratio."""


def periods_per_year(time: Times) -> float:
    """Bars in a year by the bars' own calendar: about 252 for sessions, 365.25 for days of a market that never closes.

    NaN for fewer than two bars.
    """
    if len(time) < 2:
        return float("nan")
    span_s = float((time[-1] - time[0]) / np.timedelta64(1, "s"))
    return (len(time) - 1) * SECONDS_PER_YEAR / span_s


def first_of_window(window_days: int, date: Times) -> int:
    """The place of a window's first day among the days with bars [D], of all of them for a window of 0.

    30 days around a holiday hold 17 to 19 sessions, and a Sharpe ratio wants 20: such a window begins so much sooner,
    by half its length at most.
    """
    if window_days == 0 or not len(date):
        return 0
    longest = window_days * 3 // 2
    first, soonest = (int(np.searchsorted(date, date[-1] - np.timedelta64(n - 1, "D"))) for n in (window_days, longest))
    enough = len(date) - MINIMUM_PERIODS
    return min(first, enough) if enough >= soonest else first


def simple_returns(equity: Floats) -> Floats:
    """[T] equity -> [T-1] returns."""
    return equity[1:] / equity[:-1] - 1.0


def mean_and_variance(returns: Floats) -> tuple[float, float]:
    """Mean and sample variance of returns [T], in two passes; NaNs for fewer than two."""
    count = len(returns)
    if count < 2:
        return math.nan, math.nan
    with np.errstate(invalid="ignore", over="ignore"):
        mean = _sum_in_order(returns) / count
        centred = returns - mean
        return mean, _sum_in_order(np.square(centred, out=centred)) / (count - 1.0)


def _sum_in_order(values: Floats) -> float:
    """The sum of [T] from the first value to the last: numpy adds up in pairs, but it subtracts in order."""
    return 0.0 - float(np.subtract.reduce(values, initial=0.0))


def sharpe_ratio(returns: Floats, periods: float) -> float:
    """Annualised mean over sample deviation of returns [T], risk-free rate zero, with `periods` a year.

    NaN for fewer than 20 returns or no movement.
    """
    if len(returns) < MINIMUM_PERIODS:
        return math.nan
    mean, variance = mean_and_variance(returns)
    deviation = math.sqrt(variance)
    return mean / deviation * math.sqrt(periods) if deviation > STILL else math.nan


def max_drawdown(equity: Floats) -> float:
    """The deepest fall of equity [T] from an earlier peak as a positive fraction of that peak; NaN for an empty
    series."""
    if len(equity) == 0:
        return float("nan")
    peaks = np.maximum.accumulate(equity)
    return float(np.max(1.0 - equity / peaks))


def annual_return(equity: Floats, periods: float) -> float:
    """Compound growth a year of equity [T], `periods` of which are a year; NaN where it cannot be computed."""
    if len(equity) < 2 or not equity[0] > 0 or not equity[-1] > 0:
        return float("nan")
    return float((equity[-1] / equity[0]) ** (periods / (len(equity) - 1)) - 1.0)


def day_ends(time: Times) -> Integers:
    """The last row of each UTC day."""
    day = time.astype("datetime64[D]")
    return np.append(np.flatnonzero(day[1:] != day[:-1]), len(day) - 1)
