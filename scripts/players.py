"""Who plays in the tournament: from one draw of a world to the weights that a desk of each method holds, day by day."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from worlds import YEAR, Draw

from agents.core.types import Floats
from agents.quant.belief_filter import _take_in
from agents.quant.belief_state import BeliefState, Pace, Scratch, room_for
from agents.quant.beliefs import no_beliefs, pace_of
from agents.quant.bounded_weights import SolverError
from agents.quant.compiled import compiled
from agents.quant.limits import Limits, bounds
from agents.quant.portfolios import max_sharpe
from agents.quant.regime_skill import regime_skill
from agents.quant.target import least_quadratic, target_of, traded, views_of

TEXTBOOK_DAYS = 90
RELEARNT_DAYS = 5


class Bounds(NamedTuple):
    """Lowest and highest weight of each agent, the most that one weight may move in a day, and on how many days of
    returns the first change may be made."""

    low: Floats
    high: Floats
    step: float
    first: int


def adaptive(drawn: Draw, rules: Bounds) -> Floats:
    """The desk's default, with the filter's own functions in one compiled loop; a test holds it to `propose`."""
    agents = drawn.returns.shape[1]
    anchor = np.full(agents, 1.0 / agents)
    return follow(drawn.returns, anchor, anchor, no_beliefs(agents), rules)[:-1]


def follow(returns: Floats, start: Floats, anchor: Floats, state: BeliefState, rules: Bounds) -> Floats:
    """The weights that a desk of the default method holds on some more days [D, A], and after them, [D + 1, A]: from
    `start` on, knowing `state`, which takes these days in."""
    return _follow(returns, start, anchor, (state, pace_of(YEAR), room_for(len(start))), rules)


@compiled
def _follow(
    returns: Floats, start: Floats, anchor: Floats, known: tuple[BeliefState, Pace, Scratch], rules: Bounds
) -> Floats:
    state, pace, scratch = known
    held = np.empty((len(returns) + 1, len(start)))
    held[0] = start
    for t in range(len(returns)):
        _take_in(state, returns[t : t + 1], pace, scratch)
        held[t + 1] = held[t]
        if state.clock[0] >= rules.first:
            target = target_of(views_of(state, pace.root_year), anchor, rules.low, rules.high)
            if np.isfinite(target[0]):
                held[t + 1] = traded(held[t], target, rules.step)
    return held


def by_regime(drawn: Draw, rules: Bounds) -> Floats:
    """The default with what is believed of skills in the state that the market is in, learnt anew every fifth day."""
    returns, regime = drawn.returns, drawn.regime
    days, agents = returns.shape
    anchor = np.full(agents, 1.0 / agents)
    state, pace, scratch = no_beliefs(agents), pace_of(YEAR), room_for(agents)
    held, shift = np.tile(anchor, (days + 1, 1)), np.zeros((agents, 2))
    for t in range(days):
        _take_in(state, returns[t : t + 1], pace, scratch)
        held[t + 1] = held[t]
        if t % RELEARNT_DAYS == 0:
            shift = regime_skill(returns[: t + 1], regime[: t + 1], 2, YEAR).shift
        if state.clock[0] >= rules.first:
            views = views_of(state, pace.root_year)
            now = regime[min(t + 1, days - 1)]
            target = target_of(views._replace(skill=views.skill + shift[:, now]), anchor, rules.low, rules.high)
            if np.isfinite(target[0]):
                held[t + 1] = traded(held[t], target, rules.step)
    return held[:-1]


def textbook(drawn: Draw, rules: Bounds) -> Floats:
    """Maximum Sharpe ratio by the means and the covariance of the last 90 days, daily, taken at its word."""
    return _textbook(np.nan_to_num(drawn.returns), rules)


@compiled
def _textbook(returns: Floats, rules: Bounds) -> Floats:
    """Where no mix has a positive mean, nothing changes."""
    days, agents = returns.shape
    weights, held = np.full(agents, 1.0 / agents), np.empty((days, agents))
    for t in range(days):
        held[t] = weights
        if t + 1 < rules.first:
            continue
        window = returns[max(0, t + 1 - TEXTBOOK_DAYS) : t + 1]
        mean = window.sum(axis=0) / len(window)
        centred = window - mean
        covariance = centred.T @ centred / len(window)
        covariance += 1e-6 * np.trace(covariance) / agents * np.eye(agents)
        best = least_quadratic(1e-9 * covariance, mean, rules.low, rules.high)
        if not mean @ best > 0.0:
            continue
        ratio = 0.0
        for _ in range(50):  # Dinkelbach (1967): the mix of the best ratio is that of the best difference at its price
            price = (mean @ best) / (best @ covariance @ best)
            best = least_quadratic(covariance, mean / price, rules.low, rules.high)
            if abs(price - ratio) < 1e-6 * price:
                break
            ratio = price
        if np.isfinite(best[0]):
            weights = best
    return held


def equal(drawn: Draw, _rules: Bounds) -> Floats:
    """Nothing ever moves."""
    return np.full(drawn.skill.shape, 1.0 / drawn.skill.shape[1])


def oracle(drawn: Draw, rules: Bounds) -> Floats:
    """The highest Sharpe ratio that the limits allow by the true means; where all lose, the least lossy."""
    held = np.empty(drawn.skill.shape)
    deviation = np.sqrt(np.diag(drawn.covariance))
    for t, skill in enumerate(drawn.skill):
        if t and np.array_equal(skill, drawn.skill[t - 1]):
            held[t] = held[t - 1]
            continue
        mean = deviation * skill / math.sqrt(YEAR)
        mean = mean if mean.max() > 0 else mean - mean.min() + 1e-6
        try:
            held[t] = max_sharpe(mean, drawn.covariance, rules.low, rules.high, "direct")
        except SolverError:
            held[t] = max_sharpe(mean - mean.min() + 1e-6, drawn.covariance, rules.low, rules.high, "direct")
    return held


PLAYERS: dict[str, Callable[[Draw, Bounds], Floats]] = {
    "none": equal,
    "oracle": oracle,
    "adaptive": adaptive,
    "by_regime": by_regime,
    "max_sharpe": textbook,
}


def held_by(method: str, drawn: Draw) -> Floats:
    """[days, agents]: the weights that a desk of this method holds in one draw, within the usual limits."""
    agents = drawn.returns.shape[1]
    limits = Limits()
    floor, cap, _ = bounds(agents, limits)
    rules = Bounds(np.full(agents, floor), np.full(agents, cap), limits.step, limits.minimum_periods)
    return PLAYERS[method](drawn, rules)
