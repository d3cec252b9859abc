"""What a desk believes of its agents, kept from one day to the next.

Beliefs are a fold of the desk's days, behind those of its replayed past. They are kept with a digest of all that they
were folded from: where it still fits, only new days are taken in; where a day was corrected, the agents are others, or
nothing is kept, they are computed from scratch, to the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from agents.core.meta_types import AgentDays, KeptBeliefs
from agents.core.types import Floats
from agents.quant.belief_state import BeliefState
from agents.quant.beliefs import BeliefsError, advance_all, for_agents, from_arrays, no_beliefs, pace_of

FILTER_VERSION = 2
"""Grows whenever the filter's arithmetic changes: beliefs of another one are computed anew."""


class Known(NamedTuple):
    """What is believed after so many days, and a digest of all that this was computed from."""

    days: int
    digest: str
    state: BeliefState


def opinions(days: AgentDays) -> Floats:
    """The days' returns [D, A]; a day without any signal is a day without an opinion (NaN), not a return of 0."""
    silent = (days.signals == 0) & (days.returns == 0.0)
    return np.ascontiguousarray(np.where(silent, np.nan, days.returns) + 0.0)  # a return of -0 is one of 0


def known_after(days: AgentDays, *, past: KeptBeliefs | None, kept: KeptBeliefs | None, days_per_year: float) -> Known:
    """What is believed after `days`, going on from what is `kept` where that was computed from the first of them."""
    returns = opinions(days)
    head = repr((FILTER_VERSION, days_per_year, days.agents, past.digest if past else ""))
    digest, state, done = hashlib.sha256(head.encode()), None, 0
    if kept is not None and kept.agents == days.agents and kept.days <= len(returns):
        before = digest.copy()
        before.update(returns[: kept.days].data)
        if before.hexdigest() == kept.digest:
            state, digest, done = _readable(kept), before, kept.days
    if state is None:
        digest, state, done = hashlib.sha256(head.encode()), _start(past, days.agents), 0
    digest.update(returns[done:].data)
    if done < len(returns):
        state = advance_all(state, returns[done:], pace_of(days_per_year))
    return Known(len(returns), digest.hexdigest(), state)


def days_before(days: AgentDays, date: np.datetime64) -> AgentDays:
    """The days before a date, as far as beliefs look at them."""
    count = int(np.searchsorted(days.date, date))
    return replace(days, date=days.date[:count], returns=days.returns[:count], signals=days.signals[:count])


def only_of(days: AgentDays, names: Collection[str]) -> AgentDays:
    """The days of those agents that are among `names`, as far as beliefs look at them."""
    places = [k for k, name in enumerate(days.agents) if name in names]
    if len(places) == len(days.agents):
        return days
    kept = tuple(days.agents[k] for k in places)
    returns, signals = days.returns.take(places, axis=1), days.signals.take(places, axis=1)
    return replace(days, agents=kept, returns=returns, signals=signals)


def past_beliefs(days: AgentDays, *, days_per_year: float, trust: float) -> KeptBeliefs:
    """What a replay of the past teaches: `days` of the desk's agents before its first decision, believed as far as
    `trust` goes (0 to 1), since the agents were written by people who knew that past."""
    returns = opinions(days)
    state = advance_all(no_beliefs(len(days.agents)), returns, pace_of(days_per_year, trust, replayed=True))
    digest = hashlib.sha256(repr((FILTER_VERSION, days_per_year, trust, days.agents)).encode())
    digest.update(returns.data)
    return kept_of(Known(len(returns), digest.hexdigest(), state), days.agents)


def kept_of(known: Known, agents: tuple[str, ...]) -> KeptBeliefs:
    """What is kept of it."""
    return KeptBeliefs(agents=agents, days=known.days, digest=known.digest, arrays=known.state._asdict())


def _start(past: KeptBeliefs | None, agents: tuple[str, ...]) -> BeliefState:
    """What was known before the first day: agents that the past did not know start at the prior."""
    state = None if past is None else _readable(past)
    return no_beliefs(len(agents)) if past is None or state is None else for_agents(state, past.agents, agents)


def is_readable(kept: KeptBeliefs) -> bool:
    """Whether this version of the filter can go on from what was kept."""
    return _readable(kept) is not None


def _readable(kept: KeptBeliefs) -> BeliefState | None:
    try:
        return from_arrays(kept.arrays)
    except BeliefsError:
        return None
