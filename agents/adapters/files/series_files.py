"""Files of exogenous series (on-chain figures, fear-and-greed) and of dated texts -> rows of the table `exogenous`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.adapters.files.bar_files import parse_any, read_bytes
from agents.core.errors import DataError
from agents.core.symbols import EVERY_SYMBOL, desk_symbol, is_symbol, require_symbol
from agents.core.types import Booleans, Floats

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SERIES = ("market_cap", "realized_cap", "transfer_value", "fear_greed")
ALIASES = {"market_cap": "CapMrktCurUSD", "realized_cap": "CapRealUSD", "transfer_value": "TxTfrValAdjUSD"}
"""Coin Metrics' names for what OnChainAnalyst reads."""
TEXT_COLUMNS = ("title", "headline", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFile:
    """A file to read, the columns in it (our name -> the file's), and the symbol that all of it is about.

    `symbol` "*" stands for every symbol, None for a file with a column `symbol`; `aliases` are data.aliases.
    """

    path: Path
    columns: Mapping[str, str]
    symbol: str | None
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRows:
    """The usable values of one file, as columns of equal length; `left_out` rows had no usable time or value.

    `time` is what a value describes, `available_at` when it could be known; `symbol` "*" stands for every symbol.
    `item` tells texts of the same symbol and time apart; it is empty for the values of a series.
    """

    file: str
    name: Sequence[str]
    symbol: Sequence[str]
    time: Sequence[datetime]
    item: Sequence[str]
    available_at: Sequence[datetime]
    value: Sequence[float]
    left_out: int


def read_series(file: SeriesFile, lag: timedelta) -> SeriesRows:
    """The series of a file, known `lag` after the day or moment that a row's time says.

    Columns that `file.columns` does not name are looked for under our own and Coin Metrics' names. DataError where
    there is no known series or no symbol.
    """
    import pandas as pd  # numbers among other texts; only an import of series needs it

    table, _, bad = parse_any(file.path, read_bytes(file.path))
    names = {name: theirs for name in SERIES if (theirs := _column(table, file.columns, name)) is not None}
    if not names:
        raise DataError(f"{file.path}: holds none of the series {', '.join(SERIES)}; name its columns with --map")
    base = _keys(file, table)
    frames = []
    for name, theirs in names.items():
        frame = base.copy()
        frame["name"] = name
        frame["value"] = pd.to_numeric(pd.Series(table.column(theirs).to_pylist(), dtype=object), errors="coerce")
        frames.append(frame)
    rows = pd.concat(frames, ignore_index=True)
    rows["available_at"] = rows["time"] + lag
    rows["item"] = ""
    usable = rows[rows["time"].notna() & np.isfinite(rows["value"].astype(np.float64))]
    return _series_rows(file, usable, len(rows) - len(usable) + len(bad))


def read_texts(file: SeriesFile, score: Callable[[Sequence[str]], Floats], zone: str) -> SeriesRows:
    """Scored texts as the series news_score and news_count, two rows for each text.

    A text is known when it is published; one with a date only at the end of that day in `zone`, since nobody can tell
    whether it came before the close. The same text of the same symbol and time is the same text in another file, and
    another one within one file. DataError where there is no column of texts or no symbol.
    """
    table, _, bad = parse_any(file.path, read_bytes(file.path))
    theirs = file.columns.get("text") or next((name for name in TEXT_COLUMNS if name in table.column_names), None)
    if theirs is None or theirs not in table.column_names:
        raise DataError(
            f"{file.path}: has no column of texts ({', '.join(TEXT_COLUMNS)}); name it with --map text=COLUMN"
        )
    frame = _keys(file, table)
    words = [str(value or "") for value in table.column(theirs).to_pylist()]
    frame["item"] = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in words]
    frame["news_score"], frame["news_count"] = score(words), 1.0
    frame["available_at"] = frame["time"].where(~_is_date(table), _end_of_day(frame["time"], zone))
    usable = frame[frame["time"].notna()].copy()
    usable["item"] += "." + usable.groupby(["symbol", "time", "item"]).cumcount().astype(str)
    keys = ["symbol", "time", "item", "available_at"]
    rows = usable.melt(id_vars=keys, value_vars=["news_score", "news_count"], var_name="name")
    return _series_rows(file, rows, len(frame) - len(usable) + len(bad))


def _is_date(table: pa.Table) -> Booleans:
    """Which rows have a date and no time of day."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column("time")
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        lengths = pc.fill_null(pc.utf8_length(pc.utf8_trim_whitespace(column)), 0)
        return np.asarray(lengths.to_numpy() <= len("2024-01-31"), dtype=bool)
    return np.full(len(column), pa.types.is_date(column.type))


def _end_of_day(dates: pd.Series[pd.Timestamp], zone: str) -> pd.Series[pd.Timestamp]:
    """Midnight after each date, where clocks of `zone` show it."""
    import pandas as pd

    midnight = (dates + pd.Timedelta(days=1)).dt.tz_localize(None)
    return midnight.dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").dt.tz_convert("UTC")


def _series_rows(file: SeriesFile, frame: pd.DataFrame, left_out: int) -> SeriesRows:
    if frame.empty:
        raise DataError(f"{file.path.name}: holds no usable row")
    return SeriesRows(
        file=file.path.name,
        name=frame["name"].tolist(),
        symbol=frame["symbol"].tolist(),
        time=frame["time"].dt.to_pydatetime().tolist(),
        item=frame["item"].tolist(),
        available_at=frame["available_at"].dt.to_pydatetime().tolist(),
        value=frame["value"].tolist(),
        left_out=left_out,
    )


def _column(table: pa.Table, columns: Mapping[str, str], name: str) -> str | None:
    """The file's column for our series `name`; DataError where the one that `columns` asks for is not there."""
    wanted = columns.get(name)
    if wanted is not None and wanted not in table.column_names:
        raise DataError(f"no column '{wanted}' for {name}; there are {', '.join(table.column_names)}")
    candidates = (wanted, name, ALIASES.get(name, name))
    return next((c for c in candidates if c is not None and c in table.column_names), None)


def _keys(file: SeriesFile, table: pa.Table) -> pd.DataFrame:
    """Symbol, by the desk's name, and time of every row; a time that cannot be read, or whose row names no symbol, is
    missing."""
    import pandas as pd  # it parses what it can and marks the rest

    if "time" not in table.column_names:
        raise DataError(f"{file.path}: has no column 'time'; it has {', '.join(table.column_names)}")
    if file.symbol is None and "symbol" not in table.column_names:
        raise DataError(f"{file.path}: has no column 'symbol'; say which with --symbol ('*' for all)")
    times = pd.to_datetime(pd.Series(table.column("time").to_pylist()), format="ISO8601", utc=True, errors="coerce")
    if file.symbol is not None:
        return pd.DataFrame({"symbol": _named(file, file.symbol), "time": times})
    names = [desk_symbol(str(name or "").strip(), file.aliases) for name in table.column("symbol").to_pylist()]
    known = [name == EVERY_SYMBOL or is_symbol(name) for name in names]
    return pd.DataFrame({"symbol": names, "time": times.where(pd.Series(known, dtype=bool))})


def _named(file: SeriesFile, name: str) -> str:
    """The symbol that a user says all of a file is about; DataError where it is none."""
    try:
        return name if name == EVERY_SYMBOL else require_symbol(desk_symbol(name, file.aliases), "--symbol")
    except ValueError as error:
        raise DataError(f"{file.path.name}: {error}") from None
