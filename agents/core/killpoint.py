"""Named places at which a fault test may kill this process; in normal life they do nothing."""

from __future__ import annotations

import os
import signal

from agents.core.settings import kill_point

_counts: dict[str, int] = {}


def killpoint(name: str) -> None:
    """SIGKILL ourselves when KILLPOINT=name:count names this place and it is passed for the count-th time."""
    wanted = kill_point()
    if wanted is not None and wanted[0] == name:
        _counts[name] = _counts.get(name, 0) + 1
        if _counts[name] >= wanted[1]:
            os.kill(os.getpid(), signal.SIGKILL)
