"""Ratios of splits: those that a file wrote with a few decimals, and those that only its adjusted closes show."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from agents.core.types import Floats, Integers

SPLIT_TOLERANCE = 0.02
SMALLEST_SPLIT = 1.15
SIMPLE_RATIOS = sorted({Fraction(p, q) for q in (1, 2, 3, 4, 5) for p in range(q + 1, 51)})


def infer_splits(adjustment: Floats, symbol: Integers) -> Floats:
    """Split ratios from jumps of the adjusting factor: a jump within 2 % of a simple ratio of at least 1.15 (dividends
    move the factor too, but by less). Rows sorted by symbol and time; 1 where there is none."""
    split = np.ones(len(adjustment))
    if len(adjustment) < 2:
        return split
    jump = adjustment[1:] / adjustment[:-1]
    same = symbol[1:] == symbol[:-1]
    for index in np.nonzero(same & ((jump >= SMALLEST_SPLIT) | (jump <= 1.0 / SMALLEST_SPLIT)))[0]:
        ratio = _nearest_simple(float(jump[index]))
        if abs(float(ratio) / float(jump[index]) - 1.0) <= SPLIT_TOLERANCE:
            split[index + 1] = float(ratio)
    return split


def exact_ratios(split: Floats) -> Floats:
    """Ratios that a file wrote with a few decimals (7.000007, 1.333333) as the fractions they mean."""
    exact = split.copy()
    for index in np.nonzero(np.isfinite(split) & (split != 1.0) & (split > 0.0))[0]:
        ratio = float(Fraction(float(split[index])).limit_denominator(100))
        if ratio > 0.0 and abs(ratio / split[index] - 1.0) < 1e-5:
            exact[index] = ratio
    return exact


def _nearest_simple(jump: float) -> Fraction:
    """The simple ratio (2, 3/2, 1/10 ...) nearest to a jump, by relative distance."""
    size = max(jump, 1.0 / jump)
    nearest = SIMPLE_RATIOS[int(np.argmin([abs(float(simple) / size - 1.0) for simple in SIMPLE_RATIOS]))]
    return nearest if jump > 1.0 else 1 / nearest
