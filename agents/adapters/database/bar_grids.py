"""Rows of the tables `bars` and `exogenous` -> grids [T, S] on one time axis; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.adapters.files.bar_rows import GRIDS, NEUTRAL
from agents.core.types import Bars, Floats, Integers

TEXT_SERIES = "news_"
"""Series whose name begins like this count something since the bar before; all others hold their newest value."""
EVERY_SYMBOL = "*"
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


def exogenous_grids(rows: Sequence[Row], bars: Bars, since_us: int) -> dict[str, Floats]:
    """Each series as it was known at each bar's close, by name.

    `rows` are (name, symbol, available in us since 1970, value), sorted by name, symbol, then availability. Texts
    count from the bar before on; before the first bar that is `since_us`.
    """
    stamps = bars.time.astype("datetime64[us]").astype(np.int64)
    series: dict[str, Floats] = {}
    for name, symbol in sorted({(row[0], row[1]) for row in rows}):
        mine = [row for row in rows if row[:2] == (name, symbol)]
        known = np.array([row[2] for row in mine], dtype=np.int64)
        values = np.array([row[3] for row in mine], dtype=np.float64)
        if name.startswith(TEXT_SERIES):
            aligned = _sums(stamps, since_us, known, values)
        else:
            aligned = _newest(stamps, known, values)
        grid = series.setdefault(name, np.full((len(bars.time), len(bars.symbols)), np.nan))
        for s in range(len(bars.symbols)) if symbol == EVERY_SYMBOL else [bars.symbols.index(symbol)]:
            grid[:, s] = aligned
    return series


def _newest(stamps: Integers, known: Integers, values: Floats) -> Floats:
    """The newest value that is known at each of `stamps`; NaN before the first."""
    place = np.searchsorted(known, stamps, side="right") - 1
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan)


def _sums(stamps: Integers, since: int, known: Integers, values: Floats) -> Floats:
    """Sums of what became known after the bar before (after `since`, for the first bar) and by each bar's close."""
    totals = np.concatenate([[0.0], np.cumsum(values)])
    bounds = np.concatenate([[since], stamps])
    return np.diff(totals[np.searchsorted(known, bounds, side="right")])
