"""The calendar of a known market: which bars are due, and how old the newest may be, nights and holidays left out."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

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
        closes = self._closes()
        place = np.minimum(np.searchsorted(closes, time), len(closes) - 1)
        return np.asarray(closes[place] == time, dtype=bool)

    def closes(self, first: np.datetime64, last: np.datetime64, /) -> Times | None:
        closes = self._closes()
        if first < closes[0] or last > closes[-1]:  # further than the library knows
            return None
        return closes[(closes >= first) & (closes <= last)]

    def stale_before(self, at: datetime) -> datetime:
        closes, moment = self._closes(), np.datetime64(at.replace(tzinfo=None), "us")
        if moment > closes[-1]:  # the library does not know so far ahead
            return at - self._interval * self._stale_after
        place = int(np.searchsorted(closes, moment, side="right")) - math.ceil(self._stale_after)
        oldest: datetime = closes[max(place, 0)].astype("datetime64[us]").item()
        return oldest.replace(tzinfo=UTC)

    def bars_per_year(self) -> float:
        """Counted over ten years, or as many as the calendar knows."""
        closes = self._closes()
        first, last = (max(min(np.datetime64(year, "us"), closes[-1]), closes[0]) for year in YEARS)
        years = (last - first) / np.timedelta64(1, "D") / 365.25
        return float(((closes >= first) & (closes < last)).sum() / years)

    def _closes(self) -> Times:
        whole_day = self._interval >= WHOLE_DAY
        return market_hours(self._name).closes(None if whole_day else np.timedelta64(self._interval).astype("m8[us]"))
