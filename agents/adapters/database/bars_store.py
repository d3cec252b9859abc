"""Bars in and out of the database: binary COPY in, arrays on one time axis out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from agents.adapters.database.bar_grids import bars_of_rows, exogenous_grids
from agents.adapters.database.engine import binary_rows, copy_block, driver_connection, transaction
from agents.adapters.files.bar_files import BadRow
from agents.adapters.files.bar_rows import GRIDS, BarBatch
from agents.core.types import Bars, Booleans, Integers

COLUMNS = ("symbol", "time", "bar_open", "available_at", *GRIDS, "source")
VOLUME_COLUMN = COLUMNS.index("volume")
LOAD_LOCK = 7710003
QUARANTINE_LIMIT = 100_000
DAY_US = 86_400_000_000
"""Texts of the day before the first bar of all count for it."""

_WINDOW_START = """
SELECT min(time) FROM (
    SELECT DISTINCT time FROM bars WHERE available_at <= :until AND symbol = ANY(:symbols)
    ORDER BY time DESC LIMIT :count) t
"""
_LAST_AFTER = """
SELECT max(time) FROM (
    SELECT DISTINCT time FROM bars WHERE time > :since AND symbol = ANY(:symbols) ORDER BY time LIMIT :limit) t
"""
_COUNT = """
SELECT count(DISTINCT time) FROM bars
WHERE symbol = ANY(:symbols)
    AND (CAST(:start AS timestamptz) IS NULL OR time >= :start)
    AND (CAST(:end AS timestamptz) IS NULL OR time <= :end)
"""
_BARS = """
SELECT symbol, (extract(epoch FROM time) * 1000000)::bigint, (extract(epoch FROM bar_open) * 1000000)::bigint,
       open, high, low, close, volume, adjustment, split, dividend
FROM bars WHERE {condition} AND symbol = ANY(%s)
"""
_STORED = """
SELECT (extract(epoch FROM time) * 1000000)::bigint, open, high, low, close, volume, adjustment, split, dividend
FROM bars WHERE symbol = %s AND time BETWEEN %s::timestamptz AND %s::timestamptz
"""
_EXOGENOUS = """
SELECT name, symbol, (extract(epoch FROM available_at) * 1000000)::bigint, value FROM exogenous
WHERE available_at <= %s::timestamptz AND (symbol = ANY(%s) OR symbol = '*')
ORDER BY name, symbol, available_at, time
"""
_BAR_BEFORE = """
SELECT (extract(epoch FROM max(time)) * 1000000)::bigint FROM bars WHERE time < :first AND symbol = ANY(:symbols)
"""


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
            known, conflicts = _compare(connection, batch)
            copy_block(connection, "bars", COLUMNS, copy_blocks(batch, ~known))
            report = LoadReport(
                file=batch.file,
                loaded=int((~known).sum()),
                equal=int(known.sum()) - len(conflicts) + batch.equal_duplicates,
                quarantined=[*batch.bad, *conflicts],
                not_closed=batch.not_closed,
                symbols=batch.symbols,
                splits_inferred=batch.splits_inferred,
            )
            _quarantine(connection, report)
            _note_file(connection, batch, report)
        return report

    def symbols(self) -> tuple[str, ...]:
        """The desk's symbols: the configured ones, else all that have bars, sorted."""
        if self._symbols:
            return self._symbols
        with transaction(self._engine) as connection:
            return tuple(connection.execute(text("SELECT DISTINCT symbol FROM bars ORDER BY symbol")).scalars())

    def count(self, start: datetime | None, end: datetime | None) -> int:
        """How many bar times there are from `start` to `end` (None: from the first, to the last)."""
        bounds = {"symbols": list(self.symbols()), "start": start, "end": end}
        with transaction(self._engine) as connection:
            return int(connection.execute(text(_COUNT), bounds).scalar_one())

    def put(self, bars: Bars, source: str) -> None:
        """Store bars that are known to be good, into a table without them."""
        with transaction(self._engine) as connection:
            for s, symbol in enumerate(bars.symbols):
                rows = np.nonzero(np.isfinite(bars.close[:, s]))[0]
                if not len(rows):
                    continue
                grids = [getattr(bars, name)[rows, s] for name in GRIDS]
                columns: list[Any] = [symbol, bars.time[rows], bars.opened[rows], bars.time[rows], *grids, source]
                block = binary_rows(len(rows), columns, null_nan=frozenset({VOLUME_COLUMN}))
                copy_block(connection, "bars", COLUMNS, [block])

    def window(self, *, until: datetime, count: int) -> Bars:
        """The last `count` bar times available at `until`."""
        bounds = {"until": until, "count": count, "symbols": list(self.symbols())}
        with transaction(self._engine) as connection:
            start = connection.execute(text(_WINDOW_START), bounds).scalar()
            return self._read(connection, "time >= %s AND available_at <= %s", (start, until))

    def after(self, time: datetime | None, *, limit: int) -> Bars:
        """At most `limit` bar times later than `time` (None: from the first)."""
        since = time or datetime.fromisoformat("1900-01-01T00:00:00+00:00")
        bounds = {"since": since, "limit": limit, "symbols": list(self.symbols())}
        with transaction(self._engine) as connection:
            last = connection.execute(text(_LAST_AFTER), bounds).scalar()
            return self._read(connection, "time > %s AND time <= %s", (since, last))

    def _read(self, connection: Connection, condition: str, bounds: tuple[object, ...]) -> Bars:
        symbols = self.symbols()
        with driver_connection(connection).cursor(binary=True) as cursor:
            rows = cursor.execute(_BARS.format(condition=condition), (*bounds, list(symbols))).fetchall()
        bars = bars_of_rows(rows, symbols)
        return _with_exogenous(connection, bars) if len(bars.time) else bars


def copy_blocks(batch: BarBatch, chosen: Booleans) -> list[bytes]:
    """The rows of the mask `chosen` [n] in PostgreSQL's binary COPY format, for COLUMNS; a block for each symbol."""
    blocks = []
    for code, symbol in enumerate(batch.symbols):
        rows = np.nonzero(chosen & (batch.symbol == code))[0]
        if len(rows):
            columns = [symbol, *(getattr(batch, name)[rows] for name in COLUMNS[1:-1]), batch.file]
            blocks.append(binary_rows(len(rows), columns, null_nan=frozenset({VOLUME_COLUMN})))
    return blocks


def _compare(connection: Connection, batch: BarBatch) -> tuple[Booleans, list[BadRow]]:
    """Which rows of the batch are stored already, and which of them differ."""
    known = np.zeros(len(batch.time), dtype=bool)
    conflicts: list[BadRow] = []
    for code, symbol in enumerate(batch.symbols):
        mine: Integers = np.nonzero(batch.symbol == code)[0]
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
            values = tuple(float(getattr(batch, name)[index]) for name in GRIDS)
            if not _same(row, values):
                content = f"{symbol},{batch.time[index]}," + ",".join(f"{v:g}" for v in values)
                reason = "differs from the bar that is stored already, which is kept"
                conflicts.append(BadRow(int(batch.row_numbers[index]), reason, content))
    return known, conflicts


def _stored(
    connection: Connection, symbol: str, first: np.datetime64, last: np.datetime64
) -> dict[int, tuple[float, ...]]:
    """Time in us since 1970 -> the numbers of the bar that is stored, NaN for a volume that is not known."""
    with driver_connection(connection).cursor(binary=True) as cursor:
        rows = cursor.execute(_STORED, (symbol, f"{first}Z", f"{last}Z")).fetchall()
    return {row[0]: tuple(np.nan if v is None else v for v in row[1:]) for row in rows}


def _same(stored: tuple[float, ...], given: tuple[float, ...]) -> bool:
    """Equal prices and volume; adjusting factors are rewritten by vendors with every dividend, so they may differ."""
    return all(a == b or (np.isnan(a) and np.isnan(b)) for a, b in zip(stored[:5], given[:5], strict=True))


def _quarantine(connection: Connection, report: LoadReport) -> None:
    rows = [
        {"file": report.file, "row": bad.row_number, "reason": bad.reason, "content": bad.content}
        for bad in report.quarantined[:QUARANTINE_LIMIT]
    ]
    if rows:
        connection.execute(
            text(
                "INSERT INTO bar_quarantine (file, row_number, reason, content)"
                " VALUES (:file, :row, :reason, :content) ON CONFLICT DO NOTHING"
            ),
            rows,
        )


def _note_file(connection: Connection, batch: BarBatch, report: LoadReport) -> None:
    connection.execute(
        text(
            "INSERT INTO bar_files (sha256, file, rows_read, rows_loaded, rows_equal, rows_quarantined)"
            " VALUES (:sha, :file, :read, :loaded, :equal, :bad) ON CONFLICT (sha256) DO NOTHING"
        ),
        {
            "sha": batch.sha256,
            "file": batch.file,
            "read": len(batch.time) + len(batch.bad),
            "loaded": report.loaded,
            "equal": report.equal,
            "bad": len(report.quarantined),
        },
    )


def _with_exogenous(connection: Connection, bars: Bars) -> Bars:
    """Each series as it was known at each bar's close: the newest value available by then; counts of texts since the
    bar before."""
    with driver_connection(connection).cursor(binary=True) as cursor:
        rows = cursor.execute(_EXOGENOUS, (f"{bars.time[-1]}Z", list(bars.symbols))).fetchall()
    if not rows:
        return bars
    bounds = {"first": f"{bars.time[0]}Z", "symbols": list(bars.symbols)}
    before = connection.execute(text(_BAR_BEFORE), bounds).scalar()
    since_us = int(bars.time[0].astype("datetime64[us]").astype(np.int64)) - DAY_US if before is None else int(before)
    return replace(bars, exogenous=exogenous_grids(rows, bars, since_us))
