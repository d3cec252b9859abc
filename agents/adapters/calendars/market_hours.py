"""Sessions of a market by exchange_calendars: early closes, holidays, lunch breaks. pandas is loaded on first use."""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agents.core.errors import SettingsError
from agents.core.types import Booleans, Integers, Times

if TYPE_CHECKING:
    import pandas as pd

FIRST_DAY = "1990-01-01"
SAME_HOURS = {"XNSE": "XBOM"}
"""Markets that the library does not name, and one with the same sessions."""


class MarketHours(NamedTuple):
    """Sessions [n] in order, in UTC, and their parts [m]: a lunch break makes two of one. A day without a session gets
    the usual hours, `usual` after midnight in `zone`, by which a file whose calendar differs slightly loses nothing."""

    name: str
    day: Times
    opened: Times
    closed: Times
    part_opened: Times
    part_closed: Times
    zone: str
    usual: tuple[np.timedelta64, np.timedelta64]

    def sessions(self, days: Times) -> tuple[Times, Times, Booleans]:
        """(open, close) of the sessions of these days, and which of them the calendar knows."""
        place = np.minimum(np.searchsorted(self.day, days), len(self.day) - 1)
        known: Booleans = self.day[place] == days
        opened, closed = (_in_utc(days, hour, self.zone) for hour in self.usual)
        return np.where(known, self.opened[place], opened), np.where(known, self.closed[place], closed), known

    def bars(self, stamps: Times, interval: np.timedelta64, *, are_opens: bool) -> tuple[Times, Times, Booleans]:
        """(open, close) of bars inside a session, cut off at its opens and closes, from the time of either; and which
        are inside one. Bars run from the session's open on; such as begin at whole intervals of the day do as well."""
        place = np.minimum(
            np.searchsorted(self.part_closed, stamps, side="right" if are_opens else "left"), len(self.part_closed) - 1
        )
        first, last = self.part_opened[place], self.part_closed[place]
        opened = stamps if are_opens else stamps - interval
        if not are_opens:  # the last bar of a session may be shorter than the others, as the others show
            between = stamps[stamps != last]
            if not len(between) or _on_grid(between, interval).mean() <= 0.5:
                whole = first + ((last - first - np.timedelta64(1, "us")) // interval) * interval
                opened = np.where(stamps == last, whole, opened)
        inside = (opened < last) & (opened + interval > first) & (stamps <= last)
        cut_open, cut_close = np.maximum(opened, first), np.minimum(opened + interval, last)
        return np.where(inside, cut_open, opened), np.where(inside, cut_close, opened + interval), inside

    def on_grid(self, opened: Times, interval: np.timedelta64) -> Booleans:
        """Which bars begin a whole number of intervals after a session's open, or after midnight, or at an open."""
        place = np.maximum(np.searchsorted(self.part_opened, opened, side="right") - 1, 0)
        aligned = (opened - self.part_opened[place]) % interval == np.timedelta64(0, "us")
        return np.asarray(_on_grid(opened, interval) | aligned, dtype=bool)

    def closes(self, interval: np.timedelta64 | None, first: np.datetime64, last: np.datetime64) -> Times:
        """When bars close from `first` to `last`: those of sessions, or where an `interval` is given, those of the bars
        in them; in order. Nothing is computed of other days: around the clock there are millions of minutes."""
        if interval is None:
            return self.closed[np.searchsorted(self.closed, first) : np.searchsorted(self.closed, last, side="right")]
        parts = slice(np.searchsorted(self.part_closed, first), np.searchsorted(self.part_opened, last, side="right"))
        opened, closed = self.part_opened[parts], self.part_closed[parts]
        counts = -((opened - closed) // interval)
        part = np.repeat(np.arange(len(counts)), counts)
        number = np.arange(len(part)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
        closes: Times = np.minimum(opened[part] + number * interval, closed[part])
        return closes[np.searchsorted(closes, first) : np.searchsorted(closes, last, side="right")]

    def known(self, interval: np.timedelta64 | None) -> tuple[np.datetime64, np.datetime64]:
        """The first and the last close of a bar that the calendar knows."""
        if interval is None:
            return self.closed[0], self.closed[-1]
        return min(self.part_opened[0] + interval, self.part_closed[0]), self.part_closed[-1]

    def before(self, at: np.datetime64, sessions: int) -> np.datetime64:
        """When a session opened after which so many others, of a bar or more each, were over at `at`."""
        place = int(np.searchsorted(self.opened, at, side="right")) - sessions - 1
        opened: np.datetime64 = self.opened[max(place, 0)]
        return opened


def _on_grid(times: Times, interval: np.timedelta64) -> Booleans:
    """Which are whole intervals after midnight in UTC."""
    since: Integers = times.astype("datetime64[us]").astype(np.int64)
    return np.asarray(since % int(interval.astype("timedelta64[us]").astype(np.int64)) == 0, dtype=bool)


def _in_utc(days: Times, hour: np.timedelta64, zone: str) -> Times:
    """The time of day `hour` on these days in a zone."""
    import pandas as pd

    local = pd.DatetimeIndex(days.astype("datetime64[us]") + hour)
    utc = local.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").tz_convert("UTC")
    return np.asarray(utc.tz_localize(None).to_numpy().astype("datetime64[us]"))


@lru_cache(maxsize=4)
def market_hours(name: str) -> MarketHours:
    """The sessions from FIRST_DAY to a year from now, as far as the library knows them; SettingsError for a name that
    it does not know."""
    schedule, zone = _schedule(name)
    opened, closed, pause, resume = (_utc(schedule[c]) for c in ("open", "close", "break_start", "break_end"))
    with_break = ~np.isnat(pause)
    day = schedule.index.to_numpy().astype("datetime64[D]")
    hours = [(schedule[c].dt.tz_convert(zone).dt.tz_localize(None) - schedule.index) for c in ("open", "close")]
    return MarketHours(
        name=name,
        day=day,
        opened=opened,
        closed=closed,
        part_opened=np.sort(np.concatenate([opened, resume[with_break]])),
        part_closed=np.sort(np.concatenate([closed, pause[with_break]])),
        zone=zone,
        usual=tuple(hour.iloc[-250:].mode().iloc[0].to_timedelta64().astype("timedelta64[us]") for hour in hours),
    )


def _schedule(name: str) -> tuple[pd.DataFrame, str]:
    """The library's table of sessions, and the market's time zone."""
    import exchange_calendars as xc
    import pandas as pd

    theirs = SAME_HOURS.get(name, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the library uses of pandas is its own affair
            bound = xc.get_calendar(theirs).bound_min()
            first = pd.Timestamp(FIRST_DAY) if bound is None else max(bound, pd.Timestamp(FIRST_DAY))
            calendar = xc.get_calendar(theirs, start=first)
            return calendar.schedule, str(calendar.tz)
    except xc.errors.InvalidCalendarName:
        known = [*xc.get_calendar_names(include_aliases=True), *SAME_HOURS]
        near = ", ".join(get_close_matches(name, known, 3, 0.5)) or "XNYS, XLON, 24/7"
        raise SettingsError(
            f"data.calendar: '{name}' is no calendar of exchange_calendars; did you mean {near}?"
            " Empty: data.timezone, data.session_open and data.session_close say when sessions are"
        ) from None


def _utc(column: object) -> Times:
    import pandas as pd

    series = pd.Series(column)
    return np.asarray(series.dt.tz_localize(None).to_numpy().astype("datetime64[us]"))
