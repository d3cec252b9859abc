"""A CSV of the agents' returns and a JSON of their weights, each read whole or refused with file and line."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np

from agents.core.errors import DataError
from agents.core.types import Floats

TIME_COLUMNS = ("", "date", "time", "timestamp", "index", "period")


def read_returns(file: Path) -> tuple[list[str], Floats]:
    """(agent names, returns [T, A]) of a CSV with a header.

    A leading column named date, time or the like is not an agent. An empty cell is NaN: the agent did not exist then.
    DataError where a name is missing or doubled, a row has too few or too many cells, or a cell is no finite number.
    """
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


def read_weights(file: Path, names: list[str]) -> dict[str, float]:
    """The weight of each of `names` in a JSON object; DataError unless there is one for each, none is negative and
    they sum to 1."""
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
