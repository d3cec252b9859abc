"""Does tuning do harm? A bet against it that grows while live does worse than the anchor would have done.

Each whole week stakes some of a fortune on "the desk earns less than it would with the anchor's weights, by more than
`TOLERATED_RATIO`". While that is not so, no strategy makes the fortune grow in expectation, so it reaches 20 with a
probability of at most 1/20 over a whole life, however often anybody looks (Ville's inequality; a betting e-process:
Waudby-Smith and Ramdas, Estimating Means of Bounded Random Variables by Betting, 2023). It catches defects, such as
a belief with its sign turned, not bad luck.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from agents.core.types import Floats, Times
from agents.quant.compiled import compiled

ALARM_AT = 20.0
"""The fortune at which tuning is paused: false in at most one of so many desks' lives."""
TOLERATED_RATIO = 0.25
"""An information ratio a year by which live may lag behind the anchor's weights before the bet wins."""
STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.4])
"""Shares of the fortune staked, one fortune each; their mean is the one that is looked at."""
LARGEST_STAKE = 0.9
CLIPPED_WEEK = 2.5
"""A week counts for at most so many deviations; so no fortune can be lost whole."""
WEEKS_PER_YEAR = 52.0
DEVIATION_KEEP = 0.5 ** (1.0 / 52.0)
LEAST_WEEKS = 8
"""Weeks that tell how much a usual one is, before the first bet."""


class Watch(NamedTuple):
    """The `fortune` after each week in which live and anchor differed [W], those weeks' last days [W], and the first
    day on which it reached ALARM_AT (None: never)."""

    fortune: Floats
    day: Times
    alarm: np.datetime64 | None


def watch(date: Times, live: Floats, anchor: Floats) -> Watch:
    """The bet on days `date` [D], UTC and oldest first, with the returns of the weights in force and of the anchor's
    [D]. Days on which both are equal tell nothing; the last week counts once a later one has begun."""
    week = (date.astype("datetime64[D]").astype(np.int64) + 3) // 7  # 1970-01-01 was a Thursday: weeks begin on Monday
    whole = week < week[-1] if len(week) else np.zeros(0, dtype=bool)
    differs = whole & (np.abs(live - anchor) > 0.0)
    days = np.flatnonzero(differs)
    first = np.flatnonzero(np.diff(week[days], prepend=-1) != 0)
    sums = np.add.reduceat((live - anchor)[days], first) if len(days) else np.zeros(0)
    last = date[days[np.append(first[1:], len(days)) - 1]] if len(days) else date[:0]
    fortune = fortunes(sums)
    reached = np.flatnonzero(fortune >= ALARM_AT)
    return Watch(fortune, last, last[reached[0]] if len(reached) else None)


@compiled
def both_mixed(live: Floats, anchor: Floats, returns: Floats) -> tuple[Floats, Floats]:
    """What the mixes at weights `live` [D, A] and `anchor` [A] earned on each day [D], of returns [D, A]; who had no
    book (NaN) leaves a mix for that day."""
    days, agents = returns.shape
    mixed, total = np.zeros((2, days)), np.zeros(2)
    for d in range(days):
        total[:] = 0.0
        for a in range(agents):
            if math.isfinite(returns[d, a]):
                mixed[0, d] += live[d, a] * returns[d, a]
                mixed[1, d] += anchor[a] * returns[d, a]
                total[0] += live[d, a]
                total[1] += anchor[a]
        for k in range(2):
            if total[k] > 0.0:
                mixed[k, d] /= total[k]
    return mixed[0], mixed[1]


@compiled
def fortunes(weekly: Floats) -> Floats:
    """What a fortune of 1 has become after each of the weeks [W] with such sums of (live - anchor)."""
    logs, path = np.zeros(len(STAKES)), np.ones(len(weekly))
    square = weight = 0.0
    for k in range(len(weekly)):
        if k >= LEAST_WEEKS and square > 0.0:
            score = weekly[k] / math.sqrt(square / weight) + TOLERATED_RATIO / math.sqrt(WEEKS_PER_YEAR)
            score = max(-CLIPPED_WEEK, min(CLIPPED_WEEK, score))
            logs += np.log1p(-LARGEST_STAKE * STAKES * score)
        path[k] = np.mean(np.exp(logs))
        square = DEVIATION_KEEP * square + weekly[k] ** 2
        weight = DEVIATION_KEEP * weight + 1.0
    return path
