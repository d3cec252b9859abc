"""Coming and going: states of agents + evidence + today -> the changes of state that are due, by one table. Pure.

An agent in shadow is asked and measured and has no weight. On probation it has the floor; full, it is tuned. How much
it adds to the desk, not how good it is alone, moves it on (`quant/adding.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from agents.core.life_types import LISTENED_TO, Life, LifeChange, LifeState, Listing
from agents.quant.adding import Adding

SETTINGS, TUNER = "settings", "tuner"


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeRules:
    """The stated levels. `false_hires` bounds the chance that, in a desk's whole life, any agent that adds nothing
    comes from shadow to probation, however many are tried and however often one looks."""

    false_hires: float = 0.10
    full_factor: float = 4.0
    """An agent on probation is full when its evidence is so many times what brought it there."""
    probation_days: int = 30
    decaying_below: float = 0.05
    recovered_above: float = 0.15
    retire_after_days: int = 90
    back_above: float = 0.50


class Case(NamedTuple):
    """One agent today: its life, where the settings name it now, what it adds (None: not measured), and the rules."""

    life: Life
    listed: Listing
    adds: Adding | None
    at: datetime
    rules: LifeRules

    @property
    def moved(self) -> bool:
        """Whether the settings name the agent elsewhere than when its state was last changed."""
        return self.listed != self.life.listed

    @property
    def days(self) -> int:
        """In its present state."""
        return (self.at - self.life.since) // timedelta(days=1)

    @property
    def log_evidence(self) -> float:
        return self.adds.log_evidence if self.adds is not None else 0.0

    @property
    def belief(self) -> float:
        """That it adds to the desk; one half where it was not measured."""
        return self.adds.belief if self.adds is not None else 0.5


class Rule(NamedTuple):
    """From these states to another: who does it, when (in words, with places for what can be set), and whether it is
    so."""

    sources: tuple[LifeState, ...]
    after: LifeState
    who: str
    when: str
    holds: Callable[[Case], bool]

    def words(self, rules: LifeRules) -> str:
        """When, under these rules."""
        return self.when.format(retire_after_days=rules.retire_after_days)


_ALL: tuple[LifeState, ...] = ("shadow", "probation", "full", "decaying")
RULES = (
    Rule(("candidate",), "full", SETTINGS, "agents.enabled names it", lambda c: c.listed == "enabled"),
    Rule(("candidate",), "shadow", SETTINGS, "agents.shadow names it", lambda c: c.listed == "shadow"),
    Rule(_ALL, "retired", SETTINGS, "the settings name it no longer", lambda c: c.listed == "none"),
    Rule(
        ("shadow", "probation", "retired"),
        "full",
        SETTINGS,
        "it was put into agents.enabled",
        lambda c: c.moved and c.listed == "enabled",
    ),
    Rule(
        ("probation", "full", "decaying", "retired"),
        "shadow",
        SETTINGS,
        "it was put into agents.shadow",
        lambda c: c.moved and c.listed == "shadow",
    ),
    Rule(
        ("shadow",),
        "probation",
        TUNER,
        "its evidence of adding to the desk reaches the hurdle",
        lambda c: c.log_evidence >= math.log(hurdle(c.life, c.rules)),
    ),
    Rule(
        ("probation",),
        "full",
        TUNER,
        "its evidence is four times the hurdle, after 30 days or more",
        lambda c: (
            c.log_evidence >= math.log(c.rules.full_factor * hurdle(c.life, c.rules))
            and c.days >= c.rules.probation_days
        ),
    ),
    Rule(
        ("probation",),
        "shadow",
        TUNER,
        "its evidence has gone: it is below 1, where it began",
        lambda c: c.adds is not None and c.log_evidence < 0.0,
    ),
    Rule(
        ("full",),
        "decaying",
        TUNER,
        "the belief that it adds to the desk falls below 5 %",
        lambda c: c.belief < c.rules.decaying_below,
    ),
    Rule(
        ("decaying",),
        "full",
        TUNER,
        "the belief that it adds to the desk is above 15 % again",
        lambda c: c.belief > c.rules.recovered_above,
    ),
    Rule(
        ("decaying",),
        "retired",
        TUNER,
        "it was decaying for {retire_after_days} days",
        lambda c: c.days >= c.rules.retire_after_days,
    ),
    Rule(
        ("retired",),
        "full",
        TUNER,
        "the tuner retired it, and the belief that it adds to the desk is above 50 % again",
        lambda c: c.life.actor == TUNER and c.listed != "none" and c.belief > c.rules.back_above,
    ),
)
"""Every change that is made by itself, in the order in which the first that holds is taken."""
_FROM = {state: [r for r in RULES if state in r.sources] for state in ("candidate", *_ALL, "retired")}
PERSONS: Mapping[str, Mapping[LifeState, LifeState]] = {
    "promote": {"shadow": "probation", "probation": "full", "decaying": "full", "retired": "probation"},
    "retire": dict.fromkeys(_ALL, "retired"),
}
"""What a person may do: action -> state -> the next one."""
LEAST_LEFT = 2
"""The tuner retires nobody where so few would be left."""


def hurdle(life: Life, rules: LifeRules) -> float:
    """The evidence that brings an agent from shadow to probation. The chance of a false hire is spent on all that ever
    come into shadow: the k-th gets 1 / (k (k + 1)) of it, which sums to all of it however many there will be; those
    that come together share alike. One alone needs 2 / false_hires, 200 that come together 201 / false_hires."""
    return (life.earlier + 1) * (life.earlier + life.batch + 1) / rules.false_hires


def changes_due(
    lives: Mapping[str, Life],
    listed: Mapping[str, Listing],
    adds: Mapping[str, Adding],
    at: datetime,
    rules: LifeRules,
) -> list[LifeChange]:
    """The changes of state that are due, at most one for each agent, in the order of their names. `listed` are the
    agents that the settings name, `adds` what is known of those that were measured."""
    changes = []
    trading = sum(life.state in LISTENED_TO for life in lives.values())
    for name in sorted({*lives, *listed}):
        life = lives.get(name) or Life(agent=name, state="candidate", since=at, listed="none", actor="")
        case = Case(life, listed.get(name, "none"), adds.get(name), at, rules)
        rule = _first_that_holds(case)
        if rule is None or (rule.who == TUNER and rule.after == "retired" and trading <= LEAST_LEFT):
            continue
        trading -= rule.after == "retired" and life.state in LISTENED_TO
        changes.append(_change(case, rule.after, rule.words(rules), rule.who))
    return changes


def _first_that_holds(case: Case) -> Rule | None:
    for rule in _FROM.get(case.life.state, ()):
        if rule.holds(case):
            return rule
    return None


def persons_change(
    life: Life | None, action: str, said: tuple[str, str], case: tuple[Listing, LifeRules], at: datetime
) -> LifeChange | None:
    """What a person's `promote` or `retire` makes of an agent, `said` being (reason, who); None where its state allows
    no such thing. `case` is where the settings name it, and the levels in force."""
    after = PERSONS[action].get(life.state) if life is not None else None
    if life is None or after is None:
        return None
    listed, rules = case
    return _change(Case(life, listed, None, at, rules), after, *said)


def _change(case: Case, after: LifeState, reason: str, actor: str) -> LifeChange:
    evidence: dict[str, object] = {"listed": case.listed, "days": case.days}
    if case.adds is not None:
        evidence |= figures_of(case.adds)
    if case.life.watched_since is not None:
        evidence["hurdle"] = round(hurdle(case.life, case.rules), 4)
    return LifeChange(
        at=case.at,
        agent=case.life.agent,
        before=case.life.state,
        after=after,
        reason=reason,
        actor=actor,
        evidence=evidence,
    )


def figures_of(adds: Adding) -> dict[str, float | int]:
    """What an agent adds, as plain numbers: evidence as a factor, appraisal ratios a year."""
    evidence = float(f"{math.exp(min(adds.log_evidence, 700.0)):.4g}")
    return {"evidence": evidence, "bets": adds.bets, **belief_of(adds)}


def belief_of(adds: Adding) -> dict[str, float | int]:
    """The part of `figures_of` that is of the newest two years."""
    return {
        "belief": round(adds.belief, 4),
        "ratio": round(adds.ratio, 3),
        "ratio_low": round(adds.low, 3),
        "ratio_high": round(adds.high, 3),
        "periods": adds.periods,
    }


def bets_to_go(log_evidence: float, bets: int, needed: float) -> float | None:
    """How many bets an agent still needs at the pace of its evidence so far; None where it gets no nearer."""
    if log_evidence <= 0.0 or bets == 0:
        return None
    return max(0.0, math.log(needed) - log_evidence) / (log_evidence / bets)
