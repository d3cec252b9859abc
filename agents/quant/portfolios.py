"""The methods: moments of the agents' returns and bounds -> weights [A] that sum to 1.

Every method either returns weights that keep the bounds to 1e-9 or raises SolverError; nobody gets a half-right answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from agents.core.types import Booleans, Floats
from agents.quant.bounded_weights import SolverError, highest_mean, project
from agents.quant.compiled import compiled
from agents.quant.limits import Solver
from agents.quant.moments import Moments
from agents.quant.solvers import least_variance, least_variance_per_mean

TOLERANCE = 1e-6
"""By so much a solver's answer may miss a bound."""


class NoPositiveMeanError(SolverError):
    """Every feasible portfolio is expected to lose."""


def max_sharpe(mean: Floats, covariance: Floats, low: Floats, high: Floats, solver: Solver = "reference") -> Floats:
    """Weights of the highest mean / deviation within the bounds, by the transformation of Charnes and Cooper (1962).

    NoPositiveMeanError where no feasible portfolio has a positive mean, SolverError where no optimum is found.
    """
    best = highest_mean(mean, low, high)
    if not float(mean @ best) > 0.0:
        raise NoPositiveMeanError("no portfolio within the bounds has a positive mean")
    scale = float(mean @ best)
    deviation = float(np.sqrt(best @ covariance @ best))
    solution = least_variance_per_mean(mean / scale, covariance / deviation**2, low, high, solver)
    total = float(solution.sum())
    if not total > 0.0:
        raise SolverError("the transformed problem has no positive sum")
    weights = solution / total
    return _verified(weights if solver == "direct" else _polished(weights, mean, covariance, low, high), low, high)


def min_variance(covariance: Floats, low: Floats, high: Floats, solver: Solver = "reference") -> Floats:
    """Weights of the lowest variance within the bounds; SolverError where no optimum is found."""
    scale = float(np.mean(np.diag(covariance)))
    weights = least_variance(covariance / scale, low, high, solver)
    return _verified(weights if solver == "direct" else _polished(weights, None, covariance, low, high), low, high)


def risk_parity(covariance: Floats) -> Floats:
    """Weights at which every agent contributes the same risk, w_i (Sw)_i equal for all i; long only, no bounds.

    SolverError where the descent does not converge. Source: Griveau-Billion, Richard, Roncalli, A Fast Algorithm for
    Computing High-dimensional Risk Parity Portfolios (2013): cyclical coordinate descent on the log-barrier form.
    """
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    solution = _equal_contributions(np.ascontiguousarray(correlation))
    if not np.isfinite(solution).all():
        raise SolverError("equal risk contribution did not converge")
    weights = solution / scale
    return np.asarray(weights / weights.sum())


@compiled
def _equal_contributions(correlation: Floats) -> Floats:
    """Positions in units of volatility, [A]; NaN where 2000 rounds do not suffice."""
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
    """Weights by recursive bisection along a single-linkage tree, each half weighted by its inverse variance; no
    bounds.

    Source: Lopez de Prado, Building Diversified Portfolios that Outperform Out of Sample (2016).
    """
    from scipy.cluster import hierarchy  # takes 13 MB and a third of a second to load, and only this method needs it
    from scipy.spatial.distance import squareform

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
    """Variance of a group whose members are weighted by their inverse variances."""
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


def _polished(weights: Floats, mean: Floats | None, covariance: Floats, low: Floats, high: Floats) -> Floats:
    """The solver's answer taken to machine precision: which bounds bind is read off it, and the optimum on that face is
    a linear system; who leaves the bounds there was bound as well. Kept only where it is feasible and no worse."""
    free = (weights > low + 1e-9) & (weights < high - 1e-9)
    held = np.where(free, 0.0, np.where(weights - low < high - weights, low, high))
    start = project(np.where(free, weights, held), low, high)
    if mean is not None and not float(mean @ start) > 0.0:
        return start
    while free.any():
        candidate = _optimum_on_face(start, free, held, mean, covariance)
        beyond = np.maximum(low - candidate, candidate - high)
        worst = int(np.argmax(beyond))
        if not beyond[worst] > 1e-12:
            return (
                candidate if _objective(candidate, mean, covariance) <= _objective(start, mean, covariance) else start
            )
        free[worst] = False
        held[worst] = low[worst] if candidate[worst] < low[worst] else high[worst]
    return start


def _optimum_on_face(start: Floats, free: Booleans, held: Floats, mean: Floats | None, covariance: Floats) -> Floats:
    """The best weights whose `free` [A] ones are bound by nothing and whose others are `held`; `start` where there are
    none."""
    # Minimum variance: S w + nu = 0 on the free ones. Maximum Sharpe: S w - theta mean + nu = 0, theta from the ratio.
    f = np.flatnonzero(free)
    system = np.zeros((len(f) + 1, len(f) + 1))
    system[:-1, :-1] = covariance[np.ix_(f, f)]
    system[:-1, -1] = system[-1, :-1] = 1.0
    current = start
    for _ in range(50):
        theta = 0.0 if mean is None else float(current @ covariance @ current) / float(mean @ current)
        right = -covariance[f] @ held + (0.0 if mean is None else theta * mean[f])
        try:
            solved = np.linalg.solve(system, np.append(right, 1.0 - held.sum()))
        except np.linalg.LinAlgError:
            return start
        candidate = held.copy()
        candidate[f] = solved[:-1]
        moved = float(np.max(np.abs(candidate - current)))
        current = candidate
        if mean is None or moved < 1e-14:
            break
    return current


def _objective(weights: Floats, mean: Floats | None, covariance: Floats) -> float:
    variance = float(weights @ covariance @ weights)
    return variance if mean is None else -float(mean @ weights) / math.sqrt(variance)


def _verified(weights: Floats, low: Floats, high: Floats) -> Floats:
    """The weights, with every constraint checked again and met to the last digit: a solver's word alone is not
    enough."""
    excess = max(float(np.max(low - weights)), float(np.max(weights - high)), abs(float(weights.sum()) - 1.0))
    if not excess < TOLERANCE:
        raise SolverError(f"the answer breaks a constraint by {excess:.1e}")
    return project(weights, low, high) if excess > 1e-12 else weights
