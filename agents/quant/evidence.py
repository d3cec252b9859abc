"""How sure can one be of a Sharpe ratio, or of the difference of two? Intervals, probabilities and the guard's test.

All Sharpe ratios here are per period, not annualised; kurtosis is 3 for a normal variable.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from agents.core.types import Floats, Integers
from agents.quant.compiled import compiled
from agents.quant.returns import MINIMUM_PERIODS, mean_and_variance

EULER = 0.5772156649015329
RESAMPLES = 499


def probabilistic_sharpe(sharpe: float, benchmark: float, periods: float, skew: float, kurtosis: float) -> float:
    """Probability that the true ratio exceeds `benchmark`; NaN where it is not defined (fewer than 3 periods).

    Source: Bailey and Lopez de Prado, The Sharpe Ratio Efficient Frontier (2012).
    """
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if not (periods >= 3 and spread > 0.0 and math.isfinite(sharpe) and math.isfinite(benchmark)):
        return math.nan
    return float(special.ndtr((sharpe - benchmark) * math.sqrt(periods - 1.0) / math.sqrt(spread)))


def expected_best_sharpe(variance: float, trials: int) -> float:
    """The ratio that the best of `trials` skill-less strategies shows on average, `variance` being that of the
    trials' ratios; 0 for a single trial. Source: Bailey and Lopez de Prado, The Deflated Sharpe Ratio (2014)."""
    if trials <= 1:
        return 0.0
    first = special.ndtri(1.0 - 1.0 / trials)
    second = special.ndtri(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(max(variance, 0.0)) * float((1.0 - EULER) * first + EULER * second)


def minimum_track_record(sharpe: float, benchmark: float, skew: float, kurtosis: float, confidence: float) -> float:
    """Periods after which a ratio of `sharpe` would exceed `benchmark` with `confidence`; NaN where it never would."""
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if not (sharpe > benchmark and spread > 0.0):
        return math.nan
    return 1.0 + spread * float(special.ndtri(confidence) / (sharpe - benchmark)) ** 2


def block_length(periods: int) -> int:
    """Length of a bootstrap block: 1.5 x the cube root of the sample, so that mild autocorrelation stays inside."""
    return max(1, min(periods, int(1.5 * float(periods) ** (1.0 / 3.0) + 0.5)))


@functools.lru_cache(maxsize=64)
def block_starts(periods: int, resamples: int, seed: int) -> tuple[Integers, int]:
    """Starts [resamples, blocks] of circular blocks, and their length (Politis and Romano 1992). Kept, since all agents of a desk
    are as old as each other."""
    length = block_length(periods)
    blocks = -(-periods // length)
    starts = np.random.default_rng(seed).integers(0, periods, (resamples, blocks))
    starts.flags.writeable = False
    return starts, length


def sharpe_interval(returns: Floats, *, seed: int, level: float = 0.90) -> tuple[float, float]:
    """Circular block bootstrap percentile interval of the per-period Sharpe ratio of [T]; NaNs below 20 periods or
    without movement."""
    if len(returns) < MINIMUM_PERIODS or not mean_and_variance(returns)[1] > 1e-30:
        return math.nan, math.nan
    starts, length = block_starts(len(returns), RESAMPLES, seed)
    ratios = np.sort(_resampled_sharpe(np.ascontiguousarray(returns, dtype=np.float64), starts, length))
    return _quantile(ratios, (1.0 - level) / 2.0), _quantile(ratios, (1.0 + level) / 2.0)


def _quantile(ordered: Floats, share: float) -> float:
    """Linear interpolation between the neighbours in an ordered sample, as numpy's default."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


@compiled
def _resampled_sharpe(returns: Floats, starts: Integers, length: int) -> Floats:
    sums = _circular_sums(returns, length)
    squares = _circular_sums(returns * returns, length)
    count = starts.shape[1] * length
    result = np.empty(starts.shape[0])
    for b in range(starts.shape[0]):
        total, square = 0.0, 0.0
        for k in range(starts.shape[1]):
            total += sums[starts[b, k]]
            square += squares[starts[b, k]]
        mean = total / count
        variance = (square / count - mean * mean) * count / (count - 1.0)
        result[b] = mean / math.sqrt(variance) if variance > 1e-300 else 0.0
    return result


@compiled
def _circular_sums(values: Floats, length: int) -> Floats:
    """Sum of the `length` values from each place on, going round the end."""
    n = len(values)
    result = np.empty(n)
    total = 0.0
    for k in range(length):
        total += values[k % n]
    for t in range(n):
        result[t] = total
        total += values[(t + length) % n] - values[t]
    return result


@compiled
def _resampled_sums(values: Floats, starts: Integers, length: int) -> Floats:
    sums = _circular_sums(values, length)
    result = np.empty(starts.shape[0])
    for b in range(starts.shape[0]):
        total = 0.0
        for k in range(starts.shape[1]):
            total += sums[starts[b, k]]
        result[b] = total
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """Outcome of `sharpe_difference`: the annual Sharpe gained, its 90 % interval, and how many standard errors it is.

    `t` is 0 where the two portfolios are the same to rounding.
    """

    difference: float
    low: float
    high: float
    t: float
    periods: float


def sharpe_difference(new: Floats, old: Floats, weights: Floats, periods_per_year: float, *, seed: int) -> PairedTest:
    """Does the portfolio with returns `new` [T] have a higher Sharpe ratio than `old`, on the same periods?

    Paired: tests the mean of the difference of the two ratios' influence values, z' - z - (S' z'^2 - S z^2 + S - S') / 2
    (Ledoit and Wolf 2008 in linear form), weighted by `weights` [T] (summing to 1); its standard error comes from a
    circular block bootstrap, so autocorrelation within a block is accounted for.
    """
    effective = 1.0 / float(np.sum(weights**2))
    scale = math.sqrt(periods_per_year)
    z_new, sharpe_new = _standardised(new, weights)
    z_old, sharpe_old = _standardised(old, weights)
    influence = (z_new - sharpe_new) - (z_old - sharpe_old)
    influence -= 0.5 * (sharpe_new * ((z_new - sharpe_new) ** 2 - 1.0) - sharpe_old * ((z_old - sharpe_old) ** 2 - 1.0))
    difference = sharpe_new - sharpe_old
    if float(np.std(influence)) < 1e-12:
        return PairedTest(difference=0.0, low=0.0, high=0.0, t=0.0, periods=effective)
    starts, length = block_starts(len(new), RESAMPLES, seed)
    drawn = _resampled_sums(influence * weights, starts, length) * len(new) / (starts.shape[1] * length)
    error = float(np.std(drawn, ddof=1))
    low, high = np.quantile(drawn - drawn.mean(), [0.05, 0.95])
    return PairedTest(
        difference=difference * scale,
        low=(difference + float(low)) * scale,
        high=(difference + float(high)) * scale,
        t=difference / max(error, 1e-12),
        periods=effective,
    )


def _standardised(returns: Floats, weights: Floats) -> tuple[Floats, float]:
    mean = float(weights @ returns)
    deviation = math.sqrt(max(float(weights @ (returns - mean) ** 2), 1e-300))
    return returns / deviation, mean / deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A paired test in plain words: annual Sharpe gained, its 90 % interval, the one-sided p-value corrected for the settings that
    were tried (Sidak), and whether that shows anything."""

    difference: float
    low: float
    high: float
    p: float
    shown: bool
    trials: int

    @property
    def words(self) -> str:
        """As in "added 0.12 Sharpe [-0.05, 0.31]: not shown"."""
        if self.low == 0.0 and self.high == 0.0 and self.difference == 0.0:
            return "changed nothing"
        verb = "added" if self.difference >= 0.0 else "cost"
        sign = 1.0 if self.difference >= 0.0 else -1.0
        low, high = sorted((sign * self.low, sign * self.high))
        after = f" after {self.trials} settings tried" if self.trials > 1 else ""
        return f"{verb} {abs(self.difference):.2f} Sharpe [{low:.2f}, {high:.2f}]: {'shown' if self.shown else 'not shown'}{after}"

    def as_plain(self) -> dict[str, object]:
        """Numbers and words, fit for JSON."""
        return {
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "p": self.p,
            "shown": self.shown,
            "trials": self.trials,
            "words": self.words,
        }


def claim_of(test: PairedTest, trials: int, level: float) -> Claim:
    """What `test` shows at `level` where it is the best of `trials`: a gain, or a loss, which nobody picked."""
    tail = float(special.stdtr(max(test.periods - 1.0, 1.0), -abs(test.t))) if test.t != 0.0 else 0.5
    p = -math.expm1(max(trials, 1) * math.log1p(-tail)) if test.t > 0.0 else tail
    return Claim(
        difference=test.difference, low=test.low, high=test.high, p=p, shown=test.t != 0.0 and p < level, trials=trials
    )


def required_t(false_changes_per_year: float, *, looks_per_year: float, trials: int, periods: float) -> float:
    """Standard errors that a change in a direction fixed in advance must show so that, where it has no merit, it happens in at
    most `false_changes_per_year` of the years: Student's tail at the level of one look, for the trials on record."""
    level = level_of_a_look(false_changes_per_year, looks_per_year * trials)
    return -float(special.stdtrit(max(periods - 1.0, 1.0), level))


def level_of_a_look(false_changes_per_year: float, tests: float) -> float:
    """The level of one of `tests` independent tests of which, all in all, a share `false_changes_per_year` may err once
    (Sidak)."""
    return -math.expm1(math.log1p(-false_changes_per_year) / max(1.0, tests))


def lasting_spread(returns: Floats, weights: Floats) -> float:
    """p-value of "all agents have the same Sharpe ratio" from [T, A] returns and weights [T] summing to 1.

    Hotelling's T-squared over the A - 1 contrasts of the agents' ratios, which covers every direction that a search among
    them could pick (Scheffe), with the effective sample of the weights and the returns' own autocorrelation. NaN is a period
    in which an agent said nothing. 1 where there is too little to say anything.
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
    """p-value of "in every stretch of `block` periods all agents had the same Sharpe ratio", [T, A].

    Sums over stretches the squared spread of the agents' ratios, chi-squared with A - 1 degrees of freedom each, so that it
    also sees skill that wanders and averages out. Agents that were silent for more than half of a stretch are left out;
    1 below two stretches.
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
    """How many times larger the variance of a mean is than independence would make it: 1 + 2 sum of the first
    autocorrelations of [T, A] pooled over agents, over a block's length, with Bartlett's taper; between 0.5 and 5."""
    return min(5.0, max(0.5, _long_run_variance(_standardised_columns(returns).T.copy(), block_length(len(returns)))))


@compiled
def _long_run_variance(scaled: Floats, length: int) -> float:
    """Of standardised series [A, T], 0 where there is none."""
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
    """[T, A] -> mean / sample deviation x sqrt(count) of each stretch of `block` periods, [T / block, A]; 0 without movement."""
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
