"""Series and texts: known when they can be known, none lost, and read for one bar without reading their history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database import exogenous
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.series_age import LAST_VALUES
from agents.adapters.database.series_store import SeriesStore
from agents.adapters.database.stored_data import StoredData
from agents.adapters.files.series_files import SeriesFile, SeriesRows, read_texts
from agents.cli.stored_data import too_old
from agents.core.clock import SystemClock
from agents.core.types import as_datetime
from agents.pipeline.market import panel_of
from agents.trading.sentiment_analyst import SentimentAnalyst
from tests.market import batch_of, make_bars


def flat(texts):
    return np.ones(len(texts))


def load_texts(trader, path, content: str, zone: str = "America/New_York"):
    path.write_text("symbol,time,title\n" + content)
    return SeriesStore(trader).store(read_texts(SeriesFile(path=path, columns={}, symbol=None), flat, zone))


@pytest.fixture
def store(trader):
    bars = make_bars(10, 2, 1)
    made = BarsStore(trader)
    made.load(batch_of(bars))
    return made, bars


def counts(store, bars) -> list[float]:
    window = store.window(until=as_datetime(bars.time[-1]), count=10)
    return window.exogenous["news_count"][:, 0].tolist()


def test_a_headline_with_a_date_only_is_known_at_the_end_of_that_day(store, trader, tmp_path):
    """The session of January 3rd closes at 21:00 UTC; its day ends in New York at 05:00 UTC of the 4th. Seen: a
    headline of the 3rd counted at the close of the 3rd, though it may be of the evening."""
    (made, bars) = store
    load_texts(trader, tmp_path / "a.csv", "S0,2001-01-03,Profits surge\nS0,2001-01-04T20:59:00Z,Told to the minute\n")
    assert counts(made, bars)[:6] == [0, 0, 0, 2, 0, 0], "both are known by the close of the 4th"


def test_texts_of_one_moment_are_all_kept_and_each_once(store, trader, tmp_path):
    """Seen: of texts with the same stamp in a second file none was kept."""
    (made, bars) = store
    stamp = "2001-01-03T15:00:00Z"
    first = load_texts(trader, tmp_path / "a.csv", f"S0,{stamp},One\nS0,{stamp},Two\nS0,{stamp},Two\n")
    assert (first.stored, first.known) == (6, 0)
    again = load_texts(trader, tmp_path / "a.csv", f"S0,{stamp},One\nS0,{stamp},Two\nS0,{stamp},Two\n")
    assert (again.stored, again.known) == (0, 6)
    grown = load_texts(trader, tmp_path / "b.csv", f"S0,{stamp},Two\nS0,{stamp},Three\n")
    assert (grown.stored, grown.known) == (2, 2)
    assert counts(made, bars)[:4] == [0, 0, 4, 0]


def test_texts_of_before_they_were_told_apart_are_not_counted_twice(store, trader, tmp_path):
    (made, bars) = store
    with trader.begin() as connection:
        connection.execute(
            text("INSERT INTO exogenous (name, symbol, time, available_at, value)"
                 " SELECT n, 'S0', '2001-01-03T15:00Z', '2001-01-03T15:00Z', 2"
                 " FROM unnest(ARRAY['news_count', 'news_score']) n")
        )  # fmt: skip
    load_texts(trader, tmp_path / "a.csv", "S0,2001-01-03T15:00:00Z,One\nS0,2001-01-03T16:00:00Z,New\n")
    assert counts(made, bars)[:4] == [0, 0, 3, 0]


def test_an_old_figure_that_comes_late_replaces_no_newer_one_wherever_the_window_begins(store, trader):
    (made, bars) = store
    days = [datetime(2001, 1, d, tzinfo=UTC) for d in (1, 4, 2)]
    known = [datetime(2001, 1, d, tzinfo=UTC) for d in (2, 5, 8)]
    rows = SeriesRows(
        file="x", name=["f"] * 3, symbol=["*"] * 3, time=days, item=[""] * 3, available_at=known, value=[1, 3, 2],
        left_out=0,
    )  # fmt: skip
    SeriesStore(trader).store(rows)
    whole = made.window(until=as_datetime(bars.time[-1]), count=10).exogenous["f"]
    nan = np.nan  # of three values the longest spacing is two days, so the newest, known on the 5th, counts for four
    assert np.array_equal(whole[1:, 1], [1, 1, 1, 3, 3, 3, 3, nan, nan], equal_nan=True)
    for start in range(1, 10):
        part = made.after(as_datetime(bars.time[start - 1]), limit=1).exogenous["f"]
        assert np.array_equal(part[0], whole[start], equal_nan=True)


def daily(trader, name, days, symbol="*"):
    """A series of one value a day, its number, known a day later."""
    moments = [datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=d) for d in days]
    rows = SeriesRows(
        file="x", name=[name] * len(moments), symbol=[symbol] * len(moments), time=moments, item=[""] * len(moments),
        available_at=[moment + timedelta(days=1) for moment in moments], value=[float(d) for d in days], left_out=0,
    )  # fmt: skip
    SeriesStore(trader).store(rows)


def test_a_value_counts_for_twice_the_spacing_of_its_series_and_then_no_more(trader):
    """Seen: the last value of fear and greed counted for ever after the series had ended."""
    bars = make_bars(40, 2, 1)
    made = BarsStore(trader)
    made.load(batch_of(bars))
    daily(trader, "fear_greed", range(10))
    daily(trader, "market_cap", [0, 1, 2, 5, 6, 7, 8, 9, 12], "S0")
    daily(trader, "constant", [0, 1])
    series = made.window(until=as_datetime(bars.time[-1]), count=40).exogenous
    day_of = [(as_datetime(t) - datetime(2001, 1, 1, tzinfo=UTC)).days for t in bars.time]
    counted = {
        name: [d for d, v in zip(day_of, grid[:, 0], strict=True) if np.isfinite(v)] for name, grid in series.items()
    }
    assert max(counted["fear_greed"]) == 11, "known on day 10, for two days; bars close in the evening"
    assert max(counted["market_cap"]) == 18, "known on day 13; three days is its longest spacing, over a weekend"
    assert max(counted["constant"]) == max(day_of), "of two values nobody knows a spacing"
    stored = StoredData(trader)
    assert [(row["name"], row["until"].day) for row in stored.stale_series()] == [
        ("fear_greed", 13),
        ("market_cap", 20),
    ]
    remark = too_old(stored.stale_series())
    assert "fear_greed (its newest value is of 2001-01-10 00:00 and counted until 2001-01-13 00:00)" in remark


def test_how_long_a_value_counts_hangs_on_nothing_later_and_not_on_where_the_window_begins(trader):
    """A gap within a series makes it patient from then on, for as long as the gap is among its last values."""
    rng = np.random.default_rng(5)
    bars = make_bars(60, 2, 1)
    made = BarsStore(trader)
    made.load(batch_of(bars))
    days = np.flatnonzero(rng.random(80) < np.where(np.arange(80) % 20 < 10, 0.9, 0.05)).tolist()
    daily(trader, "f", days[:3] + days[4:])
    daily(trader, "f", [days[3]])
    whole = made.window(until=as_datetime(bars.time[-1]), count=60).exogenous["f"][:, 0]
    assert 5 < np.isnan(whole[5:]).sum() < 45
    for start in range(1, 60):
        part = made.after(as_datetime(bars.time[start - 1]), limit=1).exogenous["f"]
        assert np.array_equal(part[0, :1], whole[start : start + 1], equal_nan=True), start


def test_an_agent_has_no_opinion_by_a_series_that_ended(trader):
    """Its own fallback, or none at all, takes the place of a number of long ago."""
    bars = make_bars(300, 2, 1)
    made = BarsStore(trader)
    made.load(batch_of(bars))
    daily(trader, "fear_greed", range(100))
    window = made.window(until=as_datetime(bars.time[-1]), count=300)
    without = SentimentAnalyst().signals(panel_of(replace(window, exogenous={})))
    with_series = SentimentAnalyst().signals(panel_of(window))
    assert np.isfinite(with_series.strength[15]).all()
    assert not np.array_equal(with_series.strength[15], without.strength[15], equal_nan=True)
    assert np.array_equal(with_series.strength[-1], without.strength[-1], equal_nan=True)


@pytest.mark.slow
def test_one_bar_reads_only_what_is_new(trader, monkeypatch):
    """50 symbols, five series each, 292,000 values: seen, 11 s for the series of one bar; now some milliseconds."""
    days, symbols, names = 1168, 50, ["market_cap", "realized_cap", "transfer_value", "news_count", "news_score"]
    bars = make_bars(days, symbols, 3)
    made = BarsStore(trader)
    made.load(batch_of(bars))
    with trader.begin() as connection:
        connection.execute(text("""
            INSERT INTO exogenous (name, symbol, time, available_at, value)
            SELECT n, 'S' || s, d, d + interval '1 day', extract(epoch FROM d) + s
            FROM unnest(CAST(:names AS text[])) n, generate_series(0, 49) s,
                 generate_series(timestamptz '2001-01-01Z', timestamptz '2001-01-01Z' + interval '1167 days', '1 day') d
        """), {"names": names})  # fmt: skip
        connection.execute(text("INSERT INTO exogenous_keys SELECT DISTINCT name, symbol FROM exogenous"))
    read: list[int] = []
    grids = exogenous.exogenous_grids

    def counted(rows, *rest):
        read.append(len(rows))
        return grids(rows, *rest)

    monkeypatch.setattr(exogenous, "exogenous_grids", counted)
    made = made.narrowed(bars.symbols)
    clock, took = SystemClock(), []
    for t in range(days - 6, days - 1):
        started = clock.monotonic_s()
        with trader.connect() as connection:
            series = exogenous.read_exogenous(connection, bars.rows(t + 1, t + 2))
        took.append(clock.monotonic_s() - started)
        assert series["market_cap"].shape == (1, symbols)
    print("seconds", took)
    longest = 2 * symbols + 3 * symbols * (LAST_VALUES + 1)
    assert max(read) <= longest + 3 * symbols * LAST_VALUES, "the last values from before and one that is new, of each"
    assert min(took) < 0.5, "ten times what it takes on an idle machine"
