"""A person's word to close every position, in a file: it needs no server to be given, and none to be read."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

from agents.core.clock import require_utc
from agents.core.errors import DataError, ServiceError
from agents.core.exits import ExitWord

MOST_BYTES = 10_000


class ExitLetterFile:
    """One desk's; readable by its user alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> ExitWord | None:
        try:
            with self.path.open("rb") as file:
                given = json.loads(file.read(MOST_BYTES))
            at = require_utc(datetime.fromisoformat(given["at"]), "at")
            return ExitWord(at, str(given["reason"]), str(given["desk"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{self.path} is no word of quorum halt --flatten --offline; remove it") from None

    def write(self, word: ExitWord) -> None:
        """Leave it there, in the place of one that waits, wholly or not at all. ServiceError."""
        fresh = self.path.with_suffix(".new")
        text = json.dumps({"at": word.at.isoformat(), "reason": word.reason, "desk": word.desk})
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError as error:
            raise ServiceError(f"{self.path} cannot be written: {error.strerror}") from None

    def remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise ServiceError(f"{self.path} cannot be removed: {error.strerror}") from None
