"""How functions become machine code."""

from __future__ import annotations

import numba
import pytest
from numba.core import event

from agents.quant.compiled import compiled_short_loops, compiled_side_by_side


@compiled_short_loops
def inner(x: float) -> float:
    return x + 1.0


@compiled_short_loops
def outer(x: float) -> float:
    return inner(x) * 2.0


@compiled_side_by_side
def around(x: float) -> float:
    return outer(x) * 3.0


class Seen(event.Listener):
    """The vectorizers (of loops, of what stands side by side) that are on while each function is compiled."""

    def __init__(self):
        self.on = {}

    def on_start(self, event):
        name = event.data["dispatcher"].py_func.__name__
        self.on[name] = (numba.config.LOOP_VECTORIZE, numba.config.SLP_VECTORIZE)

    def on_end(self, event):
        pass


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_others_are_vectorized_as_before(monkeypatch):
    """One such function calls another: each has its own vectorizers, and when all are compiled they are as before."""
    for function in (inner, outer, around):
        monkeypatch.setattr(function, "_cache", numba.core.caching.NullCache())  # compiled here, whatever is on disk
    seen = Seen()
    with event.install_listener("numba:compile", seen):
        assert around(1.0) == 12.0
    assert seen.on == {"around": (1, 1), "outer": (0, 1), "inner": (0, 1)}
    assert (numba.config.LOOP_VECTORIZE, numba.config.SLP_VECTORIZE) == (1, 0)
