"""The kill file: a desk whose file is there sends nothing, whatever else works."""

from __future__ import annotations

import os
from pathlib import Path

WORDS_READ = 200


class KillFile:
    """A file whose presence stops a desk. Nothing about it can fail: what cannot be read still stops it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pulled(self) -> str | None:
        """What the file says (its first line), or that it is there; None where it is not."""
        if not os.path.lexists(self.path):
            return None
        try:
            with self.path.open(errors="replace") as file:
                words = file.readline(WORDS_READ)
        except OSError:
            words = ""
        return "".join(c for c in words if c.isprintable()).strip() or f"{self.path} is there"

    def pull(self, reason: str) -> None:
        """Put the file there. OSError where it cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(reason.strip() + "\n")
