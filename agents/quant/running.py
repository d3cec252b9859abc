"""Running sums, counts and largest values of a block of bars, for `windows`: flat arrays in which the symbols of a bar
lie beside each other, and each symbol runs by itself.

One symbol alone runs in a register; several run one after the other, so that none waits for its own bar before.
"""

from __future__ import annotations

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled_bare


@compiled_bare
def gaps_in(block: Floats) -> int:
    """How many values are missing."""
    missing = 0
    for i in range(len(block)):
        missing += 0 if abs(block[i]) < np.inf else 1
    return missing


@compiled_bare
def count_windows(block: Floats, counts: Floats, there: Floats, symbols: int) -> None:
    """How many values are there in the window that ends at each bar."""
    for i in range(len(block)):
        there[i] = 1.0 if abs(block[i]) < np.inf else 0.0
    add_up(there, len(block), symbols)
    older = counts[symbols:]
    for i in range(len(block)):
        there[i] += older[i]


@compiled_bare
def count_from_behind(block: Floats, counts: Floats, symbols: int) -> None:
    """How many values are there from each bar of a whole block on."""
    for i in range(len(block)):
        counts[i] = 1.0 if abs(block[i]) < np.inf else 0.0
    add_up_from_behind(counts, len(block), symbols)


@compiled_bare
def add_up(values: Floats, count: int, symbols: int) -> None:
    """Running sums of each symbol, in place."""
    if symbols == 1:
        total = 0.0
        for i in range(count):
            total += values[i]
            values[i] = total
    else:
        later = values[symbols:]
        for i in range(count - symbols):
            later[i] += values[i]


@compiled_bare
def add_up_from_behind(values: Floats, count: int, symbols: int) -> None:
    """Sums of each symbol from every bar on, in place."""
    if symbols == 1:
        total = 0.0
        for i in range(count - 1, -1, -1):
            total += values[i]
            values[i] = total
    else:
        later = values[symbols:]
        for i in range(count - symbols - 1, -1, -1):
            values[i] += later[i]


@compiled_bare
def largest_so_far(values: Floats, count: int, symbols: int) -> None:
    """The largest of each symbol up to every bar, in place."""
    if symbols == 1:
        most = -np.inf
        for i in range(count):
            most = values[i] if values[i] > most else most
            values[i] = most
    else:
        later = values[symbols:]
        for i in range(count - symbols):
            later[i] = later[i] if later[i] > values[i] else values[i]


@compiled_bare
def largest_from_behind(values: Floats, count: int, symbols: int) -> None:
    """The largest of each symbol from every bar on, in place."""
    if symbols == 1:
        most = -np.inf
        for i in range(count - 1, -1, -1):
            most = values[i] if values[i] > most else most
            values[i] = most
    else:
        later = values[symbols:]
        for i in range(count - symbols - 1, -1, -1):
            values[i] = values[i] if values[i] > later[i] else later[i]
