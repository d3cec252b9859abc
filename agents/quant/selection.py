"""The best of many settings: is it better than the ones in use, or only the luckiest?

All settings were tried on the same days, so their returns are correlated; both figures here take that from the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from agents.core.types import Floats, Integers
from agents.quant.bootstrap import RESAMPLES, block_starts
from agents.quant.compiled import compiled

SPLITS = 8
"""Blocks of history for the probability of overfitting: 70 ways to learn on half of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which of N settings is best, and what that is worth.

    `gain` is the annual Sharpe ratio that it has above the settings in use, `t` the same in standard errors, by which
    it was chosen. `p` is the probability that the best of as many settings without any merit would look as good
    (White's reality check, studentised, corrected by Sidak for settings tried before on the same span). `overfitting`
    is the probability that the best on one half of history is below the median on the other; NaN for fewer than two
    settings.
    """

    best: int
    gain: float
    t: float
    p: float
    overfitting: float


def select(returns: Floats, base: Floats, periods_per_year: float, *, tried_before: int, seed: int) -> Selection:
    """The best of N settings with daily `returns` [T, N] against those in use, with `base` [T].

    ValueError below 60 days or without settings. A circular block bootstrap of whole days keeps what the settings
    have in common. Source: White, A Reality Check for Data Snooping (2000), in the studentised form of Hansen (2005),
    on the influence values of the difference of Sharpe ratios.
    """
    periods, settings = returns.shape
    if periods < 60 or settings < 1 or len(base) != periods:
        raise ValueError(f"returns {returns.shape} and base {base.shape}: at least 60 days and one setting are needed")
    influence, gains = _influence(returns, base)
    moved = influence.std(axis=0) > 1e-12
    if not moved.any():
        return Selection(best=0, gain=0.0, t=0.0, p=1.0, overfitting=math.nan)
    starts, length = block_starts(periods, seed)
    drawn = _resampled_means(np.ascontiguousarray(influence), starts, length)
    errors = np.where(moved, drawn.std(axis=0, ddof=1), np.inf)
    t_values = gains / errors
    best = int(np.argmax(t_values))
    highest = ((drawn - drawn.mean(axis=0)) / errors).max(axis=1)
    p = (1.0 + float((highest >= t_values[best]).sum())) / (RESAMPLES + 1.0)
    families = (settings + max(tried_before, 0)) / settings
    p = -math.expm1(families * math.log1p(-min(p, 1.0 - 1e-12)))
    scale = math.sqrt(periods_per_year)
    return Selection(
        best=best, gain=float(gains[best]) * scale, t=float(t_values[best]), p=p, overfitting=overfitting(returns)
    )


def _influence(returns: Floats, base: Floats) -> tuple[Floats, Floats]:
    """Influence values [T, N] of each setting's Sharpe ratio less the base's, and the differences [N]."""

    def parts(values: Floats) -> tuple[Floats, Floats]:
        mean, spread = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-150)
        sharpe, z = mean / spread, (values - mean) / spread
        return z - 0.5 * sharpe * (z**2 - 1.0), np.asarray(sharpe)

    theirs, sharpes = parts(returns)
    own, sharpe = parts(base[:, None])
    return theirs - own, sharpes - sharpe


@compiled
def _resampled_means(values: Floats, starts: Integers, length: int) -> Floats:
    """[resamples, N] means of circular blocks of rows of `values` [T, N]."""
    periods, columns = values.shape
    sums = np.zeros((periods, columns))
    for t in range(periods):
        for k in range(length):
            row = t + k if t + k < periods else t + k - periods
            for n in range(columns):
                sums[t, n] += values[row, n]
    result = np.zeros((starts.shape[0], columns))
    for b in range(starts.shape[0]):
        for k in range(starts.shape[1]):
            for n in range(columns):
                result[b, n] += sums[starts[b, k], n]
    result /= starts.shape[1] * length
    return result


def overfitting(returns: Floats) -> float:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation; NaN for fewer than two
    settings or 80 days.

    Source: Bailey, Borwein, Lopez de Prado, Zhu, The Probability of Backtest Overfitting (2017).
    """
    periods, settings = returns.shape
    if settings < 2 or periods < SPLITS * 10:
        return math.nan
    blocks = np.array_split(np.arange(periods), SPLITS)
    sums = np.array([returns[rows].sum(axis=0) for rows in blocks])
    squares = np.array([(returns[rows] ** 2).sum(axis=0) for rows in blocks])
    counts = np.array([len(rows) for rows in blocks], dtype=np.float64)
    below = 0.0
    halves = list(combinations(range(SPLITS), SPLITS // 2))
    for half in halves:
        other = [k for k in range(SPLITS) if k not in half]
        learnt, tested = (_sharpes(sums[list(side)], squares[list(side)], counts[list(side)]) for side in (half, other))
        chosen = tested[int(np.argmax(learnt))]
        rank = (float((tested < chosen).sum()) + 0.5 * float((tested == chosen).sum())) / settings
        below += 1.0 if rank < 0.5 else 0.5 if rank == 0.5 else 0.0
    return below / len(halves)


def _sharpes(sums: Floats, squares: Floats, counts: Floats) -> Floats:
    count = counts.sum()
    mean = sums.sum(axis=0) / count
    return np.asarray(mean / np.sqrt(np.maximum(squares.sum(axis=0) / count - mean**2, 1e-300)))
