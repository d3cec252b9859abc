"""The table `file_refusals`: files of the feed's folder that cannot be trusted as a whole, and why; one row for each
name, until it is mended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import Row, row_dicts, transaction

_OPEN = "SELECT file, reason, refused_at FROM file_refusals WHERE mended_at IS NULL ORDER BY refused_at DESC, file"
_REFUSE = """
INSERT INTO file_refusals (file, reason, refused_at) VALUES (:file, :reason, :at)
ON CONFLICT (file) DO UPDATE SET reason = :reason, refused_at = :at, mended_at = NULL
WHERE file_refusals.reason <> :reason OR file_refusals.mended_at IS NOT NULL
"""
_MEND = "UPDATE file_refusals SET mended_at = :at WHERE file = ANY(:files) AND mended_at IS NULL"


class FileRefusals:
    """What is wrong with the files of one desk's folder."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def refused(self) -> set[str]:
        """The names of files that are refused now."""
        with transaction(self._engine) as connection:
            return {row["file"] for row in open_refusals(connection)}

    def refuse(self, file: str, reason: str, at: datetime) -> None:
        """The file of this name cannot be trusted, since `at`; said again it changes nothing."""
        with transaction(self._engine) as connection:
            connection.execute(text(_REFUSE), {"file": file, "reason": reason, "at": at})

    def mended(self, files: Sequence[str], at: datetime) -> None:
        """These were read, or are gone."""
        with transaction(self._engine) as connection:
            connection.execute(text(_MEND), {"files": list(files), "at": at})


def open_refusals(connection: Connection) -> list[Row]:
    """Files that are refused now: file, reason, refused_at; the newest first."""
    return row_dicts(connection, _OPEN)
