"""A batch of good bars into the table `bars`, in one transaction with what is told about the file it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, text

from agents.adapters.database.bar_reads import FileRead, RowCounts, record_read, take_load_lock
from agents.adapters.database.engine import binary_rows, copy_block, driver_connection
from agents.adapters.files.bar_files import BadRow
from agents.adapters.files.bar_rows import GRIDS, BarBatch
from agents.core.types import Booleans, Integers

COLUMNS = ("symbol", "time", "bar_open", "available_at", *GRIDS, "source", "read_id")
VOLUME_COLUMN = COLUMNS.index("volume")
QUARANTINE_LIMIT = 100_000

_STORED = """
SELECT (extract(epoch FROM time) * 1000000)::bigint, open, high, low, close, volume, adjustment, split, dividend
FROM bars WHERE symbol = %s AND time BETWEEN %s::timestamptz AND %s::timestamptz
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


def load_batch(connection: Connection, batch: BarBatch, file: FileRead | None = None) -> LoadReport:
    """Store a batch: new rows by COPY, rows that are there already are compared, those that differ are quarantined and
    the first kept. `file` says how much of which file was read; without it none of the file counts as consumed."""
    take_load_lock(connection)
    known, conflicts = _compare(connection, batch)
    report = LoadReport(
        file=batch.file,
        loaded=int((~known).sum()),
        equal=int(known.sum()) - len(conflicts) + batch.equal_duplicates,
        quarantined=[*batch.bad, *conflicts],
        not_closed=batch.not_closed,
        symbols=batch.symbols,
        splits_inferred=batch.splits_inferred,
    )
    counts = RowCounts(
        read=len(batch.time) + len(batch.bad),
        loaded=report.loaded,
        equal=report.equal,
        quarantined=len(report.quarantined),
        corrected=0,
    )
    unread = FileRead(file=batch.file, size=0, consumed=0, consumed_rows=0, sha256=batch.sha256)
    read_id = record_read(connection, file or unread, counts)
    copy_block(connection, "bars", COLUMNS, copy_blocks(batch, ~known, read_id))
    _quarantine(connection, report)
    return report


def copy_blocks(batch: BarBatch, chosen: Booleans, read_id: int) -> list[bytes]:
    """The rows of the mask `chosen` [n] in PostgreSQL's binary COPY format, for COLUMNS; a block for each symbol."""
    blocks = []
    for code, symbol in enumerate(batch.symbols):
        rows = np.nonzero(chosen & (batch.symbol == code))[0]
        if len(rows):
            read_ids = np.full(len(rows), read_id)
            columns = [symbol, *(getattr(batch, name)[rows] for name in COLUMNS[1:-2]), batch.file, read_ids]
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
