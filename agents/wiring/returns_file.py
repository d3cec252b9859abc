"""A CSV of returns and a JSON of weights -> a proposal, without any database."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from agents.core.errors import DataError
from agents.core.types import Floats
from agents.quant.allocation import Limits, Method, propose

TIME_COLUMNS = ("", "date", "time", "timestamp", "index", "period")


def optimize_file(
    returns_file: Path,
    previous_file: Path | None,
    *,
    method: Method,
    limits: Limits,
    periods_per_year: float,
    trials: int,
) -> dict[str, Any]:
    """The proposal as plain values; DataError, naming file and line, for anything that cannot be read whole."""
    names, returns = read_returns(returns_file)
    previous = _read_previous(previous_file, names) if previous_file else dict.fromkeys(names, 1.0 / len(names))
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
        raise DataError(f"{returns_file}: {error}") from None
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
        "evidence": dict(made.evidence),
    }


def read_returns(file: Path) -> tuple[list[str], Floats]:
    """(agent names, returns [T, A]) of a CSV with a header; a leading column named date, time or the like is not an agent;
    an empty cell means that the agent did not exist."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = list(csv.reader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise DataError(
            f"{file}: is empty; expected a header with the agents' names and a row of returns for each period"
        )
    header = [name.strip() for name in rows[0]]
    skip = 1 if header[0].lower() in TIME_COLUMNS else 0
    names = header[skip:]
    if not names or len(set(names)) != len(names) or not all(names):
        raise DataError(f"{file}: line 1: every agent needs a column with a name of its own, got {header}")
    values = []
    for line, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            raise DataError(f"{file}: line {line}: {len(row)} cells where the header has {len(header)}")
        values.append([_number(file, line, name, cell) for name, cell in zip(names, row[skip:], strict=True)])
    return names, np.array(values, dtype=np.float64).reshape(-1, len(names))


def _number(file: Path, line: int, name: str, cell: str) -> float:
    text = cell.strip()
    if text == "" or text.lower() in ("nan", "na", "null"):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{file}: line {line}: {name}: '{text}' is not a number") from None
    if not math.isfinite(value):
        raise DataError(f"{file}: line {line}: {name}: '{text}' is not finite")
    return value


def _read_previous(file: Path, names: list[str]) -> dict[str, float]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON: {error}") from None
    if not isinstance(content, dict) or set(content) != set(names):
        raise DataError(f"{file}: expected one weight for each of {', '.join(names)}")
    try:
        weights = {name: float(content[name]) for name in names}
    except (TypeError, ValueError):
        raise DataError(f"{file}: every weight must be a number") from None
    if not all(math.isfinite(w) and w >= 0 for w in weights.values()) or not math.isclose(
        sum(weights.values()), 1.0, abs_tol=1e-6
    ):
        raise DataError(f"{file}: weights must be 0 or more and sum to 1, they sum to {sum(weights.values()):g}")
    return weights
