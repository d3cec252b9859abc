"""Figures of returns that need a loop, compiled. An undefined figure is NaN, never 0.

Those that numpy alone gives are in `returns`, which starts without numba.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from agents.core.types import Floats, Integers
from agents.quant.compiled import compiled
from agents.quant.returns import MINIMUM_PERIODS, mean_and_variance


@compiled
def column_sums(values: Floats | Integers) -> Floats:
    """The sums [A] of the columns of a table [T, A]; numpy takes many times longer where the table is narrow."""
    totals = np.zeros(values.shape[1])
    for t in range(len(values)):
        for a in range(values.shape[1]):
            totals[a] += values[t, a]
    return totals


@compiled
def without_silence(returns: Floats, signals: Integers) -> Floats:
    """Returns [T, A] with NaN in each period in which an agent said nothing: that is no return of 0; one of -0 is."""
    heard = np.empty(returns.shape)
    for t in range(len(returns)):
        for a in range(returns.shape[1]):
            value = returns[t, a]
            heard[t, a] = math.nan if signals[t, a] == 0 and value == 0.0 else value + 0.0
    return heard


@compiled
def by_agent(shares: Floats, agents: int) -> tuple[Floats, Integers]:
    """Shares of trades [3, N] of (day, agent, money) -> (day, money) [2, N], those of one agent side by side, in the
    order of `shares`, and where each agent's begin [A + 1]."""
    first = np.zeros(agents + 1, dtype=np.int64)
    for n in range(shares.shape[1]):
        first[int(shares[1, n]) + 1] += 1
    for a in range(agents):
        first[a + 1] += first[a]
    free, ordered = first.copy(), np.empty((2, shares.shape[1]))
    for n in range(shares.shape[1]):
        place = free[int(shares[1, n])]
        ordered[0, place], ordered[1, place] = shares[0, n], shares[2, n]
        free[int(shares[1, n])] += 1
    return ordered, first


@compiled
def sortino_ratio(returns: Floats, periods: float) -> float:
    """Annualised mean over the root mean square of losses (target zero); NaN for fewer than 20 returns or no loss."""
    if len(returns) < MINIMUM_PERIODS:
        return math.nan
    total, squares = 0.0, 0.0
    for value in returns:
        total += value
        squares += min(value, 0.0) ** 2
    downside = math.sqrt(squares / len(returns))
    return total / len(returns) / downside * math.sqrt(periods) if downside > 1e-15 else math.nan


@compiled
def capital_drawdown(returns: Floats) -> tuple[float, int]:
    """(deepest fall, longest stay below a peak) of a book that does not compound, such as a shadow book.

    The fall from an earlier peak is a fraction of the constant capital, the stay a number of periods. (NaN, 0) for an
    empty series.
    """
    if len(returns) == 0:
        return math.nan, 0
    level, peak, deepest, run, longest = 0.0, 0.0, 0.0, 0, 0
    for value in returns:
        level += value
        peak = max(peak, level)
        deepest = max(deepest, peak - level)
        run = run + 1 if peak - level > 1e-15 else 0
        longest = max(longest, run)
    return deepest, longest


@compiled
def calmar_ratio(returns: Floats, periods: float) -> float:
    """Annual mean return over the deepest fall, both of the constant capital.

    NaN without a fall or for fewer than 20 returns.
    """
    if len(returns) < MINIMUM_PERIODS:
        return math.nan
    deepest, _ = capital_drawdown(returns)
    total = 0.0
    for value in returns:
        total += value
    return total / len(returns) * periods / deepest if deepest > 1e-15 else math.nan


class WinLoss(NamedTuple):
    """Gains against losses of the periods in which a book moved; NaN where there is nothing to divide by."""

    profit_factor: float
    expectancy: float
    payoff_ratio: float
    average_win: float
    average_loss: float
    longest_wins: int
    longest_losses: int


def wins_and_losses(returns: Floats) -> WinLoss:
    """The wins and losses of returns [T].

    The profit factor is the sum of gains over that of losses, the expectancy the mean of the periods that moved, the
    payoff ratio the average gain over the average loss. A period that did not move ends no run.
    """
    return WinLoss(*_wins_and_losses(returns))


@compiled
def _wins_and_losses(returns: Floats) -> tuple[float, float, float, float, float, int, int]:
    gains, losses, won, lost = 0.0, 0.0, 0, 0
    winning, losing, longest_wins, longest_losses = 0, 0, 0, 0
    for value in returns:
        if value > 0.0:
            gains += value
            won += 1
            winning, losing = winning + 1, 0
            longest_wins = max(longest_wins, winning)
        elif value < 0.0:
            losses -= value
            lost += 1
            winning, losing = 0, losing + 1
            longest_losses = max(longest_losses, losing)
    gain = gains / won if won else math.nan
    loss = losses / lost if lost else math.nan
    factor = gains / losses if won and lost else math.nan
    expectancy = (gains - losses) / (won + lost) if won + lost else math.nan
    return factor, expectancy, gain / loss, gain, loss, longest_wins, longest_losses


def shape_of(returns: Floats) -> tuple[float, float, float]:
    """(mean / sample deviation, skewness, kurtosis) per period of returns [T]; the kurtosis of a normal variable is 3.

    NaNs for fewer than 3 returns or no movement.
    """
    if len(returns) < 3:
        return math.nan, math.nan, math.nan
    return _shape_about(returns, *mean_and_variance(returns))


@compiled
def _shape_about(returns: Floats, mean: float, variance: float) -> tuple[float, float, float]:
    """`shape_of`, from the mean and the sample variance."""
    count = len(returns)
    lowest, highest, third, fourth = math.inf, -math.inf, 0.0, 0.0
    for value in returns:
        centred = value - mean
        lowest, highest = min(lowest, value), max(highest, value)
        third += centred**3
        fourth += centred**4
    if not highest - lowest > 1e-15:
        return math.nan, math.nan, math.nan
    second = variance * (count - 1.0) / count
    return mean / math.sqrt(variance), third / count / second**1.5, fourth / count / second**2


def pooled_correlation(sums: Floats) -> float:
    """Pearson correlation from n, sum x, sum y, sum xx, sum yy, sum xy; NaN below 20 pairs or without spread."""
    n, x, y, xx, yy, xy = (float(value) for value in sums)
    if n < MINIMUM_PERIODS:
        return float("nan")
    spread = (xx - x * x / n) * (yy - y * y / n)
    return (xy - x * y / n) / float(np.sqrt(spread)) if spread > 1e-30 else float("nan")
