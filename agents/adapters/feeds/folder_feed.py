"""The live feed: a watched folder of bar files. New files and appended rows are picked up, closed bars only.

What was read of a file is a row of `bar_reads`, committed with the bars; in memory stands only what was committed. So
after any failure and at each start the rest is read, once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from agents.adapters.database.bar_loads import LoadReport
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.refusals import FileRefusals
from agents.adapters.database.renames import Renames
from agents.adapters.feeds.file_reading import FileReader, Progress, also_named
from agents.adapters.files.bar_files import SUFFIXES
from agents.core.errors import DataError
from agents.core.log import log_event
from agents.core.ports import Arrival
from agents.core.settings import DataSettings

logger = logging.getLogger(__name__)

TABLES = (".csv", ".tsv", ".txt", ".xls", ".xlsx", ".ods", ".zip", ".bz2", ".xz", ".zst", ".feather", ".json", ".h5")
"""Files that a person may take for bars, although they are not read."""
UNFINISHED_S = 60.0
Signature = tuple[int, int, int, int]
"""What changes when a file does: inode, size, times of change of content and of anything (in ns)."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """One file as the last poll left it: `done` and `refused` are what it looked like when it was read to its end or
    could not be trusted, `seen` at the last poll, `progress` what is in the database of it."""

    seen: Signature
    done: Signature | None = None
    refused: Signature | None = None
    progress: Progress | None = None

    def problem(self, at: datetime) -> str:
        """What keeps the rest of a CSV, which was read as far as possible and has not changed for a while, from being
        read; "" where nothing does."""
        size, waits = self.seen[1], self.progress is None or self.progress.due is not None
        if waits or self.refused is not None or at.timestamp() - self.seen[2] / 1e9 <= UNFINISHED_S:
            return ""
        assert self.progress is not None
        if self.progress.prefix.size == 0:
            return "holds no row: it is empty, has a header only, or its lines do not end as in a CSV file"
        cut = self.progress.prefix.size < size
        return "its last line has no line end, so it may not be whole; it is read once it has one" if cut else ""

    def is_due(self, at: datetime) -> bool:
        """Whether a bar in the file is closed at `at` that was not when it was read."""
        return self.progress is not None and self.progress.due is not None and at >= self.progress.due


class FolderFeed:
    """Polls `settings.feed_folder` and loads what is new into the store."""

    def __init__(self, settings: DataSettings, store: BarsStore) -> None:
        self._settings = settings
        self._store = store
        self._reader = FileReader(settings, store)
        self._renames: dict[str, str] = {}
        self._watched: dict[Path, _Watched] = {}
        self._told: dict[Path, str] = {}
        self._refusals = FileRefusals(store.engine)
        self._refused: set[str] | None = None
        """Names of files that are refused on record; None until that was looked up."""
        self._touched_s: float | None = None
        """When the youngest of the files that the last poll looked into was touched, in seconds since 1970."""

    def poll(self, at: datetime) -> Arrival:
        """Load new rows of all files. DataError where the folder is not there."""
        self._touched_s = None
        bars = sum(report.loaded for report in self.read(at))
        return Arrival(bars, None if self._touched_s is None else max(0.0, at.timestamp() - self._touched_s))

    def close(self) -> None:
        """It holds nothing between polls."""

    def read(self, at: datetime) -> list[LoadReport]:
        """Load new rows of all files; a file that cannot be trusted is logged once for each change and left out.

        ServiceError where the database is away: what was not committed is read at the next poll.
        """
        folder = self._settings.feed_folder
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; create it and put bar files there (data.feed_folder)")
        everything = sorted(folder.iterdir())
        paths = [path for path in everything if path.name.endswith(SUFFIXES)]
        if any(self._is_new(path, at) for path in paths):
            self._hear_renames()  # not at each poll: a poll that finds nothing asks the database nothing
        strange = [path for path in everything if path not in paths and path.suffix.lower() in TABLES]
        for path in strange:
            self._tell(
                path, f"{path}: is not read; save it as CSV with a name that ends in .csv (or .csv.gz, .parquet)", at
            )
        for gone in (self._watched.keys() | self._told.keys()) - {*paths, *strange}:
            self._watched.pop(gone, None)
            self._told.pop(gone, None)
        reports: list[LoadReport] = []
        for path in paths:
            try:
                reports.extend(self._read(path, at))
            except FileNotFoundError:
                if path.is_symlink():  # else it went away between the listing and now
                    self._tell(path, f"{path}: is a link to nothing", at)
            except OSError as error:
                self._tell(path, f"{path}: cannot be read: {error.strerror or error}", at)
            except DataError as error:
                self._tell(path, str(error), at)
        self._note_mended(at)
        return reports

    def _hear_renames(self) -> None:
        """Where a person told of a new name, files may hold rows under it that count otherwise now."""
        renames = Renames(self._store.engine).all()
        if renames != self._renames:
            self._renames = renames
            self._reader = FileReader(also_named(self._settings, renames), self._store)
            self._watched.clear()

    def _is_new(self, path: Path, at: datetime) -> bool:
        """Whether there may be something to read in a file."""
        file = self._watched.get(path)
        try:
            return file is None or file.is_due(at) or _signature(path) not in (file.done, file.refused)
        except OSError:
            return False  # `_read` says so

    def _read(self, path: Path, at: datetime) -> Iterator[LoadReport]:
        """Load what is new in one file; a report for each commit."""
        if not path.name.isprintable():
            raise DataError(f"{str(path)!r}: the name holds characters that cannot be shown; rename the file")
        now = _signature(path)
        file = self._watched.get(path) or _Watched(now)
        self._watched[path] = replace(file, seen=now)
        if now == file.refused or (now == file.done and not file.is_due(at)):
            if problem := file.problem(at):
                raise DataError(f"{path}: {problem}")
            return
        # A packed file that was not whole is still being written: it is tried again when it stays the same for a poll.
        if file.refused is not None and now != file.seen and not path.name.endswith(".csv"):
            return
        self._touched_s = max(self._touched_s or 0.0, now[3] / 1e9)  # a copy may carry an old time of change
        try:
            known = file.progress or self._reader.progress(path)
            replaced = file.done is not None and file.done[0] != now[0]
            for report, progress in self._reader.read(path, known, at, replaced=replaced):
                self._watched[path] = replace(self._watched[path], progress=progress)
                _log(report)
                yield report
        except DataError:
            self._watched[path] = replace(self._watched[path], refused=now)
            raise
        self._watched[path] = _Watched(now, done=now, progress=self._watched[path].progress or known)
        self._told.pop(path, None)

    def _tell(self, path: Path, problem: str, at: datetime) -> None:
        """One line for each change of what is wrong with a file, and a row for who looks later."""
        told = f"{problem} {self._watched[path].seen if path in self._watched else ''}"
        if self._told.get(path) != told:
            self._refusals.refuse(
                _shown(path.name), _shown(problem.removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")), at
            )
            self._told[path] = told
            if self._refused is not None:
                self._refused.add(_shown(path.name))
            log_event(logger, "file refused", level=logging.WARNING, error=problem)

    def _note_mended(self, at: datetime) -> None:
        """Take off the record what is refused no more: it was read, or is gone."""
        if self._refused is None:
            self._refused = self._refusals.refused()
        mended = self._refused - {_shown(path.name) for path in self._told}
        if mended:
            self._refusals.mended(sorted(mended), at)
            self._refused -= mended


def _signature(path: Path) -> Signature:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _shown(text: str) -> str:
    """A text as the database and a terminal take it."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _log(report: LoadReport) -> None:
    log_event(
        logger,
        "bars loaded",
        file=report.file,
        loaded=report.loaded,
        equal=report.equal,
        corrections=len(report.corrections),
        quarantined=len(report.quarantined),
        not_closed=report.not_closed,
    )
