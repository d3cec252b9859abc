"""Weights [A] that lie between `low` and `high` [A] and sum to 1: the nearest to given ones, a start for the
next decision, and those of the highest mean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled
from agents.quant.limits import Limits, bounds


class SolverError(Exception):
    """No weights: infeasible, unbounded, inaccurate, or the solver broke."""


def project(weights: Floats, low: Floats, high: Floats) -> Floats:
    """The nearest weights [A] (least squares) between `low` [A] and `high` [A] that sum to 1.

    SolverError where there are none, or where `weights` are not finite.
    """
    if not np.isfinite(weights).all():
        raise SolverError("weights that are not finite")
    if low.sum() > 1.0 + 1e-9 or high.sum() < 1.0 - 1e-9 or (low > high + 1e-12).any():
        raise SolverError(f"bounds between {low.sum():.3f} and {high.sum():.3f} cannot hold a sum of 1")
    return _nearest(weights, low, high)


@compiled
def _nearest(weights: Floats, low: Floats, high: Floats) -> Floats:
    nearest = np.minimum(high, np.maximum(low, weights + _shift_to_one(weights, low, high)))
    inside = (nearest > low) & (nearest < high)
    if np.any(inside):
        nearest += np.where(inside, (1.0 - np.sum(nearest)) / np.sum(inside), 0.0)
    return np.minimum(high, np.maximum(low, nearest))


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


class Box(NamedTuple):
    """Between which bounds [A] the weights must lie, and what was relaxed to make that possible ("": nothing)."""

    low: Floats
    high: Floats
    remark: str


def box_of(limits: Limits, anchor: Floats) -> Box:
    """The limits for the agents of `anchor` [A], weights that the user chose: the usual limits let them in."""
    floor, cap, remark = bounds(len(anchor), limits)
    low, high = np.full(len(anchor), floor), np.full(len(anchor), cap)
    if limits.floor is None:
        low = np.minimum(low, anchor)
    if limits.cap is None:
        high = np.maximum(high, anchor)
    return Box(low, high, remark)


def feasible_start(previous: Floats, box: Box) -> tuple[Floats, list[str]]:
    """The previous weights, brought inside the bounds where they are not; equal ones where they mean nothing."""
    notes = [box.remark] if box.remark else []
    if not np.isfinite(previous).all() or (previous < 0).any() or not previous.sum() > 0:
        equal = np.full(len(previous), 1.0 / len(previous))
        return project(equal, box.low, box.high), [
            *notes,
            "the previous weights mean nothing: equal ones are the start",
        ]
    scaled = previous / previous.sum()
    if (scaled >= box.low - 1e-9).all() and (scaled <= box.high + 1e-9).all():
        return scaled, notes
    outside = "the previous weights were outside the limits and are brought inside"
    return project(scaled, box.low, box.high), [*notes, outside]


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
