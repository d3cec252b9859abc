"""One book against another on the same days: how far they move together, what the one earned more, and on which days
there is anything to judge at all.

What the weights did can be said only of days on which they were not the control's: on the others two books differ by
lots and rounding, and a test of that shows nothing about tuning, however sure it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agents.core.types import Booleans, Floats
from agents.quant.blocks import block_starts
from agents.quant.returns import MINIMUM_PERIODS

SAME_WEIGHT = 5e-4
"""Weights that differ by less are the same: 0.166667 is a sixth."""
NOTHING_TO_JUDGE = "nothing to judge yet"
SEED = 20261121


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstBook:
    """What a book did beside another; NaN where a figure is not defined.

    `excess_return` is the mean difference of returns a year, `low` to `high` its 90 % interval; `beta` the slope of the
    book's returns on the other's; `information_ratio` the annual Sharpe ratio of the difference.
    """

    excess_return: float
    low: float
    high: float
    beta: float
    information_ratio: float


def against_book(returns: Floats, other: Floats, periods_per_year: float) -> AgainstBook:
    """Two books' returns [T] of the same periods; NaNs below 20 of them."""
    nothing = math.nan
    if len(returns) < MINIMUM_PERIODS or not periods_per_year > 0.0:
        return AgainstBook(excess_return=nothing, low=nothing, high=nothing, beta=nothing, information_ratio=nothing)
    difference, spread = returns - other, float(np.var(other, ddof=1))
    low, high = mean_interval(difference, seed=SEED)
    deviation = float(np.std(difference, ddof=1))
    mean = float(difference.mean())
    return AgainstBook(
        excess_return=mean * periods_per_year,
        low=low * periods_per_year,
        high=high * periods_per_year,
        beta=float(np.cov(returns, other)[0, 1]) / spread if spread > 1e-30 else nothing,
        information_ratio=mean / deviation * math.sqrt(periods_per_year) if deviation > 1e-15 else nothing,
    )


def mean_interval(values: Floats, *, seed: int) -> tuple[float, float]:
    """The 90 % interval of the mean of values [T], by a circular block bootstrap; NaNs below 20 of them."""
    if len(values) < MINIMUM_PERIODS:
        return math.nan, math.nan
    starts, length = block_starts(len(values), seed)
    running = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:length]]))])
    blocks = running[length : length + len(values)] - running[: len(values)]  # sums from each start on, round the end
    means = blocks[starts].mean(axis=1) / length
    low, high = np.quantile(means, [0.05, 0.95])
    return float(low), float(high)


def weights_differ(weights: Floats, others: Floats) -> Booleans:
    """Rows [T] in which weights [T, A], once they sum to 1, are not those of `others` ([T, A] or [A])."""
    mine, theirs = (w / np.maximum(w.sum(axis=-1, keepdims=True), 1e-300) for w in (weights, np.atleast_2d(others)))
    return np.asarray(np.abs(mine - theirs).max(axis=1) > SAME_WEIGHT)
