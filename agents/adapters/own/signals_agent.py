"""A table of signals (time, symbol, position) that another program writes, as an agent.

A signal counts from the bar after its time: the first one that closes later. One with a date alone is known at the end
of that day (UTC), so that what was computed from a day's close is not traded at that close. It counts until the next
one of its symbol; an empty position ends it. The file is read again when it has changed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from agents.adapters.own.frames import PositionAgent, signals_of
from agents.adapters.own.tables import known_times, line_of, numbers, read_table
from agents.core.errors import DataError
from agents.core.symbols import EVERY_SYMBOL, is_symbol
from agents.core.types import Floats, Panel, Signals, Times

COLUMNS = ("time", "symbol", "position")
HINT = "time, symbol, position; a table of daily returns (time, return) is named NAME.returns.csv"
Series = tuple[Times, Floats]
"""When each position is known, rising, and the positions, NaN where one ends."""


class SignalsAgent(PositionAgent):
    """The positions of a table."""

    bars_needed = 1

    def __init__(self, name: str, file: Path) -> None:
        self.name, self._file = name, file
        self._series = read_signals(file)
        self._state = _state_of(file)

    def signals(self, panel: Panel) -> Signals:
        """The newest position that was known before each bar's close."""
        state = _state_of(self._file)
        if state != self._state:
            self._series, self._state = read_signals(self._file), state
        positions = np.full(panel.close.shape, np.nan)
        close = panel.time.astype("datetime64[us]")
        for column, symbol in enumerate(panel.symbols):
            series = _of_symbol(self._series, symbol)
            if series is not None:
                known, position = series
                row = np.searchsorted(known, close, side="left") - 1
                positions[:, column] = np.where(row >= 0, position[np.maximum(row, 0)], np.nan)
        return signals_of(panel, positions)


def _state_of(file: Path) -> tuple[int, int, int]:
    """What changes when a file does."""
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _of_symbol(series: dict[str, Series], symbol: str) -> Series | None:
    """The signals of one symbol, those of every symbol ("*") among them; its own count where both have one time."""
    parts = [series[name] for name in (EVERY_SYMBOL, symbol) if name in series]
    if len(parts) < 2:
        return parts[0] if parts else None
    known, position = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(known, kind="stable")
    return known[order], position[order]


def read_signals(file: Path) -> dict[str, Series]:
    """A table's positions by symbol ("*" is every one). DataError, naming file and line, for a column that is missing,
    a time or a position that is none, a name that is no symbol, or two rows of one symbol at one time."""
    table = read_table(file, COLUMNS, HINT)
    known, _ = known_times(file, table["time"])
    position = numbers(file, table["position"], "position", -1.0, 1.0)
    codes, symbols = pd.factorize(table["symbol"].astype(str).str.strip())
    for code, symbol in enumerate(symbols):  # in the order in which they come
        if symbol != EVERY_SYMBOL and not is_symbol(symbol):
            line = line_of(int(np.argmax(codes == code)))
            raise DataError(f"{file}: {line}: '{symbol}' is no symbol such as AAPL or BTC/USDT ('*' is all)")
    series = {}
    for code, symbol in sorted(enumerate(symbols), key=lambda named: named[1]):
        rows = np.flatnonzero(codes == code)
        rows = rows[np.argsort(known[rows], kind="stable")]
        twice = np.flatnonzero(known[rows][1:] == known[rows][:-1])
        if len(twice):
            first, second = sorted(int(row) for row in rows[twice[0] : twice[0] + 2])
            raise DataError(
                f"{file}: {line_of(second)}: {symbol} has a signal of this time on {line_of(first)} already"
            )
        series[str(symbol)] = (known[rows], position[rows])
    return series
