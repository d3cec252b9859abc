"""`quorum connect` and `download` against the made-up exchange: what is written, kept, named and refused."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.recorded_market import OPENED, RecordedMarket
from agents.core.clock import SystemClock
from agents.core.settings import load_settings
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


MINE = """# the desk of our house
[risk]
gross_cap = 0.5  # never more
[data]
timezone = "Europe/Paris"
poll_s = 3.0     # the exchange asked for it
feed = "folder"  # until we connect

# what trading costs
[execution]
impact = 0.2
"""


def test_connect_writes_the_settings_of_a_desk_and_keeps_the_others(quorum, tmp_path):
    file = tmp_path / "quorum.toml"
    file.write_text(MINE)
    file.chmod(0o600)
    asked = ("connect", "binance", "--symbols", "ETH/USDT", "BTC/USDT", "--interval", "4h")
    told = quorum(*asked)
    settings = load_settings(file)
    assert (settings.data.exchange, settings.data.symbols) == ("binance", ("BTC/USDT", "ETH/USDT"))
    assert (settings.data.interval, settings.data.calendar, settings.data.timezone) == ("4h", "24/7", "UTC")
    assert (settings.execution.commission_bps, settings.execution.lot_sizes["BTC/USDT"]) == (10.0, 0.00001)
    assert (settings.risk.gross_cap, settings.data.poll_s, settings.risk.allow_short) == (0.5, 3.0, False)
    assert (tmp_path / "quorum.toml.before").read_text() == MINE
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600, 0o600]
    assert "Clock: within" in told.stdout
    assert "./start_trading.sh" in told.stdout
    assert "(what it was is kept in" not in quorum(*asked).stdout, "nothing is left to change"
    assert (tmp_path / "quorum.toml.before").read_text() == MINE


def test_connect_keeps_comments_and_their_places(quorum, tmp_path):
    """Seen: it wrote the file anew, without a comment in it."""
    file = tmp_path / "quorum.toml"
    file.write_text(MINE)
    quorum("connect", "binance", "--symbols", "ETH/USDT")
    written = file.read_text()
    assert written.startswith(MINE[: MINE.index("timezone")])
    assert 'poll_s = 3.0     # the exchange asked for it\nfeed = "ccxt:binance"  # until we connect\nsymbols' in written
    assert "\n\n# what trading costs\n[execution]\nimpact = 0.2\n" in written


def test_connect_changes_nothing_where_it_cannot_write(quorum, tmp_path):
    file = tmp_path / "quorum.toml"
    file.write_text(MINE)
    (tmp_path / "quorum.toml.new").symlink_to("/dev/full")
    told = quorum("connect", "binance", "--symbols", "ETH/USDT", code=2)
    assert "quorum.toml: cannot be written: No space left on device; nothing was changed" in told.stderr
    assert (file.read_text(), [path.name for path in tmp_path.iterdir()]) == (MINE, ["quorum.toml"])


def test_connect_tells_of_a_wrong_clock_and_changes_nothing_for_a_wrong_symbol(quorum, exchange, tmp_path):
    quorum("connect", "binance", "--symbols", "NO/SUCH", code=2)
    assert list(tmp_path.iterdir()) == []
    exchange.skew = timedelta(seconds=-20)
    told = quorum("connect", "binance", "--symbols", "BTC/USDT", code=1)
    assert re.search(r"(19|20)\.\d s ahead of binance's; set it before you trade", told.stdout)


@pytest.mark.parametrize("line", ["hello", "20x6-01-01T00:00:00Z,BTC/USDT,1,1,1,1,1", ""])
def test_a_line_that_somebody_put_into_a_file_of_candles_is_named(quorum, exchange, tmp_path, line):
    """Seen: "unexpected ValueError", with the whole story in the log."""
    first = at(exchange.market.candles["BTC/USDT"][0]).isoformat()
    asked = ("download", "--exchange", "binance", "--symbols", "BTC/USDT", "--interval", "1h", "--from", first)
    quorum(*asked)
    file = tmp_path / "bars" / "binance-BTC-USDT-1h.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:7], line, *lines[7:]]) + "\n")
    told = quorum(*asked, code=1)
    assert f"binance-BTC-USDT-1h.csv:8: is no candle: '{line[:40]}'" in told.stderr.splitlines()[-1]
