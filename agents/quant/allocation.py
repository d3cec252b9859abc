"""returns of the agents -> a proposal of weights, with its evidence and the guard's verdict. Pure.

`propose` is the whole decision: what can be measured, whether the agents differ at all, a method's candidate, and
whether the evidence supports a step towards it. The candidate is made in `candidate`, judged in `weight_guard`; the
methods are in `portfolios`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from agents.core.types import Floats
from agents.quant.bounded_weights import SolverError, feasible_start
from agents.quant.candidate import beliefs_of, candidate_of
from agents.quant.limits import Limits, Method, Solver
from agents.quant.moments import measurable
from agents.quant.portfolios import METHODS
from agents.quant.proposal import AllocationProblem, Proposal
from agents.quant.weight_guard import HALF_LIFE_YEARS, WeightGuard, unchanged

__all__ = ["Limits", "Method", "Proposal", "Solver", "propose"]

MOVING_HALF_LIFE_YEARS = 0.5
"""Once it is established that the agents' skills differ, means are remembered for this long."""


def propose(
    returns: Floats,
    previous: Floats,
    *,
    method: Method = "adaptive",
    limits: Limits | None = None,
    periods_per_year: float = 252.0,
    turnover_cost: float = 0.0005,
    trials: int = 1,
    seed: int = 0,
    solver: Solver = "reference",
) -> Proposal:
    """The decision about the weights of A agents.

    `returns` [T, A] are the agents' own returns per period, oldest first, NaN where an agent did not exist;
    `previous` [A] the weights in force; `turnover_cost` the cost of moving all of the book, as a fraction. ValueError
    for arrays that do not fit, infinite returns, or an unknown method; every other difficulty is an outcome. Which
    `solver` finds the optimum changes nothing but the time it takes.
    """
    limits = limits or Limits()
    returns, previous = np.asarray(returns, dtype=np.float64), np.asarray(previous, dtype=np.float64)
    _check(returns, previous, method, periods_per_year, trials)
    start, notes = feasible_start(previous, limits)
    able = measurable(returns, limits.minimum_signals)
    problem = AllocationProblem(
        start=start,
        brought_in=bool(np.max(np.abs(start - previous), initial=0.0) > 1e-6),
        notes=tuple(notes),
        measurable=able,
        returns=returns[:, able],
        method=method,
        limits=limits,
        periods_per_year=periods_per_year,
        turnover_cost=turnover_cost,
        trials=trials,
        seed=seed,
        solver=solver,
    )
    return _decide(problem)


def _decide(problem: AllocationProblem) -> Proposal:
    """What the evidence allows; the reasons not to go on come in the order in which they are found."""
    evidence: dict[str, object] = {
        "method": problem.method,
        "agents": problem.agents,
        "periods": len(problem.returns),
        "trials": problem.trials,
        "measurable": problem.measured,
    }
    if too_little := _too_little(problem):
        return unchanged(problem, "fallback" if problem.measured < 2 else "hold", too_little, evidence)
    guard, same_skill = WeightGuard(problem), ""
    if problem.looks_at_means:
        test = guard.same_skill()
        same_skill, evidence = test.reason_to_hold, {**evidence, **test.evidence}
    if same_skill and problem.method == "adaptive" and not guard.tilted:
        return unchanged(problem, "hold", same_skill, evidence)
    moving = problem.looks_at_means and not same_skill
    beliefs = beliefs_of(problem, MOVING_HALF_LIFE_YEARS if moving else HALF_LIFE_YEARS)
    evidence |= beliefs.evidence(problem)
    try:
        candidate = candidate_of(problem, beliefs)
    except SolverError as error:
        reason = f"the solver gave no answer ({error}); previous weights kept"
        return unchanged(problem, "fallback", reason, evidence)
    candidate = replace(candidate, refusal=candidate.refusal or same_skill)
    return guard.verdict(candidate, beliefs, {**evidence, **candidate.evidence})


def _too_little(problem: AllocationProblem) -> str:
    """Why there is too little to decide on; "" where there is enough."""
    limits, measured = problem.limits, problem.measured
    if measured < 2:
        return f"{measured} of {problem.agents} agents have {limits.minimum_signals} signals or more; 2 are needed"
    seen = int(np.isfinite(problem.returns).sum(axis=0).min())
    if seen < limits.minimum_periods:
        return f"{seen} periods are seen, {limits.minimum_periods} are needed for a change"
    return ""


def _check(returns: Floats, previous: Floats, method: str, periods_per_year: float, trials: int) -> None:
    if returns.ndim != 2 or previous.ndim != 1 or returns.shape[1] != len(previous):
        raise ValueError(f"returns {returns.shape} must be [periods, agents] and previous {previous.shape} [agents]")
    if np.isinf(returns).any():
        raise ValueError("returns hold an infinite value; NaN says that an agent did not exist")
    if method not in ("adaptive", *METHODS):
        raise ValueError(f"method '{method}' is unknown; choose one of adaptive, {', '.join(METHODS)}")
    if not (periods_per_year > 0 and math.isfinite(periods_per_year) and trials >= 1):
        raise ValueError(f"periods_per_year {periods_per_year} and trials {trials} must be positive")
