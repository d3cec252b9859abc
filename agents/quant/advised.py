"""How much a strategy that trades elsewhere deserves beside the desk: an advised weight, and what it adds. Pure.

It is treated as one more agent beside the desk as a whole: the same beliefs, from its daily returns and the desk's on
the days that both have, move the same anchor, an equal part for each agent. Nothing is done with the answer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.core.types import Floats, Times
from agents.quant.adding import Adding, adding
from agents.quant.allocation import Limits, propose

LEAST_DAYS = 30
"""Fewer days in common advise nothing."""
FREE = Limits(floor=0.0, cap=1.0, step=1.0)
"""Advice knows no step: nobody trades on it by itself."""


class Advised(NamedTuple):
    """`weight` is the part of the whole risk, desk and strategy, that the strategy is advised to have, where knowing
    nothing would give it `anchor`; `adds` what it made beyond its share of the desk. `days` are those in common."""

    days: int
    weight: float
    anchor: float
    adds: Adding


def mix_of(returns: Floats, weights: Floats) -> Floats:
    """What agents with returns [D, A] make at constant weights [A], [D]; one without an opinion (NaN) holds nothing,
    and the mix is NaN where nobody has one."""
    spoken = np.isfinite(returns)
    made = np.where(spoken, returns, 0.0) @ weights / max(float(weights.sum()), 1e-300)
    return np.where(spoken.any(axis=1), made, np.nan)


def in_common(date: Times, desk: Floats, own_date: Times, own: Floats) -> tuple[Floats, Floats]:
    """Returns of the desk and of the strategy on the days that both have, oldest first."""
    _, here, there = np.intersect1d(date.astype("datetime64[D]"), own_date, assume_unique=True, return_indices=True)
    both = np.isfinite(desk[here]) & np.isfinite(own[there])
    return desk[here][both], own[there][both]


def advised(desk: Floats, own: Floats, *, agents: int, days_per_year: float) -> Advised | None:
    """The advice from returns [D] of the same days, of a desk of so many agents and of the strategy; None where there
    are too few, or the strategy never moved."""
    if len(own) < LEAST_DAYS or not np.ptp(own) > 0.0 or not np.ptp(desk) > 0.0:
        return None
    share = 1.0 / (agents + 1.0)
    anchor = np.array([1.0 - share, share])
    made = propose(np.column_stack([desk, own]), anchor, limits=FREE, periods_per_year=days_per_year, anchor=anchor)
    counted = np.ones(len(own), dtype=bool)
    return Advised(len(own), float(made.weights[1]), share, adding(own, desk, counted, days_per_year))
