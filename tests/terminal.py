"""The program at a terminal of its own, as a person sees it: what is typed there without being shown, too."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.program import ROOT

WAIT_S = 60.0


class Terminal:
    """`python -m agents` with these arguments, in front of a person."""

    def __init__(self, *arguments: str, cwd: Path, environment: Mapping[str, str]) -> None:
        self.shown = ""
        self._read = 0
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                program = [sys.executable, "-m", "agents", *arguments]
                os.execve(sys.executable, program, {**environment, "PYTHONPATH": str(ROOT), "COLUMNS": "200"})
            finally:
                os._exit(127)

    def expect(self, words: str) -> None:
        """Wait until it shows something that matches, after what was waited for before."""
        ends = time.monotonic() + WAIT_S
        while (found := re.search(words, self.shown[self._read :])) is None:
            assert time.monotonic() < ends and self._more(), f"no {words!r} in:\n{self.shown}"
        self._read += found.end()

    def type(self, line: str) -> None:
        """A line, and the return key."""
        os.write(self._fd, line.encode() + b"\r")

    def end(self) -> int:
        """Wait for the end; the exit status."""
        while self._more():
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        assert "Traceback" not in self.shown, self.shown
        return os.waitstatus_to_exitcode(status)

    def _more(self) -> bool:
        ready, _, _ = select.select([self._fd], [], [], WAIT_S)
        try:
            new = os.read(self._fd, 65536) if ready else b""
        except OSError:  # the other side has closed it
            new = b""
        self.shown += new.decode(errors="replace")
        return bool(new)
