"""The live feed: a watched folder of bar files. New files and appended rows are picked up, closed bars only.

A CSV that grows is read from where it was read to; its last line counts only when it is complete. Everything else
(Parquet, gzip, a file that was replaced) is read whole again, which is harmless: equal bars are ignored.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from agents.adapters.database.bar_loads import LoadReport
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.files.bar_files import SUFFIXES, RawTable, parse_table, read_table
from agents.adapters.files.bar_rows import validate_rows
from agents.core.errors import DataError
from agents.core.log import log_event
from agents.core.ports import Arrival
from agents.core.settings import DataSettings

logger = logging.getLogger(__name__)
HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Seen:
    """How far a file was read: size and time of change, bytes consumed, rows before them, and its first bytes."""

    size: int
    changed_ns: int
    consumed: int
    rows: int
    head: bytes


class FolderFeed:
    """Polls `settings.feed_folder` and loads what is new into the store."""

    def __init__(self, settings: DataSettings, store: BarsStore) -> None:
        self._settings = settings
        self._store = store
        self._seen: dict[Path, _Seen] = {}
        self._last_close: dict[str, float] = {}
        self._touched_s: float | None = None
        """When the youngest of the files that the last poll looked into was touched, in seconds since 1970."""

    def poll(self, at: datetime) -> Arrival:
        """Load new rows of all files. DataError where the folder is not there."""
        self._touched_s = None
        bars = sum(report.loaded for report in self.read(at))
        return Arrival(bars, None if self._touched_s is None else max(0.0, at.timestamp() - self._touched_s))

    def read(self, at: datetime) -> list[LoadReport]:
        """Load new rows of all files; a file that cannot be trusted is logged once for each change and left out."""
        folder = self._settings.feed_folder
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; create it and put bar files there (data.feed_folder)")
        reports = []
        for path in sorted(p for p in folder.iterdir() if p.name.endswith(SUFFIXES)):
            try:
                report = self._read(path, at)
            except DataError as error:
                log_event(logger, "file refused", level=logging.WARNING, error=error)
                continue
            if report is not None:
                reports.append(report)
                log_event(
                    logger,
                    "bars loaded",
                    file=report.file,
                    loaded=report.loaded,
                    equal=report.equal,
                    quarantined=len(report.quarantined),
                    not_closed=report.not_closed,
                )
        return reports

    def _read(self, path: Path, at: datetime) -> LoadReport | None:
        """Load what is new in one file; None where nothing is."""
        status = path.stat()
        seen = self._seen.get(path)
        if seen is not None and (seen.size, seen.changed_ns) == (status.st_size, status.st_mtime_ns):
            return None
        self._touched_s = max(self._touched_s or 0.0, status.st_ctime)  # a copy may carry an old time of change
        mark = _Seen(status.st_size, status.st_mtime_ns, seen.consumed if seen else 0, seen.rows if seen else 0, b"")
        self._seen[path] = replace(mark, head=seen.head if seen else b"")
        if path.suffix == ".csv":
            return self._read_appended(path, mark, seen, at)
        return self._load(read_table(path, self._settings.columns), at)

    def _read_appended(self, path: Path, mark: _Seen, seen: _Seen | None, at: datetime) -> LoadReport | None:
        """Load the complete lines after those that were `seen`; all lines of a file that did not simply grow."""
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            header_end = head.find(b"\n") + 1
            grown = seen is not None and seen.consumed and head.startswith(seen.head) and mark.size >= seen.consumed
            start = seen.consumed if grown and seen else header_end
            rows_before = seen.rows if grown and seen else 0
            stream.seek(start)
            chunk = stream.read()
        complete = chunk[: chunk.rfind(b"\n") + 1]
        if header_end == 0 or not complete:
            return None
        table = parse_table(path, head[:header_end] + complete, self._settings.columns)
        report = self._load(_counted_from(rows_before, table), at)
        if report.not_closed:
            # Those rows will be bars once they are closed: read them again at the next poll.
            self._seen[path] = replace(mark, size=-1, consumed=start, rows=rows_before, head=head[:header_end])
        else:
            lines = complete.count(b"\n")
            consumed = start + len(complete)
            self._seen[path] = replace(mark, consumed=consumed, rows=rows_before + lines, head=head[:header_end])
        return report

    def _load(self, table: RawTable, at: datetime) -> LoadReport:
        return self._store.load(validate_rows(table, self._settings, at=at, last_close=self._last_close))


def _counted_from(rows_before: int, table: RawTable) -> RawTable:
    """The same rows under their numbers in the whole file."""
    bad = [replace(row, row_number=row.row_number + rows_before) for row in table.bad]
    return replace(table, row_numbers=table.row_numbers + rows_before, bad=bad)


def import_file(
    path: Path, settings: DataSettings, store: BarsStore, columns: Mapping[str, str], at: datetime
) -> LoadReport:
    """Load one file once; DataError where it cannot be trusted as a whole."""
    return store.load(validate_rows(read_table(path, {**settings.columns, **columns}), settings, at=at))
