"""Entries and exits, as vectorbt's `from_signals` takes them, as an agent: `entries(close)` in a file of a user's own.

The function's arguments are named after the prices that it wants (open, high, low, close, volume): frames with a column
for each symbol. It returns two boolean frames, entries and exits, or four, those of short positions behind them.
"""

from __future__ import annotations

import inspect
from types import ModuleType

import numpy as np

from agents.adapters.own.frames import PRICES, PositionAgent, booleans_of, signals_of, wide_frame
from agents.adapters.own.function_agent import USUAL_BARS, whole_number
from agents.core.errors import DataError
from agents.core.types import Booleans, Floats, Panel, Signals

USUAL_HOLD_BARS = 500
"""So long a position lives after its last entry where a strategy does not say `hold_bars`."""
NAMES = ("entries", "exits", "short entries", "short exits")


class EntriesAgent(PositionAgent):
    """The function `entries` of a module. Its memory is that of its indicators (`bars_needed`) and of the entry that a
    position comes from (`hold_bars`)."""

    def __init__(self, name: str, module: ModuleType) -> None:
        self.name = name
        self._hold_bars = whole_number(module, "hold_bars", USUAL_HOLD_BARS)
        self.bars_needed = whole_number(module, "bars_needed", USUAL_BARS) + self._hold_bars
        self._entries = module.entries
        self._wanted = [*inspect.signature(module.entries).parameters]
        unknown = [wanted for wanted in self._wanted if wanted not in PRICES]
        if unknown or not self._wanted:
            raise DataError(f"entries({', '.join(self._wanted)}): its arguments are named {', '.join(PRICES)}")

    def signals(self, panel: Panel) -> Signals:
        """The positions that entries and exits lead to, on all bars."""
        said = self._entries(*(wide_frame(panel, name) for name in self._wanted))
        if not isinstance(said, tuple) or len(said) not in (2, 4):
            raise DataError("entries: returned something else than two boolean frames (or four, with those of shorts)")
        expected = wide_frame(panel, "close")
        masks = [booleans_of(frame, expected, name) for frame, name in zip(said, NAMES, strict=False)]
        nothing = np.zeros(panel.close.shape, dtype=bool)
        return signals_of(panel, positions_of(*masks, *[nothing] * (4 - len(masks)), hold_bars=self._hold_bars))


def positions_of(
    entries: Booleans, exits: Booleans, short_entries: Booleans, short_exits: Booleans, *, hold_bars: int
) -> Floats:
    """Positions 1, -1 or 0 from events [T, ...], oldest first: the last entry counts until its exit, an entry to the
    other side, or until `hold_bars` bars have gone by without another entry.

    An entry at the same bar as its exit or as an entry to the other side is ignored, and so is the exit. So a position
    depends on the last `hold_bars` bars only, and is the same wherever the data begin.
    """
    opened, closed = _last(entries & ~exits & ~short_entries), _last(exits & ~entries)
    sold, covered = _last(short_entries & ~short_exits & ~entries), _last(short_exits & ~short_entries)
    row = np.arange(len(entries)).reshape(-1, *[1] * (entries.ndim - 1))
    is_long = (opened > np.maximum(closed, sold)) & (row - opened < hold_bars)
    is_short = (sold > np.maximum(covered, opened)) & (row - sold < hold_bars)
    return is_long.astype(np.float64) - is_short.astype(np.float64)


def _last(event: Booleans) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The row of the last event up to each row, -1 before the first."""
    row = np.arange(len(event), dtype=np.int64).reshape(-1, *[1] * (event.ndim - 1))
    return np.maximum.accumulate(np.where(event, row, np.int64(-1)), axis=0)
