"""How a function becomes machine code: its decorators, and the folder in which numba keeps the code.

NUMBA_DISABLE_JIT=1 turns it off, for the tests that hold compiled and plain results together. Machine code is cached
in the user's cache directory, in a folder named after the sources of all compiled code and its constants: numba by
itself would go on using old code of a function whose callee in another file has changed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba
from numba.core import event, ir

from agents.core.settings import cache_dir

F = TypeVar("F", bound=Callable[..., object])


def _sources_digest() -> str:
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(numba.__version__.encode())
    for folder in ("core", "quant", "pipeline", "replay"):
        for file in sorted((package / folder).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _itself(thing: object, _memo: dict[int, object]) -> object:
    return thing


# To merge a function into another numba copies its code twice, with the scope of all its variables for every block, and
# each place in a source file. Nothing changes these copies, and making them took half of the time of compiling.
ir.Loc.__deepcopy__ = ir.Scope.__deepcopy__ = _itself

numba.config.CACHE_DIR = str(cache_dir() / "numba" / _sources_digest())


def is_compiled(function: Callable[..., object]) -> bool:
    """Whether this version of a function was ever compiled on this machine, by this Python and from this folder:
    machine code of a copy elsewhere is not used. True where compilation is off."""
    cache = getattr(function, "_cache", None)
    if cache is None:
        return True
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    return next(Path(cache.cache_path).glob(f"*.{function.__name__}-*.{python}*.nbc"), None) is not None


def compiled(function: F) -> F:
    """`function` compiled on first call and cached on disk; arithmetic as numpy does it (1/0 = inf), no fast-math,
    so that results do not depend on the machine's vector width."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def compiled_bare(function: F) -> F:
    """As `compiled`, without counting references to arrays, which costs a third of a loop that takes many of them out
    of tuples: the caller holds them, so such a function must not make an array."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, no_cfunc_wrapper=True)(function))


class _Vectorizers(event.Listener):  # type: ignore[misc]  # numba has no types
    """Sets one of LLVM's vectorizers otherwise while a function for which that is better is compiled."""

    def __init__(self) -> None:
        self.wanted: dict[object, tuple[str, int]] = {}
        """Of such a function: numba's name of the vectorizer, and 1 for on."""
        self._before: list[int] = []
        """One for each such function that is being compiled: one may call another."""

    def on_start(self, event: event.Event) -> None:
        """Compilation begins."""
        if (wanted := self.wanted.get(event.data["dispatcher"])) is not None:
            self._before.append(getattr(numba.config, wanted[0]))
            setattr(numba.config, *wanted)

    def on_end(self, event: event.Event) -> None:
        """Compilation is over, or has failed."""
        if (wanted := self.wanted.get(event.data["dispatcher"])) is not None:
            setattr(numba.config, wanted[0], self._before.pop())


_vectorizers = _Vectorizers()
event.register("numba:compile", _vectorizers)


def compiled_short_loops(function: F) -> F:
    """As `compiled_bare`, for a function of many loops over few elements: what LLVM does before each of them to take
    several elements at once costs more than it saves, and makes the code longer. The results are the same bits."""
    dispatcher = compiled_bare(function)
    _vectorizers.wanted[dispatcher] = ("LOOP_VECTORIZE", 0)
    return dispatcher


def compiled_side_by_side(function: F) -> F:
    """As `compiled_bare`, for a function, with all that it calls, in which the same is done to several numbers written
    side by side: LLVM takes them at once, which numba does not ask of it otherwise. The results are the same bits."""
    dispatcher = compiled_bare(function)
    _vectorizers.wanted[dispatcher] = ("SLP_VECTORIZE", 1)
    return dispatcher


def compiled_within(function: F) -> F:
    """As `compiled_short_loops`, for what is called by compiled code only: what lets Python hand over a
    hundred arrays takes seconds to compile."""
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, **options)(function)
    _vectorizers.wanted[dispatcher] = ("LOOP_VECTORIZE", 0)
    return cast(F, dispatcher)


def compiled_inline(function: F) -> F:
    """As `compiled`, and merged into its compiled callers: for parts of the step, where passing a dozen arrays costs
    more than the work on them."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")(function))
