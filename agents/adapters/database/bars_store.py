"""Bars in and out of the database: binary COPY in, arrays on one time axis out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import binary_rows, copy_block, driver_connection, transaction
from agents.adapters.files.bar_files import BadRow
from agents.adapters.files.bar_rows import BarBatch
from agents.core.types import Bars, Booleans, Floats, Times

COLUMNS = (
    "symbol",
    "time",
    "bar_open",
    "available_at",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "adjustment",
    "split",
    "dividend",
    "source",
)
VOLUME_COLUMN = COLUMNS.index("volume")
LOAD_LOCK = 7710003
QUARANTINE_LIMIT = 100_000
DAY_US = 86_400_000_000
"""Texts of the day before the first bar of all count for it."""
_COMPARED = ("open", "high", "low", "close", "volume", "adjustment", "split", "dividend")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of a file's rows."""

    file: str
    loaded: int
    equal: int
    quarantined: Sequence[BadRow]
    not_closed: int
    symbols: Sequence[str]
    splits_inferred: int


class BarsStore:
    """The table `bars` of one desk, restricted to `symbols` when reading (none given: all there are)."""

    def __init__(self, engine: Engine, symbols: Sequence[str] = ()) -> None:
        self._engine = engine
        self._symbols = tuple(symbols)

    def narrowed(self, symbols: Sequence[str]) -> BarsStore:
        """The same table, reading only `symbols`."""
        return BarsStore(self._engine, symbols)

    def load(self, batch: BarBatch) -> LoadReport:
        """Store a batch in one transaction: new rows by COPY, rows that are there already are compared, those that
        differ are quarantined and the first kept. Loading a file twice changes nothing."""
        with transaction(self._engine) as connection:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOAD_LOCK})"))
            known, conflicts = self._compare(connection, batch)
            new = ~known
            blocks = [_block(batch, np.nonzero(new & (batch.symbol == code))[0]) for code in range(len(batch.symbols))]
            copy_block(connection, "bars", COLUMNS, [block for block in blocks if block])
            bad = [*batch.bad, *conflicts]
            self._quarantine(connection, batch, bad)
            loaded, equal = int(new.sum()), int(known.sum()) - len(conflicts) + batch.equal_duplicates
            connection.execute(
                text(
                    "INSERT INTO bar_files (sha256, file, rows_read, rows_loaded, rows_equal, rows_quarantined)"
                    " VALUES (:sha, :file, :read, :loaded, :equal, :bad) ON CONFLICT (sha256) DO NOTHING"
                ),
                {
                    "sha": batch.sha256,
                    "file": batch.file,
                    "read": len(batch.time) + len(batch.bad),
                    "loaded": loaded,
                    "equal": equal,
                    "bad": len(bad),
                },
            )
        return LoadReport(
            file=batch.file,
            loaded=loaded,
            equal=equal,
            quarantined=bad,
            not_closed=batch.not_closed,
            symbols=batch.symbols,
            splits_inferred=batch.splits_inferred,
        )

    def symbols(self) -> tuple[str, ...]:
        """The desk's symbols: the configured ones, else all that have bars, sorted."""
        if self._symbols:
            return self._symbols
        with transaction(self._engine) as connection:
            return tuple(connection.execute(text("SELECT DISTINCT symbol FROM bars ORDER BY symbol")).scalars())

    def count(self, start: datetime | None, end: datetime | None) -> int:
        """How many bar times there are from `start` to `end`."""
        query = (
            "SELECT count(DISTINCT time) FROM bars WHERE symbol = ANY(:symbols) AND (CAST(:start AS timestamptz) IS NULL OR time >= :start)"
            " AND (CAST(:end AS timestamptz) IS NULL OR time <= :end)"
        )
        with transaction(self._engine) as connection:
            return int(
                connection.execute(
                    text(query), {"symbols": list(self.symbols()), "start": start, "end": end}
                ).scalar_one()
            )

    def put(self, bars: Bars, source: str) -> None:
        """Store bars that are known to be good, into a table without them."""
        with transaction(self._engine) as connection:
            for s, symbol in enumerate(bars.symbols):
                rows = np.nonzero(np.isfinite(bars.close[:, s]))[0]
                grids = [getattr(bars, name)[rows, s] for name in _COMPARED]
                columns: list[Any] = [symbol, bars.time[rows], bars.opened[rows], bars.time[rows], *grids, source]
                if len(rows):
                    copy_block(
                        connection,
                        "bars",
                        COLUMNS,
                        [binary_rows(len(rows), columns, null_nan=frozenset({VOLUME_COLUMN}))],
                    )

    def window(self, *, until: datetime, count: int) -> Bars:
        """The last `count` bar times available at `until`."""
        with transaction(self._engine) as connection:
            start = connection.execute(
                text(
                    "SELECT min(time) FROM (SELECT DISTINCT time FROM bars WHERE available_at <= :until"
                    " AND symbol = ANY(:symbols) ORDER BY time DESC LIMIT :count) t"
                ),
                {"until": until, "count": count, "symbols": list(self.symbols())},
            ).scalar()
            return self._read(connection, "time >= %s AND available_at <= %s", (start, until))

    def after(self, time: datetime | None, *, limit: int) -> Bars:
        """At most `limit` bar times later than `time` (None: from the first)."""
        since = time or datetime.fromisoformat("1900-01-01T00:00:00+00:00")
        with transaction(self._engine) as connection:
            last = connection.execute(
                text(
                    "SELECT max(time) FROM (SELECT DISTINCT time FROM bars WHERE time > :since"
                    " AND symbol = ANY(:symbols) ORDER BY time LIMIT :limit) t"
                ),
                {"since": since, "limit": limit, "symbols": list(self.symbols())},
            ).scalar()
            return self._read(connection, "time > %s AND time <= %s", (since, last))

    def _read(self, connection: Connection, condition: str, bounds: tuple[object, ...]) -> Bars:
        symbols = self.symbols()
        query = (
            "SELECT symbol, (extract(epoch FROM time) * 1000000)::bigint, (extract(epoch FROM bar_open) * 1000000)::bigint,"
            " open, high, low, close, volume, adjustment, split, dividend FROM bars"
            f" WHERE {condition} AND symbol = ANY(%s)"
        )
        with driver_connection(connection).cursor(binary=True) as cursor:
            rows = cursor.execute(query, (*bounds, list(symbols))).fetchall()
        bars = _on_axis(rows, symbols)
        return _with_exogenous(connection, bars) if len(bars.time) else bars

    def _compare(self, connection: Connection, batch: BarBatch) -> tuple[Booleans, list[BadRow]]:
        """Which rows of the batch are stored already, and which of them differ."""
        known = np.zeros(len(batch.time), dtype=bool)
        conflicts: list[BadRow] = []
        for code, symbol in enumerate(batch.symbols):
            mine = np.nonzero(batch.symbol == code)[0]
            if len(mine) == 0:
                continue
            stored = _stored(connection, symbol, batch.time[mine[0]], batch.time[mine[-1]])
            if not stored:
                continue
            for index in mine:
                row = stored.get(int(batch.time[index].astype(np.int64)))
                if row is None:
                    continue
                known[index] = True
                values = tuple(float(getattr(batch, name)[index]) for name in _COMPARED)
                if not _same(row, values):
                    content = f"{symbol},{batch.time[index]}," + ",".join(f"{v:g}" for v in values)
                    reason = "differs from the bar that is stored already, which is kept"
                    conflicts.append(BadRow(int(batch.row_numbers[index]), reason, content))
        return known, conflicts

    @staticmethod
    def _quarantine(connection: Connection, batch: BarBatch, bad: Sequence[BadRow]) -> None:
        rows = [
            {"file": batch.file, "row": b.row_number, "reason": b.reason, "content": b.content}
            for b in bad[:QUARANTINE_LIMIT]
        ]
        if rows:
            connection.execute(
                text(
                    "INSERT INTO bar_quarantine (file, row_number, reason, content)"
                    " VALUES (:file, :row, :reason, :content) ON CONFLICT DO NOTHING"
                ),
                rows,
            )


def _stored(
    connection: Connection, symbol: str, first: np.datetime64, last: np.datetime64
) -> dict[int, tuple[float, ...]]:
    query = (
        "SELECT (extract(epoch FROM time) * 1000000)::bigint, open, high, low, close, volume, adjustment, split, dividend"
        " FROM bars WHERE symbol = %s AND time BETWEEN %s::timestamptz AND %s::timestamptz"
    )
    with driver_connection(connection).cursor(binary=True) as cursor:
        rows = cursor.execute(query, (symbol, f"{first}Z", f"{last}Z")).fetchall()
    return {row[0]: tuple(np.nan if v is None else v for v in row[1:]) for row in rows}


def _same(stored: tuple[float, ...], given: tuple[float, ...]) -> bool:
    """Equal prices and volume; adjusting factors are rewritten by vendors with every dividend, so they may differ."""
    return all(a == b or (np.isnan(a) and np.isnan(b)) for a, b in zip(stored[:5], given[:5], strict=True))


def _block(batch: BarBatch, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bytes:
    if len(rows) == 0:
        return b""
    columns: dict[str, Any] = {name: getattr(batch, name)[rows] for name in COLUMNS[1:-1]}
    ordered = [batch.symbols[int(batch.symbol[rows[0]])], *columns.values(), batch.file]
    return binary_rows(len(rows), ordered, null_nan=frozenset({VOLUME_COLUMN}))


def _on_axis(rows: Sequence[tuple[Any, ...]], symbols: tuple[str, ...]) -> Bars:
    column = {symbol: s for s, symbol in enumerate(symbols)}
    stamps = np.array([row[1] for row in rows], dtype=np.int64)
    time, index = np.unique(stamps, return_inverse=True)
    places = np.array([column[row[0]] for row in rows], dtype=np.int64)
    opened = np.full(len(time), np.iinfo(np.int64).max)
    np.minimum.at(opened, index, np.array([row[2] for row in rows], dtype=np.int64))
    values = np.array([row[3:] for row in rows], dtype=np.float64).reshape(len(rows), 8)
    return bars_of(
        time.astype("datetime64[us]"),
        opened.astype("datetime64[us]"),
        symbols,
        {name: (index, places, values[:, k]) for k, name in enumerate(_COMPARED)},
    )


def bars_of(
    time: Times,
    opened: Times,
    symbols: tuple[str, ...],
    cells: Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Floats]],
) -> Bars:
    """Bars from (time index, symbol index, value) cells; a cell that is missing is a bar that is missing."""
    neutral = {"adjustment": np.nan, "split": 1.0, "dividend": 0.0}
    grids: dict[str, Floats] = {}
    for name in _COMPARED:
        grid = np.full((len(time), len(symbols)), neutral.get(name, np.nan))
        rows, columns, values = cells[name]
        grid[rows, columns] = values
        grids[name] = grid
    arrays: dict[str, Any] = dict(grids)
    return Bars(time=time, opened=opened, symbols=symbols, **arrays)


def _with_exogenous(connection: Connection, bars: Bars) -> Bars:
    """Each series as it was known at each bar's close: the newest value available by then; counts of texts since the
    bar before."""
    query = (
        "SELECT name, symbol, (extract(epoch FROM available_at) * 1000000)::bigint, value FROM exogenous"
        " WHERE available_at <= %s::timestamptz AND (symbol = ANY(%s) OR symbol = '*') ORDER BY name, symbol, available_at, time"
    )
    with driver_connection(connection).cursor(binary=True) as cursor:
        rows = cursor.execute(query, (f"{bars.time[-1]}Z", list(bars.symbols))).fetchall()
    if not rows:
        return bars
    stamps = bars.time.astype("datetime64[us]").astype(np.int64)
    before = connection.execute(
        text(
            "SELECT (extract(epoch FROM max(time)) * 1000000)::bigint FROM bars WHERE time < :first AND symbol = ANY(:symbols)"
        ),
        {"first": f"{bars.time[0]}Z", "symbols": list(bars.symbols)},
    ).scalar()
    since = stamps[0] - DAY_US if before is None else before
    series: dict[str, Floats] = {}
    keys = sorted({(row[0], row[1]) for row in rows})
    for name, symbol in keys:
        known = np.array([row[2] for row in rows if row[:2] == (name, symbol)], dtype=np.int64)
        values = np.array([row[3] for row in rows if row[:2] == (name, symbol)], dtype=np.float64)
        grid = series.setdefault(name, np.full((len(bars.time), len(bars.symbols)), np.nan))
        columns = range(len(bars.symbols)) if symbol == "*" else [bars.symbols.index(symbol)]
        aligned = (
            _sums(stamps, int(since), known, values) if name.startswith("news_") else _newest(stamps, known, values)
        )
        for s in columns:
            grid[:, s] = aligned
    return replace(bars, exogenous=series)


def _newest(stamps: np.ndarray[Any, Any], known: np.ndarray[Any, Any], values: Floats) -> Floats:
    place = np.searchsorted(known, stamps, side="right") - 1
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan)


def _sums(stamps: np.ndarray[Any, Any], since: int, known: np.ndarray[Any, Any], values: Floats) -> Floats:
    """Sums of what became known after the bar before (after `since`, for the first bar) and by each bar's close."""
    totals = np.concatenate([[0.0], np.cumsum(values)])
    bounds = np.concatenate([[since], stamps])
    return np.diff(totals[np.searchsorted(known, bounds, side="right")])
