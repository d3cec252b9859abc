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
from agents.quant.scores import without_silence

FILTER_VERSION = 2
"""Grows whenever the filter's arithmetic changes: beliefs of another one are computed anew."""


class Fold(NamedTuple):
    """What a day more goes on from, while it is at hand: what its digest began with, the returns [D, A] that were
    taken in, their digest so far, and what is believed after them."""

    head: str
    returns: Floats
    digest: hashlib._Hash
    state: BeliefState


class Known(NamedTuple):
    """What is believed after so many days, a digest of all that this was computed from, and what goes on from here."""

    days: int
    digest: str
    state: BeliefState
    fold: Fold


def opinions(days: AgentDays, first: int = 0) -> Floats:
    """The days' returns [D, A] from a place on; a day without any signal is a day without an opinion (NaN), not a
    return of 0."""
    return without_silence(days.returns[first:], days.signals[first:])


def known_after(days: AgentDays, *, past: KeptBeliefs | None, kept: KeptBeliefs | None, days_per_year: float) -> Known:
    """What is believed after `days`, going on from what is `kept` where that was computed from the first of them."""
    returns = opinions(days)
    head = repr((FILTER_VERSION, days_per_year, days.agents, past.digest if past else ""))
    before = _before(head, returns, kept)
    if before is None:
        before = Fold(head, returns[:0], hashlib.sha256(head.encode()), _start(past, days.agents))
    digest, state, new = before.digest.copy(), before.state, returns[len(before.returns) :]
    digest.update(new.data)
    if len(new):
        state = advance_all(state, new, pace_of(days_per_year))
    return Known(len(returns), digest.hexdigest(), state, Fold(head, returns, digest, state))


def _before(head: str, returns: Floats, kept: KeptBeliefs | None) -> Fold | None:
    """What is `kept`, where it was computed from the first of these returns; what is at hand is compared as it is, what
    was stored by its digest."""
    if kept is None or kept.days > len(returns):
        return None
    first, at_hand = returns[: kept.days], kept.at_hand
    if isinstance(at_hand, Fold) and at_hand.head == head:
        return at_hand if np.array_equal(at_hand.returns.view(np.int64), first.view(np.int64)) else None
    digest = hashlib.sha256(head.encode())
    digest.update(first.data)
    state = _readable(kept) if digest.hexdigest() == kept.digest else None
    return None if state is None else Fold(head, first, digest, state)


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
    # `mode` only spares a check of the places, which costs half of the time
    returns = days.returns.take(places, axis=1, mode="clip")
    signals = days.signals.take(places, axis=1, mode="clip")
    return replace(days, agents=kept, returns=returns, signals=signals)


def past_beliefs(days: AgentDays, *, days_per_year: float, trust: float) -> KeptBeliefs:
    """What a replay of the past teaches: `days` of the desk's agents before its first decision, believed as far as
    `trust` goes (0 to 1), since the agents were written by people who knew that past."""
    returns = opinions(days)
    state = advance_all(no_beliefs(len(days.agents)), returns, pace_of(days_per_year, trust, replayed=True))
    digest = hashlib.sha256(repr((FILTER_VERSION, days_per_year, trust, days.agents)).encode())
    digest.update(returns.data)
    arrays = state._asdict()
    return KeptBeliefs(agents=days.agents, days=len(returns), digest=digest.hexdigest(), arrays=arrays)


def kept_of(known: Known, agents: tuple[str, ...]) -> KeptBeliefs:
    """What is kept of it."""
    arrays = known.state._asdict()
    return KeptBeliefs(agents=agents, days=known.days, digest=known.digest, arrays=arrays, at_hand=known.fold)


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
