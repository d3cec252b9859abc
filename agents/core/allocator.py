"""Memory goes back to the machine: for work that comes in large pieces, whose freed arrays the C library would
otherwise keep."""

from __future__ import annotations

import contextlib
import ctypes
import sys

M_ARENA_MAX = -8


def share_one_arena() -> None:
    """Let all threads take memory from one place, so that what one frees another can use; where the C library is not
    glibc, nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Return freed memory; where the C library is not glibc, nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
