"""A person who waits is told so: one line where something takes longer than a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOMENT_S = 2.0


@contextmanager
def told_when_slow(say: Callable[[str], None], line: str, *, after_s: float = MOMENT_S) -> Iterator[None]:
    """Says `line` once, from a thread of its own, where the block runs for longer than `after_s`."""
    timer = threading.Timer(after_s, say, (line,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
