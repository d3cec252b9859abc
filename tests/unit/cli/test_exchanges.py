"""`quorum connect` and `download` against the made-up exchange: what is written, kept, named and refused."""

from __future__ import annotations

import json
import os
import re
import tomllib
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.recorded_market import OPENED, RecordedMarket
from agents.core.clock import SystemClock
from agents.core.settings import load_settings
from agents.core.settings_file import toml_of
from tests.exchange import recorded
from tests.program import call


@pytest.fixture
def exchange():
    """Its second symbol lacks three candles; the last one recorded is the one that is open."""
    made = recorded(SystemClock().now(), before=300, after=1)
    made.candles["ETH/USDT"] = np.delete(made.candles["ETH/USDT"], [50, 51, 52], axis=0)
    with FakeExchange(RecordedMarket("1h", made.interval_ms, made.candles), SystemClock()) as fake:
        yield fake


@pytest.fixture
def quorum(exchange, tmp_path):
    environment = {**os.environ, "QUORUM_DATA__EXCHANGE_URL": exchange.url, "COLUMNS": "120"}

    def ask(*words, code=0):
        return call(*words, cwd=tmp_path, environment=environment, code=code)

    return ask


def at(candle):
    return datetime.fromtimestamp(candle[OPENED] / 1000, UTC)


def test_history_is_written_once_and_what_is_missing_is_named(quorum, exchange, tmp_path):
    candles = exchange.market.candles["ETH/USDT"]
    asked = ("--symbols", "BTC/USDT", "ETH/USDT", "--interval", "1h", "--from", at(candles[0]).isoformat())
    told = quorum("download", "--exchange", "binance", *asked)
    assert ["ETH/USDT", "297", "297"] in [line.split()[:3] for line in told.stdout.splitlines()]
    assert "Gaps: what binance has no candles of" in told.stdout
    assert "time_means = 'open'" in told.stdout
    rows = json.loads(quorum("download", "--exchange", "binance", *asked, "--json").stdout)
    assert [(row["new"], row["candles"], row["missing"]) for row in rows] == [(0, 300, 0), (0, 297, 3)]
    assert datetime.fromisoformat(rows[1]["gaps"][0]["first"]).timestamp() == at(candles[49]).timestamp() + 3600
    files = sorted(file.name for file in (tmp_path / "bars").iterdir())
    assert files == ["binance-BTC-USDT-1h.csv", "binance-ETH-USDT-1h.csv"]


def test_an_exchange_that_stays_away_leaves_what_was_fetched_and_says_how_to_go_on(quorum, exchange, monkeypatch):
    monkeypatch.setattr(SystemClock, "sleep_s", lambda *_: None)
    exchange.script = FaultScript([Fault(kind="maintenance", count=0)])
    told = quorum("download", "--exchange", "binance", "--symbols", "BTC/USDT", "--from", "2026-01-01", code=1)
    assert told.stderr.count("attempt") == 5
    assert "the same command goes on there" in told.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--exchange", "binanc", "--symbols", "BTC/USDT"), "near are binance"),
        (("--exchange", "binance", "--symbols", "BTC/USTD"), "near are BTC/USDT"),
        (("--exchange", "binance"), "say which exchange and symbols"),
        (("--exchange", "binance", "--symbols", "BTC/USDT", "--until", "2019-01-01"), "is not before the end"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(quorum, words, line):
    told = quorum("download", "--from", "2026-01-01", *words, code=2)
    assert line in told.stderr.splitlines()[-1]


def test_connect_writes_the_settings_of_a_desk_and_keeps_the_others(quorum, tmp_path):
    (tmp_path / "quorum.toml").write_text('[risk]\ngross_cap = 0.5\n[data]\ntimezone = "Europe/Paris"\npoll_s = 3.0\n')
    told = quorum("connect", "binance", "--symbols", "ETH/USDT", "BTC/USDT", "--interval", "4h", code=0)
    settings = load_settings(tmp_path / "quorum.toml")
    assert (settings.data.exchange, settings.data.symbols) == ("binance", ("BTC/USDT", "ETH/USDT"))
    assert (settings.data.interval, settings.data.calendar, settings.data.timezone) == ("4h", "24/7", "UTC")
    assert (settings.execution.commission_bps, settings.execution.lot_sizes["BTC/USDT"]) == (10.0, 0.00001)
    assert (settings.risk.gross_cap, settings.data.poll_s, settings.risk.allow_short) == (0.5, 3.0, False)
    assert "Europe/Paris" in (tmp_path / "quorum.toml.before").read_text()
    assert "Clock: within" in told.stdout
    assert "./start_trading.sh" in told.stdout


def test_connect_tells_of_a_wrong_clock_and_changes_nothing_for_a_wrong_symbol(quorum, exchange, tmp_path):
    quorum("connect", "binance", "--symbols", "NO/SUCH", code=2)
    assert list(tmp_path.iterdir()) == []
    exchange.skew = timedelta(seconds=-20)
    told = quorum("connect", "binance", "--symbols", "BTC/USDT", code=1)
    assert re.search(r"(19|20)\.\d s ahead of binance's; set it before you trade", told.stdout)


PLAIN = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(PLAIN | st.lists(PLAIN), lambda inner: st.dictionaries(st.text(), inner), max_leaves=20))
def test_settings_are_written_as_they_are_read(value):
    assert tomllib.loads(toml_of({"table": value, "key": 1})) == {"table": value, "key": 1}
