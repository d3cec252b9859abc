"""agent days and the regime that each began in -> agents' skill by regime, with partial pooling. Pure.

It is shown, and moves no weight: what using it would bring and cost is in docs/regimes.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agents.core.meta_types import AgentDays
from agents.core.regimes import KINDS, TREND, UNKNOWN, AgentByRegime, ByRegime, number_of
from agents.core.types import Integers
from agents.quant.regime_skill import RegimeSkill, regime_skill
from agents.quant.returns import periods_per_year


def by_regime(days: AgentDays, began: Mapping[str, str], now: str | None) -> ByRegime:
    """Skill by regime of agents whose days began in these regimes, by ISO date; a day that is not there began in an
    unknown one. `now` is the newest decision's. Who had no result on any such day, or never said anything on one, is
    left out: the book of a mute agent is still, which is no skill of 0."""
    regime = np.array([number_of(began.get(str(day))) for day in days.date], dtype=np.int64)
    known = regime != UNKNOWN
    spoke = np.isfinite(days.returns[known]).any(axis=0) & (days.signals[known] > 0).any(axis=0)
    if not spoke.any():
        return ByRegime(now, {}, {}, ())
    days = days.of_agents([name for name, one in zip(days.agents, spoke, strict=True) if one])
    per_year = periods_per_year(days.date.astype("datetime64[us]"))
    skills = {
        kind: regime_skill(days.returns, _state(regime, kind), len(states), per_year, len(KINDS))
        for kind, states in KINDS.items()
    }
    counts = {
        state: int(np.count_nonzero(_state(regime, kind) == k))
        for kind, states in KINDS.items()
        for k, state in enumerate(states)
    }
    share = {kind: skill.share for kind, skill in skills.items()}
    return ByRegime(now, counts, share, [_of_agent(n, a, skills) for a, n in enumerate(days.agents)])


def _state(regime: Integers, kind: str) -> Integers:
    """[T] the state of one kind, UNKNOWN where the regime is."""
    state = regime % len(TREND) if kind == "trend" else regime // len(TREND)
    return np.where(regime == UNKNOWN, UNKNOWN, state)


def _of_agent(name: str, a: int, skills: Mapping[str, RegimeSkill]) -> AgentByRegime:
    return AgentByRegime(
        agent=name,
        shift={state: float(skills[kind].shift[a, k]) for kind in KINDS for k, state in enumerate(KINDS[kind])},
        differs={kind: float(skill.differs[a]) for kind, skill in skills.items()},
        evidence={kind: float(skill.evidence[a]) for kind, skill in skills.items()},
        shown={kind: bool(skill.evidence[a] >= skill.proof) for kind, skill in skills.items()},
    )
