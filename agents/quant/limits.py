"""The bounds of weights, relaxed where they cannot hold, and previous weights brought inside them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agents.core.types import Floats
from agents.quant.bounded_weights import project


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of every weight, the largest change of one weight in one run, and what an agent must show.

    `minimum_sharpe` is annual; `minimum_signals` counts periods in which the agent's book moved, `minimum_periods` those
    that a change needs at all. `false_changes_per_year` is the guard's stated level on skill-less agents.
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


def feasible_start(previous: Floats, limits: Limits) -> tuple[Floats, list[str]]:
    """The previous weights, brought inside the limits where they are not; equal ones where they mean nothing."""
    agents = len(previous)
    if agents == 0:
        return previous, []
    floor, cap, remark = bounds(agents, limits)
    notes = [remark] if remark else []
    if not np.isfinite(previous).all() or (previous < 0).any() or not previous.sum() > 0:
        return np.full(agents, 1.0 / agents), [*notes, "the previous weights mean nothing: equal ones are the start"]
    scaled = previous / previous.sum()
    low, high = np.full(agents, floor), np.full(agents, cap)
    if (scaled >= low - 1e-9).all() and (scaled <= high + 1e-9).all():
        return scaled, notes
    return project(scaled, low, high), [*notes, "the previous weights were outside the limits and are brought inside"]
