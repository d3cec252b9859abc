"""Figures over the last `window` bars of [T, S] arrays, exact at every bar; NaN marks a missing bar, and columns are
independent.

A window is a tail of one block of `window` bars and a head of the next (M. van Herk, "A fast algorithm for local
minimum and maximum filters", 1992): a bar costs the same whatever the window, nothing is ever taken out of a running
figure, and what lies before the block before is forgotten to the bit. A block is gone through in passes over its
numbers as they lie in memory. One without a gap after one without a gap needs no counting, and gives the same bits.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled_bare
from agents.quant.running import (
    add_up,
    add_up_from_behind,
    count_from_behind,
    count_windows,
    gaps_in,
    largest_from_behind,
    largest_so_far,
)

Shape = tuple[int, int, int]
"""Symbols, bars of a window, and the least of them that must be there."""
STILL = 1e-9
"""Moves whose root mean square is no larger are none."""
BASE, COUNTS, TAIL, TAIL_SQUARES, HEAD, SQUARES, ROOM = 0, 1, 2, 3, 4, 5, 6
"""Arrays [(window + 1) x S] that a kernel works in. `COUNTS` and tails: of the last bars of the block before, from each
of its bars on; `BASE`: what distances are measured from."""


def blocks_of(first: int, window: int) -> int:
    """The row from which figures over `window` bars are computed where only those of row `first` and later are wanted:
    the block before that row's own is all that they remember, so they are the same to the bit."""
    return max(0, first // window - 1) * window


def rolling_mean_std(values: Floats, window: int, minimum: int) -> tuple[Floats, Floats]:
    """Mean and population standard deviation of the last `window` bars, missing bars left out; NaN where fewer than
    `minimum` are there.

    Sums are of distances from a value that is in the window: no digits are lost where values lie far from zero, and
    the deviation of a price that stands still is 0.
    """
    mean, deviation = np.empty(values.shape), np.empty(values.shape)
    figures = mean.reshape(-1), deviation.reshape(-1)
    _mean_std(values.reshape(-1), _shape(values, window, minimum), _room(values, window), figures)
    return mean, deviation


def rolling_mean(values: Floats, window: int, minimum: int) -> Floats:
    """The mean of `rolling_mean_std` alone, to the bit."""
    mean = np.empty(values.shape)
    figures = mean.reshape(-1), np.empty(0)
    _mean_std(values.reshape(-1), _shape(values, window, minimum), _room(values, window), figures)
    return mean


def root_mean_square(values: Floats, window: int, minimum: int) -> Floats:
    """Root of the mean square of the last `window` bars; NaN where fewer than `minimum` are there, and where it is
    STILL."""
    result = np.empty(values.shape)
    _mean_square(values.reshape(-1), _shape(values, window, minimum), _room(values, window), result.reshape(-1))
    return result


def rolling_extreme(values: Floats, window: int, minimum: int, sign: float) -> Floats:
    """The largest (`sign` 1) or smallest (`sign` -1) of the last `window` bars; NaN where fewer than `minimum`."""
    result = np.empty(values.shape)
    _extreme(values.reshape(-1), _shape(values, window, minimum), sign, _room(values, window), result.reshape(-1))
    return result


def _shape(values: Floats, window: int, minimum: int) -> Shape:
    return values.shape[1], window, max(minimum, 1)


def _room(values: Floats, window: int) -> Floats:
    return np.zeros((ROOM, (window + 1) * values.shape[1]))


@compiled_bare
def _mean_std(values: Floats, shape: Shape, room: Floats, figures: tuple[Floats, Floats]) -> None:
    symbols, window, least = shape
    means, deviations = figures
    size, gaps_before = window * symbols, 1
    for start in range(0, len(values), size):
        stop = min(start + size, len(values))
        block, mean, deviation = values[start:stop], means[start:stop], deviations[start:stop]
        gaps = gaps_in(block)
        if gaps + gaps_before == 0 and least <= window:
            _mean_std_without_gaps(block, shape, room, (mean, deviation))
        else:
            _mean_std_with_gaps(block, shape, room, (mean, deviation))
        if len(block) == size:
            if gaps + gaps_before > 0:
                count_from_behind(block, room[COUNTS], symbols)
            _keep_distances(block, shape, room, gaps)
            _mean_std_of_a_block(shape, room, (mean[-symbols:], deviation[-symbols:]))
            gaps_before = gaps


@compiled_bare
def _mean_std_without_gaps(block: Floats, shape: Shape, room: Floats, figures: tuple[Floats, Floats]) -> None:
    symbols, window, _ = shape
    base, head, squares = room[BASE], room[HEAD], room[SQUARES]
    tail, tail_squares = room[TAIL, symbols:], room[TAIL_SQUARES, symbols:]
    mean, deviation = figures
    part = 1.0 / window
    for i in range(len(block)):
        apart = block[i] - base[i]
        head[i], squares[i] = apart, apart * apart
    add_up(head, len(block), symbols)
    if len(deviation) == 0:
        for i in range(len(block)):
            mean[i] = base[i] + (head[i] + tail[i]) * part
        return
    add_up(squares, len(block), symbols)
    for i in range(len(block)):
        away = (head[i] + tail[i]) * part
        square = (squares[i] + tail_squares[i]) * part - away * away
        mean[i] = base[i] + away
        deviation[i] = math.sqrt(square if square > 0.0 else 0.0)


@compiled_bare
def _mean_std_with_gaps(block: Floats, shape: Shape, room: Floats, figures: tuple[Floats, Floats]) -> None:
    """The same of any block, symbol by symbol. A head's distances are from the last value of the block before where
    that had no gap (then it is in the window), else from its own first value."""
    symbols, window, least = shape
    mean, deviation = figures
    for s in range(symbols):
        whole, base = room[COUNTS, s] == window, room[BASE, s]
        count, total, squares, origin = 0.0, 0.0, 0.0, base
        for i in range(s, len(block), symbols):
            if abs(block[i]) < np.inf:
                origin = block[i] if count == 0.0 and not whole else origin
                apart = block[i] - origin
                count, total, squares = count + 1.0, total + apart, squares + apart * apart
            older, tail, tail_squares = (
                room[COUNTS, i + symbols],
                room[TAIL, i + symbols],
                room[TAIL_SQUARES, i + symbols],
            )
            n, shift = count + older, base - origin
            part = 1.0 / max(n, 1.0)
            away = (total + tail + older * shift) * part
            square = (squares + tail_squares + shift * (2.0 * tail + older * shift)) * part - away * away
            mean[i] = origin + away if n >= least else np.nan
            if len(deviation) > 0:
                deviation[i] = math.sqrt(max(square, 0.0)) if n >= least else np.nan


@compiled_bare
def _mean_std_of_a_block(shape: Shape, room: Floats, figures: tuple[Floats, Floats]) -> None:
    """Of the windows [S] that are one whole block, a tail from its first bar on."""
    mean, deviation = figures
    for s in range(shape[0]):
        count = room[COUNTS, s]
        part = 1.0 / max(count, 1.0)
        away = room[TAIL, s] * part
        mean[s] = room[BASE, s] + away if count >= shape[2] else np.nan
        if len(deviation) > 0:
            square = room[TAIL_SQUARES, s] * part - away * away
            deviation[s] = math.sqrt(max(square, 0.0)) if count >= shape[2] else np.nan


@compiled_bare
def _keep_distances(block: Floats, shape: Shape, room: Floats, gaps: int) -> None:
    """Each symbol's last value as the base, and sums of distances from it and of their squares, from every bar on."""
    symbols = shape[0]
    base, tail, squares = room[BASE], room[TAIL], room[TAIL_SQUARES]
    for s in range(symbols):
        base[s] = block[len(block) - symbols + s]
        if gaps > 0:
            base[s] = 0.0
            for i in range(s, len(block), symbols):
                base[s] = block[i] if abs(block[i]) < np.inf else base[s]
    if symbols == 1:
        base[:] = base[0]
    else:
        for i in range(symbols, len(block)):
            base[i] = base[i - symbols]
    for i in range(len(block)):
        apart = block[i] - base[i] if abs(block[i]) < np.inf else 0.0
        tail[i], squares[i] = apart, apart * apart
    add_up_from_behind(tail, len(block), symbols)
    add_up_from_behind(squares, len(block), symbols)


@compiled_bare
def _mean_square(values: Floats, shape: Shape, room: Floats, result: Floats) -> None:
    symbols, window, least = shape
    counts, tail, head, there = room[COUNTS], room[TAIL], room[HEAD], room[SQUARES]
    older = tail[symbols:]
    size, gaps_before = window * symbols, 1
    for start in range(0, len(values), size):
        block = values[start : min(start + size, len(values))]
        figures, gaps, part = result[start : start + len(block)], gaps_in(block), 1.0 / window
        for i in range(len(block)):
            head[i] = block[i] * block[i] if abs(block[i]) < np.inf else 0.0
        add_up(head, len(block), symbols)
        if gaps + gaps_before == 0 and least <= window:
            for i in range(len(block)):
                size_of_moves = math.sqrt((head[i] + older[i]) * part)
                figures[i] = size_of_moves if size_of_moves > STILL else np.nan
        else:
            count_windows(block, counts, there, symbols)
            for i in range(len(block)):
                size_of_moves = math.sqrt((head[i] + older[i]) * (1.0 / max(there[i], 1.0)))
                figures[i] = size_of_moves if (there[i] >= least) & (size_of_moves > STILL) else np.nan
        if len(block) == size:
            for i in range(size):
                tail[i] = block[i] * block[i] if abs(block[i]) < np.inf else 0.0
            add_up_from_behind(tail, size, symbols)
            if gaps + gaps_before > 0:
                count_from_behind(block, counts, symbols)
            gaps_before = gaps


@compiled_bare
def _extreme(values: Floats, shape: Shape, sign: float, room: Floats, result: Floats) -> None:
    symbols, window, least = shape
    counts, tail, head, there = room[COUNTS], room[TAIL], room[HEAD], room[SQUARES]
    older = tail[symbols:]
    size, gaps_before = window * symbols, 1
    tail[:] = -np.inf
    for start in range(0, len(values), size):
        block = values[start : min(start + size, len(values))]
        figures, gaps = result[start : start + len(block)], gaps_in(block)
        for i in range(len(block)):
            head[i] = sign * block[i] if abs(block[i]) < np.inf else -np.inf
        largest_so_far(head, len(block), symbols)
        for i in range(len(block)):
            one, other = head[i], older[i]
            figures[i] = sign * (one if one > other else other)
        if gaps + gaps_before > 0 or least > window:
            count_windows(block, counts, there, symbols)
            for i in range(len(block)):
                figures[i] = figures[i] if there[i] >= least else np.nan
        if len(block) == size:
            for i in range(size):
                tail[i] = sign * block[i] if abs(block[i]) < np.inf else -np.inf
            largest_from_behind(tail, size, symbols)
            if gaps + gaps_before > 0:
                count_from_behind(block, counts, symbols)
            gaps_before = gaps
