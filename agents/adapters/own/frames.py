"""A panel as the pandas frames that strategies are written for, and positions as an agent's opinions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from agents.core.errors import DataError
from agents.core.types import Booleans, Floats, Integers, Panel, Signals

PRICES = ("open", "high", "low", "close", "volume")
CONFIDENCE = 0.5
"""A position says how much, not how sure: one number for all, which no desk's decision depends on."""


class SymbolFrame(NamedTuple):
    """One symbol's bars, without the rows where it has none, and the rows [n] of the panel that they come from."""

    symbol: str
    bars: pd.DataFrame
    rows: Integers


def frame_of(panel: Panel, column: int) -> SymbolFrame:
    """Open, high, low, close and volume of one symbol by the time of the bar's close (UTC); the strategy may change
    it."""
    rows = np.flatnonzero(np.isfinite(panel.close[:, column]))
    prices = {name: getattr(panel, name)[rows, column] for name in PRICES}
    bars = pd.DataFrame(prices, index=_times(panel)[rows])
    bars.attrs["symbol"] = panel.symbols[column]
    return SymbolFrame(panel.symbols[column], bars, rows)


def wide_frame(panel: Panel, name: str) -> pd.DataFrame:
    """One price of all symbols, a column for each, NaN where there is no bar."""
    return pd.DataFrame(np.array(getattr(panel, name)), index=_times(panel), columns=[*panel.symbols])


def _times(panel: Panel) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(panel.time, name="time").tz_localize("UTC")


def numbers_of(said: object, frame: SymbolFrame, called: str) -> Floats:
    """A strategy's answer on one symbol's bars, [n]: a series on the frame's own index, or an array as long as it.
    DataError where it is neither."""
    if isinstance(said, pd.Series):
        if not said.index.equals(frame.bars.index):
            raise DataError(f"{called}: {_unlike(said.index, frame.bars.index)}")
        said = said.to_numpy(dtype=np.float64, na_value=np.nan)
    if not isinstance(said, np.ndarray) or said.shape != (len(frame.rows),):
        kind = f"an array of shape {said.shape}" if isinstance(said, np.ndarray) else f"a {type(said).__name__}"
        raise DataError(f"{called}: returned {kind}, expected a series on the index of its bars")
    values = said.astype(np.float64)
    if np.isinf(values).any():
        raise DataError(f"{called}: a position is infinite")
    return values


def _unlike(got: pd.Index[Any], expected: pd.Index[Any]) -> str:
    if len(got) != len(expected):
        return f"returned {len(got):,} rows for {len(expected):,} bars; keep them all (NaN where there is no opinion)"
    if not isinstance(got, pd.DatetimeIndex):
        return "returned a series without the bars' times as its index; build it on bars.index"
    return "returned other times than those of its bars; build the series on bars.index, in its order"


def booleans_of(said: object, expected: pd.DataFrame, called: str) -> Booleans:
    """A boolean frame on the index and columns of `expected`, [T, S]; what is missing (NaN) is false. Levels of columns
    above the symbols, as vectorbt's indicators have them for their parameters, say nothing where there is one set of
    these. DataError for any other shape or content."""
    if not isinstance(said, pd.DataFrame):
        raise DataError(
            f"{called}: is a {type(said).__name__}, expected a frame of true and false like close:"
            " pd.DataFrame(values, close.index, close.columns)"
        )
    frame: pd.DataFrame = said
    if frame.columns.nlevels > 1:
        if len(frame.columns) != len(expected.columns):
            raise DataError(
                f"{called}: has {len(frame.columns)} columns for {len(expected.columns)} symbols; one set of parameters"
                " is traded"
            )
        frame = frame.set_axis(frame.columns.get_level_values(-1), axis=1)
    if not (frame.index.equals(expected.index) and list(frame.columns) == list(expected.columns)):
        raise DataError(f"{called}: has other rows or columns than close; build it from close itself")
    return truths(frame.to_numpy(dtype=object), called)


def truths(values: np.ndarray[Any, np.dtype[Any]], called: str) -> Booleans:
    """True where a value is 1 or true; 0, false and what is missing are false. DataError for anything else."""
    missing = np.asarray(pd.isna(values), dtype=bool)
    try:
        numbers = np.where(missing, 0.0, values).astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{called}: holds something else than true and false") from None
    if not np.isin(numbers, (0.0, 1.0)).all():
        raise DataError(f"{called}: holds {numbers[~np.isin(numbers, (0.0, 1.0))][0]:g}, expected true or false")
    return np.asarray(numbers == 1.0, dtype=bool)


def signals_of(panel: Panel, positions: Floats) -> Signals:
    """Opinions from positions [T, S]; it abstains where a position is NaN, or there is no bar."""
    silent = ~(np.isfinite(positions) & np.isfinite(panel.close))
    return Signals(
        strength=np.where(silent, 0.0, positions),
        confidence=np.where(silent, 0.0, CONFIDENCE),
        abstained=silent,
    )


class PositionAgent(ABC):
    """An agent whose opinions are positions: what the adapters share."""

    name: str
    bars_needed: int

    @abstractmethod
    def signals(self, panel: Panel) -> Signals:
        """Opinions on every bar and symbol, [T, S]."""

    def reason(self, panel: Panel, time_index: int, symbol_index: int) -> str:
        """The position at one bar in words, from data up to that bar."""
        stop = range(len(panel.time))[time_index] + 1
        return self.reason_of(self.signals(panel.rows(0, stop)), stop - 1, symbol_index)

    def reason_of(self, signals: Signals, time_index: int, symbol_index: int) -> str:
        """The position in words."""
        if signals.abstained[time_index, symbol_index]:
            return "abstains: gives no position here"
        return f"wants a position of {signals.strength[time_index, symbol_index]:+.2f} (-1 to 1)"
