"""What can be set about weights: methods, solvers, and limits, relaxed where they cannot hold. No library is
imported, so that a command that only names them starts at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Method = Literal["adaptive", "max_sharpe", "min_variance", "risk_parity", "inverse_volatility", "hrp", "equal"]
Solver = Literal["reference", "direct"]
"""cvxpy, or DAQP (Arnstrom, Bemporad, Axehill 2022), an active-set solver a hundred times faster."""
USUAL_FLOOR, USUAL_CAP = 0.05, 0.40


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of every weight, the largest change of one weight in one run, and what an agent must show.

    A `floor` or `cap` of None is the usual one, 5 % and 40 %, made to fit the number of agents; one that is given holds
    wherever it can. `minimum_sharpe` is annual; two agents need `minimum_signals`, a change needs `minimum_periods` of
    returns. `false_changes_per_year` is the level of the textbook methods' guard on skill-less agents. `meant_for` is
    the number of agents that the user chose: where fewer are left, the usual cap is not that of so few.
    """

    floor: float | None = None
    cap: float | None = None
    step: float = 0.05
    minimum_sharpe: float = 0.3
    minimum_signals: int = 10
    minimum_periods: int = 30
    false_changes_per_year: float = 0.10
    meant_for: int = 0

    def __post_init__(self) -> None:
        floor = 0.0 if self.floor is None else self.floor
        cap = 1.0 if self.cap is None else self.cap
        values = (floor, cap, self.step, self.minimum_sharpe, self.false_changes_per_year)
        if not all(math.isfinite(v) for v in values) or not 0.0 <= floor <= cap <= 1.0 or not self.step > 0.0:
            raise ValueError(f"limits need 0 <= floor <= cap <= 1 and a positive step, got {self}")
        if not 0.0 < self.false_changes_per_year < 1.0:
            raise ValueError(f"false_changes_per_year must lie between 0 and 1, got {self.false_changes_per_year}")


def bounds(agents: int, limits: Limits) -> tuple[float, float, str]:
    """(floor, cap, remark): the limits, relaxed to what is feasible for so many agents.

    The usual ones leave room to move: the floor is at most half an equal weight, the cap at least two of them; where
    agents have left a desk, two equal weights of all it was meant for, and one and a half of those that are left.
    """
    floor = min(USUAL_FLOOR, 0.5 / agents) if limits.floor is None else limits.floor
    if agents * floor > 1.0:
        floor = 1.0 / agents
    cap = limits.cap
    if cap is None:
        room = 2.0 / agents if agents >= limits.meant_for else max(2.0 / limits.meant_for, 1.5 / agents)
        cap = min(max(USUAL_CAP, room, floor), 1.0 - floor * (agents - 1))
    elif agents * cap < 1.0:
        cap = 1.0 / agents
    remarks = []
    if abs(cap - (limits.cap or USUAL_CAP)) > 1e-12:
        remarks.append(f"cap relaxed from {limits.cap or USUAL_CAP:.0%} to {cap:.1%} for {agents} agents")
    wanted = USUAL_FLOOR if limits.floor is None else limits.floor
    if abs(floor - wanted) > 1e-12:
        remarks.append(f"floor relaxed from {wanted:.0%} to {floor:.1%} for {agents} agents")
    return floor, cap, "; ".join(remarks)
