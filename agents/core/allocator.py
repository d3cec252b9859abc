"""Memory goes back to the machine: for work that comes in large pieces, whose freed arrays the C library would
otherwise keep."""

from __future__ import annotations

import contextlib
import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGEST_KEPT, MOST_KEPT = 32 << 20, 64 << 20
"""Bytes of an array that is made from what others freed, and of all that is kept for that."""


def share_one_arena() -> None:
    """Let all threads take memory from one place, so that what one frees another can use at once, without asking the
    machine for it anew: its pages cost more than most sums over them. Where the C library is not glibc, nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(M_ARENA_MAX, 1)
            library.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
            library.mallopt(M_TRIM_THRESHOLD, MOST_KEPT)


def give_back() -> None:
    """Return freed memory; where the C library is not glibc, nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
