"""returns [T, A] -> what can be believed of their means, volatilities and correlations.

Estimates are exponentially weighted with a half-life chosen a priori, winsorised (for estimation only, never for
accounting), correlations shrunk towards none (OAS). NaN means that an agent did not exist; it is left out, never taken
as zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agents.core.types import Booleans, Floats

WINSOR_DEVIATIONS = 6.0
EIGENVALUE_FLOOR = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Estimates per period, [A] or [A, A].

    `sample` is the effective number of periods behind each agent's mean; `sharpe` is mean / volatility; `shrinkage`
    is the share of the correlation matrix that is the identity.
    """

    mean: Floats
    volatility: Floats
    sharpe: Floats
    sample: Floats
    correlation: Floats
    covariance: Floats
    shrinkage: float


def decay_weights(periods: int, half_life: float) -> Floats:
    """[T] positive weights summing to 1, the newest largest; a half-life of inf gives equal weights."""
    ages = np.arange(periods - 1, -1, -1, dtype=np.float64)
    raw = np.exp2(-ages / half_life)
    return np.asarray(raw / raw.sum()) if periods else raw


def winsorised(returns: Floats) -> Floats:
    """Returns [T, A], in which values further than 6 robust deviations from an agent's median are pulled in to there.

    A robust deviation is 1.4826 x the median absolute deviation, and never less than a third of the sample deviation.
    """
    whole = bool(np.isfinite(returns).all())  # numpy's median that looks for NaN takes several times as long
    median, deviation = (np.median, np.std) if whole else (np.nanmedian, np.nanstd)
    with np.errstate(invalid="ignore"):
        middle = median(returns, axis=0)
        spread = np.maximum(1.4826 * median(np.abs(returns - middle), axis=0), deviation(returns, axis=0) / 3.0)
        reach = WINSOR_DEVIATIONS * spread
        return np.clip(returns, middle - reach, middle + reach)


def estimate(returns: Floats, half_life: float) -> Moments:
    """Moments of [T, A] returns, each column with at least two finite values and some movement."""
    clipped = winsorised(returns)
    present = np.isfinite(clipped)
    weights = decay_weights(len(clipped), half_life)[:, None] * present
    total = weights.sum(axis=0)
    filled = np.where(present, clipped, 0.0)
    mean = (weights * filled).sum(axis=0) / total
    deviation = np.where(present, filled - mean, 0.0)
    sample = total**2 / (weights**2).sum(axis=0)
    bessel = sample / np.maximum(sample - 1.0, 1e-9)
    variance = (weights * deviation**2).sum(axis=0) / total * bessel
    volatility = np.sqrt(variance)
    scaled = deviation / np.where(volatility > 0.0, volatility, 1.0)
    pair_weight = np.sqrt(weights[:, :, None] * weights[:, None, :]).sum(axis=0) if not present.all() else None
    both = (np.sqrt(weights) * scaled).T @ (np.sqrt(weights) * scaled)
    raw = both * bessel.mean() / (pair_weight if pair_weight is not None else total[0])
    raw = np.where(np.isfinite(raw), np.clip(raw, -1.0, 1.0), 0.0)
    np.fill_diagonal(raw, 1.0)
    rows = float(np.min(sample))
    shrinkage = 1.0 if rows <= len(mean) else oas_shrinkage(raw, rows)
    correlation = positive_definite((1.0 - shrinkage) * raw + shrinkage * np.eye(len(mean)))
    return Moments(
        mean=mean,
        volatility=volatility,
        sharpe=mean / np.where(volatility > 0.0, volatility, np.nan),
        sample=sample,
        correlation=correlation,
        covariance=correlation * np.outer(volatility, volatility),
        shrinkage=shrinkage,
    )


def oas_shrinkage(matrix: Floats, sample: float) -> float:
    """Share of the scaled identity in the oracle approximating shrinkage of a covariance [A, A] of `sample` rows.

    Source: Chen, Wiesel, Eldar, Hero, Shrinkage Algorithms for MMSE Covariance Estimation (2010), eq. 23.
    """
    size = len(matrix)
    square, trace = float(np.sum(matrix**2)), float(np.trace(matrix))
    above = (1.0 - 2.0 / size) * square + trace**2
    below = (sample + 1.0 - 2.0 / size) * (square - trace**2 / size)
    return 1.0 if below <= 1e-15 else min(1.0, above / below)


def positive_definite(matrix: Floats) -> Floats:
    """The matrix [A, A], its eigenvalues no smaller than 1e-8 of the largest; its diagonal stays as it is."""
    values, vectors = np.linalg.eigh(matrix)
    floor = EIGENVALUE_FLOOR * max(float(values[-1]), 1.0)
    if values[0] >= floor:
        return matrix
    lifted = (vectors * np.maximum(values, floor)) @ vectors.T
    scale = np.sqrt(np.diag(matrix) / np.diag(lifted))
    return np.asarray(lifted * np.outer(scale, scale))


def measurable(returns: Floats, minimum: int) -> Booleans:
    """[A]: True for agents whose book moved in at least `minimum` periods of returns [T, A], and not always alike."""
    finite = np.isfinite(returns)
    moved = (finite & (returns != 0.0)).sum(axis=0)
    most = np.max(returns, axis=0, initial=-math.inf, where=finite)
    least = np.min(returns, axis=0, initial=math.inf, where=finite)
    return np.asarray((moved >= minimum) & (most - least > 1e-12))
