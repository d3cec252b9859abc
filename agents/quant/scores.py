"""Figures of merit of a return series. An undefined figure is NaN, never 0; a caller shows it as n/a."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.core.types import Booleans, Floats, Times

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


def sortino_ratio(returns: Floats, periods: float) -> float:
    """Annualised mean over the root mean square of losses (target zero); NaN for fewer than 20 returns or no loss."""
    if len(returns) < MINIMUM_PERIODS:
        return float("nan")
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(np.mean(returns)) / downside * float(np.sqrt(periods)) if downside > 1e-15 else float("nan")


def capital_drawdown(returns: Floats) -> tuple[float, int]:
    """(deepest fall from an earlier peak as a fraction of the constant capital, longest stay below a peak in periods) of
    a book that does not compound, such as a shadow book; (NaN, 0) for an empty series."""
    if len(returns) == 0:
        return float("nan"), 0
    below = _below_peak(returns)
    return float(below.max()), longest_run(below > 1e-15)


def _below_peak(returns: Floats) -> Floats:
    curve = np.empty(len(returns) + 1)
    curve[0] = 0.0
    np.cumsum(returns, out=curve[1:])
    return np.asarray(np.maximum.accumulate(curve) - curve)


def calmar_ratio(returns: Floats, periods: float) -> float:
    """Annual mean return over the deepest fall, both of the constant capital; NaN without a fall or for fewer than 20
    returns."""
    if len(returns) < MINIMUM_PERIODS:
        return float("nan")
    deepest = float(_below_peak(returns).max())
    return float(np.mean(returns)) * periods / deepest if deepest > 1e-15 else float("nan")


@dataclass(frozen=True, slots=True)
class WinLoss:
    """Gains against losses of the periods in which a book moved; NaN where there is nothing to divide by."""

    profit_factor: float
    expectancy: float
    payoff_ratio: float
    average_win: float
    average_loss: float
    longest_wins: int
    longest_losses: int


def wins_and_losses(returns: Floats) -> WinLoss:
    """Of returns [T]: sum of gains over sum of losses; mean over the periods that moved; average gain over average loss;
    the longest runs (a period that did not move ends neither)."""
    moved = returns[returns != 0.0]
    gains, losses = moved[moved > 0.0], -moved[moved < 0.0]
    nan = float("nan")
    gain, loss = (float(np.mean(side)) if len(side) else nan for side in (gains, losses))
    return WinLoss(
        profit_factor=float(gains.sum() / losses.sum()) if len(losses) and len(gains) else nan,
        expectancy=float(np.mean(moved)) if len(moved) else nan,
        payoff_ratio=gain / loss,
        average_win=gain,
        average_loss=loss,
        longest_wins=longest_run(moved > 0.0),
        longest_losses=longest_run(moved < 0.0),
    )


def longest_run(marks: Booleans) -> int:
    """Length of the longest unbroken row of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def shape_of(returns: Floats) -> tuple[float, float, float]:
    """(mean / sample deviation, skewness, kurtosis with 3 for a normal) per period; NaNs for fewer than 3 returns or
    no movement."""
    if len(returns) < 3 or not float(np.ptp(returns)) > 1e-15:
        return (float("nan"),) * 3
    mean = float(returns.mean())
    centred = returns - mean
    squared = centred * centred
    second = float(squared.mean())
    sharpe = mean / (second * len(returns) / (len(returns) - 1)) ** 0.5
    return (
        sharpe,
        float(squared @ centred) / len(returns) / second**1.5,
        float(squared @ squared) / len(returns) / second**2,
    )


def pooled_correlation(sums: Floats) -> float:
    """Pearson correlation from n, sum x, sum y, sum xx, sum yy, sum xy; NaN below 20 pairs or without spread."""
    n, x, y, xx, yy, xy = (float(value) for value in sums)
    if n < MINIMUM_PERIODS:
        return float("nan")
    spread = (xx - x * x / n) * (yy - y * y / n)
    return (xy - x * y / n) / float(np.sqrt(spread)) if spread > 1e-30 else float("nan")
