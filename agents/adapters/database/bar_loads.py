"""A batch of good bars into the table `bars`, in one transaction with what is told about the file it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, text

from agents.adapters.database.bar_corrections import Correction, compare, record_corrections
from agents.adapters.database.bar_judgement import judge_batch, record_judgement
from agents.adapters.database.bar_reads import FileRead, RowCounts, record_read, take_load_lock
from agents.adapters.database.engine import binary_rows, copy_block
from agents.adapters.files.bar_files import BadRow
from agents.adapters.files.bar_rows import GRIDS, BarBatch
from agents.core.types import Booleans

COLUMNS = ("symbol", "time", "bar_open", "available_at", *GRIDS, "source", "read_id")
VOLUME_COLUMN = COLUMNS.index("volume")
QUARANTINE_LIMIT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What became of a file's rows."""

    file: str
    loaded: int
    equal: int
    quarantined: Sequence[BadRow]
    corrections: Sequence[Correction]
    not_closed: int
    symbols: Sequence[str]
    splits_inferred: int
    suspect: int


def load_batch(connection: Connection, batch: BarBatch, file: FileRead | None = None) -> LoadReport:
    """Store a batch: new rows by COPY; rows that are there already are compared, and corrections taken or kept on
    record. `file` says how much of which file was read; without it none of the file counts as consumed."""
    take_load_lock(connection)
    known, corrections = compare(connection, batch)
    new = ~known
    new[[correction.index for correction in corrections if correction.taken]] = True
    differs = np.zeros(len(new), dtype=bool)
    differs[[correction.index for correction in corrections]] = True
    judgement = judge_batch(connection, batch, new, differs)
    report = LoadReport(
        file=batch.file,
        loaded=int((~known).sum()),
        equal=int(known.sum()) - len(corrections) + batch.equal_duplicates,
        quarantined=[*batch.bad, *judgement.doubts],
        corrections=corrections,
        not_closed=batch.not_closed,
        symbols=batch.symbols,
        splits_inferred=judgement.splits_inferred,
        suspect=int(judgement.suspect.sum()),
    )
    counts = RowCounts(
        read=len(batch.time) + len(batch.bad),
        loaded=report.loaded,
        equal=report.equal,
        quarantined=len(report.quarantined),
        corrected=len(corrections),
    )
    unread = FileRead(file=batch.file, size=0, consumed=0, consumed_rows=0, sha256=batch.sha256)
    read_id = record_read(connection, file or unread, counts)
    copy_block(connection, "bars", COLUMNS, copy_blocks(batch, ~known, read_id))
    record_corrections(connection, batch, corrections, read_id)
    record_judgement(connection, batch, judgement, read_id)
    quarantine(connection, report)
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


def quarantine(connection: Connection, report: LoadReport) -> None:
    """Keep the rows that were refused, each once."""
    rows = [
        {
            "file": report.file,
            "row": bad.row_number,
            "reason": bad.reason,
            "content": bad.content.replace("\0", "\N{SYMBOL FOR NULL}"),
        }
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
