"""Series and texts: known when they can be known, none lost, and read for one bar without reading their history."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database import exogenous
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.series_store import SeriesStore
from agents.adapters.files.series_files import SeriesFile, SeriesRows, read_texts
from agents.core.clock import SystemClock
from agents.core.types import as_datetime
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
    days = [datetime(2001, 1, d, tzinfo=UTC) for d in (1, 3, 2)]
    known = [datetime(2001, 1, d, tzinfo=UTC) for d in (2, 4, 6)]
    rows = SeriesRows(
        file="x", name=["f"] * 3, symbol=["*"] * 3, time=days, item=[""] * 3, available_at=known, value=[1, 3, 2],
        left_out=0,
    )  # fmt: skip
    SeriesStore(trader).store(rows)
    whole = made.window(until=as_datetime(bars.time[-1]), count=10).exogenous["f"]
    assert whole[:8, 1].tolist()[1:] == [1, 1, 3, 3, 3, 3, 3]
    for start in range(1, 10):
        part = made.after(as_datetime(bars.time[start - 1]), limit=1).exogenous["f"]
        assert np.array_equal(part[0], whole[start], equal_nan=True)


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
    assert max(read) == 2 * len(names) * symbols, "one value from before and one that is new, of each"
    assert min(took) < 0.5, "ten times what it takes on an idle machine"
