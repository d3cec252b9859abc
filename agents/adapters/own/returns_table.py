"""A table of daily returns (time, return) of a strategy that trades elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from agents.adapters.own.tables import known_times, line_of, numbers, read_table
from agents.core.errors import DataError
from agents.core.types import Floats, Times

COLUMNS = ("time", "return")
LEAST_DAYS, LARGEST_USUAL = 5, 0.10
"""A strategy of which half the days move by more than this was written in percent."""
HINT = "time, return; a table of signals (time, symbol, position) is named NAME.csv"


class DailyReturns(NamedTuple):
    """Days in UTC, rising, and the return of each as a fraction: 0.01 is 1 %."""

    date: Times
    value: Floats


def read_daily_returns(file: Path) -> DailyReturns:
    """A table's returns. DataError, naming file and line, for a column that is missing, a time that is none, a return
    that is none, is -100 % or less or above 1000 %, two rows of one day, or returns that must be meant in percent."""
    table = read_table(file, COLUMNS, HINT)
    known, is_date = known_times(file, table["time"])
    date = (known - np.where(is_date, np.timedelta64(1, "D"), np.timedelta64(0, "D"))).astype("datetime64[D]")
    value = numbers(file, table["return"], "return", -1.0, 10.0)
    bad = np.flatnonzero(value <= -1.0)
    if len(bad):
        words = str(table["return"].iloc[int(bad[0])])
        raise DataError(f"{file}: {line_of(int(bad[0]))}: return '{words}' is no return above -1 (0.01 is 1 %)")
    moved = np.abs(value[np.isfinite(value) & (value != 0.0)])
    if len(moved) >= LEAST_DAYS and np.median(moved) > LARGEST_USUAL:
        raise DataError(f"{file}: half of the returns are beyond {LARGEST_USUAL:.0%}: write 0.01 for 1 %")
    order = np.argsort(date, kind="stable")
    twice = np.flatnonzero(date[order][1:] == date[order][:-1])
    if len(twice):
        first, second = sorted(int(row) for row in order[twice[0] : twice[0] + 2])
        raise DataError(f"{file}: {line_of(second)}: {date[second]} has a return on {line_of(first)} already")
    return DailyReturns(date[order], value[order])
