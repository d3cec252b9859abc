"""The arithmetic of the belief filter: what one period of returns does to the state. Compiled, in place."""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.belief_state import (
    CLIPPED_RETURN,
    CLIPPED_SCORE,
    DOUBTING_WORLD,
    HASTE,
    LAGS,
    LEAST_VARIANCE,
    LEVELS,
    MOST_INFLATION,
    MOST_REDRAW,
    PRIOR,
    SMOOTHED_PERIODS,
    WORLDS,
    BeliefState,
    Pace,
    Scratch,
    room_for,
)
from agents.quant.belief_worlds import weigh_shares
from agents.quant.compiled import compiled_bare, compiled_side_by_side


def take_in(state: BeliefState, returns: Floats, pace: Pace) -> None:
    """Change `state` by periods with returns [T, A], oldest first; a period in which nobody has one changes nothing."""
    _take_in(state, returns, pace, room_for(len(state.belief)))


@compiled_side_by_side
def _take_in(state: BeliefState, returns: Floats, pace: Pace, scratch: Scratch) -> None:
    agents = returns.shape[1]
    for t in range(len(returns)):
        present = 0
        for a in range(agents):
            if np.isfinite(returns[t, a]):
                present += 1
        if present == 0:
            continue
        for a in range(agents):
            scratch.score[a] = _score(state, a, returns[t, a], pace)
        _keep_company(state, scratch.score, pace)
        if present > 1:
            _contrast(state, scratch.score, pace, scratch.contrast)
            inflation = _remember_lags(state, scratch.contrast, pace, scratch.row)
            _learn(state, inflation, pace, scratch)
            weigh_shares(state, scratch.correlation, scratch.row, scratch.share)
            _believe(state, scratch)
        _count(state, pace)


@compiled_bare
def _score(state: BeliefState, a: int, value: float, pace: Pace) -> float:
    """A return over the agent's own running deviation, itself included; NaN where there is none."""
    exists = np.isfinite(value)
    if state.alive[a] > 0.0 or exists:
        state.active[a] *= pace.variance
        state.alive[a] = pace.variance * state.alive[a] + 1.0
    if not exists:
        return math.nan
    square, weight = state.square[a], state.weight[a]
    if square > 0.0:
        reach = CLIPPED_RETURN * math.sqrt(square / weight)
        value = min(reach, max(-reach, value))
    square, weight = pace.variance * square + value * value, pace.variance * weight + 1.0
    state.square[a], state.weight[a] = square, weight
    state.seen[a] += 1.0
    state.active[a] += 1.0
    if not square > 0.0:
        return 0.0
    return min(CLIPPED_SCORE, max(-CLIPPED_SCORE, value / math.sqrt(square / weight)))


@compiled_bare
def _keep_company(state: BeliefState, score: Floats, pace: Pace) -> None:
    """Running products of the scores of each two agents that exist; without a return an agent has moved by nothing."""
    together, beside, weight = state.together, state.square_beside, state.pair_weight
    for a in range(len(score)):
        if state.alive[a] == 0.0:
            continue
        mine = score[a] if np.isfinite(score[a]) else 0.0
        for b in range(len(score)):
            if state.alive[b] == 0.0:
                continue
            other = score[b] if np.isfinite(score[b]) else 0.0
            together[a, b] = pace.correlation * together[a, b] + mine * other
            beside[a, b] = pace.correlation * beside[a, b] + mine * mine
            weight[a, b] = pace.correlation * weight[a, b] + 1.0


@compiled_bare
def _contrast(state: BeliefState, score: Floats, pace: Pace, contrast: Floats) -> None:
    """Each score less what is common to all agents present: the mean of the scores beyond what was believed of them."""
    square, weight = state.contrast_square, state.contrast_weight
    common, present = 0.0, 0
    for a in range(len(score)):
        if np.isfinite(score[a]):
            common += score[a] - state.belief[a] / pace.root_year
            present += 1
    common /= present
    for a in range(len(score)):
        contrast[a] = score[a] - common
        if np.isfinite(score[a]):
            square[a] = pace.variance * square[a] + contrast[a] * contrast[a]
            weight[a] = pace.variance * weight[a] + 1.0


@compiled_bare
def _contrast_variance(state: BeliefState, a: int) -> float:
    """The running variance of an agent's contrasts."""
    return float(max(LEAST_VARIANCE, state.contrast_square[a] / state.contrast_weight[a]))


@compiled_bare
def _remember_lags(state: BeliefState, contrast: Floats, pace: Pace, newest: Floats) -> float:
    """By how much autocorrelation of the contrasts, pooled over agents, inflates the variance of their means: 1 + 2 x
    the sum of the autocorrelations with Bartlett's taper, between 1 and 3 (Newey and West 1987). `newest` is room."""
    agents = len(contrast)
    lagged, product, weight = state.lagged, state.lag_product, state.lag_weight
    for a in range(agents):
        newest[a] = contrast[a] / math.sqrt(_contrast_variance(state, a))
    inflation = 1.0
    for lag in range(LAGS):
        total, pairs = 0.0, 0
        for a in range(agents):
            both = newest[a] * lagged[a, lag]
            if np.isfinite(both):
                total += both
                pairs += 1
        product[lag] *= pace.variance
        weight[lag] *= pace.variance
        if pairs > 0:
            product[lag] += total / pairs
            weight[lag] += 1.0
        inflation += 2.0 * (1.0 - (lag + 1.0) / (LAGS + 1.0)) * product[lag] / weight[lag]
    for a in range(agents):
        for lag in range(LAGS - 1, 0, -1):
            lagged[a, lag] = lagged[a, lag - 1]
        lagged[a, 0] = newest[a]
    return min(MOST_INFLATION, max(1.0, inflation))


@compiled_bare
def _learn(state: BeliefState, inflation: float, pace: Pace, scratch: Scratch) -> None:
    """Bayes' rule for the level of each agent present in each of the worlds, and Herbster and Warmuth's (1998) share of
    the prior: skill may be drawn anew."""
    for a in range(len(scratch.contrast)):
        if np.isfinite(scratch.contrast[a]):
            information = pace.trust / (_contrast_variance(state, a) * inflation)
            _likelihoods(scratch.likelihood, scratch.contrast[a] * information, information, pace.root_year)
            total, mean = scratch.total, scratch.mean[a]
            _weigh_levels(state.chance[a], scratch.likelihood, total, mean)
            redraw = _redraw(state, a, scratch, pace)
            for q in range(WORLDS):
                state.fit[a, q] = pace.fit * state.fit[a, q] + math.log(total[q])
                total[q] = (1.0 - redraw) / total[q]
                mean[q] *= total[q]  # the prior's mean is 0
            _draw_anew(state.chance[a], total, redraw)


@compiled_bare
def _likelihoods(likelihood: Floats, evidence: float, information: float, root_year: float) -> None:
    """A level s per period has the likelihood exp(evidence s - information s^2 / 2). Levels are equally far apart, so
    each is its neighbour's times a ratio that itself shrinks by the same factor."""
    middle, gap = len(LEVELS) // 2, (LEVELS[1] - LEVELS[0]) / root_year
    up, down = (
        math.exp((evidence - 0.5 * information * gap) * gap),
        math.exp((-evidence - 0.5 * information * gap) * gap),
    )
    shrink = math.exp(-information * gap * gap)
    likelihood[middle] = 1.0
    for k in range(1, middle + 1):
        likelihood[middle + k] = likelihood[middle + k - 1] * up
        likelihood[middle - k] = likelihood[middle - k + 1] * down
        up *= shrink
        down *= shrink


@compiled_bare
def _weigh_levels(chances: Floats, likelihood: Floats, total: Floats, lean: Floats) -> None:
    """Multiply `chances` [25, Q] by likelihoods; fill their sums and the sums of chance x level. The four worlds stand
    side by side in registers: sums in arrays take twice the time."""
    t0 = t1 = t2 = t3 = 0.0
    m0 = m1 = m2 = m3 = 0.0
    for k in range(len(LEVELS)):
        c0, c1 = chances[k, 0] * likelihood[k], chances[k, 1] * likelihood[k]
        c2, c3 = chances[k, 2] * likelihood[k], chances[k, 3] * likelihood[k]
        t0, t1, t2, t3 = t0 + c0, t1 + c1, t2 + c2, t3 + c3
        m0, m1, m2, m3 = m0 + c0 * LEVELS[k], m1 + c1 * LEVELS[k], m2 + c2 * LEVELS[k], m3 + c3 * LEVELS[k]
        chances[k, 0], chances[k, 1], chances[k, 2], chances[k, 3] = c0, c1, c2, c3
    total[0], total[1], total[2], total[3] = t0, t1, t2, t3
    lean[0], lean[1], lean[2], lean[3] = m0, m1, m2, m3


@compiled_bare
def _redraw(state: BeliefState, a: int, scratch: Scratch, pace: Pace) -> float:
    """The chance that an agent's skill was drawn anew, larger while the prior alone has of late foretold its returns
    better than what is believed of it: a skill that has died is forgotten sooner than one that lives."""
    fresh, held = 0.0, 0.0
    for k in range(len(LEVELS)):
        fresh += PRIOR[k, DOUBTING_WORLD] * scratch.likelihood[k]
    for q in range(WORLDS):
        held += scratch.total[q] / WORLDS
    state.doubt[a] = max(0.0, pace.doubt * state.doubt[a] + math.log(fresh / held))
    return min(MOST_REDRAW, pace.redraw * (1.0 + HASTE * (math.exp(min(10.0, state.doubt[a])) - 1.0)))


@compiled_bare
def _draw_anew(chances: Floats, kept: Floats, redraw: float) -> None:
    """Keep a share of each world's `chances`, and give the rest to the prior."""
    k0, k1, k2, k3 = kept[0], kept[1], kept[2], kept[3]
    for k in range(len(LEVELS)):
        chances[k, 0] = k0 * chances[k, 0] + redraw * PRIOR[k, 0]
        chances[k, 1] = k1 * chances[k, 1] + redraw * PRIOR[k, 1]
        chances[k, 2] = k2 * chances[k, 2] + redraw * PRIOR[k, 2]
        chances[k, 3] = k3 * chances[k, 3] + redraw * PRIOR[k, 3]


@compiled_bare
def _believe(state: BeliefState, scratch: Scratch) -> None:
    """The believed skill of the agents present: the mean over levels and worlds, smoothed."""
    for a in range(len(scratch.contrast)):
        if np.isfinite(scratch.contrast[a]):
            mean = 0.0
            for q in range(WORLDS):
                mean += scratch.share[q] * scratch.mean[a, q]
            state.belief[a] += (mean - state.belief[a]) / SMOOTHED_PERIODS


@compiled_bare
def _count(state: BeliefState, pace: Pace) -> None:
    """One period more, lived or replayed, as far as it is believed; both fade as fast as skill is drawn anew."""
    clock = state.clock
    clock[0] += 1.0
    clock[1] *= 1.0 - pace.redraw
    clock[2] *= 1.0 - pace.redraw
    if pace.replayed:
        clock[2] += pace.trust
    else:
        clock[1] += pace.trust
