"""Two convex problems, and two programs that solve them: cvxpy, live, and DAQP, in replays. A test holds them
together within 1e-8.

With cvxpy each problem is built once for a number of agents, and solved again with new parameters.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from agents.core.types import Floats
from agents.quant.bounded_weights import SolverError
from agents.quant.limits import Solver

CVXPY_SOLVERS = ("CLARABEL", "OSQP")
"""The second one is asked where the first gives no optimal answer."""


def least_variance_per_mean(mean: Floats, covariance: Floats, low: Floats, high: Floats, solver: Solver) -> Floats:
    """y [A] of the least variance y'Sy with mean'y = 1 and low k <= y <= high k, where k = sum(y): y / k are the
    weights of the highest mean over deviation (Charnes and Cooper 1962). SolverError without an optimum."""
    if solver == "direct":
        return _daqp_per_mean(mean, covariance, low, high)
    values = {"mean": mean, "factor": _factor(covariance), "low": low, "high": high}
    return _solve(_charnes_cooper(len(mean)), values)


def least_variance(covariance: Floats, low: Floats, high: Floats, solver: Solver) -> Floats:
    """Weights [A] of the least variance between `low` and `high`. SolverError without an optimum."""
    if solver == "direct":
        return _daqp_least_variance(covariance, low, high)
    return _solve(_least_variance(len(covariance)), {"factor": _factor(covariance), "low": low, "high": high})


# ---------------------------------------------------------------- cvxpy


@functools.cache
def _charnes_cooper(size: int) -> Any:
    """Minimise y'Sy with mean'y = 1 and low k <= y <= high k, where k = sum(y) >= 0 (Charnes and Cooper 1962)."""
    import cvxpy  # takes a second to load, and only those who solve need it

    y, k = cvxpy.Variable(size), cvxpy.Variable(nonneg=True)
    mean, low, high = (cvxpy.Parameter(size, name=name) for name in ("mean", "low", "high"))
    factor = cvxpy.Parameter((size, size), name="factor")
    constraints = [mean @ y == 1.0, cvxpy.sum(y) == k, y >= low * k, y <= high * k]
    return _built(cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(factor @ y)), constraints), y)


@functools.cache
def _least_variance(size: int) -> Any:
    """Minimise w'Sw with sum(w) = 1 and low <= w <= high."""
    import cvxpy  # as above

    w = cvxpy.Variable(size)
    low, high = (cvxpy.Parameter(size, name=name) for name in ("low", "high"))
    factor = cvxpy.Parameter((size, size), name="factor")
    constraints = [cvxpy.sum(w) == 1.0, w >= low, w <= high]
    return _built(cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(factor @ w)), constraints), w)


def _built(problem: Any, variable: Any) -> Any:
    """A problem with the variable that solves it."""
    assert problem.is_dcp(dpp=True), "parameters must not force a new canonicalisation"
    return problem, variable


def _solve(built: Any, values: dict[str, Floats]) -> Floats:
    """The variable's value; SolverError for every status but optimal, from every solver."""
    problem, variable = built
    for parameter in problem.parameters():
        parameter.value = values[parameter.name()]
    answers = []
    for solver in CVXPY_SOLVERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cvxpy warns of inaccuracy, which the status says too
                problem.solve(solver=solver)
        except Exception as error:  # a solver may raise anything; all of it means: no answer
            answers.append(f"{solver}: {type(error).__name__}")
            continue
        if problem.status == "optimal" and variable.value is not None and np.isfinite(variable.value).all():
            return np.asarray(variable.value, dtype=np.float64)
        answers.append(f"{solver}: {problem.status}")
    raise SolverError(", ".join(answers))


def _factor(covariance: Floats) -> Floats:
    """F with F'F = covariance; SolverError where it is not positive definite."""
    try:
        return np.asarray(np.linalg.cholesky(covariance).T, dtype=np.float64)
    except np.linalg.LinAlgError:
        raise SolverError("the covariance is not positive definite") from None


# ---------------------------------------------------------------- DAQP

_EQUALITY = 5
_FREE = 1e30


def _daqp_per_mean(mean: Floats, covariance: Floats, low: Floats, high: Floats) -> Floats:
    size = len(mean)
    one, zero = np.ones((size, size)), np.zeros(2 * size)
    rows = np.vstack([np.eye(size) - low[:, None] * one, high[:, None] * one - np.eye(size), mean[None]])
    return _daqp(covariance, rows, np.append(zero, 1.0), np.append(zero + _FREE, 1.0))


def _daqp_least_variance(covariance: Floats, low: Floats, high: Floats) -> Floats:
    rows = np.ones((1, len(low)))
    return _daqp(covariance, rows, np.append(low, 1.0), np.append(high, 1.0))


def _daqp(covariance: Floats, rows: Floats, lower: Floats, upper: Floats) -> Floats:
    """Minimise x'Sx where `lower` and `upper` bound x itself and `rows` x, the last of them an equality.

    SolverError without an optimum.
    """
    import daqp  # only replays and searches need it

    kinds = np.zeros(len(upper), dtype=np.int32)
    kinds[-1] = _EQUALITY
    solution, _, status, _ = daqp.solve(
        np.ascontiguousarray(covariance), np.zeros(len(covariance)), np.ascontiguousarray(rows), upper, lower, kinds
    )
    if status != 1 or not np.isfinite(solution).all():
        raise SolverError(f"DAQP: status {status}")
    return np.asarray(solution, dtype=np.float64)
