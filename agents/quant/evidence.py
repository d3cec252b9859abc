"""How sure can one be of a Sharpe ratio, or of the difference of two?

Probabilities, intervals, a paired test, and what a test shows after many settings were tried. Sharpe ratios here are
per period where they are not called annual. The kurtosis of a normal variable is 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from agents.core.types import Floats
from agents.quant.bootstrap import block_starts, resampled_sharpe, resampled_sums
from agents.quant.returns import MINIMUM_PERIODS, mean_and_variance

EULER = 0.5772156649015329
"""The constant of Euler and Mascheroni."""
INTERVAL_SHARE = 0.90
"""So many of the intervals of Sharpe ratios hold the true one."""


def probabilistic_sharpe(sharpe: float, benchmark: float, periods: float, skew: float, kurtosis: float) -> float:
    """Probability that the true Sharpe ratio exceeds `benchmark`, given the ratio, skew and kurtosis of so many
    periods.

    NaN for fewer than 3 periods, or where the ratio's error is not defined. Source: Bailey and Lopez de Prado, The
    Sharpe Ratio Efficient Frontier (2012).
    """
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if not (periods >= 3 and spread > 0.0 and math.isfinite(sharpe) and math.isfinite(benchmark)):
        return math.nan
    return float(special.ndtr((sharpe - benchmark) * math.sqrt(periods - 1.0) / math.sqrt(spread)))


def expected_best_sharpe(variance: float, trials: int) -> float:
    """The Sharpe ratio that the best of `trials` strategies without skill shows on average; 0 for a single one.

    `variance` is that of the trials' ratios. Source: Bailey and Lopez de Prado, The Deflated Sharpe Ratio (2014).
    """
    if trials <= 1:
        return 0.0
    first = special.ndtri(1.0 - 1.0 / trials)
    second = special.ndtri(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(max(variance, 0.0)) * float((1.0 - EULER) * first + EULER * second)


def minimum_track_record(sharpe: float, benchmark: float, skew: float, kurtosis: float, confidence: float) -> float:
    """Periods after which a ratio of `sharpe` would exceed `benchmark` with `confidence`; NaN where it never would.

    Source: Bailey and Lopez de Prado, The Sharpe Ratio Efficient Frontier (2012).
    """
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if not (sharpe > benchmark and spread > 0.0):
        return math.nan
    return 1.0 + spread * float(special.ndtri(confidence) / (sharpe - benchmark)) ** 2


def sharpe_interval(returns: Floats, *, seed: int) -> tuple[float, float]:
    """The 90 % interval of the Sharpe ratio of returns [T]: percentiles of a circular block bootstrap.

    NaNs below 20 periods or without movement.
    """
    if len(returns) < MINIMUM_PERIODS or not mean_and_variance(returns)[1] > 1e-30:
        return math.nan, math.nan
    starts, length = block_starts(len(returns), seed)
    ratios = np.sort(resampled_sharpe(np.ascontiguousarray(returns, dtype=np.float64), starts, length))
    return _quantile(ratios, (1.0 - INTERVAL_SHARE) / 2.0), _quantile(ratios, (1.0 + INTERVAL_SHARE) / 2.0)


def _quantile(ordered: Floats, share: float) -> float:
    """Linear interpolation between the neighbours in an ordered sample, as numpy's default."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """Outcome of `sharpe_difference`: the annual Sharpe ratio gained, its 90 % interval, and how many standard errors
    it is.

    `t` is 0 where the two portfolios are the same to rounding. `periods` is the effective number of periods behind
    the test.
    """

    difference: float
    low: float
    high: float
    t: float
    periods: float


def sharpe_difference(new: Floats, old: Floats, weights: Floats, periods_per_year: float, *, seed: int) -> PairedTest:
    """Does the portfolio with returns `new` [T] have a higher Sharpe ratio than `old`, on the same periods?

    The test is of a mean: that of the difference of the two ratios' influence values,

        z' - z - (S' z'^2 - S z^2 + S - S') / 2

    weighted by `weights` [T], which sum to 1. Its standard error comes from a circular block bootstrap, so
    autocorrelation within a block is accounted for. Source: Ledoit and Wolf, Robust Performance Hypothesis Testing
    with the Sharpe Ratio (2008), in linear form.
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
    starts, length = block_starts(len(new), seed)
    drawn = resampled_sums(influence * weights, starts, length) * len(new) / (starts.shape[1] * length)
    wider = _small_sample(effective, length)
    error = wider * float(np.std(drawn, ddof=1))
    low, high = wider * np.quantile(drawn - drawn.mean(), [0.05, 0.95])
    return PairedTest(
        difference=difference * scale,
        low=(difference + float(low)) * scale,
        high=(difference + float(high)) * scale,
        t=difference / max(error, 1e-12),
        periods=effective,
    )


def _small_sample(effective: float, length: int) -> float:
    """By how much a block bootstrap's standard error is too small: blocks of a centred sample vary less than those of
    the truth, and the error is itself estimated, with 1.5 degrees of freedom for each block (fixed-b, Bartlett)."""
    share = min(0.5, length / effective)
    return float(special.stdtrit(1.5 / share, 0.975) / special.ndtri(0.975)) / math.sqrt(1.0 - share)


def _standardised(returns: Floats, weights: Floats) -> tuple[Floats, float]:
    mean = float(weights @ returns)
    deviation = math.sqrt(max(float(weights @ (returns - mean) ** 2), 1e-300))
    return returns / deviation, mean / deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a paired test shows: the annual Sharpe ratio gained, its 90 % interval, and whether that is shown.

    `p` is one-sided and corrected for the settings that were tried (Sidak).
    """

    difference: float
    low: float
    high: float
    p: float
    shown: bool
    trials: int
    ahead: str = "added"
    behind: str = "cost"

    @property
    def words(self) -> str:
        """As in "added 0.12 Sharpe [-0.05, 0.31]: not shown", or "cost 0.12 Sharpe (difference -0.12 [-0.31,
        0.05]): not shown": the interval is always that of the difference, as in reports."""
        if not math.isfinite(self.difference):
            return "nothing to judge yet"
        if self.low == 0.0 and self.high == 0.0 and self.difference == 0.0:
            return "changed nothing"
        bounds = f"[{self.low:.2f}, {self.high:.2f}]"
        said = (
            f"{self.ahead} {self.difference:.2f} Sharpe {bounds}"
            if self.difference >= 0.0
            else f"{self.behind} {-self.difference:.2f} Sharpe (difference {self.difference:.2f} {bounds})"
        )
        after = f" after {self.trials} settings tried" if self.trials > 1 else ""
        outcome = "shown" if self.shown else "not shown"
        return f"{said}: {outcome}{after}"

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


def beside_holding(claim: Claim) -> Claim:
    """The claim of a desk beside one that holds, in words for that."""
    return replace(claim, ahead="ahead by", behind="behind by")


def claim_of(test: PairedTest, trials: int, level: float) -> Claim:
    """What `test` shows at `level` where it is the best of `trials`: a gain, or a loss, which nobody picked."""
    tail = float(special.stdtr(max(test.periods - 1.0, 1.0), -abs(test.t))) if test.t != 0.0 else 0.5
    p = -math.expm1(max(trials, 1) * math.log1p(-tail)) if test.t > 0.0 else tail
    return Claim(
        difference=test.difference, low=test.low, high=test.high, p=p, shown=test.t != 0.0 and p < level, trials=trials
    )


def required_t(false_changes_per_year: float, *, looks_per_year: float, trials: int, periods: float) -> float:
    """Standard errors that a change must show, in a direction that was fixed in advance.

    Where the change has no merit, it then happens in at most `false_changes_per_year` of the years. The threshold is
    Student's tail, for so many `periods`, at the level of one of all looks that a year and the `trials` on record make.
    """
    level = level_of_a_look(false_changes_per_year, looks_per_year * trials)
    return -float(special.stdtrit(max(periods - 1.0, 1.0), level))


def level_of_a_look(false_changes_per_year: float, tests: float) -> float:
    """The level of one of so many independent tests, of which one errs with probability `false_changes_per_year`
    (Sidak)."""
    return -math.expm1(math.log1p(-false_changes_per_year) / max(1.0, tests))
