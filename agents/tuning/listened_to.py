"""Who is listened to, at every decision about weights: lives + days -> changes of state, and whose weights are tuned.

The method that tunes sees the full agents only, as if there were no others, so that nobody else can change what it
decides. What it leaves them is scaled to make room for those on probation, who are pinned at the floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from agents.core.later import Later
from agents.core.life_types import LISTENED_TO, Life, LifeChange, lives_of
from agents.core.meta_ports import OptimizerDesk
from agents.core.meta_types import AgentDays, WeightDecision
from agents.core.types import WeightSet
from agents.core.weight_sets import anchor_of, fitted_weights, normalised, vector_of
from agents.core.weights_over_time import utc_day
from agents.quant.adding import BELIEF_PERIODS, BET_PERIODS, Adding, adding_of_each
from agents.quant.bounded_weights import box_of, feasible_start
from agents.quant.limits import USUAL_FLOOR, Limits, bounds
from agents.tuning.agent_life import TUNER, LifeRules, belief_of, bets_to_go, changes_due, figures_of, hurdle
from agents.tuning.desk_beliefs import opinions

MOST_PINNED = 0.3
"""Of the whole weight, for all together that are on probation."""
RUN_UP_PERIODS = 252
"""Before what is measured, to learn what is usual."""


class Seating(NamedTuple):
    """Whose weights are tuned, who is `pinned` at which weight, and who is `silent`: enabled by the settings, but with
    no weight, which is said so that nobody takes the agent for a new one. `mute` are those of the silent that have no
    weight because they never say anything; when they speak, they are back at the floor."""

    tuned: tuple[str, ...]
    pinned: Mapping[str, float] = {}
    silent: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()

    @property
    def left(self) -> float:
        """What the tuned ones share."""
        return 1.0 - math.fsum(self.pinned.values())

    @classmethod
    def of(cls, plain: Mapping[str, Any] | None, everybody: Iterable[str]) -> Seating:
        """What `as_plain` said; None says that all of `everybody` were tuned."""
        if plain is None:
            return cls(tuple(everybody))
        mute = tuple(plain.get("mute", ()))
        return cls(tuple(plain["tuned"]), dict(plain["pinned"]), tuple(plain["silent"]), mute)

    def as_plain(self) -> dict[str, Any]:
        """Fit for JSON."""
        plain = {"tuned": list(self.tuned), "pinned": dict(self.pinned), "silent": list(self.silent)}
        return {**plain, "mute": list(self.mute)} if self.mute else plain


class Turn(NamedTuple):
    """What one occasion brings: changes of state, who is listened to from now on, and the figures of every agent."""

    changes: tuple[LifeChange, ...]
    seating: Seating
    figures: Mapping[str, Mapping[str, Any]]


class Watched(NamedTuple):
    """What agents are judged by: days of all of them, how many make a year, the limits of weights, the levels, the
    settings' weights, which are the anchor, and who of them is mute."""

    days: AgentDays
    per_year: float
    limits: Limits
    rules: LifeRules
    static: Mapping[str, float]
    mute: tuple[str, ...] = ()


def turn_of(
    desk: OptimizerDesk, watched: Watched, at: datetime, said: LifeChange | None = None, *, paused: bool = False
) -> Turn:
    """What is due at `at`, after what a person `said`. While tuning is paused, nothing is that the tuner does."""
    past, listed = desk.life_changes(), desk.listed
    first = [said] if said is not None else []
    lives = lives_of([*past, *first]) if first else past.lives
    adds = adds_of(desk, watched, lives)
    spoken_of = {change.agent for change in first}
    due = [
        change
        for change in changes_due(lives, listed, adds, at, watched.rules)
        if change.agent not in spoken_of and not (paused and change.actor == TUNER)
    ]
    lives = lives_of([*past, *first, *due]) if due else lives
    known, years = {name: lives[name] for name in listed if name in lives}, (watched.rules, watched.per_year)
    figures = Later(lambda: {name: told(life, adds.get(name), at, *years) for name, life in known.items()})
    return Turn((*first, *due), seating_of(lives, listed, watched.limits, watched.mute), figures)


def seating_of(
    lives: Mapping[str, Life], listed: Mapping[str, str], limits: Limits, mute: Sequence[str] = ()
) -> Seating:
    """Who is listened to of the agents that the settings name; to those who are mute there is nothing to listen."""
    states = {name: lives[name].state for name in listed if name in lives}
    members = [name for name, state in states.items() if state in LISTENED_TO and name not in mute]
    waiting = [name for name in members if states[name] == "probation"]
    tuned = tuple(name for name in members if name not in waiting)
    silent = tuple(name for name, where in listed.items() if where == "enabled" and name not in members)
    if not tuned:  # somebody has to trade
        return Seating(tuple(waiting) or tuple(name for name, where in listed.items() if where == "enabled"))
    floor = bounds(len(members), limits)[0] or min(USUAL_FLOOR, 0.5 / len(members))
    pin = round(min(floor, MOST_PINNED / max(1, len(waiting))), 6)
    return Seating(tuned, dict.fromkeys(waiting, pin), silent, tuple(name for name in silent if name in mute))


def adds_of(desk: OptimizerDesk, watched: Watched, lives: Mapping[str, Life]) -> dict[str, Adding]:
    """What every agent that has a life adds to the mix of the others; nothing before the first day."""
    days, count = watched.days, len(watched.days.date)
    if not count:
        return {}
    counted, looked_at = [count] * len(days.agents), [count] * len(days.agents)
    for a, name in enumerate(days.agents):
        if name in lives:  # from where it is looked at is its own affair: an agent in shadow changes nothing for others
            if (since := lives[name].watched_since) is not None:
                counted[a] = int(np.searchsorted(days.date, utc_day(since), side="right"))
            looked_at[a] = max(0, min(count - BELIEF_PERIODS, counted[a]) - RUN_UP_PERIODS)
    oldest = min(looked_at)
    enabled = [name for name, where in desk.listed.items() if where == "enabled"]
    weights = desk.weights_over_time().held(days.date[oldest:], days.agents, anchor_of(watched.static, enabled))
    first, evident = np.array(looked_at) - oldest, np.array(counted) - oldest
    of_each = adding_of_each(opinions(days, oldest), weights, first, evident, watched.per_year)
    return {name: adds for name, adds in zip(days.agents, of_each, strict=True) if name in lives}


def told(life: Life, adds: Adding | None, at: datetime, rules: LifeRules, per_year: float) -> dict[str, Any]:
    """What is to be said of one agent: where it stands, what it adds, what it still has to show and about when."""
    figures: dict[str, Any] = {"state": life.state, "since": life.since.isoformat(), "days": (at - life.since).days}
    if adds is None:
        return figures
    if life.state in ("shadow", "probation"):
        figures |= figures_of(adds)
        needed = hurdle(life, rules) * (rules.full_factor if life.state == "probation" else 1.0)
        bets = bets_to_go(adds.log_evidence, adds.bets, needed)
        days = None if bets is None else math.ceil(bets * BET_PERIODS * 365.25 / per_year)
        figures |= {"needed": round(needed, 4), "days_to_go": days}
    else:
        figures |= belief_of(adds)
    if life.state == "decaying":
        figures["days_to_go"] = max(0, rules.retire_after_days - figures["days"])
    return figures


# ---------------------------------------------------------------- a decision for some, and for all


def before_of(before: WeightSet, seating: Seating, limits: Limits, static: Mapping[str, float]) -> WeightSet:
    """The weights in force as the tuned agents see them: theirs alone, in proportion as far as their limits allow; as
    it is where they are all. Who had no weight, as a mute one, and is tuned now, begins at the floor like a new one."""
    floor = bounds(len(seating.tuned), limits)[0]
    before_them = {name: float(weight) for name, weight in before.weights.items()}
    heard = {name: weight for name, weight in before_them.items() if weight > 0.0}
    if set(before.weights) == set(seating.tuned) and (floor == 0.0 or heard.keys() == before.weights.keys()):
        return before
    known = heard if floor > 0.0 else before_them
    return replace(before, weights=_allowed(tuple(known.items()), seating.tuned, limits, tuple(static.items())))


@lru_cache(maxsize=16)
def _allowed(
    known: tuple[tuple[str, float], ...],
    tuned: tuple[str, ...],
    limits: Limits,
    static: tuple[tuple[str, float], ...],
) -> Mapping[str, Decimal]:
    """The `known` weights as those of the tuned agents, inside their limits. Kept: most days change nothing."""
    weights: Mapping[str, Decimal | float] = dict(known)
    theirs = weights if weights.keys() == set(tuned) else fitted_weights(weights, tuned, bounds(len(tuned), limits)[0])
    box = box_of(limits, np.array(list(anchor_of(dict(static), tuned).values())))
    start, _ = feasible_start(vector_of(theirs, tuned), box)
    return normalised(dict(zip(tuned, start.tolist(), strict=True)), tuned)


def limits_of(limits: Limits, seating: Seating) -> Limits:
    """Limits of what the tuned agents share, so that they hold for the whole."""
    left = seating.left
    if not seating.pinned:
        return limits
    floor = None if limits.floor is None else min(limits.floor / left, 1.0 / len(seating.tuned))
    cap = None if limits.cap is None else min(1.0, limits.cap / left)
    return replace(limits, floor=floor, cap=cap, step=limits.step / left)


def for_all(decision: WeightDecision, before: Mapping[str, Decimal], turn: Turn) -> WeightDecision:
    """The decision about the tuned agents' weights as one about everybody's: those on probation at the floor, the
    silent at 0. Where the set of agents changed, that is applied even where the tuned ones hold still."""
    seating, figures, own = turn.seating, turn.figures, decision.evidence
    evidence = Later(lambda: {**own, "life": {name: dict(told) for name, told in figures.items()}})
    back = [name for name in seating.tuned if before.get(name) == 0 and decision.weights.get(name, 0) > 0]
    if set(before) == set(seating.tuned) and not seating.pinned and not seating.silent and not back:
        return replace(decision, evidence=evidence)
    left, seats = seating.left, {**seating.pinned, **dict.fromkeys(seating.silent, 0.0)}
    raw = {name: left * float(decision.weights.get(name, 0)) for name in seating.tuned} | seats
    same = (
        not back
        and set(before) == set(raw)
        and all(abs(float(before[name]) - seat) < 1e-6 for name, seat in seats.items())
    )
    status, reason = decision.status, decision.reason
    holds = status in ("hold", "fallback", "initial")
    if same and holds:
        weights = dict(before)
    else:
        weights, status = normalised(raw, [name for name in turn.figures if name in raw]), "apply" if holds else status
    if turn.changes:
        waits = "beside that nothing moves: " if decision.status == "hold" else ""
        reason = f"{words_of(turn.changes)}; {waits}{reason}"
    gone = [name for name in seating.mute if before.get(name, 1) != 0]
    changed = {change.agent for change in turn.changes}
    said = [f"{name} is mute: no opinion yet, no weight" for name in gone]
    said += [f"{name} speaks" for name in back if name not in changed]
    reason = "; ".join([*said, reason])
    causes = {}
    if status == "apply":
        for name, weight in weights.items():
            parts = {key: round(left * part, 6) for key, part in decision.causes.get(name, {}).items()}
            rest = float(weight) - float(before.get(name, 0)) - math.fsum(parts.values())
            causes[name] = {**parts, "agents": round(rest, 6)}
    return replace(
        decision,
        weights=weights,
        previous=dict(before),
        status=status,
        reason=reason,
        causes=causes,
        evidence=Later(lambda: {**evidence, "seats": seating.as_plain()}),
    )


def words_of(changes: Sequence[LifeChange]) -> str:
    """ "Momentum: shadow -> probation (its evidence ...)"."""
    return "; ".join(f"{c.agent}: {c.before} -> {c.after} ({c.reason})" for c in changes)
