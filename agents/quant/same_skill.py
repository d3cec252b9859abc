"""Do the agents' skills differ at all? Two tests of "all have the same Sharpe ratio", on returns [T, A].

One sees differences that last, the other also those that come and go. NaN is a period without an opinion of that
agent; it is left out.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from agents.core.types import Floats
from agents.quant.bootstrap import block_length
from agents.quant.compiled import compiled


def lasting_spread(returns: Floats, weights: Floats) -> float:
    """p-value of "all agents have the same Sharpe ratio", from returns [T, A] and weights [T] that sum to 1.

    Hotelling's T-squared over the A - 1 contrasts of the agents' ratios. It covers every direction that a search among
    them could pick (Scheffe). The sample is the effective one of the weights, and the returns' own autocorrelation is
    accounted for. 1 where there are too few periods.
    """
    size = returns.shape[1]
    present = np.isfinite(returns).astype(np.float64)
    filled = np.where(present > 0.0, returns, 0.0)
    share = weights[:, None] * present
    share = share / share.sum(axis=0)
    mean = (share * filled).sum(axis=0)
    centred = (filled - mean) * present
    effective = float(1.0 / (share**2).sum(axis=0).max())
    contrasts = size - 1
    if effective < contrasts + 10:
        return 1.0
    together = np.maximum((weights[:, None] * present).T @ present, 1e-300)
    spread = np.sqrt((share * centred**2).sum(axis=0) * effective / (effective - 1.0))
    scaled = centred / spread
    correlation = np.clip((weights[:, None] * scaled).T @ scaled / together, -1.0, 1.0)
    np.fill_diagonal(correlation, 1.0)
    basis = np.eye(size)[:-1] - 1.0 / size
    differences = basis @ (mean / spread)
    noise = basis @ (correlation * (share.T @ share)) @ basis.T  # errors of means that share only some of their periods
    squared = float(differences @ np.linalg.pinv(noise, hermitian=True) @ differences) / inflation(returns)
    return float(
        special.fdtrc(
            contrasts, effective - contrasts, squared * (effective - contrasts) / ((effective - 1.0) * contrasts)
        )
    )


def drifting_spread(returns: Floats, block: int) -> float:
    """p-value of "in every stretch of `block` periods all agents had the same Sharpe ratio", from returns [T, A].

    The squared spread of the agents' ratios is chi-squared with A - 1 degrees of freedom in each stretch; the
    statistic is its sum over stretches, so that skill that wanders and averages out is seen too. Agents without
    returns in more than half of a stretch are left out. 1 below two stretches.
    """
    stretches = len(returns) // block
    if stretches < 2:
        return 1.0
    recent = returns[len(returns) - stretches * block :]
    cut = np.isfinite(recent).reshape(stretches, block, -1)
    dense = (cut.sum(axis=1) >= block // 2).all(axis=0)
    size = int(dense.sum())
    if size < 2:
        return 1.0
    kept = np.ascontiguousarray(recent[:, dense])
    basis = np.eye(size)[:-1] - 1.0 / size
    scaled = _standardised_columns(kept)
    noise = np.linalg.pinv(basis @ (scaled.T @ scaled / len(scaled)) @ basis.T, hermitian=True)
    # The inverse of an estimated covariance is too large on average (Wishart), and so is the square of a t statistic.
    noise *= max(0.0, (len(scaled) - size - 1.0) / len(scaled)) * (block - 3.0) / (block - 1.0)
    differences = _stretch_ratios(kept, block) @ basis.T
    total = float(np.sum((differences @ noise) * differences))
    return float(special.chdtrc(stretches * (size - 1), total / inflation(kept)))


def inflation(returns: Floats) -> float:
    """How many times larger the variance of a mean of returns [T, A] is than independence would make it.

    1 + 2 x the sum of the first autocorrelations of the agents' contrasts, pooled, over the length of a bootstrap's
    block, with the taper of Bartlett (Newey and West 1987); held between 0.5 and 5. What the agents have in common is
    no part of a contrast, and neither is its memory.
    """
    return min(5.0, max(0.5, _long_run_variance(_contrasts(returns).T.copy(), block_length(len(returns)))))


def _contrasts(returns: Floats) -> Floats:
    """[T, A]: standardised returns less their mean over the agents present, of unit variance in all; 0 where there is
    none."""
    present = np.isfinite(returns)
    scaled = _standardised_columns(returns)
    common = scaled.sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    own = np.where(present, scaled - common[:, None], 0.0)
    size = math.sqrt(float(np.sum(own**2)) / max(int(present.sum()), 1))
    return own / size if size > 0.0 else own


@compiled
def _long_run_variance(scaled: Floats, length: int) -> float:
    """1 + 2 x the sum of tapered autocorrelations of standardised series [A, T], which are 0 where nothing is known."""
    agents, periods = scaled.shape
    count = 0
    for a in range(agents):
        for t in range(periods):
            if scaled[a, t] != 0.0:
                count += 1
    total = 1.0
    for lag in range(1, min(length, periods - 1) + 1):
        together = 0.0
        for a in range(agents):
            together += np.dot(scaled[a, lag:], scaled[a, : periods - lag])
        total += 2.0 * (1.0 - lag / (length + 1.0)) * together / max(count, 1)
    return total


@compiled
def _standardised_columns(returns: Floats) -> Floats:
    """[T, A] less its column's mean, over its column's deviation (1 where nothing moves), 0 where it is not finite."""
    periods, agents = returns.shape
    result = np.zeros((periods, agents))
    for a in range(agents):
        count, total = 0, 0.0
        for t in range(periods):
            if math.isfinite(returns[t, a]):
                count += 1
                total += returns[t, a]
        mean, squares = total / max(count, 1), 0.0
        for t in range(periods):
            if math.isfinite(returns[t, a]):
                squares += (returns[t, a] - mean) ** 2
        spread = math.sqrt(squares / max(count, 1))
        for t in range(periods):
            if math.isfinite(returns[t, a]):
                result[t, a] = (returns[t, a] - mean) / (spread if spread > 0.0 else 1.0)
    return result


@compiled
def _stretch_ratios(returns: Floats, block: int) -> Floats:
    """[T, A] -> [T / block, A]: each stretch's mean / sample deviation x sqrt(count); 0 without movement."""
    stretches, agents = len(returns) // block, returns.shape[1]
    result = np.zeros((stretches, agents))
    for k in range(stretches):
        for a in range(agents):
            count, total = 0, 0.0
            for t in range(k * block, (k + 1) * block):
                if math.isfinite(returns[t, a]):
                    count += 1
                    total += returns[t, a]
            if count < 2:
                continue
            mean, squares = total / count, 0.0
            for t in range(k * block, (k + 1) * block):
                if math.isfinite(returns[t, a]):
                    squares += (returns[t, a] - mean) ** 2
            if squares > 0.0:
                result[k, a] = mean / math.sqrt(squares / (count - 1.0)) * math.sqrt(count)
    return result
