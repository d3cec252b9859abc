"""The spool: a file of facts, one JSON object a line, each chained to the one before and on disk before it counts.

Only the end of the last line may be missing: it was being written when the process ended, so nothing followed from it.
A line that is there as a whole and does not fit was changed or damaged, and nobody guesses what it said.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from datetime import datetime
from pathlib import Path

from agents.core.errors import DataError, ServiceError
from agents.core.exits import Fact
from agents.core.log import log_event

logger = logging.getLogger(__name__)
MOST_LINES = 1000
KEPT = 20
"""So many spools that are on record stay beside it."""
SUM_CHARACTERS = 16
START = "0" * SUM_CHARACTERS


class SpoolFile:
    """One desk's; `path` is there from the first fact until all of it is on record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = self._end = 0
        self._sum = START

    @property
    def there(self) -> bool:
        return os.path.lexists(self.path)

    @property
    def room(self) -> int:
        return MOST_LINES - self._lines

    def facts(self) -> list[Fact]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise ServiceError(f"the spool {self.path} cannot be read: {error.strerror}") from None
        *lines, torn = content.split(b"\n")
        if torn and len(content) - len(torn) != self._end:  # else it was told
            what = "the last line of the spool has no end and says nothing"
            log_event(logger, what, level=logging.WARNING, file=self.path, bytes=len(torn))
        self._lines, self._end, self._sum = 0, len(content) - len(torn), START
        return [self._fact_of(line) for line in lines]

    def append(self, fact: Fact) -> None:
        self.facts()
        if self.room < 1:
            raise ServiceError(f"the spool {self.path} is full ({MOST_LINES} lines); nothing more is sent")
        line = json.dumps({**fact, "sum": _sum_of(self._sum, fact)}, sort_keys=True).encode() + b"\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                os.ftruncate(file, self._end)  # what has no end
                _write(file, line, self._end)
                os.fsync(file)
            finally:
                os.close(file)
            if not self._end:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise ServiceError(f"the spool {self.path} cannot be written: {error.strerror}") from None

    def put_aside(self, at: datetime) -> None:
        kept = self.path.with_name(f"{self.path.stem}-{at:%Y%m%dT%H%M%S%fZ}{self.path.suffix}")
        try:
            self.path.rename(kept)
            for old in sorted(self.path.parent.glob(f"{self.path.stem}-2*{self.path.suffix}"))[:-KEPT]:
                old.unlink()
            _sync_folder(self.path.parent)
        except OSError as error:
            raise ServiceError(f"the spool {self.path} cannot be put aside: {error.strerror}") from None
        self._lines, self._end, self._sum = 0, 0, START

    def _fact_of(self, line: bytes) -> Fact:
        """The fact of the next line. DataError where it is not what was written after the one before."""
        self._lines += 1
        try:
            fact = json.loads(line)
            fits = isinstance(fact, dict) and fact.pop("sum") == _sum_of(self._sum, fact)
        except (ValueError, KeyError, TypeError):
            fits = False
        if not fits:
            raise DataError(
                f"the spool {self.path} was changed or damaged in line {self._lines}; nothing is sent. Look at the"
                " account's orders, put the file elsewhere, and see what differs: quorum reconcile"
            )
        self._sum = _sum_of(self._sum, fact)
        return {str(name): str(value) for name, value in fact.items()}


def _sum_of(before: str, fact: Fact) -> str:
    words = before + json.dumps(dict(fact), sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()[:SUM_CHARACTERS]


def _write(file: int, line: bytes, place: int) -> None:
    written = 0
    while written < len(line):
        written += os.pwrite(file, line[written:], place + written)


def _sync_folder(folder: Path) -> None:
    """A file's name is on disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
