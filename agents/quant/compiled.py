"""How a function becomes machine code: one decorator, one place.

NUMBA_DISABLE_JIT=1 turns it off, for the tests that hold compiled and plain results together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """`function` compiled on first call and cached on disk; arithmetic as numpy does it (1/0 = inf), no fast-math,
    so that results do not depend on the machine's vector width."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
