"""The calendar of a desk's market, from its settings."""

from __future__ import annotations

from datetime import timedelta

from agents.adapters.calendars.unknown_hours import UnknownHours
from agents.core.ports import MarketCalendar
from agents.core.settings import INTERVALS_S, DataSettings


def calendar_of(data: DataSettings) -> MarketCalendar:
    """When the desk's bars close, and how old they may be."""
    return UnknownHours(timedelta(seconds=INTERVALS_S[data.interval]), data.stale_after_intervals)
