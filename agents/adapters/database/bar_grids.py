"""Rows of the table `bars` -> grids [T, S] on one time axis; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.adapters.files.bar_rows import GRIDS, NEUTRAL
from agents.core.types import Bars, Floats, Integers, Times

Row = tuple[Any, ...]


def bars_of_rows(rows: Sequence[Row], symbols: tuple[str, ...]) -> Bars:
    """Bars from rows (symbol, time in us since 1970, open in us, *GRIDS) in any order."""
    column = {symbol: s for s, symbol in enumerate(symbols)}
    stamps = np.array([row[1] for row in rows], dtype=np.int64)
    time, index = np.unique(stamps, return_inverse=True)
    places = np.array([column[row[0]] for row in rows], dtype=np.int64)
    opened = np.full(len(time), np.iinfo(np.int64).max)
    np.minimum.at(opened, index, np.array([row[2] for row in rows], dtype=np.int64))
    values = np.array([row[3:] for row in rows], dtype=np.float64).reshape(len(rows), len(GRIDS))
    return bars_of(
        time.astype("datetime64[us]"),
        opened.astype("datetime64[us]"),
        symbols,
        {name: (index, places, values[:, k]) for k, name in enumerate(GRIDS)},
    )


def bars_of(
    time: Times, opened: Times, symbols: tuple[str, ...], cells: Mapping[str, tuple[Integers, Integers, Floats]]
) -> Bars:
    """Bars from (time index, symbol index, value) cells for each of GRIDS; a cell that is missing is a missing bar."""
    grids: dict[str, Any] = {}
    for name in GRIDS:
        grid = np.full((len(time), len(symbols)), NEUTRAL.get(name, np.nan))
        rows, columns, values = cells[name]
        grid[rows, columns] = values
        grids[name] = grid
    return Bars(time=time, opened=opened, symbols=symbols, **grids)
