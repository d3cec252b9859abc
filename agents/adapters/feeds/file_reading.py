"""One bar file into the store, from where it was read to. A CSV goes piece by piece, each piece one transaction."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from agents.adapters.database.bar_loads import LoadReport
from agents.adapters.database.bar_reads import FileRead
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.renames import Renames
from agents.adapters.files.bar_files import RawTable, open_regular, parse_table, read_bytes, read_table, size_to_hold
from agents.adapters.files.bar_rows import BarBatch, validate_rows
from agents.adapters.files.file_prefix import FilePrefix, read_prefix
from agents.adapters.files.funding_files import is_funding, parse_funding
from agents.core.errors import AgentsError, DataError
from agents.core.log import log_event
from agents.core.settings import DataSettings

logger = logging.getLogger(__name__)
PIECE_BYTES = 32 << 20
"""So much of a CSV is held in memory at once."""
HEADER_LIMIT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Progress:
    """What is in the database of a file: its first bytes, `prefix`, with `rows` rows after the header. Rows behind them
    that were not closed are read again at `due`."""

    prefix: FilePrefix = field(default_factory=FilePrefix)
    rows: int = 0
    due: datetime | None = None


Read = tuple[LoadReport, Progress]
T = TypeVar("T")


class FileReader:
    """Reads the files of one desk's folder."""

    def __init__(self, settings: DataSettings, store: BarsStore) -> None:
        self._settings = settings
        self._store = store

    def progress(self, path: Path) -> Progress:
        """How far the database says that a file was read, where the file still begins with that."""
        known = self._store.newest_read(path.name)
        if known is None or known.consumed == 0:
            return Progress()
        with open_regular(path) as stream:
            prefix = read_prefix(stream, known.consumed)
        return Progress(prefix, known.consumed_rows) if prefix.sha256 == known.sha256 else Progress()

    def read(self, path: Path, progress: Progress, at: datetime, *, replaced: bool) -> Iterator[Read]:
        """Load what is new in a file; after each commit, what became of the rows and how far the file is read.

        `replaced`: the name stands for another file than before. DataError where the file cannot be trusted, OSError
        where it cannot be read, ServiceError where the database is away; what was yielded before is stored.
        """
        with open_regular(path) as stream:
            begins = progress.prefix.size > 0 and progress.prefix.begins(stream, whole=replaced)
            if is_funding(path):
                if not (begins and progress.prefix.size == _size(stream)):
                    yield self._read_funding(path, stream, at)
            elif path.name.endswith(".csv"):
                if progress.prefix.size and not begins:
                    log_event(logger, "file rewritten: it is read again whole", file=path.name)
                yield from self._read_csv(path, stream, progress if begins else Progress(), at)
            elif not (begins and progress.prefix.size == _size(stream) and progress.due is None):
                yield self._read_packed(path, stream, at)

    def _read_packed(self, path: Path, stream: BinaryIO, at: datetime) -> Read:
        """A whole file; where bars in it are not closed yet, nothing of it counts as consumed."""
        prefix = read_prefix(stream, size_to_hold(path, stream))
        table = _understood(path, partial(read_table, path, self._settings.columns))
        batch = self._judged(path, table, at)
        whole = Progress(prefix, len(table.row_numbers) + len(table.bad))
        progress = Progress(due=batch.next_close) if batch.next_close else whole
        return self._store.load(batch, _file_read(path, prefix.size, progress)), progress

    def _read_funding(self, path: Path, stream: BinaryIO, at: datetime) -> Read:
        """A whole file: a row for every few hours is little. What is not settled yet is read again when it is."""
        stream.seek(0)
        data = stream.read(size_to_hold(path, stream))
        rows = _understood(path, partial(parse_funding, path, data, self._settings.aliases, at))
        whole = Progress(read_prefix(stream, data.rfind(b"\n") + 1), rows.rows)
        progress = Progress(due=rows.due) if rows.due else whole
        return self._store.load_funding(rows, _file_read(path, len(data), progress)), progress

    def _read_csv(self, path: Path, stream: BinaryIO, progress: Progress, at: datetime) -> Iterator[Read]:
        """The complete lines behind `progress`."""
        header = _header(path, stream)
        start, rows, progress = progress.prefix.size or len(header), progress.rows, replace(progress, due=None)
        while header and (lines := _complete_lines(path, stream, start)):
            start += len(lines)
            if not lines.strip():
                progress = _after(progress, header, lines, None)
            else:
                table = _understood(path, partial(parse_table, path, header + lines, self._settings.columns))
                batch = self._judged(path, _counted_from(rows, table), at)
                progress = _after(progress, header, lines, batch)
                yield self._store.load(batch, _file_read(path, max(start, _size(stream)), progress)), progress
            rows += lines.count(b"\n")

    def _judged(self, path: Path, table: RawTable, at: datetime) -> BarBatch:
        return _understood(path, partial(validate_rows, table, self._settings, at=at))


def also_named(settings: DataSettings, renames: Mapping[str, str]) -> DataSettings:
    """The settings with the other names of symbols that persons told, on top of data.aliases."""
    return settings.model_copy(update={"aliases": {**renames, **settings.aliases}}) if renames else settings


def import_file(
    path: Path, settings: DataSettings, store: BarsStore, columns: Mapping[str, str], at: datetime
) -> LoadReport:
    """Load one file once; DataError where it cannot be trusted as a whole."""
    settings = also_named(settings, Renames(store.engine).all())
    if is_funding(path):
        funding = _understood(path, partial(parse_funding, path, read_bytes(path), settings.aliases, at))
        unread = FileRead(file=path.name, size=0, consumed=0, consumed_rows=0, sha256="")
        return store.load_funding(funding, unread)
    table = _understood(path, partial(read_table, path, {**settings.columns, **columns}))
    batch = _understood(path, partial(validate_rows, table, settings, at=at))
    prefix = _understood(path, partial(_whole, path))
    progress = Progress() if batch.waits_from else Progress(prefix, len(table.row_numbers) + len(table.bad))
    return store.load(batch, _file_read(path, prefix.size, progress))


def _understood(path: Path, read: Callable[[], T]) -> T:
    """What `read` makes of a file; whatever else it stumbles over, the file is at fault: DataError."""
    try:
        return read()
    except AgentsError:
        raise
    except Exception as error:
        cause = str(error).split("\n")[0][:200]
        raise DataError(f"{path}: cannot be understood ({type(error).__name__}: {cause})") from error


def _whole(path: Path) -> FilePrefix:
    with open_regular(path) as stream:
        return read_prefix(stream, _size(stream))


def _after(progress: Progress, header: bytes, lines: bytes, batch: BarBatch | None) -> Progress:
    """Progress when the lines that follow are loaded as a batch (None: they are blank), up to the first row in them
    that was not closed."""
    due = None if batch is None else batch.next_close
    if progress.due is not None:  # a row before these waits already: they are read again with it
        return replace(progress, due=min(progress.due, due or progress.due))
    if batch is not None and batch.waits_from:
        lines = _first_lines(lines, batch.waits_from - progress.rows - 1)
    prefix = progress.prefix.followed_by(lines if progress.prefix.size else header + lines)
    return Progress(prefix, progress.rows + lines.count(b"\n"), due)


def _first_lines(lines: bytes, count: int) -> bytes:
    ends = np.nonzero(np.frombuffer(lines, dtype=np.uint8) == ord("\n"))[0]
    return lines[: int(ends[count - 1]) + 1] if count else b""


def _file_read(path: Path, size: int, progress: Progress) -> FileRead:
    return FileRead(
        file=path.name,
        size=size,
        consumed=progress.prefix.size,
        consumed_rows=progress.rows,
        sha256=progress.prefix.sha256,
    )


def _size(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_size


def _header(path: Path, stream: BinaryIO) -> bytes:
    """The first line of a CSV; empty where it is not complete yet."""
    stream.seek(0)
    start = stream.read(HEADER_LIMIT_BYTES)
    header = start[: start.find(b"\n") + 1]
    if not header and len(start) == HEADER_LIMIT_BYTES:
        raise DataError(f"{path}: the first {HEADER_LIMIT_BYTES >> 10} KiB hold no line end, so it is no CSV file")
    return header


def _complete_lines(path: Path, stream: BinaryIO, start: int) -> bytes:
    """The next whole lines from byte `start` on, as many as fit into a piece; empty where there are none yet."""
    stream.seek(start)
    piece = stream.read(PIECE_BYTES)
    lines = piece[: piece.rfind(b"\n") + 1]
    if not lines and len(piece) == PIECE_BYTES:
        raise DataError(f"{path}: a line from byte {start} on is longer than {PIECE_BYTES >> 20} MiB")
    return lines


def _counted_from(rows_before: int, table: RawTable) -> RawTable:
    """The same rows under their numbers in the whole file."""
    bad = [replace(row, row_number=row.row_number + rows_before) for row in table.bad]
    return replace(table, row_numbers=table.row_numbers + rows_before, bad=bad)
