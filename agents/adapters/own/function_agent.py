"""A function from one symbol's bars to its positions, as an agent: `positions(bars)` in a file of a user's own.

`bars` is a pandas frame (open, high, low, close, volume) whose index are the bars' closes in UTC; the answer is a
series on that index, from -1 (short) to 1 (long), NaN where the function has no opinion. It is called for each symbol.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from agents.adapters.own.frames import PositionAgent, frame_of, numbers_of, signals_of
from agents.core.agent_code import MOST_BARS
from agents.core.errors import DataError
from agents.core.types import Panel, Signals

USUAL_BARS = 500
"""So many bars a strategy's indicators are given where it does not say `bars_needed`."""


class FunctionAgent(PositionAgent):
    """The function `positions` of a module; its memory is the module's `bars_needed`."""

    def __init__(self, name: str, module: ModuleType) -> None:
        self.name = name
        self.bars_needed = whole_number(module, "bars_needed", USUAL_BARS)
        self._positions = module.positions

    def signals(self, panel: Panel) -> Signals:
        """The function's positions on all bars."""
        positions = np.full(panel.close.shape, np.nan)
        for column in range(len(panel.symbols)):
            frame = frame_of(panel, column)
            if len(frame.rows):
                said = self._positions(frame.bars.copy())
                positions[frame.rows, column] = numbers_of(said, frame, f"positions({frame.symbol})")
        return signals_of(panel, positions)


def whole_number(holder: object, name: str, usual: int) -> int:
    """A number of bars that a strategy states; DataError where it is none."""
    value = getattr(holder, name, usual)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_BARS:
        raise DataError(f"{name} is {value!r:.40}, expected a whole number of bars from 1 to {MOST_BARS:,}")
    return value
