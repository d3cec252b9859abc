"""What is replayed, and under which settings: bars of a store or in memory, between two times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from agents.adapters.twins.in_memory import MemoryBars
from agents.core.clock import INSTANT
from agents.core.errors import DataError
from agents.core.intervals import distances_s, mismatch
from agents.core.life_types import LifeChange
from agents.core.meta_types import WeightDecision
from agents.core.ports import BarSource
from agents.core.settings import Settings
from agents.core.types import Bars, Times, as_datetime, as_stamp

BARS_LOOKED_AT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Bars to replay, from `start` to `end` (None: all); `total_bars` is their number, for progress."""

    source: BarSource
    symbols: tuple[str, ...]
    total_bars: int
    start: datetime | None = None
    end: datetime | None = None

    def first_bar(self) -> datetime:
        """Time of the first bar to decide on; DataError where there is none."""
        after = None if self.start is None else self.start - INSTANT
        first = self.source.after(after, limit=1)
        moment = as_datetime(first.time[0]) if len(first.time) else None
        if moment is None or (self.end is not None and moment > self.end):
            raise DataError(f"no bars from {self.start or 'the first'} to {self.end or 'the last'}")
        return moment


def span_of(time: Times, start: datetime | None, end: datetime | None) -> tuple[int, int]:
    """The rows from `start` to `end`, as (first, row after the last)."""
    low = 0 if start is None else int(np.searchsorted(time, as_stamp(start), side="left"))
    return low, len(time) if end is None else int(np.searchsorted(time, as_stamp(end), side="right"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What is asked of a history: the desk's settings, whether weights are tuned, the pace of all jobs and that of the
    report job (None: the settings'), and how many settings were tried on this history before."""

    settings: Settings
    tuning: bool = True
    every: timedelta | None = None
    report_every: timedelta | None = timedelta(days=7)
    trials: int = 0
    value_added: bool = False
    """Trade the desk without each agent beside it, too."""
    all_scorecards: bool = False
    """Keep the scorecards of every analysis: for the record of a desk."""
    on_decision: Callable[[WeightDecision, Sequence[LifeChange]], None] | None = None
    """Hears of each decision about weights when it is made, with the changes of agents' states that it brings."""
    optimizer_only: bool = False
    """Leave out the jobs that decide nothing: for searches, which read only the books."""


def history_of(bars: Bars, start: datetime | None = None, end: datetime | None = None) -> History:
    """Bars in memory as a history."""
    low, high = span_of(bars.time, start, end)
    if low >= high:
        raise DataError(
            f"no bars from {start or 'the first'} to {end or 'the last'};"
            f" there are some from {bars.time[0]}Z to {bars.time[-1]}Z"
        )
    return History(source=MemoryBars(bars), symbols=bars.symbols, total_bars=high - low, start=start, end=end)


def whole_of(history: History) -> Bars:
    """All bars of a history at once, without what is before its start."""
    bars, low, high = rows_of(history)
    if low >= high:
        raise DataError(f"no bars from {history.start or 'the first'} to {history.end or 'the last'}")
    return bars.rows(low, high)


def require_interval(history: History, settings: Settings) -> None:
    """DataError where the bars of a history are farther apart or closer together than data.interval says."""
    bars = history.source.after(None if history.start is None else history.start - INSTANT, limit=BARS_LOOKED_AT)
    there = np.isfinite(bars.close)
    time, symbol = (np.broadcast_to(axis, there.shape)[there] for axis in (bars.time[:, None], range(there.shape[1])))
    found = mismatch(distances_s(symbol, time), settings.data.interval)
    if found is not None:
        raise DataError(f"the history's bars are {found} apart, but data.interval is {settings.data.interval}")


def rows_of(history: History) -> tuple[Bars, int, int]:
    """All bars of the source at once, and the rows of the history in them, as (first, row after the last)."""
    bars = history.source.after(None, limit=10**9)
    return bars, *span_of(bars.time, history.start, history.end)
