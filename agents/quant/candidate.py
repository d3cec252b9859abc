"""Estimates from the agents' returns, and the weights that a textbook method would choose on them, had it no guard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agents.core.types import Booleans, Floats
from agents.quant.bounded_weights import highest_mean
from agents.quant.limits import bounds
from agents.quant.moments import Moments, estimate
from agents.quant.portfolios import METHODS, NoPositiveMeanError, max_sharpe
from agents.quant.proposal import CAUSES, AllocationProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Moments of the measurable agents, with a half-life of so many years."""

    moments: Moments
    half_life_years: float

    def evidence(self, problem: AllocationProblem) -> dict[str, object]:
        """Plain numbers, in the places of all agents: None for one that cannot be measured."""
        annual = math.sqrt(problem.periods_per_year)
        return {
            "half_life_years": self.half_life_years,
            "effective_periods": round(float(np.min(self.moments.sample)), 1),
            "correlation_shrinkage": round(self.moments.shrinkage, 4),
            "annual_sharpe": _for_all(self.moments.sharpe * annual, problem.measurable),
        }


def estimates_of(problem: AllocationProblem, half_life_years: float) -> Estimates:
    """Estimates from the problem's returns."""
    moments = estimate(problem.returns, half_life_years * problem.periods_per_year)
    return Estimates(moments=moments, half_life_years=half_life_years)


def _for_all(values: Floats, measurable: Booleans) -> list[float | None]:
    remaining = iter(values)
    return [round(float(next(remaining)), 4) if one else None for one in measurable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Where a method wants to go: `target` [A], the Sharpe ratios per period that it goes by [M], and the parts of the
    way.

    A `refusal` is the reason why the method has no opinion; its target are then equal weights.
    """

    target: Floats
    sharpe: Floats
    causes: tuple[dict[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What the measurable agents share, the others keeping the floor: a sum of `left`, between `low` and `high` [M]."""

    left: float
    low: Floats
    high: Floats

    @property
    def equal(self) -> Floats:
        return np.full(len(self.low), self.left / len(self.low))


def candidate_of(problem: AllocationProblem, estimates: Estimates) -> Candidate:
    """The method's weights for all agents; SolverError where the optimum is not found."""
    sharpe = estimates.moments.sharpe
    share, refusal, notes = _gated(problem, sharpe)
    if refusal:
        target = _filled(share.equal, problem)
        return Candidate(target=target, sharpe=sharpe, refusal=refusal)
    scale = 1.0 / share.left
    equal = share.equal * scale
    whole = _Share(left=1.0, low=share.low * scale, high=share.high * scale)
    try:
        stages = _stages(problem, estimates.moments, sharpe, whole, equal)
    except NoPositiveMeanError:
        notes = (*notes, "within the limits no weights have a positive expected return: the candidate loses least")
        least = highest_mean(sharpe * estimates.moments.volatility, whole.low, whole.high)
        stages = [("equal", equal), ("mean", least)]
    return Candidate(
        target=_filled(stages[-1][1] * share.left, problem),
        sharpe=sharpe,
        causes=_causes(stages, share.left, problem.measurable),
        notes=notes,
    )


def _gated(problem: AllocationProblem, sharpe: Floats) -> tuple[_Share, str, tuple[str, ...]]:
    """The bounds, which hold agents below the minimum Sharpe ratio down, with a note; or a reason to refuse."""
    limits, measured = problem.limits, problem.measured
    floor, cap, _ = bounds(problem.agents, limits)
    left = 1.0 - floor * (problem.agents - measured)
    cap = max(cap, left / measured)
    share = _Share(left=left, low=np.full(measured, floor), high=np.full(measured, cap))
    weak = sharpe * math.sqrt(problem.periods_per_year) < limits.minimum_sharpe
    if not problem.looks_at_means or not weak.any():
        return share, "", ()
    least = f"{limits.minimum_sharpe:g}"
    if weak.all():
        return share, f"no agent shows a Sharpe ratio above {least}; a person should look at the exposure", ()
    room = (left - cap * float((~weak).sum())) / float(weak.sum())
    high = np.where(weak, max(floor, room), share.high)
    note = f"{int(weak.sum())} agents below Sharpe {least} keep the floor or what the cap leaves over"
    return _Share(left=left, low=share.low, high=high), "", (note,)


def _stages(
    problem: AllocationProblem, moments: Moments, sharpe: Floats, share: _Share, equal: Floats
) -> list[tuple[str, Floats]]:
    """The candidate built up cause by cause: from equal weights by means alone, then volatilities, then correlations,
    then the bounds. Each stage is a full vector of weights [M] that sum to 1."""
    low, high, solver = share.low, share.high, problem.solver
    if not problem.looks_at_means:
        cause = {"equal": "cap", "inverse_volatility": "volatility"}.get(problem.method, "correlation")
        return [("equal", equal), (cause, METHODS[problem.method](moments, low, high, solver))]
    mean_only = np.maximum(sharpe, 0.0)
    mean_only = mean_only / mean_only.sum() if mean_only.sum() > 0 else equal
    with_volatility = mean_only / moments.volatility
    with_volatility = with_volatility / with_volatility.sum()
    mean = sharpe * moments.volatility
    final = max_sharpe(mean, moments.covariance, low, high, solver)
    unbounded = max_sharpe(mean, moments.covariance, np.zeros(len(low)), np.ones(len(low)), solver)
    return [
        ("equal", equal),
        ("mean", mean_only),
        ("volatility", with_volatility),
        ("correlation", unbounded),
        ("cap", final),
    ]


def _causes(stages: list[tuple[str, Floats]], left: float, measurable: Booleans) -> tuple[dict[str, float], ...]:
    """For each of all agents, what every stage added to its weight."""
    parts = {name: np.zeros(len(measurable)) for name in CAUSES}
    for (_, before), (name, after) in pairwise(stages):
        parts[name][measurable] += (after - before) * left
    return tuple({name: float(values[k]) for name, values in parts.items()} for k in range(len(measurable)))


def _filled(measured: Floats, problem: AllocationProblem) -> Floats:
    """[M] -> [A]: agents that cannot be measured keep the floor; the whole sums to 1."""
    floor, _, _ = bounds(problem.agents, problem.limits)
    weights = np.full(problem.agents, floor)
    weights[problem.measurable] = measured
    return np.asarray(weights / weights.sum())
