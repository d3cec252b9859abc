"""What can be set about weights: methods, solvers, and limits, relaxed where they cannot hold. No library is
imported, so that a command that only names them starts at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Method = Literal["adaptive", "max_sharpe", "min_variance", "risk_parity", "inverse_volatility", "hrp", "equal"]
Solver = Literal["reference", "direct"]
"""cvxpy, or DAQP (Arnstrom, Bemporad, Axehill 2022), an active-set solver a hundred times faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of every weight, the largest change of one weight in one run, and what an agent must show.

    `minimum_sharpe` is annual; `minimum_signals` counts periods in which the agent's book moved, `minimum_periods`
    those that a change needs at all. `false_changes_per_year` is the guard's stated level on skill-less agents.
    """

    floor: float = 0.05
    cap: float = 0.40
    step: float = 0.05
    minimum_sharpe: float = 0.3
    minimum_signals: int = 10
    minimum_periods: int = 30
    false_changes_per_year: float = 0.10

    def __post_init__(self) -> None:
        values = (self.floor, self.cap, self.step, self.minimum_sharpe, self.false_changes_per_year)
        if not all(math.isfinite(v) for v in values) or not 0.0 <= self.floor <= self.cap <= 1.0 or not self.step > 0.0:
            raise ValueError(f"limits need 0 <= floor <= cap <= 1 and a positive step, got {self}")
        if not 0.0 < self.false_changes_per_year < 1.0:
            raise ValueError(f"false_changes_per_year must lie between 0 and 1, got {self.false_changes_per_year}")


def bounds(agents: int, limits: Limits) -> tuple[float, float, str]:
    """(floor, cap, remark): the limits, relaxed to what is feasible for so many agents."""
    floor, cap, remark = limits.floor, limits.cap, ""
    if agents * cap < 1.0:
        cap = 1.0 / agents
        remark = f"cap relaxed from {limits.cap:.0%} to {cap:.1%}: {agents} agents could not reach 100 %"
    if agents * floor > 1.0:
        floor = 1.0 / agents
        remark = f"floor relaxed from {limits.floor:.0%} to {floor:.1%}: {agents} agents would exceed 100 %"
    return floor, cap, remark
