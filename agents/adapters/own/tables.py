"""Tables that a user's strategies write: CSV or Parquet with a header, read whole or refused with the line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from agents.core.errors import DataError
from agents.core.types import Booleans, Floats, Times

LARGEST_BYTES = 200_000_000
DATE_CHARACTERS = len("2024-01-31")
MIDNIGHT = r"[T ]00:00(:00(\.0+)?)?(Z|[+-]\d{2}:?\d{2})?$"


def read_table(file: Path, columns: tuple[str, ...], hint: str) -> pd.DataFrame:
    """These columns of a file, as they are written; DataError where one is missing or there is no row."""
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise DataError(f"{file}: is larger than {LARGEST_BYTES:,} bytes")
        table = _read_parquet(file) if file.suffix == ".parquet" else _read_csv(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (ValueError, pd.errors.ParserError) as error:  # pyarrow's errors are ValueErrors
        raise DataError(f"{file}: cannot be read: {' '.join(str(error).split())[:150]}") from None
    table.columns = [str(name).strip().lower() for name in table.columns]
    missing = [name for name in columns if name not in table.columns]
    if missing:
        there = ", ".join(table.columns)
        raise DataError(f"{file}: has no column {', '.join(missing)}; it has {there}, expected {hint}")
    if table.empty:
        raise DataError(f"{file}: holds no row")
    return table[list(columns)]


def _read_parquet(file: Path) -> pd.DataFrame:
    """The table, with its index where that has a name."""
    table = pd.read_parquet(file)
    return table.reset_index() if any(name is not None for name in table.index.names) else table


def _read_csv(file: Path) -> pd.DataFrame:
    """As written; DataError for a row with fewer cells than the header, as an interrupted writer leaves it: pandas
    takes what is missing for empty, and an empty position ends one."""
    table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    if (table.iloc[:, -1] == "").any():
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            for row in rows:
                if 0 < len(row) < len(table.columns):
                    raise DataError(
                        f"{file}: line {rows.line_num}: ends after {len(row)} of {len(table.columns)} cells; an empty"
                        " last cell is written with the comma before it"
                    )
    return table


def line_of(row: int) -> str:
    """Where a row of the table stands in its file; the header is line 1."""
    return f"line {row + 2}"


def known_times(file: Path, column: pd.Series[str]) -> tuple[Times, Booleans]:
    """When what each row says is known, UTC: a moment is itself, a date without a time of day ends with the day; and
    which rows are such dates. Where all times of a table are midnights of their own zone they are dates: so pandas
    keeps them, and nothing may be known a day early. DataError for anything else than ISO 8601; a time without a zone
    is UTC."""
    if pd.api.types.is_datetime64_any_dtype(column):
        times = pd.to_datetime(column, utc=True)
        midnights = (column.dt.normalize() == column).to_numpy(dtype=bool)
        dates = np.zeros(len(column), dtype=bool)
    else:
        words = column.astype(str).str.strip()
        times = pd.to_datetime(words, format="ISO8601", utc=True, errors="coerce")
        dates = (words.str.len() <= DATE_CHARACTERS).to_numpy(dtype=bool)
        midnights = words.str.slice(DATE_CHARACTERS).str.match(MIDNIGHT).to_numpy(dtype=bool)
    dates = dates | (dates | midnights).all()
    bad = np.flatnonzero(times.isna())
    if len(bad):
        word = column.iloc[int(bad[0])]
        raise DataError(f"{file}: {line_of(int(bad[0]))}: time '{word}' is no ISO 8601 time such as 2024-01-31")
    stamps = times.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return np.where(dates, stamps + np.timedelta64(1, "D"), stamps), dates


def numbers(file: Path, column: pd.Series[str], name: str, low: float, high: float) -> Floats:
    """The numbers of a column, NaN where it is empty; DataError for one that is none, or leaves `low` to `high`."""
    words = column.astype(str).str.strip()
    empty = words.isna() | (words == "") | words.str.lower().isin(("nan", "none", "<na>"))
    values = pd.to_numeric(words.where(~empty, "0"), errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= low) & (values <= high)))
    if len(bad):
        row = int(bad[0])
        raise DataError(f"{file}: {line_of(row)}: {name} '{words.iloc[row]}' is no number from {low:g} to {high:g}")
    return np.where(empty, np.nan, values)
