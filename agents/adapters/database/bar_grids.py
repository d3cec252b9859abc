"""Rows of the table `bars` -> grids [T, S] on one time axis; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.adapters.files.bar_rows import GRIDS, NEUTRAL
from agents.core.types import Bars

Row = tuple[Any, ...]


def bars_of_rows(rows: Sequence[Row], symbols: tuple[str, ...]) -> Bars:
    """Bars from rows (symbol, time in us since 1970, open in us, *GRIDS, suspect) in any order."""
    column = {symbol: s for s, symbol in enumerate(symbols)}
    stamps = np.array([row[1] for row in rows], dtype=np.int64)
    time, index = np.unique(stamps, return_inverse=True)
    places = np.array([column[row[0]] for row in rows], dtype=np.int64)
    opened = np.full(len(time), np.iinfo(np.int64).max)
    np.minimum.at(opened, index, np.array([row[2] for row in rows], dtype=np.int64))
    values = np.array([row[3:] for row in rows], dtype=np.float64).reshape(len(rows), len(GRIDS) + 1)
    grids: dict[str, Any] = {}
    for k, name in enumerate((*GRIDS, "suspect")):
        grids[name] = np.full((len(time), len(symbols)), NEUTRAL.get(name, np.nan))
        grids[name][index, places] = values[:, k]
    grids["suspect"] = grids["suspect"] == 1.0
    return Bars(time=time.astype("datetime64[us]"), opened=opened.astype("datetime64[us]"), symbols=symbols, **grids)
