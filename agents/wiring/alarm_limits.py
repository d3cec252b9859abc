"""What counts as late and as stale on a desk, by its settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agents.core.alarm_types import AlarmLimits
from agents.core.settings import INTERVALS_S, Settings
from agents.wiring.calendar import bars_per_year, calendar_of

DECIDE_WITHIN = timedelta(minutes=15)
"""A bar that has been known for longer and is not decided on is an alarm."""
NEVER = datetime(1900, 1, 1, tzinfo=UTC)
"""No bar of a desk in its bars' time is older, so none is stale."""


def alarm_limits(settings: Settings, at: datetime) -> AlarmLimits:
    """What counts as late on this desk at `at`."""
    if settings.data.clock == "bars":
        return AlarmLimits(stale_after=at - NEVER, decide_within=DECIDE_WITHIN)
    stale = timedelta(seconds=INTERVALS_S[settings.data.interval] * max(2.0, settings.data.stale_after_intervals))
    return AlarmLimits(
        stale_after=_trading_gap(settings, stale, at),
        decide_within=DECIDE_WITHIN + timedelta(seconds=settings.data.publication_delay_s),
    )


def _trading_gap(settings: Settings, stale: timedelta, at: datetime) -> timedelta:
    """Sessions pause over nights, weekends and holidays, as a calendar knows; a market that never closes does not."""
    if settings.data.calendar:
        return at - calendar_of(settings.data).stale_before(at)
    around_the_clock = bars_per_year(settings.data.model_copy(update={"interval": "1d"})) > 300
    return stale if around_the_clock else max(stale, timedelta(days=4, hours=12))


def fresh_since(settings: Settings, at: datetime) -> datetime:
    """A desk none of whose symbols has had a bar since then is heard by nobody: as the alarm `data_stale` counts."""
    return at - alarm_limits(settings, at).stale_after
