"""The table `bar_reads`: how far each file was read, committed with the rows that it speaks of."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

LOAD_LOCK = 7710003
"""Held by whoever loads, until the transaction ends: so the ids of reads rise in the order of their commits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRead:
    """How far a file of `size` bytes was read: its first `consumed` bytes, which hold `consumed_rows` rows after the
    header and have the digest `sha256`, need no reading again."""

    file: str
    size: int
    consumed: int
    consumed_rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """What became of the rows of one read."""

    read: int
    loaded: int
    equal: int
    quarantined: int
    corrected: int


def take_load_lock(connection: Connection) -> None:
    """Wait until nobody else loads; kept to the end of the transaction."""
    connection.execute(text(f"SELECT pg_advisory_xact_lock({LOAD_LOCK})"))


def record_read(connection: Connection, file: FileRead, counts: RowCounts) -> int:
    """Note a read, under the lock of all loading; its number, which the rows of the same transaction carry."""
    return int(
        connection.execute(
            text(
                "INSERT INTO bar_reads (file, size, consumed, consumed_rows, sha256, rows_read, rows_loaded,"
                " rows_equal, rows_quarantined, rows_corrected)"
                " VALUES (:file, :size, :consumed, :consumed_rows, :sha256, :read, :loaded, :equal, :quarantined,"
                " :corrected) RETURNING id"
            ),
            {**asdict(file), **asdict(counts)},
        ).scalar_one()
    )


def newest_read(connection: Connection, file: str) -> FileRead | None:
    """How far a file was read last; None for one that is not known."""
    query = text(
        "SELECT file, size, consumed, consumed_rows, sha256 FROM bar_reads WHERE file = :file ORDER BY id DESC LIMIT 1"
    )
    row = connection.execute(query, {"file": file}).one_or_none()
    return None if row is None else FileRead(**row._mapping)
