"""The calendar of a desk's market, from its settings."""

from __future__ import annotations

from datetime import timedelta

from agents.adapters.calendars.exchange_hours import ExchangeHours
from agents.adapters.calendars.unknown_hours import UnknownHours
from agents.core.ports import MarketCalendar
from agents.core.settings import INTERVALS_S, DataSettings

SESSION_DAYS_PER_YEAR, CALENDAR_DAYS_PER_YEAR = 252.0, 365.25


def calendar_of(data: DataSettings) -> MarketCalendar:
    """When the desk's bars close, and how old they may be. SettingsError for a calendar that nobody knows."""
    interval = timedelta(seconds=INTERVALS_S[data.interval])
    if not data.calendar:
        return UnknownHours(interval, data.stale_after_intervals)
    calendar = ExchangeHours(data.calendar, interval, data.stale_after_intervals)
    calendar.bars_per_year()  # a wrong name is told now, not at the first bar
    return calendar


def bars_per_year(data: DataSettings) -> float:
    """Bars in a year: the calendar's, else sessions of the settings' length on 252 days, or 24 hours on 365.25."""
    if data.calendar:
        interval = timedelta(seconds=INTERVALS_S[data.interval])
        return ExchangeHours(data.calendar, interval, data.stale_after_intervals).bars_per_year()
    opened, closed = (_minutes(clock) for clock in (data.session_open, data.session_close))
    length_min = (closed - opened) % (24 * 60) or 24 * 60  # a session may open on the evening before
    days = CALENDAR_DAYS_PER_YEAR if length_min == 24 * 60 else SESSION_DAYS_PER_YEAR
    if data.interval == "1d":
        return days
    return days * max(1.0, length_min * 60.0 / INTERVALS_S[data.interval])


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
