"""Figures of merit of a return series. An undefined figure is NaN, never 0; a caller shows it as n/a."""

from __future__ import annotations

import numpy as np

from agents.core.types import Floats, Times

SECONDS_PER_YEAR = 365.25 * 86400.0
MINIMUM_PERIODS = 20


def periods_per_year(time: Times) -> float:
    """Bars in a year by the bars' own calendar: about 252 for sessions, 365.25 for days of a 24/7 market.

    NaN for fewer than two bars.
    """
    if len(time) < 2:
        return float("nan")
    span_s = float((time[-1] - time[0]) / np.timedelta64(1, "s"))
    return (len(time) - 1) * SECONDS_PER_YEAR / span_s


def simple_returns(equity: Floats) -> Floats:
    """[T] equity -> [T-1] returns."""
    return equity[1:] / equity[:-1] - 1.0


def sharpe_ratio(returns: Floats, periods: float) -> float:
    """Annualised mean over sample deviation, risk-free rate zero; NaN for fewer than 20 returns or no movement."""
    if len(returns) < MINIMUM_PERIODS:
        return float("nan")
    deviation = float(np.std(returns, ddof=1))
    if not deviation > 1e-15:
        return float("nan")
    return float(np.mean(returns)) / deviation * float(np.sqrt(periods))


def max_drawdown(equity: Floats) -> float:
    """The deepest fall from an earlier peak as a positive fraction of that peak; NaN for an empty series."""
    if len(equity) == 0:
        return float("nan")
    peaks = np.maximum.accumulate(equity)
    return float(np.max(1.0 - equity / peaks))


def annual_return(equity: Floats, periods: float) -> float:
    """Compound growth a year; NaN where it cannot be computed."""
    if len(equity) < 2 or not equity[0] > 0 or not equity[-1] > 0:
        return float("nan")
    return float((equity[-1] / equity[0]) ** (periods / (len(equity) - 1)) - 1.0)
