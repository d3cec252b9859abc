"""What the belief filter remembers, how fast it forgets, and what it starts from.

Returns, contrasts and variances are per period, levels and beliefs annual Sharpe ratios: a level per period is the
annual one over the root of the periods in a year.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from agents.core.types import Floats

LEVELS = np.linspace(-3.6, 3.6, 25)
"""Annual Sharpe ratios above the average agent's that a skill may have."""
SHARES = np.array([0.99, 0.9, 0.7, 0.4])
"""How many of the agents may be ordinary, of skill 0: four worlds, each with a filter of its own, and ..."""
WORLDS = len(SHARES)
SHARE_PRIOR = np.array([0.4, 0.2, 0.2, 0.2])
"""... how probable they are before anything is seen."""
CLIPPED_RETURN, CLIPPED_SCORE = 6.0, 4.0
"""A return counts for at most so many deviations: in a variance, and as evidence."""
CONTRAST_VARIANCE, CONTRAST_PERIODS = 0.8, 20.0
"""The variance of a contrast, as if it had been seen for so many periods."""
LAGS, UNRELATED_PERIODS = 10, 250.0
"""Autocorrelation is looked for over so many periods, as if none had been seen for so long."""
MOST_INFLATION = 3.0
SMOOTHED_PERIODS = 10.0
CORRELATION_PERIODS = 60.0
"""A correlation is drawn to the mean of all as if that had been seen for so many periods."""
REDRAW_PERIODS = 700.0
"""Skill is drawn anew once in so many days of a market with 252 of them a year, ..."""
DOUBTING_WORLD, DOUBT_PERIODS, HASTE, MOST_REDRAW = 2, 69.0, 4.0, 0.1
"""... and sooner where the prior of this world alone has foretold an agent better than what is believed of it: doubt is
the log of by how much, with this half-life (for 252 periods a year), and hastens the redraw by 4 x (exp(doubt) - 1)."""
LEAST_VARIANCE = 1e-4
"""Of a contrast: agents that hardly ever differ tell nothing apart."""


def _prior() -> Floats:
    """[25, Q]: with the chance of its share at level 0, else of Laplace's density with deviation 1."""
    laplace = np.exp(-math.sqrt(2.0) * np.abs(LEVELS))
    ordinary = (np.arange(len(LEVELS)) == len(LEVELS) // 2).astype(np.float64)
    return np.asarray(ordinary[:, None] * SHARES + laplace[:, None] / laplace.sum() * (1.0 - SHARES))


PRIOR = _prior()


class Pace(NamedTuple):
    """What is left of variances, correlations, fits and doubts after one period, the chance that a skill is drawn anew
    in it, the root of the periods in a year, how much of the evidence is believed, and whether it is of a replayed
    past, not of days that the desk lived through."""

    variance: float
    correlation: float
    fit: float
    doubt: float
    redraw: float
    root_year: float
    trust: float
    replayed: bool


class BeliefState(NamedTuple):
    """All that is remembered of A agents.

    `clock` [3]: periods seen; evidence of those that the desk lived through, and of those that were replayed, each
    fading as beliefs do. [A]: `seen` periods with a return; running sums of squared returns (`square`) and squared
    contrasts with their weights; `active` over `alive` is the share of periods with a return since the first one.
    `lagged` [A, 10] are the newest standardised contrasts, newest first; `lag_product` and `lag_weight` [10] their
    running products. `chance` [A, 25, Q] are the chances of each level in each of the worlds of SHARES, `fit` [A, Q]
    the fading log-likelihoods, `belief` [A] the believed skill, `doubt` [A] by how much the prior alone has of late
    foretold the agent better, in logs, 0 where it has not. [A, A]: `together` sums products of scores, `square_beside`
    the squared scores of the first agent since both exist, `pair_weight` those periods.
    """

    clock: Floats
    seen: Floats
    square: Floats
    weight: Floats
    contrast_square: Floats
    contrast_weight: Floats
    active: Floats
    alive: Floats
    lagged: Floats
    lag_product: Floats
    lag_weight: Floats
    chance: Floats
    fit: Floats
    belief: Floats
    doubt: Floats
    together: Floats
    square_beside: Floats
    pair_weight: Floats


class Scratch(NamedTuple):
    """Room for one period's numbers: scores, contrasts and sums [A], likelihoods of levels [25], sums over levels [Q],
    mean levels [A, Q], chances of the worlds [Q], correlations [A, A]."""

    score: Floats
    contrast: Floats
    row: Floats
    likelihood: Floats
    total: Floats
    mean: Floats
    share: Floats
    correlation: Floats


def room_for(agents: int) -> Scratch:
    """Scratch space for so many agents."""
    return Scratch(
        score=np.empty(agents),
        contrast=np.empty(agents),
        row=np.empty(agents),
        likelihood=np.empty(len(LEVELS)),
        total=np.empty(WORLDS),
        mean=np.empty((agents, WORLDS)),
        share=np.empty(WORLDS),
        correlation=np.empty((agents, agents)),
    )
