"""A CSV of returns and a JSON of weights -> a proposal, without any database."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.adapters.files.returns_file import read_returns, read_weights
from agents.core.believed import named
from agents.core.errors import DataError
from agents.quant.allocation import Limits, Method, propose


class ReturnsFiles(NamedTuple):
    """A CSV of the agents' returns, and a JSON of their present weights (None: they are equal)."""

    returns: Path
    previous: Path | None


def optimize_file(
    files: ReturnsFiles, *, method: Method, limits: Limits, periods_per_year: float, trials: int
) -> dict[str, Any]:
    """The proposal as plain values; DataError, naming file and line, for anything that cannot be read whole."""
    names, returns = read_returns(files.returns)
    previous = read_weights(files.previous, names) if files.previous else dict.fromkeys(names, 1.0 / len(names))
    try:
        made = propose(
            returns,
            np.array([previous[name] for name in names]),
            method=method,
            limits=limits,
            periods_per_year=periods_per_year,
            trials=trials,
        )
    except ValueError as error:
        raise DataError(f"{files.returns}: {error}") from None
    return {
        "method": method,
        "status": made.status,
        "reason": made.reason,
        "weights": dict(zip(names, map(float, made.weights), strict=True)),
        "previous": previous,
        "candidate": dict(zip(names, map(float, made.candidate), strict=True)),
        "expected_sharpe_improvement": made.expected_sharpe_improvement,
        "expected_return_improvement": made.expected_return_improvement,
        "causes": {name: dict(parts) for name, parts in zip(names, made.causes, strict=True)},
        "evidence": named(made.evidence, names),
    }
