"""The methods: moments and bounds -> weights that sum to 1. Convex problems go to cvxpy, built once for each number of
agents and solved again with new parameters.

Every method either returns weights that keep the bounds to 1e-9 or raises SolverError; nobody gets a half-right answer.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from agents.core.types import Floats
from agents.quant.compiled import compiled
from agents.quant.moments import Moments

Solver = Literal["reference", "direct"]
"""cvxpy, or DAQP (Arnstrom, Bemporad, Axehill 2022), an active-set solver a hundred times faster, for replays; held to each other
within 1e-8 by a test."""
TOLERANCE = 1e-6
SOLVERS = ("CLARABEL", "OSQP")
"""The second one is asked where the first gives no optimal answer."""


class SolverError(Exception):
    """No weights: infeasible, unbounded, inaccurate, or the solver broke."""


class NoPositiveMeanError(SolverError):
    """Every feasible portfolio is expected to lose."""


def project(weights: Floats, low: Floats, high: Floats) -> Floats:
    """The nearest vector (least squares) within [low, high] that sums to 1; SolverError where there is none."""
    if not np.isfinite(weights).all():
        raise SolverError("weights that are not finite")
    if low.sum() > 1.0 + 1e-9 or high.sum() < 1.0 - 1e-9 or (low > high + 1e-12).any():
        raise SolverError(f"bounds between {low.sum():.3f} and {high.sum():.3f} cannot hold a sum of 1")
    found = np.clip(weights + _shift_to_one(weights, low, high), low, high)
    inside = (found > low) & (found < high)
    if inside.any():
        found[inside] += (1.0 - found.sum()) / float(inside.sum())
    return np.clip(found, low, high)


@compiled
def _shift_to_one(weights: Floats, low: Floats, high: Floats) -> float:
    """By how much all weights must move so that, cut off at their bounds, they sum to 1; by bisection."""
    below, above = np.min(low - weights), np.max(high - weights)
    for _ in range(200):
        middle, total = 0.5 * (below + above), 0.0
        for k in range(len(weights)):
            total += min(high[k], max(low[k], weights[k] + middle))
        if total < 1.0:
            below = middle
        else:
            above = middle
    return 0.5 * (below + above)


def max_sharpe(mean: Floats, covariance: Floats, low: Floats, high: Floats, solver: Solver = "reference") -> Floats:
    """Weights of the highest mean / deviation within the bounds, by the transformation of Charnes and Cooper (1962):
    minimise y'Sy with mean'y = 1 and bounds scaled by k = sum(y), then w = y / k. SolverError where no feasible
    portfolio has a positive mean."""
    best = highest_mean(mean, low, high)
    if not float(mean @ best) > 0.0:
        raise NoPositiveMeanError("no portfolio within the bounds has a positive mean")
    scale = float(mean @ best)
    deviation = float(np.sqrt(best @ covariance @ best))
    if solver == "direct":
        solution = _daqp_max_sharpe(mean / scale, covariance / deviation**2, low, high)
    else:
        values = {"mean": mean / scale, "factor": _factor(covariance / deviation**2), "low": low, "high": high}
        solution = _solve(_charnes_cooper(len(mean)), values)
    total = float(solution.sum())
    if not total > 0.0:
        raise SolverError("the transformed problem has no positive sum")
    weights = solution / total
    return _verified(weights if solver == "direct" else _polished(weights, mean, covariance, low, high), low, high)


def min_variance(covariance: Floats, low: Floats, high: Floats, solver: Solver = "reference") -> Floats:
    """Weights of the lowest variance within the bounds."""
    scale = float(np.mean(np.diag(covariance)))
    if solver == "direct":
        solution = _daqp_min_variance(covariance / scale, low, high)
    else:
        values = {"factor": _factor(covariance / scale), "low": low, "high": high}
        solution = _solve(_least_variance(len(covariance)), values)
    return _verified(solution if solver == "direct" else _polished(solution, None, covariance, low, high), low, high)


def risk_parity(covariance: Floats) -> Floats:
    """Weights at which every agent contributes the same risk, w_i (Sw)_i equal for all i; long only, no bounds.

    Cyclical coordinate descent on the log-barrier form. Source: Griveau-Billion, Richard, Roncalli (2013).
    """
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    found = _equal_contributions(np.ascontiguousarray(correlation))
    if not np.isfinite(found).all():
        raise SolverError("equal risk contribution did not converge")
    weights = found / scale
    return np.asarray(weights / weights.sum())


@compiled
def _equal_contributions(correlation: Floats) -> Floats:
    size = len(correlation)
    x = np.full(size, 1.0 / math.sqrt(np.sum(correlation)))
    for _ in range(2000):
        largest = 0.0
        for i in range(size):
            other = 0.0
            for j in range(size):
                if j != i:
                    other += correlation[i, j] * x[j]
            moved = 0.5 * (-other + math.sqrt(other * other + 4.0 / size))
            largest = max(largest, abs(moved - x[i]))
            x[i] = moved
        if largest < 1e-14:
            return x
    return x if largest < 1e-10 else np.full(size, math.nan)


def hierarchical_risk_parity(correlation: Floats, volatility: Floats) -> Floats:
    """Recursive bisection along a single-linkage tree, each half weighted by its inverse variance. Source: Lopez de
    Prado, Building Diversified Portfolios that Outperform Out of Sample (2016)."""
    size = len(volatility)
    if size == 1:
        return np.ones(1)
    distance = np.sqrt(np.clip(0.5 * (1.0 - correlation), 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    order = hierarchy.leaves_list(hierarchy.linkage(squareform(distance, checks=False), "single"))
    covariance = correlation * np.outer(volatility, volatility)
    weights = np.ones(size)
    groups = [order]
    while groups:
        halves = [
            half for group in groups if len(group) > 1 for half in (group[: len(group) // 2], group[len(group) // 2 :])
        ]
        for left, right in zip(halves[::2], halves[1::2], strict=True):
            risk = [_cluster_variance(covariance[np.ix_(part, part)]) for part in (left, right)]
            share = 1.0 - risk[0] / (risk[0] + risk[1])
            weights[left] *= share
            weights[right] *= 1.0 - share
        groups = halves
    return weights


def _cluster_variance(covariance: Floats) -> float:
    inverse = 1.0 / np.diag(covariance)
    share = inverse / inverse.sum()
    return float(share @ covariance @ share)


METHODS: dict[str, Callable[[Moments, Floats, Floats, Solver], Floats]] = {
    "max_sharpe": lambda m, low, high, solver: max_sharpe(m.mean, m.covariance, low, high, solver),
    "min_variance": lambda m, low, high, solver: min_variance(m.covariance, low, high, solver),
    "risk_parity": lambda m, low, high, _: project(risk_parity(m.covariance), low, high),
    "inverse_volatility": lambda m, low, high, _: project((1 / m.volatility) / (1 / m.volatility).sum(), low, high),
    "hrp": lambda m, low, high, _: project(hierarchical_risk_parity(m.correlation, m.volatility), low, high),
    "equal": lambda m, low, high, _: project(np.full(len(m.volatility), 1.0 / len(m.volatility)), low, high),
}
"""Name -> weights from moments within the bounds."""


# ---------------------------------------------------------------- cvxpy


@functools.cache
def _charnes_cooper(size: int) -> Any:
    import cvxpy  # takes a second to load, and only those who solve need it

    y, k = cvxpy.Variable(size), cvxpy.Variable(nonneg=True)
    mean, low, high = (cvxpy.Parameter(size, name=name) for name in ("mean", "low", "high"))
    factor = cvxpy.Parameter((size, size), name="factor")
    constraints = [mean @ y == 1.0, cvxpy.sum(y) == k, y >= low * k, y <= high * k]
    return _built(cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(factor @ y)), constraints), y)


@functools.cache
def _least_variance(size: int) -> Any:
    import cvxpy  # as above

    w = cvxpy.Variable(size)
    low, high = (cvxpy.Parameter(size, name=name) for name in ("low", "high"))
    factor = cvxpy.Parameter((size, size), name="factor")
    constraints = [cvxpy.sum(w) == 1.0, w >= low, w <= high]
    return _built(cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(factor @ w)), constraints), w)


def _built(problem: Any, variable: Any) -> Any:
    assert problem.is_dcp(dpp=True), "parameters must not force a new canonicalisation"
    return problem, variable


def _solve(built: Any, values: dict[str, Floats]) -> Floats:
    """The variable's value; SolverError for every status but optimal, from every solver."""
    problem, variable = built
    for parameter in problem.parameters():
        parameter.value = values[parameter.name()]
    said = []
    for solver in SOLVERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # cvxpy warns of inaccuracy, which the status says too
                problem.solve(solver=solver)
        except Exception as error:  # a solver may raise anything; all of it means: no answer
            said.append(f"{solver}: {type(error).__name__}")
            continue
        if problem.status == "optimal" and variable.value is not None and np.isfinite(variable.value).all():
            return np.asarray(variable.value, dtype=np.float64)
        said.append(f"{solver}: {problem.status}")
    raise SolverError(", ".join(said))


# ---------------------------------------------------------------- DAQP

_EQUALITY = 5
_FREE = 1e30


def _daqp_max_sharpe(mean: Floats, covariance: Floats, low: Floats, high: Floats) -> Floats:
    size = len(mean)
    one, zero = np.ones((size, size)), np.zeros(2 * size)
    rows = np.vstack([np.eye(size) - low[:, None] * one, high[:, None] * one - np.eye(size), mean[None]])
    return _daqp(covariance, rows, np.append(zero, 1.0), np.append(zero + _FREE, 1.0))


def _daqp_min_variance(covariance: Floats, low: Floats, high: Floats) -> Floats:
    rows = np.ones((1, len(low)))
    return _daqp(covariance, rows, np.append(low, 1.0), np.append(high, 1.0))


def _daqp(covariance: Floats, rows: Floats, lower: Floats, upper: Floats) -> Floats:
    """The least variance under lower <= (x, rows x) <= upper, of which the last is an equality; SolverError without an optimum."""
    import daqp  # only replays and searches need it

    kinds = np.zeros(len(upper), dtype=np.int32)
    kinds[-1] = _EQUALITY
    found, _, status, _ = daqp.solve(
        np.ascontiguousarray(covariance), np.zeros(len(covariance)), np.ascontiguousarray(rows), upper, lower, kinds
    )
    if status != 1 or not np.isfinite(found).all():
        raise SolverError(f"DAQP: status {status}")
    return np.asarray(found, dtype=np.float64)


def _polished(weights: Floats, mean: Floats | None, covariance: Floats, low: Floats, high: Floats) -> Floats:
    """The solver's answer taken to machine precision: which bounds bind is read off it, and the optimum on that face is
    a linear system. Kept only where it is feasible and no worse."""
    size = len(weights)
    free = (weights > low + TOLERANCE) & (weights < high - TOLERANCE)
    fixed = np.where(weights - low < high - weights, low, high)
    start = project(np.where(free, weights, fixed), low, high)
    if not free.any() or (mean is not None and not float(mean @ start) > 0.0):
        return start
    f = np.flatnonzero(free)
    held = np.where(free, 0.0, fixed)
    # Minimum variance: S w + nu = 0 on the free ones. Maximum Sharpe: S w - theta mean + nu = 0, theta from the ratio.
    ones = np.ones(len(f))
    system = np.zeros((len(f) + 1, len(f) + 1))
    system[:-1, :-1] = covariance[np.ix_(f, f)]
    system[:-1, -1] = system[-1, :-1] = ones
    best, best_value = start, _objective(start, mean, covariance)
    current = start
    for _ in range(50):
        theta = 0.0 if mean is None else float(current @ covariance @ current) / float(mean @ current)
        right = -covariance[f] @ held + (0.0 if mean is None else theta * mean[f])
        try:
            solved = np.linalg.solve(system, np.append(right, 1.0 - held.sum()))
        except np.linalg.LinAlgError:
            return best
        candidate = held.copy()
        candidate[f] = solved[:-1]
        if (candidate < low - 1e-12).any() or (candidate > high + 1e-12).any():
            return best
        value = _objective(candidate, mean, covariance)
        moved = float(np.max(np.abs(candidate - current)))
        if value <= best_value:
            best, best_value = candidate, value
        current = candidate
        if mean is None or moved < 1e-14 or size == 1:
            break
    return best


def _objective(weights: Floats, mean: Floats | None, covariance: Floats) -> float:
    variance = float(weights @ covariance @ weights)
    return variance if mean is None else -float(mean @ weights) / math.sqrt(variance)


def _factor(covariance: Floats) -> Floats:
    """F with F'F = covariance; SolverError where it is not positive definite."""
    try:
        return np.asarray(np.linalg.cholesky(covariance).T, dtype=np.float64)
    except np.linalg.LinAlgError:
        raise SolverError("the covariance is not positive definite") from None


@compiled
def highest_mean(mean: Floats, low: Floats, high: Floats) -> Floats:
    """The weights of the highest mean within the bounds: floors first, then the best agents up to their caps."""
    weights, done, left = low.copy(), np.zeros(len(mean), dtype=np.bool_), 1.0
    for k in range(len(mean)):
        left -= low[k]
    for _ in range(len(mean)):
        best = -1
        for k in range(len(mean)):
            if not done[k] and (best < 0 or mean[k] > mean[best]):
                best = k
        done[best] = True
        added = min(high[best] - low[best], max(0.0, left))
        weights[best] += added
        left -= added
    return weights


def _verified(weights: Floats, low: Floats, high: Floats) -> Floats:
    """Constraints checked again, and met to the last digit; a solver's word alone is not enough."""
    excess = max(float(np.max(low - weights)), float(np.max(weights - high)), abs(float(weights.sum()) - 1.0))
    if not excess < TOLERANCE:
        raise SolverError(f"the answer breaks a constraint by {excess:.1e}")
    return project(weights, low, high) if excess > 1e-12 else weights
