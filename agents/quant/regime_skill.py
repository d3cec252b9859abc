"""Does an agent's skill differ by the market's regime, by how much, and is that more than chance? Partial pooling.

Of one kind of regime with K states, and A agents on T days. An agent's contrast of a day is its result in its own
deviations, less the mean of the agents present: what the regime does to all of them drops out. Its mean in each state
is shrunk towards its own mean of all days: with some chance an agent is the same in every regime, else its skill in
each lies around its mean with a deviation of PULL. How many differ at all is learnt from all agents together, as in the
belief filter. Days of one spell of a state have more in common than days drawn at random (skill wanders): the variance
of a state's mean is that of its spells. Pure.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from agents.core.types import Floats, Integers
from agents.quant.belief_state import CLIPPED_RETURN, CLIPPED_SCORE, SHARE_PRIOR, SHARES
from agents.quant.compiled import compiled

PULL = 1.0
"""The deviation of a skill by regime about the agent's own, where it differs at all: as that of skills among agents."""
HALF_LIFE = 126.0
"""Days, of the variance that an agent's results are measured in."""
LEAST_SPELLS = 8
"""Before so many nothing is said: how much spells have in common is not known."""
CHANCE = 0.05
"""In at most so many desks' lives anything is called "not by chance" that is."""
BOUND = 1.2816
"""Deviations that hold 80 %."""


class RegimeSkill(NamedTuple):
    """`days` [A, K] with a result; `shift` [A, K] by how much the agent's skill in a state is believed to differ from
    its own of all days (annual Sharpe ratio; over an agent's days they sum to 0), `low` and `high` the 80 % bounds of
    an agent that differs at all. `differs` [A]: how probable that is; `evidence` [A]: how many times better a
    difference foretells the days than none, a bet that may be looked at daily; `proof` is what it must reach so that in
    1 of 20 desks' lives anything is said by chance. `share` is the share of agents that seems to differ."""

    days: Integers
    shift: Floats
    low: Floats
    high: Floats
    differs: Floats
    evidence: Floats
    proof: float
    share: float


def regime_skill(returns: Floats, state: Integers, states: int, per_year: float, tests: int = 1) -> RegimeSkill:
    """The skills of agents with these `returns` [T, A] (NaN: no result) in the `states` of one kind; `state` [T] is the
    one known when a day began, negative where none was. `tests` kinds are looked at together."""
    known = state >= 0
    y, state = contrasts(returns)[known], state[known]
    agents = returns.shape[1]
    days = np.array([np.isfinite(y[state == k]).sum(axis=0) for k in range(states)], dtype=np.int64).T
    proof = agents * tests / CHANCE
    if agents < 2 or np.count_nonzero(np.diff(state)) + 1 < LEAST_SPELLS:
        nothing, wide = np.zeros(days.shape), np.full(days.shape, BOUND * PULL)
        return RegimeSkill(days, nothing, -wide, wide, np.zeros(agents), np.ones(agents), proof, 0.0)
    mean, error = _means(y, state, days, per_year)
    log_odds = _log_odds(mean, error)
    share, differs = _how_many(log_odds, y)
    shift, deviation = _shifts(mean, error)
    weight = days / np.maximum(days.sum(axis=1, keepdims=True), 1)
    shift -= (shift * weight).sum(axis=1, keepdims=True)
    bounds = BOUND * deviation
    low, high = shift - bounds, shift + bounds
    evidence = np.exp(np.minimum(log_odds, 700.0))
    return RegimeSkill(days, differs[:, None] * shift, low, high, differs, evidence, proof, share)


@compiled
def contrasts(returns: Floats) -> Floats:
    """[T, A] what each agent earned on each day [T, A] in its own running deviations, less the mean of those present;
    NaN where it has no result, or is alone."""
    days, agents = returns.shape
    keep, result = 0.5 ** (1.0 / HALF_LIFE), np.full(returns.shape, math.nan)
    square, weight = np.zeros(agents), np.zeros(agents)
    for t in range(days):
        total, present = 0.0, 0
        for a in range(agents):
            if not math.isfinite(returns[t, a]):
                continue
            value = returns[t, a]
            if weight[a] > 0.0:
                most = CLIPPED_RETURN * math.sqrt(square[a] / weight[a])
                value = min(most, max(-most, value)) if most > 0.0 else value
            square[a], weight[a] = keep * square[a] + value * value, keep * weight[a] + 1.0
            if square[a] > 0.0:
                score = value / math.sqrt(square[a] / weight[a])
                result[t, a] = min(CLIPPED_SCORE, max(-CLIPPED_SCORE, score))
                total += result[t, a]
                present += 1
        for a in range(agents):
            result[t, a] = result[t, a] - total / present if present > 1 else math.nan
    return result


def _means(y: Floats, state: Integers, days: Integers, per_year: float) -> tuple[Floats, Floats]:
    """Annual mean contrasts in each state [A, K] and their standard errors; NaN and infinite where there are no days.
    The errors are those of independent days, times what spells have in common, pooled over all agents."""
    agents, states = days.shape
    mean = np.full((agents, states), np.nan)
    for k in range(states):
        total = np.nansum(y[state == k], axis=0)
        np.divide(total, days[:, k], out=mean[:, k], where=days[:, k] > 0)
    off = y - mean.T[state]
    variance = np.nansum(off**2, axis=0) / np.maximum(np.isfinite(off).sum(axis=0) - states, 1)
    spell = np.cumsum(np.diff(state, prepend=state[0]) != 0)
    sums = np.zeros((spell[-1] + 1, agents))
    np.add.at(sums, spell, np.nan_to_num(off))
    spells, seen = len(sums), len(np.unique(state))
    expected = float((variance * days.sum(axis=1)).sum()) * (spells - seen) / spells
    common = max(1.0, float((sums**2).sum()) / expected) if expected > 0.0 else 1.0
    error = np.sqrt(variance[:, None] * common / np.maximum(days, 1) * per_year)
    error[days == 0] = np.inf
    return mean * math.sqrt(per_year), error


def _fits(mean: Floats, error: Floats, pull: float) -> tuple[Floats, Floats, Floats]:
    """[A] the log-likelihood of means that lie around each agent's own with a deviation of `pull`, that own mean (of
    which nothing is known before), and its error; constants that hang on nothing are left out."""
    with np.errstate(divide="ignore"):
        weight = np.where(np.isfinite(mean), 1.0 / (pull**2 + error**2), 0.0)
        logs = np.where(weight > 0.0, np.log(weight), 0.0).sum(axis=1)
    values, total = np.nan_to_num(mean), weight.sum(axis=1)
    safe = np.where(total > 0.0, total, 1.0)
    own = (weight * values).sum(axis=1) / safe
    spread = (weight * (values - own[:, None]) ** 2).sum(axis=1)
    return 0.5 * (logs - np.log(safe) - spread), own, 1.0 / np.sqrt(safe)


def _log_odds(mean: Floats, error: Floats) -> Floats:
    """[A] the log of how many times better a skill that differs by regime foretells the means than one that does
    not; 0 where fewer than two states were seen."""
    several = np.isfinite(mean).sum(axis=1) > 1
    return np.where(several, _fits(mean, error, PULL)[0] - _fits(mean, error, 0.0)[0], 0.0)


def _shifts(mean: Floats, error: Floats) -> tuple[Floats, Floats]:
    """[A, K] of an agent that differs: its skill in each state less its own, and the deviation of what is not known."""
    _, own, own_error = _fits(mean, error, PULL)
    kept = np.where(np.isfinite(mean), PULL**2 / (PULL**2 + error**2), 0.0)
    shift = kept * np.nan_to_num(mean - own[:, None])
    return shift, np.sqrt(PULL**2 * (1.0 - kept) + (kept * own_error[:, None]) ** 2)


def _how_many(log_odds: Floats, y: Floats) -> tuple[float, Floats]:
    """The share of agents that differ, and how probable it is of each [A]; agents that move alike count once."""
    covariance = np.nan_to_num(y).T @ np.nan_to_num(y)
    squares = float((covariance**2).sum())
    count = float(np.trace(covariance)) ** 2 / (squares * len(log_odds)) if squares > 0.0 else 0.0
    same = np.log(SHARES)[:, None]
    other = np.log1p(-SHARES)[:, None] + log_odds
    either = np.logaddexp(same, other)
    world = np.log(SHARE_PRIOR) + count * either.sum(axis=1)
    world = np.exp(world - world.max())
    world /= world.sum()
    differs = (world[:, None] * np.exp(other - either)).sum(axis=0)
    return float((world * (1.0 - SHARES)).sum()), differs
