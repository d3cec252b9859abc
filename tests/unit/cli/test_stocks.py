"""`quorum download --source` against servers that answer as stooq and Yahoo do: raw prices, and every refusal one line."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pytest

from agents.adapters.files.bar_folder import read_folder
from agents.adapters.stocks.stooq import stooq_symbol
from agents.adapters.stocks.yahoo import yahoo_symbol
from agents.core.clock import SystemClock
from agents.core.settings import DataSettings
from tests.program import call
from tests.stock_sources import Stock, serving, sessions

DAYS = sessions(40)
SPLIT_AT, DIVIDEND_AT = 30, 20
STOCK = Stock(DAYS, SPLIT_AT, DIVIDEND_AT)
PLAIN = Stock(DAYS, seed=2)
PAGE = "<!DOCTYPE html><html><body>Please enable JavaScript</body></html>"


@pytest.fixture
def source():
    with serving({"AAPL": STOCK, "BRK-B": PLAIN, "MSFT": PLAIN}) as made:
        yield made


@pytest.fixture
def download(source, tmp_path, monkeypatch):
    monkeypatch.setattr(SystemClock, "sleep_s", lambda *_: None)
    environment = {**os.environ, "QUORUM_DATA__EXCHANGE_URL": source.url, "COLUMNS": "80"}

    def ask(name, *words, code=0, symbols=("AAPL",), start=DAYS[0]):
        asked = ("download", "--source", name, "--symbols", *symbols, "--from", str(start), *words)
        return call(*asked, cwd=tmp_path, environment=environment, code=code)

    return ask


def written(folder, name, symbol="AAPL"):
    with (folder / "bars" / f"{name}-{symbol}-1d.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_yahoos_prices_become_what_they_were_on_the_day(download, tmp_path):
    told = download("yahoo")
    rows = written(tmp_path, "yahoo")
    assert [row["time"] for row in rows] == [str(day) for day in DAYS]
    for name in ("open", "high", "low", "close", "volume"):
        assert np.allclose([float(row[name]) for row in rows], getattr(STOCK, name), rtol=2e-7), name
    assert {k: row["split"] for k, row in enumerate(rows) if row["split"]} == {SPLIT_AT: "4.0"}
    assert {k: row["dividend"] for k, row in enumerate(rows) if row["dividend"]} == {DIVIDEND_AT: "0.5"}
    assert "prices are as they were on the day, with splits and dividends" in " ".join(told.stdout.split())


def test_stooqs_prices_are_what_stooq_says_and_that_is_said(download, tmp_path):
    told = download("stooq")
    closes = [float(row["close"]) for row in written(tmp_path, "stooq")]
    assert np.allclose(closes, STOCK.close / STOCK.later(), rtol=1e-5)
    assert "in today's shares (adjusted for splits) and know no dividends" in " ".join(told.stdout.split())


@pytest.mark.parametrize("name", ["stooq", "yahoo"])
def test_a_file_goes_on_where_it_ends_and_begins_earlier_when_asked(download, source, tmp_path, name):
    source.stocks["AAPL"] = STOCK.until(25)
    download(name, start=DAYS[10])
    assert [row["time"] for row in written(tmp_path, name)] == [str(day) for day in DAYS[10:25]]
    source.stocks["AAPL"] = STOCK.until(28)
    before = (tmp_path / "bars" / f"{name}-AAPL-1d.csv").read_text()
    rows = json.loads(download(name, "--json", start=DAYS[20]).stdout)
    assert (rows[0]["new"], rows[0]["restated"]) == (3, False)
    assert (tmp_path / "bars" / f"{name}-AAPL-1d.csv").read_text().startswith(before)
    rows = json.loads(download(name, "--json").stdout)
    assert (rows[0]["new"], rows[0]["days"], rows[0]["first"]) == (10, 28, str(DAYS[0]))


def test_a_split_that_comes_later_changes_stooqs_past_and_not_yahoos(download, source, tmp_path):
    source.stocks["AAPL"] = STOCK.until(SPLIT_AT)
    download("stooq"), download("yahoo")
    raw = written(tmp_path, "yahoo")
    source.stocks["AAPL"] = STOCK
    assert "AAPL: stooq says other numbers of the past than last time" in " ".join(download("stooq").stdout.split())
    assert np.allclose([float(row["close"]) for row in written(tmp_path, "stooq")], STOCK.close / STOCK.later())
    assert "other numbers" not in download("yahoo").stdout
    assert written(tmp_path, "yahoo")[:SPLIT_AT] == raw


def test_a_session_that_is_missing_is_named(download, source):
    gone = [k for k in range(40) if k not in (12, 13)]
    source.stocks["AAPL"] = Stock([DAYS[k] for k in gone])
    row = json.loads(download("stooq", "--json").stdout)[0]
    assert str(DAYS[12]) in [gap["first"] for gap in row["gaps"]]
    assert row["missing"] >= 2


STOOQ_LIMIT = (200, "Exceeded the daily hits limit")
STOOQ_KEY = (200, "Get your apikey:\n\n1. Open the page\n2. Enter the captcha code")
REFUSALS = {
    "unknown": ("stooq", [(200, "No data")], 2, "stooq has no daily prices of 'AAPL' (asked for as aapl.us)"),
    "limit": ("stooq", [STOOQ_LIMIT], 1, "stooq's limit of downloads for today is reached; go on tomorrow"),
    "key": ("stooq", [STOOQ_KEY], 1, "write it into the settings as stooq_key under [data]"),
    "page": ("stooq", [(200, PAGE)] * 6, 1, "stooq answers with a web page in the place of prices"),
    "nothing": ("stooq", [(200, "")] * 6, 1, "stooq answers with nothing"),
    "gateway": ("stooq", [(502, PAGE)] * 6, 1, "stooq does not work at the moment (status 502)"),
    "cut": ("stooq", ["cut"] * 6, 1, "stooq's answer was cut off"),
    "no table": ("stooq", [(200, "a,b\n1,2\n")] * 6, 1, "stooq answers with what is no table of prices: 'a,b 1,2'"),
    "no prices": ("stooq", [(200, "Date,Open,High,Low,Close\n2024-01-02,1,1,x,1\n")], 1, "line 2 is no row of prices"),
    "yahoo: limit": ("yahoo", [(429, "Too Many Requests")] * 40, 1, "yahoo limits requests"),
    "yahoo: page": ("yahoo", [(200, PAGE)] * 40, 1, "yahoo answers with what cannot be understood"),
    "yahoo: nothing": ("yahoo", [(200, "")] * 40, 1, "yahoo answers with what cannot be understood"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_a_source_refuses_is_one_line(download, source, tmp_path, case):
    name, source.faults[:], code, line = REFUSALS[case]
    told = download(name, code=code, symbols=("AAPL",))
    assert line in told.stderr.splitlines()[-1]
    assert not (tmp_path / "bars").exists()


@pytest.mark.parametrize("name", ["stooq", "yahoo"])
def test_an_unknown_symbol_and_no_network_are_one_line_and_keep_what_came_before(
    download, source, tmp_path, name, monkeypatch
):
    told = download(name, code=2, symbols=("AAPL", "NOSUCH"))
    assert f"{name} has no daily prices of 'NOSUCH'" in told.stderr.splitlines()[-1]
    assert len(written(tmp_path, name)) == len(DAYS)
    source.url = "http://127.0.0.1:9"
    environment = {**os.environ, "QUORUM_DATA__EXCHANGE_URL": source.url}
    asked = ("download", "--source", name, "--symbols", "AAPL", "--from", "2024-01-01")
    told = call(*asked, cwd=tmp_path, environment=environment, code=1)
    assert f"{name} cannot be reached (is this machine online?)" in told.stderr.splitlines()[-1]


def test_a_passing_failure_is_asked_again(download, source, tmp_path):
    source.faults = [(502, PAGE), "cut", (200, "")]
    told = download("stooq")
    assert told.stderr.count("attempt") == 3
    assert len(written(tmp_path, "stooq")) == len(DAYS)


def test_the_key_is_sent_where_there_is_one(source, tmp_path):
    environment = {**os.environ, "QUORUM_DATA__EXCHANGE_URL": source.url, "QUORUM_DATA__STOOQ_KEY": "abc"}
    call(
        "download",
        "--source",
        "stooq",
        "--symbols",
        "AAPL",
        "--from",
        "2024-01-01",
        cwd=tmp_path,
        environment=environment,
        code=0,
    )
    assert source.queries[0]["apikey"] == "abc"


def test_another_kind_of_file_and_a_full_disk_are_named(download, tmp_path):
    (tmp_path / "bars").mkdir()
    file = tmp_path / "bars" / "stooq-AAPL-1d.csv"
    file.write_text("Date,Close\n2024-01-02,3\n")
    assert "is another kind of file" in download("stooq", code=1).stderr
    file.unlink()
    (tmp_path / "bars" / f"stooq-AAPL-1d.csv.{os.getpid()}.new").symlink_to("/dev/full")
    assert "cannot be written: No space left on device" in download("stooq", code=1).stderr
    assert not file.exists()


def test_coins_are_no_stocks_and_there_are_only_daily_bars(download, source):
    """Seen: a desk of an exchange asked stooq for its coins."""
    assert "'BTC/USDT' is no stock" in download("stooq", code=2, symbols=("BTC/USDT",)).stderr
    assert "stooq has bars of 1d only" in download("stooq", "--interval", "1h", code=2).stderr
    assert not source.asked


def test_names_of_symbols_are_the_sources_own():
    asked = ("AAPL", "BRK.B", "SAP.DE", "PKO.PL", "^SPX", "VOD.UK")
    assert [stooq_symbol(name) for name in asked] == ["aapl.us", "brk-b.us", "sap.de", "pko", "^spx", "vod.uk"]
    assert [yahoo_symbol(name) for name in ("AAPL", "BRK.B", "SAP.DE", "^GSPC")] == ["AAPL", "BRK-B", "SAP.DE", "^GSPC"]


def test_the_desk_reads_what_was_downloaded(download, tmp_path):
    download("yahoo", symbols=("AAPL", "BRK.B"))
    settings = DataSettings(calendar="XNYS", feed_folder=tmp_path / "bars")
    read = read_folder(tmp_path / "bars", settings, {}, SystemClock().now())
    assert (read.bars.symbols, read.bad) == (("AAPL", "BRK.B"), [])
    assert read.bars.split[SPLIT_AT, 0] == 4.0
    assert read.bars.dividend[DIVIDEND_AT, 0] == 0.5
