"""Files of exogenous series (on-chain figures, fear-and-greed) and of dated texts -> rows of the table `exogenous`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from agents.adapters.files.bar_files import parse_any, read_bytes
from agents.core.errors import DataError
from agents.core.types import Floats

SERIES = ("market_cap", "realized_cap", "transfer_value", "fear_greed")
ALIASES = {"market_cap": "CapMrktCurUSD", "realized_cap": "CapRealUSD", "transfer_value": "TxTfrValAdjUSD"}
"""Coin Metrics' names for what OnChainAnalyst reads."""
TEXT_COLUMNS = ("title", "headline", "text")


def read_series(path: Path, columns: Mapping[str, str], lag: timedelta, symbol: str | None) -> tuple[pd.DataFrame, int]:
    """Series of a file as rows for `SeriesStore.store`, and how many rows were left out (bad time or value).

    A row's time says which day (or moment) it describes; it was known `lag` later. `columns` maps our series names to
    the file's columns; else our own or Coin Metrics' names are looked for. `symbol` is for files without that column
    ("*" = every symbol). DataError where there is no known series or no symbol.
    """
    table, _, bad = parse_any(path, read_bytes(path))
    names = {name: theirs for name in SERIES if (theirs := _column(table, columns, name)) is not None}
    if not names:
        raise DataError(f"{path}: holds none of the series {', '.join(SERIES)}; name its columns with --map")
    base = _keys(path, table, symbol)
    frames = []
    for name, theirs in names.items():
        frame = base.copy()
        frame["name"] = name
        frame["value"] = pd.to_numeric(pd.Series(table.column(theirs).to_pylist(), dtype=object), errors="coerce")
        frames.append(frame)
    rows = pd.concat(frames, ignore_index=True)
    rows["available_at"] = rows["time"] + lag
    usable = rows[rows["time"].notna() & np.isfinite(rows["value"].astype(np.float64))]
    return usable, len(rows) - len(usable) + len(bad)


def read_texts(
    path: Path, columns: Mapping[str, str], symbol: str | None, score: Callable[[Sequence[str]], Floats]
) -> tuple[pd.DataFrame, int]:
    """Scored texts as the series news_score (sum of scores) and news_count, for each symbol and publication time.

    A text is known when it is published.
    """
    table, _, bad = parse_any(path, read_bytes(path))
    theirs = columns.get("text") or next((name for name in TEXT_COLUMNS if name in table.column_names), None)
    if theirs is None or theirs not in table.column_names:
        raise DataError(f"{path}: has no column of texts ({', '.join(TEXT_COLUMNS)}); name it with --map text=COLUMN")
    frame = _keys(path, table, symbol)
    words = [str(value or "") for value in table.column(theirs).to_pylist()]
    frame["news_score"], frame["news_count"] = score(words), 1.0
    usable = frame[frame["time"].notna()]
    sums = usable.groupby(["symbol", "time"], as_index=False).sum()
    rows = sums.melt(id_vars=["symbol", "time"], value_vars=["news_score", "news_count"], var_name="name")
    rows["available_at"] = rows["time"]
    return rows, len(frame) - len(usable) + len(bad)


def _column(table: pa.Table, columns: Mapping[str, str], name: str) -> str | None:
    wanted = columns.get(name)
    if wanted is not None and wanted not in table.column_names:
        raise DataError(f"no column '{wanted}' for {name}; there are {', '.join(table.column_names)}")
    candidates = (wanted, name, ALIASES.get(name, name))
    return next((c for c in candidates if c is not None and c in table.column_names), None)


def _keys(path: Path, table: pa.Table, symbol: str | None) -> pd.DataFrame:
    if "time" not in table.column_names:
        raise DataError(f"{path}: has no column 'time'; it has {', '.join(table.column_names)}")
    if symbol is None and "symbol" not in table.column_names:
        raise DataError(f"{path}: has no column 'symbol'; say which with --symbol ('*' for all)")
    times = pd.to_datetime(pd.Series(table.column("time").to_pylist()), format="ISO8601", utc=True, errors="coerce")
    symbols = table.column("symbol").to_pylist() if symbol is None else [symbol] * len(times)
    return pd.DataFrame({"symbol": [str(s) for s in symbols], "time": times})
