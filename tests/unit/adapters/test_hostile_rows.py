"""Rows, names and settings that must not get in, or not by themselves: strange times, symbols, intervals, sessions."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from agents.adapters.files.bar_files import parse_table, read_table
from agents.adapters.files.bar_rows import validate_rows
from agents.adapters.files.series_files import SeriesFile, read_series, read_texts
from agents.cli import options
from agents.core.errors import DataError
from agents.core.intervals import mismatch
from agents.core.log import KeyValueFormatter
from agents.core.settings import INTERVALS_S, DataSettings
from agents.core.settings_sections import ExecutionSettings

NOW = datetime(2024, 6, 1, tzinfo=UTC)
HEAD = "symbol,time,open,high,low,close,volume\n"
HOURLY = DataSettings(interval="1h", time_means="open", timezone="UTC")
DAILY_OPEN = DataSettings(interval="1d", time_means="open", timezone="UTC")


def load(content: str, settings: DataSettings | None = None, name: str = "bars.csv"):
    return validate_rows(parse_table(Path(name), content.encode(), {}), settings or DataSettings(), at=NOW)


STRANGE_DATES = ["0001-01-01", "1677-09-21", "1899-12-31", "1900-01-01", "2100-01-01", "2262-04-12", "9999-12-31"]
STRANGE_TIMES = ["infinity", "-infinity", "NaT", "0000-00-00", "99999-01-01", "", "1e300", "now"]


@pytest.mark.parametrize("settings", [DataSettings(), DAILY_OPEN, HOURLY], ids=["session", "daily", "hourly"])
@pytest.mark.parametrize("date", [*STRANGE_DATES, *STRANGE_TIMES])
def test_a_strange_time_is_one_quarantined_row(date, settings):
    """Seen before: years 1, 1677 and 1899 ended the daemon, at each start again."""
    good = "".join(f"A,2024-01-{day:02d},10,11,9,10,1\n" for day in (2, 3))
    batch = load(HEAD + good + f"A,{date},10,11,9,10,1\n", settings)
    assert len(batch.time) == 2
    assert [bad.row_number for bad in batch.bad] == [3]
    assert "time is" in batch.bad[0].reason


@pytest.mark.parametrize("type_", [pa.timestamp("us"), pa.timestamp("s", "UTC"), pa.date32()])
def test_strange_times_in_parquet(tmp_path, type_):
    dates = [*(datetime(year, 1, 3, tzinfo=UTC) for year in (1, 1677, 1899, 2024, 9999)), None]
    numbers = {name: [10.0] * 6 for name in ("open", "high", "low", "close")}
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"time": pa.array(dates).cast(type_), **numbers}), file)
    batch = validate_rows(read_table(file, {}), DataSettings(), at=NOW)
    assert (len(batch.time), [bad.row_number for bad in batch.bad]) == (1, [1, 2, 3, 5, 6])


@pytest.mark.parametrize("number", ["9999999999", "100000000", "4102444800"])
def test_epochs_far_away_are_quarantined(number):
    at = 1_704_189_600
    rows = "".join(f"A,{at + 3600 * k},10,11,9,10,1\n" for k in range(3))
    batch = load(HEAD + rows + f"A,{number},10,11,9,10,1\n", HOURLY)
    if number == "100000000":  # 1973-03-03, off the grid of hours
        assert "grid" in batch.bad[0].reason
    assert (len(batch.time), len(batch.bad)) == (3, 1)


def test_a_session_that_opens_on_the_evening_before():
    """CME Globex: the session of Tuesday, January 2nd opens on Monday 17:00 in Chicago and closes at 16:00."""
    settings = DataSettings(timezone="America/Chicago", session_open="17:00", session_close="16:00")
    batch = load(HEAD + "ES,2024-01-02,10,11,9,10,1\n", settings)
    assert batch.bar_open[0] == np.datetime64("2024-01-01T23:00:00", "us")
    assert batch.time[0] == np.datetime64("2024-01-02T22:00:00", "us")
    with pytest.raises(ValidationError, match="session_open and session_close are both 09:30"):
        DataSettings(session_close="09:30")


# ---------------------------------------------------------------- symbols

BAD_SYMBOLS = ["", "<b>X</b>", "A;DROP TABLE bars", "A'B", "\x1b[31mRED", "=cmd()", "A B", "A\nB", "A\n", "é", "A" * 33]
BAD_SYMBOLS += [f"{mark}A" for mark in "@=-./:_"] + ["A,B", "A|B", "A%B", "A\\B", "A*", "A?", "A&B", "A#B", "A$B"]
GOOD_SYMBOLS = ["BRK.B", "BP.", "BTC/USDT", "BTC-PERP", "BINANCE:BTCUSDT", "^GSPC", "EURUSD=X", "BTC/USD@kraken", "A_1"]


@pytest.mark.parametrize("name", GOOD_SYMBOLS)
def test_what_exchanges_and_vendors_write_is_a_symbol_everywhere(name, tmp_path):
    """Seen: a whole file of BTC/USD@kraken was refused. Rows, settings, series and the command line have one rule."""
    assert load(HEAD + f"{name},2024-01-02,10,11,9,10,1\n").symbols == (name,)
    assert DataSettings(symbols=(name,)).symbols == (name,)
    assert options.symbols(f"{name},A") == (name, "A")
    file = tmp_path / "chain.csv"
    file.write_text(f"symbol,time,market_cap\n{name},2024-01-01,1\n")
    assert read_series(SeriesFile(path=file, columns={}, symbol=None), timedelta(days=1)).symbol == [name]


@pytest.mark.parametrize("name", BAD_SYMBOLS)
def test_no_place_takes_what_is_no_symbol(name, tmp_path):
    """Rows, file names, settings, series, the command line: one rule."""
    quoted = '"' + name + '"'
    if "\n" not in name:
        batch = load(HEAD + "A,2024-01-02,10,11,9,10,1\n" + f"{quoted},2024-01-02,10,11,9,10,1\n")
        assert (batch.symbols, len(batch.bad)) == (("A",), 1)
    if "/" not in name:
        with pytest.raises(DataError, match="file's name gives the symbol: .* is no symbol; .*rename the file"):
            load("time,open,high,low,close\n2024-01-02,10,11,9,10\n", name=f"{name}.csv")
    for make in (
        lambda: DataSettings(symbols=(name,)),
        lambda: DataSettings(aliases={name: "A"}),
        lambda: DataSettings(aliases={"A": name}),
        lambda: ExecutionSettings(lot_sizes={name: 1.0}),
    ):
        with pytest.raises(ValidationError):
            make()
    file = tmp_path / "chain.csv"
    file.write_text("symbol,time,market_cap\nA,2024-01-01,1\n")
    with pytest.raises(DataError, match="--symbol: .* is no symbol"):
        read_series(SeriesFile(path=file, columns={}, symbol=name), timedelta(days=1))
    if "\n" not in name:
        file.write_text(f"symbol,time,market_cap\nA,2024-01-01,1\n{quoted},2024-01-01,1\n")
        rows = read_series(SeriesFile(path=file, columns={}, symbol=None), timedelta(days=1))
        assert (rows.symbol, rows.left_out) == (["A"], 1)
    with pytest.raises(ArgumentTypeError):
        options.symbol(name)


def test_a_parquet_file_with_nul_in_a_symbol_is_quarantined(tmp_path):
    numbers = {name: [10.0, 10.0] for name in ("open", "high", "low", "close")}
    times = pa.array([datetime(2024, 1, 2, tzinfo=UTC)] * 2)
    pq.write_table(pa.table({"symbol": ["A\0B", "A"], "time": times, **numbers}), tmp_path / "a.parquet")
    batch = validate_rows(read_table(tmp_path / "a.parquet", {}), DataSettings(), at=NOW)
    assert (batch.symbols, len(batch.bad)) == (("A",), 1)


def test_aliases_join_bars_series_and_texts(tmp_path):
    """Seen before: on-chain data named BTC never met bars named BTC/USDT."""
    settings = DataSettings(aliases={"BTC": "BTC/USDT", "XBT": "BTC/USDT"})
    rows = "BTC,2024-01-02,10,11,9,10,1\nETH,2024-01-02,10,11,9,10,1\nXBT,2024-01-03,10,11,9,10,1\n"
    batch = load(HEAD + rows + "BTC/USDT,2024-01-04,10,11,9,10,1\n", settings)
    assert batch.symbols == ("BTC/USDT", "ETH")
    assert batch.symbol.tolist() == [0, 0, 0, 1]
    assert load("time,open,high,low,close\n2024-01-02,10,11,9,10\n", settings, "btc.csv").symbols == ("BTC/USDT",)
    file = tmp_path / "x.csv"
    file.write_text("symbol,time,market_cap,title\nBTC,2024-01-01,1,up\nETH,2024-01-01,1,up\n*,2024-01-01,1,up\n")
    for symbol, names in ((None, {"BTC/USDT", "ETH", "*"}), ("XBT", {"BTC/USDT"}), ("*", {"*"})):
        series = SeriesFile(path=file, columns={}, symbol=symbol, aliases=settings.aliases)
        assert set(read_series(series, timedelta(days=1)).symbol) == names
        assert set(read_texts(series, lambda texts: np.ones(len(texts)), "UTC").symbol) == names


def test_aliases_that_lead_nowhere_are_refused():
    with pytest.raises(ValidationError, match="'A' leads to 'B', which is an alias itself"):
        DataSettings(aliases={"A": "B", "B": "C"})
    with pytest.raises(ValidationError, match="'BTC' is an alias of 'BTC/USDT'"):
        DataSettings(symbols=("BTC",), aliases={"BTC": "BTC/USDT"})


# ---------------------------------------------------------------- the interval


def bars_apart(seconds: int, count: int, symbols: int = 2) -> str:
    start = np.datetime64("2023-01-02T00:00:00")
    times = [start + np.timedelta64(seconds * k, "s") for k in range(count)]
    return HEAD + "".join(f"S{s},{t}Z,10,11,9,10,1\n" for t in times for s in range(symbols))


INTERVALS = list(INTERVALS_S)


@pytest.mark.parametrize("kind", ["open", "close", "session"])
@pytest.mark.parametrize("there", [*INTERVALS, "7 days"])
@pytest.mark.parametrize("wanted", INTERVALS)
def test_the_interval_of_a_file_is_recognised(there, wanted, kind):
    """Seen before: of 45,031 minute bars 33 were kept under `interval = "1d"`, without a word."""
    if kind == "session" and wanted != "1d":
        return
    settings = DataSettings(
        interval=wanted, time_means=kind, timezone="UTC", session_close="24:00", session_open="00:00"
    )
    content = bars_apart(INTERVALS_S.get(there, 7 * 86400), 60)
    if there == wanted:
        assert len(load(content, settings).time) == 120
        return
    with pytest.raises(DataError, match=f"bars.csv: its bars are {there} apart, but data.interval is {wanted}"):
        load(content, settings)


@pytest.mark.parametrize(
    ("distances", "wanted", "found"),
    [
        ([60, 60], "1d", None),  # too few to say
        ([60, 60, 60], "1d", "1m"),
        ([86400] * 4 + [3 * 86400] + [4 * 86400], "1d", None),  # weekends and holidays
        ([82800, 86400, 90000], "1d", None),  # the clock is changed
        ([180, 420, 300, 660, 120, 1500, 240, 960, 360, 2400, 780], "1m", None),  # it seldom trades
        ([28 * 86400, 31 * 86400, 30 * 86400] * 4, "1d", "30 days"),
        ([3600] * 6 + [63000], "1h", None),  # sessions of six hours
        ([300] * 77 + [63000], "1h", "5m"),
    ],
)
def test_distances_that_say_what_the_interval_is(distances, wanted, found):
    assert mismatch(np.array(distances, dtype=np.float64), wanted) == found


def test_a_name_cannot_write_into_the_log():
    import logging

    record = logging.makeLogRecord({"msg": "file refused", "facts": {"file": "a\n2026 level=info\x1b[2J\udcff.csv"}})
    line = KeyValueFormatter().format(record)
    assert line.isprintable()
    assert "x1b" in line
