"""What would this desk have made without one of its agents? Weights without it, and what it added, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agents.core.types import Booleans, Floats, Times
from agents.quant.comparison import NOTHING_TO_JUDGE, mean_interval
from agents.quant.evidence import sharpe_difference
from agents.quant.returns import MINIMUM_PERIODS, first_of_window, periods_per_year, simple_returns

SEED = 20261122
NO_DIFFERENCE = 1e-12


def leave_one_out(weights: Floats, floor: float) -> Floats:
    """The weights of the books beside a desk with `weights` [A]: [A + 1, A], first the desk's own, then, for each
    agent, the others' in their proportions without it; for one whose weight is 0, with it at `floor`."""
    rows = np.tile(weights, (len(weights) + 1, 1))
    for k, weight in enumerate(weights):
        row, rest = rows[k + 1], float(weights.sum()) - weight
        row *= ((1.0 - floor) if weight == 0.0 else 1.0) / rest if rest > 0.0 else 0.0
        row[k] = floor if weight == 0.0 else 0.0
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What an agent added to the desk: return a year and annual Sharpe ratio, each with its 90 % interval; NaN where a
    figure is not defined. `days_differing` are those of the `days` on which the desk with and without it differed."""

    days: int
    days_differing: int
    return_a_year: float
    return_low: float
    return_high: float
    sharpe_difference: float
    sharpe_low: float
    sharpe_high: float

    @property
    def verdict(self) -> str:
        """In words; about a sign only where the interval of the return leaves 0 out: by chance at one look in ten."""
        if not self.days_differing:
            return NOTHING_TO_JUDGE
        if not math.isfinite(self.return_low):
            return f"too early: {self.days_differing} of {MINIMUM_PERIODS} days"
        if self.return_low > 0.0:
            return "shown at one look: it adds to the desk"
        return "shown at one look: it costs the desk" if self.return_high < 0.0 else "not shown either way"


def value_added_by(date: Times, desk: Floats, book: Floats, with_agent: Booleans, window_days: int) -> Added:
    """What an agent added in the last `window_days` (0: all), from equity at the ends of days [D]: of the desk, and of
    the book beside it that lacks the agent (or has it, where `with_agent`)."""
    first = first_of_window(window_days, date)
    sound = (desk[:-1] > 0.0) & (book[:-1] > 0.0)
    rows = np.flatnonzero(sound)
    rows = rows[rows + 1 >= first]
    mine, other = simple_returns(desk)[rows], simple_returns(book)[rows]
    swapped = with_agent[rows + 1]
    having, lacking = np.where(swapped, other, mine), np.where(swapped, mine, other)
    difference = having - lacking
    differing = int(np.count_nonzero(np.abs(difference) > NO_DIFFERENCE))
    nothing = math.nan
    pace = periods_per_year(date.astype("datetime64[us]"))
    if differing < MINIMUM_PERIODS or not pace > 0.0:
        return Added(
            days=len(rows),
            days_differing=differing,
            return_a_year=float(difference.mean()) * pace if differing and pace > 0.0 else nothing,
            return_low=nothing,
            return_high=nothing,
            sharpe_difference=nothing,
            sharpe_low=nothing,
            sharpe_high=nothing,
        )
    low, high = mean_interval(difference, seed=SEED)
    moved = float(np.std(having)) > NO_DIFFERENCE and float(np.std(lacking)) > NO_DIFFERENCE
    test = sharpe_difference(having, lacking, np.full(len(rows), 1.0 / len(rows)), pace, seed=SEED) if moved else None
    return Added(
        days=len(rows),
        days_differing=differing,
        return_a_year=float(difference.mean()) * pace,
        return_low=low * pace,
        return_high=high * pace,
        sharpe_difference=test.difference if test else nothing,
        sharpe_low=test.low if test else nothing,
        sharpe_high=test.high if test else nothing,
    )
