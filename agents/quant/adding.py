"""Does an agent add to the desk? Its book against the mix of the others, as an appraisal (Treynor and Black 1973): what
it earns beyond its share of the mix. To take a little of it into the mix, from all in proportion, raises the mix's
Sharpe ratio exactly where that is positive; how good the agent is alone does not matter.

Two answers. The evidence is an e-process, a fortune that bets on "it adds" and cannot be expected to grow where it does
not (Waudby-Smith and Ramdas 2024), so it may be looked at every day for ever: Ville's inequality bounds the chance that
it ever reaches h by 1 / h. The belief is the chance that it has added over the newest two years, and forgets the rest.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from agents.core.types import Booleans, Floats, Integers
from agents.quant.compiled import compiled

MEMORY_PERIODS = 252.0
"""Half-life of the share of the mix, and of the deviation of what is beyond it."""
FIRST_PERIODS = 40
"""An agent's periods before its first bet: they only tell its share of the mix and its deviation."""
BET_PERIODS = 5
"""Periods of one bet, so that what carries over from day to day is inside the bets, not between them."""
LARGEST = 4.5
"""Deviations at which the outcome of a bet is cut off."""
BET = 0.21
"""Share of the fortune at stake: the best for an annual appraisal ratio of 1.5, which is that over the root of a year's
bets. A fall beyond `LARGEST` costs nearly all of it, which is right for agents that earn a little on most days and lose
all of it at once."""
BELIEF_PERIODS = 504
NO_WEIGHT = 1e-9
"""All others together with no more than this weigh nothing: it is what subtracting leaves."""
PRIOR_DEVIATION = 1.0
"""Of the annual appraisal ratio, before anything was seen."""


class Adding(NamedTuple):
    """What an agent adds to the mix: `log_evidence` since its evidence is counted (natural log, 0 at the start), from
    `bets` made; over the newest two years its annual appraisal `ratio` as believed, with its 80 % interval, and the
    `belief` that it is positive (one half where nothing was seen); `periods` seen there."""

    log_evidence: float
    bets: int
    ratio: float
    low: float
    high: float
    belief: float
    periods: int


@compiled
def mixes_without(returns: Floats, weights: Floats) -> Floats:
    """[T, A]: what the others than each agent made, of `returns` [T, A] at `weights` [T, A], renormalised without it;
    one that had no opinion (NaN) held nothing. NaN where the others weigh nothing."""
    mixes = np.full(returns.shape, np.nan)
    for t in range(len(returns)):
        made, weight = 0.0, 0.0
        for a in range(returns.shape[1]):
            weight += weights[t, a]
            if math.isfinite(returns[t, a]):
                made += weights[t, a] * returns[t, a]
        for a in range(returns.shape[1]):
            others = weight - weights[t, a]
            if others > NO_WEIGHT:
                own = weights[t, a] * returns[t, a] if math.isfinite(returns[t, a]) else 0.0
                mixes[t, a] = (made - own) / others
    return mixes


def adding(own: Floats, mix: Floats, counted: Booleans, periods_per_year: float) -> Adding:
    """From an agent's own returns [T], NaN where it had no opinion, and those of the mix without it [T], oldest first.
    Evidence is of the `counted` periods [T] only; those before tell what is usual."""
    return Adding(*_adding(_measured(own, mix, counted), periods_per_year))


def adding_of_each(
    returns: Floats, weights: Floats, looked_at: Integers, counted: Integers, periods_per_year: float
) -> list[Adding]:
    """`adding` of each agent to the mix of the others, of `returns` [T, A] at `weights` [T, A]. An agent is looked at
    from the period `looked_at` [A] on, and its evidence is of those from `counted` [A] on."""
    each = _each_adding(returns, weights, looked_at, counted, periods_per_year).tolist()
    return [
        Adding(evidence, int(bets), ratio, low, high, belief, int(periods))
        for evidence, bets, ratio, low, high, belief, periods in each
    ]


@compiled
def _adding(
    measured: tuple[float, int, float, int], periods_per_year: float
) -> tuple[float, int, float, float, float, float, int]:
    """The parts of `Adding`, from what was `_measured`."""
    log_evidence, bets, total, periods = measured
    years = periods / periods_per_year
    spread = 1.0 / math.sqrt(PRIOR_DEVIATION**-2 + years)
    ratio = total / math.sqrt(periods_per_year) * spread**2
    belief = 0.5 * math.erfc(-ratio / spread / math.sqrt(2.0))
    width = 1.2815515655446004 * spread
    return log_evidence, bets, ratio, ratio - width, ratio + width, belief, periods


@compiled
def _each_adding(
    returns: Floats, weights: Floats, looked_at: Integers, counted: Integers, periods_per_year: float
) -> Floats:
    """[A, 7]: `_adding` of each agent."""
    mixes, result = mixes_without(returns, weights), np.empty((returns.shape[1], 7))
    periods = np.arange(len(returns))
    for a in range(returns.shape[1]):
        first = looked_at[a]
        measured = _measured(returns[first:, a], mixes[first:, a], periods[first:] >= counted[a])
        parts = _adding(measured, periods_per_year)
        result[a, 0], result[a, 1], result[a, 2], result[a, 3] = parts[:4]
        result[a, 4], result[a, 5], result[a, 6] = parts[4:]
    return result


@compiled
def _measured(own: Floats, mix: Floats, counted: Booleans) -> tuple[float, int, float, int]:
    """(log of the evidence, bets made; over the newest two years the sum of what was made beyond the mix, in
    deviations, and in how many periods)."""
    first = 0  # of those that are read
    while first < len(own) - BELIEF_PERIODS and not counted[first]:
        first += 1
    beyond = beyond_the_mix(own, mix, first)
    log_evidence, bets = _bet(beyond, counted)
    total, periods = 0.0, 0
    for value in beyond[-BELIEF_PERIODS:]:
        if math.isfinite(value):
            total += value
            periods += 1
    return log_evidence, bets, total, periods


@compiled
def beyond_the_mix(own: Floats, mix: Floats, first: int = 0) -> Floats:
    """[T]: what the agent made beyond its share of the mix, in deviations; both are of the periods before, so nothing
    can be expected of it where the agent adds nothing. NaN where either is silent, or too little was seen,
    and before the period `first`, of which nobody asks."""
    keep = 0.5 ** (1.0 / MEMORY_PERIODS)
    beyond = np.full(len(own), np.nan)
    product, square, variance, weight, seen = 0.0, 0.0, 0.0, 0.0, 0
    for t in range(len(own)):
        x, m = own[t], mix[t]
        if not (math.isfinite(x) and math.isfinite(m)):
            continue
        share = product / square if square > 0.0 else 0.0
        rest = x - share * m
        if t >= first and seen >= FIRST_PERIODS and variance > 0.0:
            beyond[t] = rest / math.sqrt(variance / weight)
        product, square = keep * product + x * m, keep * square + m * m
        variance, weight = keep * variance + rest * rest, keep * weight + 1.0
        seen += 1
    return beyond


@compiled
def _bet(beyond: Floats, counted: Booleans) -> tuple[float, int]:
    """(log of the bettor's fortune, bets made) over the counted periods."""
    fortune, outcome, inside, bets = 0.0, 0.0, 0, 0
    for t in range(len(beyond)):
        if not (counted[t] and math.isfinite(beyond[t])):
            continue
        outcome += beyond[t]
        inside += 1
        if inside == BET_PERIODS:
            fortune += math.log(1.0 + BET * min(LARGEST, max(-LARGEST, outcome / math.sqrt(BET_PERIODS))))
            outcome, inside, bets = 0.0, 0, bets + 1
    return fortune, bets
