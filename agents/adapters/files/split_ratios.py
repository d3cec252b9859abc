"""Ratios of splits: those that a file wrote with a few decimals, and those that only its adjusted closes show."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from agents.core.types import Floats

SPLIT_TOLERANCE = 0.002
"""A step of the adjusting factor is a split where it misses a simple ratio by less than this and the digits' rounding:
a dividend hits one by chance only."""
SMALLEST_SPLIT = 1.15
SIMPLE_RATIOS = sorted({Fraction(p, q) for q in (1, 2, 3, 4, 5) for p in range(q + 1, 51)})
SMALLEST_STEP = 1e-4
"""Steps of the adjusting factor below this are no dividends."""
MOST_DECIMALS = 10


def stepped_split(step: float, tolerance: float) -> float | None:
    """The ratio of the split that a step of the adjusting factor is, None where it is none."""
    if max(step, 1.0 / step) < SMALLEST_SPLIT:
        return None
    ratio = float(_nearest_simple(step))
    return ratio if abs(ratio / step - 1.0) <= SPLIT_TOLERANCE + tolerance else None


def step_tolerance(adjustment: Floats, close: Floats) -> Floats:
    """How far the ratio of two adjusting factors, one after the other [n], may be off 1 by rounding alone [n-1].

    Both prices behind a factor were rounded to their digits. Of those the more of two neighbours counts, since a last
    digit of 0 is not seen.
    """
    error = np.zeros(max(0, len(close) - 1))
    for price in (adjustment * close, close):
        decimals = decimals_of(price)
        unit = 0.5 * 10.0 ** -np.maximum(decimals[1:], decimals[:-1])
        error += unit / price[1:] + unit / price[:-1]
    return error + SMALLEST_STEP


def exact_ratios(split: Floats) -> Floats:
    """Ratios that a file wrote with a few decimals (7.000007, 1.333333) as the fractions they mean."""
    exact = split.copy()
    for index in np.nonzero(np.isfinite(split) & (split != 1.0) & (split > 0.0))[0]:
        ratio = float(Fraction(float(split[index])).limit_denominator(100))
        if ratio > 0.0 and abs(ratio / split[index] - 1.0) < 1e-5:
            exact[index] = ratio
    return exact


def decimals_of(price: Floats) -> Floats:
    """Digits after the point with which each price was written, at most MOST_DECIMALS."""
    decimals = np.full(len(price), float(MOST_DECIMALS))
    for digits in range(MOST_DECIMALS - 1, -1, -1):
        scaled = price * 10.0**digits
        decimals[np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(scaled, 1.0)] = digits
    return decimals


def _nearest_simple(jump: float) -> Fraction:
    """The simple ratio (2, 3/2, 1/10 ...) nearest to a jump, by relative distance."""
    size = max(jump, 1.0 / jump)
    nearest = SIMPLE_RATIOS[int(np.argmin([abs(float(simple) / size - 1.0) for simple in SIMPLE_RATIOS]))]
    return nearest if jump > 1.0 else 1 / nearest
