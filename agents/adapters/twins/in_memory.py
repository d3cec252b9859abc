"""Bars and a cache of weights in memory, for replays that read and announce nothing outside.

The tests hold them to the same contracts as the adapters that they stand in for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from agents.core.types import Bars, WeightSet, WeightsLevel, as_stamp


class MemoryBars:
    """A bar source over one `Bars`."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def window(self, *, until: datetime, count: int) -> Bars:
        stop = int(np.searchsorted(self._bars.time, as_stamp(until), side="right"))
        return self._bars.rows(max(0, stop - count), stop)

    def after(self, time: datetime | None, *, limit: int) -> Bars:
        start = 0 if time is None else int(np.searchsorted(self._bars.time, as_stamp(time), side="right"))
        return self._bars.rows(start, min(len(self._bars.time), start + limit))


class MemoryWeightCache:
    """The copy of the weights as a field; while `alive` is False, it is like a server that does not answer."""

    def __init__(self) -> None:
        self.copy: WeightSet | None = None
        self.alive = True
        self._announced: int | None = None

    def read(self) -> WeightSet | None:
        return self.copy if self.alive else None

    def write(self, weights: WeightSet) -> bool:
        if self.alive:
            self.copy = replace(weights, level=WeightsLevel.REDIS)
            self._announced = weights.version
        return self.alive

    def forget(self) -> None:
        """As a cache that was emptied."""
        self.copy = None

    def close(self) -> None:
        """There is no connection."""

    def announced(self) -> int | None:
        newest, self._announced = self._announced, None
        return newest if self.alive else None
