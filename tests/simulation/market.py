"""The market of a scene: candles that the exchange fills at, and the bars that a desk sees of them, when it sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache

import numpy as np

from agents.adapters.exchanges.made_up_market import made_up
from agents.adapters.exchanges.recorded_market import CLOSE, HIGH, LOW, OPEN, OPENED, VOLUME, RecordedMarket
from agents.core.errors import ServiceError
from agents.core.ports import Arrival, LateBar
from agents.core.types import Bars, as_datetime, as_stamp
from tests.simulation.chance import Scene
from tests.simulation.world import HOUR, START, World

WARM_UP = 40
NEVER = 10**9
SOON_S = 3
"""So long after its end a bar is there."""


@cache
def market_of(scene: Scene) -> RecordedMarket:
    """Random walks with trends; the desk begins after WARM_UP bars."""
    return made_up(START, scene.symbols, "1h", (WARM_UP, scene.bars + 3), 100 * scene.number)


class MarketData:
    """What is there of the market's bars: `seen_s` [T, S], seconds after START at which a bar comes, and what was told
    wrongly of it. It is the desk's feed and its store of bars in one."""

    def __init__(self, world: World) -> None:
        scene = world.plan.scene
        candles = [market_of(scene).candles[symbol] for symbol in scene.symbols]
        grid = np.stack(candles, axis=1)
        opened = (grid[:, 0, OPENED].astype(np.int64) * 1000).astype("datetime64[us]")
        self.world, self.symbols_ = world, scene.symbols
        self.opened, self.time = opened, opened + np.timedelta64(HOUR)
        self.grid = grid[:, :, OPEN : VOLUME + 1].copy()
        closes_s = ((self.time - as_stamp(START)) / np.timedelta64(1, "s")).astype(np.int64)
        self.seen_s = np.repeat(closes_s[:, None] + SOON_S, len(scene.symbols), axis=1)
        self.suspect = np.zeros(self.seen_s.shape, dtype=bool)
        self.disturbed = False
        """Whether another desk saw other bars."""
        self._noted = 0

    # ------------------------------------------------------------ faults

    def spoil(self, kind: str, row: int, s: int, later_s: int) -> None:
        """One bar is not as it should be; `row` counts from the first that is decided on."""
        t = WARM_UP + row
        self.disturbed = True
        if kind == "bar missing":
            self.seen_s[t, s] = NEVER
        elif kind == "bar late":
            self.seen_s[t, s] += later_s
        elif kind == "price doubted":
            self.suspect[t, s] = True
            self.grid[t, s] *= 10.0

    # ------------------------------------------------------------ the feed

    def poll(self, at: datetime) -> Arrival:
        """As an exchange's: it may be away. What closed after `at` is not taken."""
        self.world.call("feed")
        if self.world.away_until["exchange"] > self.world.clock.true or self.world.meets("away"):
            raise ServiceError("the feed is away")
        now_s = self._now_s()
        newest = self.seen_s[self.seen_s <= now_s].max()
        return Arrival(bars=0, quiet_s=float(now_s - newest))

    def close(self) -> None:
        """Nothing is held."""

    def _now_s(self) -> int:
        return int((self.world.clock.true - START).total_seconds())

    # ------------------------------------------------------------ the store

    def symbols(self) -> tuple[str, ...]:
        return self.symbols_

    def narrowed(self, symbols: tuple[str, ...]) -> MarketData:
        return self

    def window(self, *, until: datetime, count: int) -> Bars:
        return self._bars(self._now_s(), until=until, last=count)

    def after(self, time: datetime | None, *, limit: int, known: int | None = None) -> Bars:
        return self._bars(self._now_s(), after=time, first=limit)

    def as_of(self, version: int) -> AsOf:
        return AsOf(self, version)

    def changed(self, version: int, until: datetime) -> bool:
        rows = self.time <= as_stamp(until)
        seen = self.seen_s[rows]
        return bool(((seen > version) & (seen <= self._now_s())).any())

    def note_late(self, until: datetime) -> Sequence[LateBar]:
        now_s = self._now_s()
        rows = self.time <= as_stamp(until)
        late = rows[:, None] & (self.seen_s > self._noted) & (self.seen_s <= now_s)
        self._noted = now_s
        return [
            LateBar(self.symbols_[s], as_datetime(self.time[t]), True) for t, s in zip(*np.nonzero(late), strict=True)
        ]

    def _bars(
        self,
        version: int,
        *,
        after: datetime | None = None,
        until: datetime | None = None,
        first: int = NEVER,
        last: int = NEVER,
    ) -> Bars:
        there = self.seen_s <= version
        rows = there.any(axis=1)
        if after is not None:
            rows &= self.time > as_stamp(after)
        if until is not None:
            rows &= self.time <= as_stamp(until)
        chosen = np.flatnonzero(rows)[:first][-last:]
        there, grid = there[chosen], self.grid[chosen]
        ones = np.ones(there.shape)

        def column(k: int) -> np.ndarray:
            return np.where(there, grid[:, :, k - OPEN], np.nan)

        return Bars(
            time=self.time[chosen],
            opened=self.opened[chosen],
            symbols=self.symbols_,
            open=column(OPEN),
            high=column(HIGH),
            low=column(LOW),
            close=column(CLOSE),
            volume=column(VOLUME),
            adjustment=ones,
            split=ones,
            dividend=0.0 * ones,
            suspect=self.suspect[chosen] & there,
            version=version,
        )


class AsOf:
    """The bars as they were known then."""

    def __init__(self, data: MarketData, version: int) -> None:
        self._data, self._version = data, version

    def window(self, *, until: datetime, count: int) -> Bars:
        return self._data._bars(self._version, until=until, last=count)


def closes_at(row: int) -> datetime:
    """When the bar of this number (from 0, the first that is decided on) closes."""
    return START + HOUR * (row + 1)


def in_bar(row: int, share: float) -> datetime:
    """A moment while the bar of this number is the newest that is over."""
    return closes_at(row) + timedelta(hours=share)
