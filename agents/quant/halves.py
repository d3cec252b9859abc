"""Work on many rows at the same time on two processors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

WORTHWHILE = 100_000
"""Work on fewer numbers is over before a thread has begun."""


def in_two(work: Callable[[int, int], None], rows: int, numbers: int) -> None:
    """`work(start, stop)` on rows 0 to `rows`, in halves at the same time where it goes through so many `numbers` that
    this is worthwhile. It must be compiled code, which lets other threads work, and its rows must not hang on where it
    begins: then nobody can tell whether there were two."""
    if numbers < WORTHWHILE:
        work(0, rows)
        return
    with ThreadPoolExecutor(1) as other:
        later = other.submit(work, rows // 2, rows)
        work(0, rows // 2)
        later.result()
