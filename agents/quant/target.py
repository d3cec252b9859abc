"""Beliefs -> target weights, and from there a trade: bet in proportion to what is believed, and not on small wishes.

    maximise (d o s)'w - g/2 (w - a)'S(w - a)    over low <= w <= high, sum(w) = 1

with d the believed skills less a small part, s the volatilities, a the anchor, g = 0.65 / (volatility of the anchor),
and in S half of every correlation: agents alike in returns are likely alike in skill. Strictly convex; solved by an
active-set method, which tests hold against cvxpy within 1e-8.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from agents.core.types import Floats, Integers
from agents.quant.belief_state import BeliefState
from agents.quant.belief_worlds import correlate
from agents.quant.compiled import compiled

ANCHOR_SHARPE = 1.0
"""The Sharpe ratio that the anchor is assumed to have where a price is stated."""
AVERSION = 0.65
"""Aversion to active risk, over the anchor's volatility; fixed, so that a low estimate cannot blow up the bets."""
SMALL_SKILL = 0.05
"""So much of every believed skill is not acted upon: where agents do not differ, beliefs wander by about as much, and
each small bet on that costs."""
CORRELATION_SHARE = 0.5
VOLATILITY_PERIODS = 20.0
"""A volatility is drawn to the mean of all as if that had been seen for so many periods."""
ROUNDING = 1e-14
"""A weight that lies so far outside a bound lies on it."""
NO_TRADE_SHARE = 0.20
"""Of an equal weight: while no weight is further from its target, nothing moves; else all move to half of that."""


class Views(NamedTuple):
    """What is believed of A agents, annual: skill above the average agent (a Sharpe ratio) and volatility [A],
    correlation [A, A]."""

    skill: Floats
    volatility: Floats
    correlation: Floats


@compiled
def views_of(state: BeliefState, root_year: float) -> Views:
    """The views that a state of knowledge amounts to, of days on which an agent speaks: the mix leaves out who is
    silent, so those are the days on which a weight counts. Volatilities are 0 while nothing has moved."""
    agents = len(state.belief)
    volatility = np.zeros(agents)
    total, known = 0.0, 0
    for a in range(agents):
        if state.weight[a] > 0.0:
            volatility[a] = math.sqrt(state.square[a] / state.weight[a])
            total += volatility[a]
            known += 1
    mean = total / max(known, 1)
    for a in range(agents):
        own = state.weight[a]
        volatility[a] = (own * volatility[a] + VOLATILITY_PERIODS * mean) / (own + VOLATILITY_PERIODS) * root_year
    correlation = np.empty((agents, agents))
    correlate(state, correlation)
    return Views(state.belief.copy(), volatility, correlation)


@compiled
def of_a_year(views: Views, activity: Floats) -> Views:
    """The views of all days of a year, of agents that speak on the square of `activity` [A] of them: one that is active
    one day in ten has a tenth of its active days' year."""
    return Views(views.skill * activity, views.volatility * activity, views.correlation)


@compiled
def active_risk(views: Views, tilt: Floats) -> float:
    """The annual volatility of holding `tilt` [A]."""
    total = 0.0
    for a in range(len(tilt)):
        for b in range(len(tilt)):
            total += tilt[a] * views.volatility[a] * views.correlation[a, b] * views.volatility[b] * tilt[b]
    return math.sqrt(max(total, 0.0))


@compiled
def acted_on(skill: Floats) -> Floats:
    """What of believed skills [A] is bet on: what exceeds SMALL_SKILL."""
    return np.sign(skill) * np.maximum(np.abs(skill) - SMALL_SKILL, 0.0)


@compiled
def priced_risk(volatility: Floats, correlation: Floats, share: float, aversion: float) -> Floats:
    """[A, A]: aversion x covariance, with this share of every correlation."""
    agents = len(volatility)
    matrix = np.empty((agents, agents))
    for a in range(agents):
        for b in range(agents):
            alike = 1.0 if a == b else share * correlation[a, b]
            matrix[a, b] = aversion * alike * volatility[a] * volatility[b]
    return matrix


@compiled
def target_of(views: Views, anchor: Floats, low: Floats, high: Floats) -> Floats:
    """The best weights [A] between `low` and `high` [A], which must let in some that sum to 1; NaNs where nothing has
    moved yet, or where no optimum is found."""
    agents = len(anchor)
    risk = active_risk(views, anchor)
    if not risk > 0.0:
        return np.full(agents, math.nan)
    matrix = priced_risk(views.volatility, views.correlation, CORRELATION_SHARE, AVERSION / risk)
    gain = acted_on(views.skill) * views.volatility + matrix @ anchor
    return least_quadratic(matrix, gain, low, high)


@compiled
def built_up(views: Views, anchor: Floats) -> Floats:
    """[4, A]: the target if no weight had a limit, built up cause by cause: the anchor, what skills alone make of
    it, with volatilities, with correlations."""
    agents, aversion = len(anchor), AVERSION / active_risk(views, anchor)
    alike = np.full(agents, max(views.volatility.sum() / agents, 1e-300))
    usual = np.maximum(views.volatility, 1e-3 * alike)
    stages, right = np.empty((4, agents)), np.ones((agents, 2))
    stages[0] = anchor
    for stage in range(1, 4):
        volatility, share = usual if stage > 1 else alike, CORRELATION_SHARE if stage > 2 else 0.0
        right[:, 0] = acted_on(views.skill) * volatility
        solved = np.linalg.solve(priced_risk(volatility, views.correlation, share, aversion), right)
        price = solved[:, 0].sum() / solved[:, 1].sum()
        stages[stage] = anchor + solved[:, 0] - price * solved[:, 1]
    return stages


@compiled
def least_quadratic(matrix: Floats, gain: Floats, low: Floats, high: Floats) -> Floats:
    """The w [A] that minimises w'Hw/2 - gain'w between `low` and `high` with a sum of 1; H is positive definite.

    A primal active-set method: solve on the free weights, walk there as far as the bounds allow, hold what meets one,
    let go of the bound whose multiplier is most wrong. NaNs where so many rounds do not suffice.
    """
    size = len(gain)
    room = np.sum(high - low)
    if not room > 0.0:
        return low.copy()
    w = low + (high - low) * max(0.0, min(1.0, (1.0 - np.sum(low)) / room))
    held = np.where(high > low, 0, -1)  # -1 at the lower bound, 1 at the upper one, 0 free
    tolerance = 1e-13 * (np.max(np.abs(matrix)) + np.max(np.abs(gain)))
    for _ in range(20 * size + 100):
        aim, price = _on_face(matrix, gain, w, held)
        if _walk(w, aim, held, low, high):
            continue
        slope = matrix @ w - gain
        worst, wrong = -1, tolerance
        for a in range(size):
            pressure = held[a] * (slope[a] + price)
            if low[a] < high[a] and pressure > wrong:
                worst, wrong = a, pressure
        if worst < 0:
            return np.minimum(high, np.maximum(low, w))
        held[worst] = 0
    return np.full(size, math.nan)


@compiled
def _on_face(matrix: Floats, gain: Floats, w: Floats, held: Integers) -> tuple[Floats, float]:
    """The optimum while the held weights stay where they are, and the price of the sum there."""
    free = np.flatnonzero(held == 0)
    count = len(free)
    system, right = np.zeros((count + 1, count + 1)), np.zeros(count + 1)
    right[count] = 1.0
    for i in range(count):
        system[i, count] = system[count, i] = 1.0
        right[i] = gain[free[i]]
        for j in range(count):
            system[i, j] = matrix[free[i], free[j]]
    for b in range(len(w)):
        if held[b] != 0:
            right[count] -= w[b]
            for i in range(count):
                right[i] -= matrix[free[i], b] * w[b]
    solved = np.linalg.solve(system, right)
    aim = w.copy()
    for i in range(count):
        aim[free[i]] = solved[i]
    return aim, solved[count]


@compiled
def _walk(w: Floats, aim: Floats, held: Integers, low: Floats, high: Floats) -> bool:
    """Move `w` towards `aim` until a bound is met, which is then held; whether one was met."""
    share, blocking, side = 1.0, -1, 0
    for a in range(len(w)):
        if held[a] != 0 or low[a] - ROUNDING <= aim[a] <= high[a] + ROUNDING:
            continue
        bound = high[a] if aim[a] > high[a] else low[a]
        reach = (bound - w[a]) / (aim[a] - w[a]) if aim[a] != w[a] else 0.0
        if blocking < 0 or reach < share:
            share, blocking, side = max(0.0, reach), a, 1 if aim[a] > high[a] else -1
    for a in range(len(w)):
        if held[a] == 0:
            w[a] += share * (aim[a] - w[a])
    if blocking >= 0:
        w[blocking] = high[blocking] if side > 0 else low[blocking]
        held[blocking] = side
    return blocking >= 0


@compiled
def no_trade_zone(agents: int) -> float:
    """How far a target may lie from a weight before anything moves."""
    return NO_TRADE_SHARE / agents


@compiled
def largest_wish(start: Floats, target: Floats) -> float:
    """How far the furthest weight is from its target; NaN where there is no target."""
    largest = 0.0
    for a in range(len(target)):
        if not math.isfinite(target[a]):
            return math.nan
        largest = max(largest, abs(target[a] - start[a]))
    return largest


@compiled
def traded(start: Floats, target: Floats, step: float) -> Floats:
    """Weights [A] after a trade from `start` towards `target`: none where every wish is small, else all the way but
    for half of the zone in which nothing moves, and no weight by more than `step`."""
    zone = no_trade_zone(len(start))
    largest = largest_wish(start, target)
    if not largest > zone:
        return start.copy()
    share = min(1.0 - 0.5 * zone / largest, step / largest)
    return np.asarray(start + share * (target - start))
