"""What is believed of the agents' relative skill: a filter over levels of skill, one step for each period.

The state of knowledge is a `BeliefState`; `advance_all` takes in periods, one by one or all at once to the same bits.
Skill is an annual Sharpe ratio above the average agent. The arithmetic is in `belief_filter`, its reasons in
docs/mathematics.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from agents.core.arrays import packed, unpacked
from agents.core.types import Floats
from agents.quant.belief_filter import take_in
from agents.quant.belief_state import (
    CONTRAST_PERIODS,
    CONTRAST_VARIANCE,
    DOUBT_PERIODS,
    LAGS,
    LEVELS,
    PRIOR,
    REDRAW_PERIODS,
    SHARES,
    UNRELATED_PERIODS,
    WORLDS,
    BeliefState,
    Pace,
)
from agents.quant.belief_worlds import weigh_shares
from agents.quant.compiled import compiled

_BY_PAIR = ("together", "square_beside", "pair_weight")
_OF_ALL = ("clock", "lag_product", "lag_weight")


class BeliefsError(ValueError):
    """Stored beliefs that cannot be read: they are not what this version writes."""


def pace_of(periods_per_year: float, trust: float = 1.0, *, replayed: bool = False) -> Pace:
    """How fast the filter learns and forgets on a desk with so many periods a year; half-lives are half a year for
    variances, a year for correlations, three years for how well each prior has done, and skill is drawn anew about
    every three years, sooner where an agent is in doubt. `trust`, 0 to 1, multiplies the log-likelihoods: what is taken
    in counts for so much. What is `replayed` is remembered as such."""
    year = periods_per_year
    return Pace(
        variance=0.5 ** (2.0 / year),
        correlation=0.5 ** (1.0 / year),
        fit=0.5 ** (1.0 / (3.0 * year)),
        doubt=0.5 ** (252.0 / (DOUBT_PERIODS * year)),
        redraw=min(1.0, 252.0 / (REDRAW_PERIODS * year)),
        root_year=math.sqrt(year),
        trust=trust,
        replayed=replayed,
    )


def no_beliefs(agents: int) -> BeliefState:
    """The prior for so many agents: nothing has been seen."""
    several = np.zeros(agents)
    return BeliefState(
        clock=np.zeros(3),
        seen=several.copy(),
        square=several.copy(),
        weight=several.copy(),
        contrast_square=np.full(agents, CONTRAST_PERIODS * CONTRAST_VARIANCE),
        contrast_weight=np.full(agents, CONTRAST_PERIODS),
        active=several.copy(),
        alive=several.copy(),
        lagged=np.full((agents, LAGS), np.nan),
        lag_product=np.zeros(LAGS),
        lag_weight=np.full(LAGS, UNRELATED_PERIODS),
        chance=np.repeat(PRIOR[None], agents, axis=0),
        fit=np.zeros((agents, len(SHARES))),
        belief=several.copy(),
        doubt=several.copy(),
        together=np.zeros((agents, agents)),
        square_beside=np.zeros((agents, agents)),
        pair_weight=np.zeros((agents, agents)),
    )


def advance_all(state: BeliefState, returns: Floats, pace: Pace) -> BeliefState:
    """The state after periods with the agents' own returns [T, A], oldest first, NaN for one that did not exist or had
    no opinion. The given state stays as it is."""
    after = BeliefState(*(values.copy() for values in state))
    take_in(after, np.ascontiguousarray(returns, dtype=np.float64), pace)
    return after


def for_agents(state: BeliefState, before: Sequence[str], now: Sequence[str]) -> BeliefState:
    """The state of agents `before` for those there are `now`: who joins starts at the prior, who has left is dropped,
    and what is known of the rest stays as it was."""
    fresh = no_beliefs(len(now))
    put = [k for k, name in enumerate(now) if name in before]
    take = [list(before).index(now[k]) for k in put]
    for name, old, new in zip(BeliefState._fields, state, fresh, strict=True):
        if name in _OF_ALL:
            new[...] = old
        elif name in _BY_PAIR:
            new[np.ix_(put, put)] = old[np.ix_(take, take)]
        else:
            new[put] = old[take]
    return fresh


def to_bytes(state: BeliefState) -> bytes:
    """The state as numpy's npz without pickle."""
    return packed(state._asdict())


def from_bytes(stored: bytes) -> BeliefState:
    """What `to_bytes` wrote, to the bit; BeliefsError for anything else."""
    try:
        arrays = unpacked(stored)
    except ValueError as error:
        raise BeliefsError(f"these are no stored beliefs: {error}") from None
    return from_arrays(arrays)


def from_arrays(arrays: Mapping[str, Floats]) -> BeliefState:
    """The state whose fields these are, by name; BeliefsError where they are not, or do not fit each other."""
    if set(arrays) != set(BeliefState._fields):
        raise BeliefsError(f"beliefs have the parts {', '.join(BeliefState._fields)}; stored are {', '.join(arrays)}")
    state = BeliefState(**{name: np.asarray(values, dtype=np.float64) for name, values in arrays.items()})
    if state.belief.ndim != 1 or tuple(values.shape for values in state) != _shapes(len(state.belief)):
        raise BeliefsError("the stored beliefs' arrays do not fit each other")
    return state


@lru_cache(maxsize=16)
def _shapes(agents: int) -> tuple[tuple[int, ...], ...]:
    """Of the state's arrays."""
    return tuple(values.shape for values in no_beliefs(agents))


# ---------------------------------------------------------------- what is believed


@compiled
def chances_of_shares(state: BeliefState) -> Floats:
    """[Q]: how probable it is that so many of the agents are ordinary, for each share in SHARES."""
    agents, share = len(state.belief), np.empty(WORLDS)
    weigh_shares(state, np.empty((agents, agents)), np.empty(agents), share)
    return share


@compiled
def chances_of_levels(state: BeliefState) -> Floats:
    """[A, 25]: how probable each agent's skill is at each of LEVELS, over all shares of ordinary agents."""
    shares = chances_of_shares(state)
    chances = np.zeros((len(state.belief), len(LEVELS)))
    for a in range(len(state.belief)):
        for k in range(len(LEVELS)):
            for q in range(WORLDS):
                chances[a, k] += state.chance[a, k, q] * shares[q]
    return chances


@compiled
def chances_where_agents_differ(state: BeliefState) -> Floats:
    """[A, 25]: how probable each agent's skill is at each of LEVELS if it is no ordinary one.

    That most agents are ordinary keeps false bets small; bounds around a skill that took it for knowledge would be a
    few tenths wide on the first day and hold the truth of one agent in five (scripts/calibrate_beliefs.py).
    """
    most, middle = int(np.argmin(SHARES)), len(LEVELS) // 2
    chances = state.chance[:, :, most].copy()
    for a in range(len(chances)):
        chances[a, middle] *= 1.0 - SHARES[most] / PRIOR[middle, most]  # what of the chance of level 0 is not ordinary
        chances[a] /= np.sum(chances[a])
    return chances


@compiled
def better_than_average(chances: Floats) -> Floats:
    """[A]: how probable it is, by `chances` [A, 25], that an agent is better than the average one. To be exactly
    average counts half."""
    middle, better = len(LEVELS) // 2, np.empty(len(chances))
    for a in range(len(chances)):
        better[a] = 0.5 * chances[a, middle]
        for k in range(middle + 1, len(LEVELS)):
            better[a] += chances[a, k]
    return better


@compiled
def interval(chances: Floats, share: float) -> Floats:
    """[A, 2]: the bounds between which `chances` [A, 25] hold the middle `share` of an agent's skill. Each level stands
    for the stretch halfway to its neighbours."""
    width, bounds = LEVELS[1] - LEVELS[0], np.empty((len(chances), 2))
    for a in range(len(chances)):
        reached = np.cumsum(chances[a])
        for side in range(2):
            tail = (0.5 + (side - 0.5) * share) * reached[-1]
            k = np.searchsorted(reached, tail)
            below = reached[k - 1] if k > 0 else 0.0
            bounds[a, side] = LEVELS[k] + width * ((tail - below) / (reached[k] - below) - 0.5)
    return bounds


@compiled
def activity(state: BeliefState) -> Floats:
    """[A]: the root of the share of periods with an opinion, by which a skill per active period is one per year."""
    share = np.ones(len(state.active))
    for a in range(len(share)):
        if state.alive[a] > 0.0:
            share[a] = math.sqrt(state.active[a] / state.alive[a])
    return share


def from_replay(state: BeliefState) -> float:
    """The share of the evidence that comes from a replayed past; 0 where there is none."""
    lived, replayed = float(state.clock[1]), float(state.clock[2])
    return replayed / (lived + replayed) if replayed > 0.0 else 0.0
