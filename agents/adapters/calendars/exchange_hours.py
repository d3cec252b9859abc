"""The calendar of a known market: which bars are due, and how old the newest may be, nights and holidays left out."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np

from agents.adapters.calendars.market_hours import market_hours
from agents.core.types import Booleans, Times

WHOLE_DAY = timedelta(days=1)
YEARS = ("2010-01-01", "2020-01-01")
"""Over which bars of a year are counted."""


class ExchangeHours:
    """A bar is too old once `stale_after` later ones are due."""

    def __init__(self, name: str, interval: timedelta, stale_after: float) -> None:
        self._name = name
        self._interval = interval
        self._stale_after = stale_after

    def expects(self, time: Times) -> Booleans:
        if not len(time):
            return np.zeros(0, dtype=bool)
        return np.isin(time, self._closes(time.min(), time.max()))

    def closes(self, first: np.datetime64, last: np.datetime64, /) -> Times | None:
        known_first, known_last = self._known()
        if first < known_first or last > known_last:  # further than the library knows
            return None
        return self._closes(first, last)

    def stale_before(self, at: datetime) -> datetime:
        moment = np.datetime64(at.replace(tzinfo=None), "us")
        first, last = self._known()
        if moment > last:  # the library does not know so far ahead
            return at - self._interval * self._stale_after
        later = math.ceil(self._stale_after)
        closes = self._closes(market_hours(self._name).before(moment, later), moment)
        place = len(closes) - later
        oldest: datetime = (closes[place] if place >= 0 else first).astype("datetime64[us]").item()
        return oldest.replace(tzinfo=UTC)

    def bars_per_year(self) -> float:
        """Counted over ten years, or as many as the calendar knows."""
        return _bars_per_year(self._name, self._bar())

    def _closes(self, first: np.datetime64, last: np.datetime64) -> Times:
        return market_hours(self._name).closes(self._bar(), first, last)

    def _known(self) -> tuple[np.datetime64, np.datetime64]:
        return market_hours(self._name).known(self._bar())

    def _bar(self) -> np.timedelta64 | None:
        """The interval, None for whole sessions."""
        return None if self._interval >= WHOLE_DAY else np.timedelta64(self._interval).astype("m8[us]")


@lru_cache(maxsize=8)
def _bars_per_year(name: str, bar: np.timedelta64 | None) -> float:
    hours = market_hours(name)
    known_first, known_last = hours.known(bar)
    first, last = (max(min(np.datetime64(year, "us"), known_last), known_first) for year in YEARS)
    years = (last - first) / np.timedelta64(1, "D") / 365.25
    return len(hours.closes(bar, first, last - np.timedelta64(1, "us"))) / years
