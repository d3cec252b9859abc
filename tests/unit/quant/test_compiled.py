"""How functions become machine code."""

from __future__ import annotations

import numba
import pytest

from agents.quant.compiled import compiled_short_loops


@compiled_short_loops
def inner(x: float) -> float:
    return x + 1.0


@compiled_short_loops
def outer(x: float) -> float:
    return inner(x) * 2.0


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_loops_of_others_are_vectorized_as_before(monkeypatch):
    """One such function calls another: when both are compiled, the vectorizer is as it was."""
    for function in (inner, outer):
        monkeypatch.setattr(function, "_cache", numba.core.caching.NullCache())  # compiled here, whatever is on disk
    before = numba.config.LOOP_VECTORIZE
    assert outer(1.0) == 4.0
    assert numba.config.LOOP_VECTORIZE == before == 1
