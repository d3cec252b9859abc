"""How weights are tuned, and what tells one tuning from another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from agents.quant.allocation import Limits, Method, Solver
from agents.tuning.agent_life import LifeRules
from agents.tuning.desk_beliefs import FILTER_VERSION


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How weights are tuned: method, limits, days of history that a textbook method uses at least and at most, cost of
    moving all of the book, after how many days a change is scored, days a year, the weights to hold while nothing is
    known (none: equal ones), and how far the replayed past is believed."""

    method: Method = "adaptive"
    limits: Limits = field(default_factory=Limits)
    look_back_days: int = 30
    history_days: int = 2920
    turnover_cost: float = 0.0005
    score_after_days: int = 30
    days_per_year: float = 252.0
    anchor: Mapping[str, float] = field(default_factory=dict)
    history_trust: float = 0.5
    life: LifeRules = field(default_factory=LifeRules)
    solver: Solver = field(default="reference", repr=False)
    """Not part of a decision's inputs: the results do not depend on it."""

    @cached_property
    def text(self) -> str:
        """What tells one tuning from another."""
        return repr(self)


def tuning_digest(tuning: Tuning) -> str:
    """Recognises the tuner's settings and the filter's arithmetic."""
    return hashlib.sha256(f"({FILTER_VERSION}, {tuning.text})".encode()).hexdigest()[:12]
