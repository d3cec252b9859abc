"""Calendars of real markets: early closes, holidays, lunch breaks, what is due, and how old a bar may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import process_time

import numpy as np
import pytest

from agents.adapters.calendars.market_hours import market_hours
from agents.adapters.files.bar_files import parse_table
from agents.adapters.files.bar_rows import validate_rows
from agents.core.errors import SettingsError
from agents.core.settings import DataSettings
from agents.wiring.calendar import bars_per_year, calendar_of

HEAD = "symbol,time,open,high,low,close,volume\n"


def bars_of(tmp_path, times, **data):
    rows = "".join(f"A,{time},10,11,9,10,100\n" for time in times)
    table = parse_table(tmp_path / "a.csv", (HEAD + rows).encode(), {})
    batch = validate_rows(table, DataSettings(**data), at=datetime(2026, 6, 1, tzinfo=UTC))
    assert not batch.bad
    return [f"{str(o)[5:16]} {str(c)[11:16]}" for o, c in zip(batch.bar_open, batch.time, strict=True)]


def test_an_early_close_and_a_day_that_the_calendar_does_not_know(tmp_path, caplog):
    """July 3rd 2019 closed at 13:00 in New York. The 4th was a holiday: the row is kept, and told."""
    got = bars_of(tmp_path, ["2019-07-02", "2019-07-03", "2019-07-04", "2019-07-05"], calendar="XNYS")
    assert got == ["07-02T13:30 20:00", "07-03T13:30 17:00", "07-04T13:30 20:00", "07-05T13:30 20:00"]
    (told,) = [record.facts for record in caplog.records]
    assert (told["calendar"], told["rows"], str(told["first"])) == ("XNYS", 1, "2019-07-04")


HOURLY = {"calendar": "XNYS", "interval": "1h", "timezone": "America/New_York"}
"""An American session of 6.5 hours: its last bar is half an hour long."""


@pytest.mark.parametrize(
    ("data", "times", "expected"),
    [
        ({"time_means": "open"}, ["2024-03-01 14:30", "2024-03-01 15:30"], ["03-01T19:30 20:30", "03-01T20:30 21:00"]),
        ({"time_means": "close"}, ["2024-03-01 15:30", "2024-03-01 16:00"], ["03-01T19:30 20:30", "03-01T20:30 21:00"]),
        ({"time_means": "close"}, ["2024-03-01 15:00", "2024-03-01 16:00"], ["03-01T19:00 20:00", "03-01T20:00 21:00"]),
        ({"time_means": "open"}, ["2024-03-01 09:00", "2024-03-01 15:00"], ["03-01T14:30 15:00", "03-01T20:00 21:00"]),
        ({"time_means": "open"}, ["2024-07-03 12:30"], ["07-03T16:30 17:00"]),
        ({"time_means": "open"}, ["2024-03-01 08:00"], ["03-01T13:00 14:00"]),
        (
            {"time_means": "open", "calendar": "XHKG", "timezone": "Asia/Hong_Kong"},
            ["2024-03-01 11:30", "2024-03-01 13:00", "2024-03-01 15:00"],
            ["03-01T03:30 04:00", "03-01T05:00 06:00", "03-01T07:00 08:00"],
        ),
    ],
)
def test_hours_of_a_session(tmp_path, data, times, expected):
    """From the open on or by the clock, named by open or by close; cut at the close, the early close and lunch; before
    the session as they are."""
    assert bars_of(tmp_path, times, **{**HOURLY, **data}) == expected


def test_age_counts_bars_that_are_due():
    """Friday's bar on Monday morning is the newest there can be; on Tuesday evening two later ones are due."""
    friday = datetime(2024, 3, 1, 21, tzinfo=UTC)
    known = calendar_of(DataSettings(calendar="XNYS"))
    unknown = calendar_of(DataSettings())
    for at, old, old_by_the_clock in (
        (datetime(2024, 3, 4, 13, tzinfo=UTC), False, True),
        (datetime(2024, 3, 5, 20, tzinfo=UTC), False, True),
        (datetime(2024, 3, 5, 21, tzinfo=UTC), True, True),
    ):
        assert (friday < known.stale_before(at)) == old
        assert (friday < unknown.stale_before(at)) == old_by_the_clock
    hourly = calendar_of(DataSettings(calendar="XNYS", interval="1h", time_means="open"))
    assert hourly.stale_before(datetime(2024, 3, 4, 15, tzinfo=UTC)) == datetime(2024, 3, 1, 20, 30, tzinfo=UTC)


def test_which_bars_are_due():
    closes = np.array(["2019-07-03T17:00", "2019-07-03T20:00", "2019-07-04T20:00", "2019-07-05T20:00"], dtype="M8[us]")
    assert calendar_of(DataSettings(calendar="XNYS")).expects(closes).tolist() == [True, False, False, True]
    halves = np.array(["2024-03-01T20:30", "2024-03-01T21:00", "2024-03-01T21:30"], dtype="M8[us]")
    hourly = calendar_of(DataSettings(calendar="XNYS", interval="1h", time_means="open"))
    assert hourly.expects(halves).tolist() == [True, True, False]


def test_bars_of_a_year():
    assert bars_per_year(DataSettings(calendar="XNYS")) == pytest.approx(251.6, abs=0.3)
    assert bars_per_year(DataSettings(calendar="24/7")) == pytest.approx(365.25, abs=0.1)
    assert bars_per_year(DataSettings(calendar="24/7", interval="1h", time_means="open")) == pytest.approx(8766, abs=3)
    hours = bars_per_year(DataSettings(calendar="XNYS", interval="1h", time_means="open"))
    assert 251.6 * 6.9 < hours < 251.6 * 7.0, "seven bars, fewer on days that close early"


def test_names():
    for name in ("XLON", "XNSE", "XTKS"):
        assert len(market_hours(name).day) > 1000
    with pytest.raises(SettingsError, match=r"'XNYZ' is no calendar .* did you mean .*XNYS"):
        calendar_of(DataSettings(calendar="XNYZ"))


def test_beyond_what_the_library_knows_age_goes_by_the_clock():
    at = datetime(2090, 1, 2, tzinfo=UTC)
    assert calendar_of(DataSettings(calendar="XNYS")).stale_before(at) == at - timedelta(days=2)


def test_a_clock_that_is_an_hour_back_loses_no_bar(tmp_path):
    """Seen: a minute bar of the true present lay in the future of such a clock, was refused, and never read again."""
    table = parse_table(tmp_path / "a.csv", (HEAD + "A,2024-03-01T15:00:00Z,10,11,9,10,100\n").encode(), {})
    minutes = DataSettings(interval="1m", time_means="open")
    batch = validate_rows(table, minutes, at=datetime(2024, 3, 1, 14, 1, tzinfo=UTC))
    assert (batch.not_closed, list(batch.bad)) == (1, [])
    assert batch.next_close == datetime(2024, 3, 1, 15, 1, tzinfo=UTC)


def test_a_minute_desk_around_the_clock_waits_for_no_calendar():
    """Seen: 1.5 s for each look at a bar's age, 19 million minutes since 1990, and an hour for a warm-up of 2,000."""
    calendar = calendar_of(DataSettings(calendar="24/7", interval="1m", time_means="open"))
    times = np.datetime64("2026-03-04T10:00", "us") + np.arange(3) * np.timedelta64(30, "s")
    market_hours("24/7")  # read once
    started_s = process_time()
    for minute in range(200):
        at = datetime(2026, 3, 4, 10, tzinfo=UTC) + timedelta(minutes=minute)
        assert calendar.stale_before(at) == at - timedelta(minutes=1)
        assert calendar.expects(times).tolist() == [True, False, True]
    assert process_time() - started_s < 5.0
