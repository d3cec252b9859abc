"""returns of the agents -> a proposal of weights, with its evidence and the guard's verdict. Pure.

`propose` is the whole decision. The default method moves weights as far as the evidence goes (`adaptive`). A textbook
method's candidate is made in `candidate` and judged in `weight_guard`; the methods are in `portfolios`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from agents.core.types import Booleans, Floats, Integers
from agents.quant.adaptive import propose_by_beliefs
from agents.quant.belief_state import BeliefState
from agents.quant.beliefs import advance_all, no_beliefs, pace_of
from agents.quant.bounded_weights import Box, SolverError, box_of, feasible_start, project
from agents.quant.candidate import candidate_of, estimates_of
from agents.quant.limits import Limits, Method, Solver
from agents.quant.moments import measurable
from agents.quant.portfolios import METHODS
from agents.quant.proposal import AllocationProblem, Proposal
from agents.quant.weight_guard import HALF_LIFE_YEARS, WeightGuard, unchanged

__all__ = ["Limits", "Method", "Proposal", "Solver", "propose"]

MOVED_LEAST = 2
"""An agent that has said enough must have moved in so many periods to have a deviation."""
MOVING_HALF_LIFE_YEARS = 0.5
"""Once it is established that the agents' skills differ, a textbook method remembers means for this long."""


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
    anchor: Floats | None = None,
    state: BeliefState | None = None,
    trust: float = 1.0,
    signals: Integers | Floats | None = None,
) -> Proposal:
    """The decision about the weights of A agents.

    `returns` [T, A] are the agents' own returns per period, oldest first, NaN where an agent did not exist or had no
    opinion; `previous` [A] the weights in force; `turnover_cost` the cost of moving all of the book, as a fraction.
    `anchor` [A] are the weights to hold while nothing is known (None: equal ones). The adaptive method goes on from
    `state`, what was known before `returns` (None: nothing; the last proposal's `state`), and believes `returns` as
    far as `trust` goes, 0 to 1; the others look at `returns` alone. `signals` [A] counts what each agent has said, for
    `limits.minimum_signals` (None: each period in which its book moved is one). ValueError for arrays that do not fit,
    infinite returns, or an unknown method; every other difficulty is an outcome. Which `solver` finds a textbook
    method's optimum changes nothing but the time it takes.
    """
    limits = limits or Limits()
    returns, previous = np.asarray(returns, dtype=np.float64), np.asarray(previous, dtype=np.float64)
    agents = len(previous)
    anchor = np.full(agents, 1.0 / max(agents, 1)) if anchor is None else np.asarray(anchor, dtype=np.float64)
    _check(returns, previous, method, periods_per_year, trials)
    _check_knowledge(agents, anchor, state, trust)
    if not agents:
        return _nobody(previous)
    room = _room(limits, tuple(anchor.tolist()), tuple(previous.tolist()))
    spoken = None if signals is None else np.asarray(signals) >= limits.minimum_signals
    able = _able(returns, limits, spoken) if method != "adaptive" else np.zeros(agents, dtype=bool)
    problem = AllocationProblem(
        start=room.start.copy(),
        brought_in=room.brought_in,
        notes=room.notes,
        anchor=room.anchor,
        low=room.box.low,
        high=room.box.high,
        spoken=spoken,
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
    if method != "adaptive":
        return _decide(problem)
    known = state or no_beliefs(agents)
    if len(returns):
        known = advance_all(known, returns, pace_of(periods_per_year, trust, replayed=trust < 1.0))
    return propose_by_beliefs(problem, known)


class _Room(NamedTuple):
    """The bounds of the weights, the anchor and the weights in force [A] brought inside them, whether that changed the
    latter, and why."""

    box: Box
    anchor: Floats
    start: Floats
    brought_in: bool
    notes: tuple[str, ...]


@lru_cache(maxsize=64)
def _room(limits: Limits, anchor: tuple[float, ...], previous: tuple[float, ...]) -> _Room:
    """Kept: most decisions ask for the last one's."""
    wanted, before = np.array(anchor), np.array(previous)
    wanted = wanted / wanted.sum()
    box = box_of(limits, wanted)
    start, notes = feasible_start(before, box)
    brought_in = bool(np.max(np.abs(start - before)) > 1e-6)
    return _Room(box, project(wanted, box.low, box.high), start, brought_in, tuple(notes))


def _able(returns: Floats, limits: Limits, spoken: Booleans | None) -> Booleans:
    """[A]: which agents a textbook method can measure."""
    return measurable(returns, limits.minimum_signals) if spoken is None else spoken & measurable(returns, MOVED_LEAST)


def _nobody(previous: Floats) -> Proposal:
    reason = "0 of 0 agents have any signals; 2 are needed"
    return Proposal(
        weights=previous,
        status="fallback",
        reason=reason,
        expected_sharpe_improvement=0.0,
        expected_return_improvement=0.0,
        candidate=previous,
        evidence={},
    )


def _decide(problem: AllocationProblem) -> Proposal:
    """What a textbook method's evidence allows; the reasons not to go on come in the order in which they are found."""
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
    moving = problem.looks_at_means and not same_skill
    estimates = estimates_of(problem, MOVING_HALF_LIFE_YEARS if moving else HALF_LIFE_YEARS)
    evidence |= estimates.evidence(problem)
    try:
        candidate = candidate_of(problem, estimates)
    except SolverError as error:
        reason = f"the solver gave no answer ({error}); previous weights kept"
        return unchanged(problem, "fallback", reason, evidence)
    candidate = replace(candidate, refusal=candidate.refusal or same_skill)
    return guard.verdict(candidate, estimates, evidence)


def _too_little(problem: AllocationProblem) -> str:
    """Why there is too little to decide on; "" where there is enough."""
    limits, measured = problem.limits, problem.measured
    if measured < 2:
        return f"{measured} of {problem.agents} agents have {limits.minimum_signals} signals or more; 2 are needed"
    seen = int(np.isfinite(problem.returns).sum(axis=0).min())
    if seen < limits.minimum_periods:
        return f"{seen} periods are seen, {limits.minimum_periods} are needed for a change"
    return ""


def _check_knowledge(agents: int, anchor: Floats, state: BeliefState | None, trust: float) -> None:
    if anchor.shape != (agents,) or not np.isfinite(anchor).all() or (anchor < 0).any():
        raise ValueError(f"anchor {anchor} must be {agents} weights, none below 0")
    if agents and not anchor.sum() > 0:
        raise ValueError(f"anchor {anchor} must have a positive sum")
    if state is not None and len(state.belief) != agents:
        raise ValueError(f"state is one of {len(state.belief)} agents, previous has {agents}")
    if not 0.0 <= trust <= 1.0:
        raise ValueError(f"trust {trust} must lie between 0 and 1")


def _check(returns: Floats, previous: Floats, method: str, periods_per_year: float, trials: int) -> None:
    if returns.ndim != 2 or previous.ndim != 1 or returns.shape[1] != len(previous):
        raise ValueError(f"returns {returns.shape} must be [periods, agents] and previous {previous.shape} [agents]")
    if np.isinf(returns).any():
        raise ValueError("returns hold an infinite value; NaN says that an agent did not exist")
    if method not in ("adaptive", *METHODS):
        raise ValueError(f"method '{method}' is unknown; choose one of adaptive, {', '.join(METHODS)}")
    if not (periods_per_year > 0 and math.isfinite(periods_per_year) and trials >= 1):
        raise ValueError(f"periods_per_year {periods_per_year} and trials {trials} must be positive")
