"""`quorum practice`: the real daemon on the made-up exchange; what it says survived, and that it would see what did not."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from agents.adapters.database.engine import open_engine
from agents.adapters.exchanges.made_up_market import downloaded, made_up
from agents.adapters.exchanges.recorded_market import CLOSE
from agents.cli.practice import _is_sound, _verdict
from agents.core.errors import DataError
from agents.core.settings import Settings
from agents.wiring.connections import Connections
from agents.wiring.practice import NAMED, Course, practise, script_of, start_of
from tests.conftest import SERVERS, SERVICES
from tests.program import call

NOW = datetime(2026, 3, 4, 10, 24, tzinfo=UTC)
SYMBOLS = ("BTC/USDT", "ETH/USDT")
BARS = 9


def course(faults="none", **more):
    market = made_up(NOW, SYMBOLS, "1h", (600, BARS + 20), 3)
    return Course(market=market, start=NOW, bars=BARS, speed=4.0, faults=faults, **more)


@pytest.fixture
def practised(tmp_path, services):
    settings = Settings(
        desk={"name": "practice", "profile": "crypto-spot"},
        data={
            "feed": "ccxt:binance",
            "feed_folder": tmp_path / "bars",
            "symbols": SYMBOLS,
            "interval": "1h",
            "time_means": "open",
            "calendar": "24/7",
        },
        agents={"enabled": ("TrendFollower", "MeanReversion")},
        execution={"lot_size": 0.0001},
        keep_servers=False,
        risk={"allow_short": False, "kill_file": tmp_path / "KILL"},
    )
    with SERVERS.database() as name:
        engines = [open_engine(SERVICES.database_url(name, f"quorum_{role}")) for role in ("owner", "trader", "meta")]
        try:
            yield lambda asked, **how: practise(
                settings, Connections(*engines, SERVICES.redis_url, (), {}), asked, **how
            )
        finally:
            for engine in engines:
                engine.dispose()


def test_a_practice_with_faults_says_what_happened_and_all_survives(practised):
    bars = []
    said = practised(course("error"), tell=bars.append)
    assert said["decisions"] == len(bars) >= BARS
    assert said["fills"] > 0
    assert said["faults"]["error"] > 0
    assert sum(bar.faults.get("error", 0) for bar in bars) <= said["faults"]["error"]
    survived = ("candles_lost", "candles_wrong", "replay_differences", "record_differences")
    assert [said[name] for name in survived] == [0, 0, 0, 0]
    assert bars[-1].equity == said["equity"]


def test_a_practice_that_is_stopped_early_has_its_page_and_sees_a_wrong_candle(practised):
    asked, stops, bars = course(), [], []

    def tell(bar):
        bars.append(bar)
        if len(bars) == 2:
            for candles in asked.market.candles.values():
                candles[-BARS - 22, CLOSE] += 1.0  # the exchange says another number now
            stops[0]()

    said = practised(asked, tell=tell, begun=stops.append)
    assert 2 <= said["decisions"] < BARS
    assert said["candles_wrong"] == len(SYMBOLS)
    assert said["replay_differences"] == 0


def test_a_practice_that_stands_still_is_not_sound(practised):
    """Nothing comes any more after three bars: what is on record is in order, but the course was not traded."""
    market = made_up(NOW, SYMBOLS, "1h", (600, 3), 3)
    said = practised(Course(market=market, start=NOW, bars=BARS, speed=10.0), tell=lambda _bar: None)
    assert said["bars_missing"] == BARS - said["decisions"] > 0
    assert not _is_sound(said)
    assert f"The last {said['bars_missing']} bars were never decided" in _verdict(said, sound=False)


@pytest.mark.parametrize("kind", NAMED)
def test_a_named_fault_comes_again_and_again_and_passes(kind):
    script = script_of(course(kind))
    met = [script.next("GET /api/v3/klines", NOW + timedelta(minutes=30 * k)) for k in range(2 * BARS)]
    assert [fault.kind if fault else None for fault in met[:8]] == [None] * 4 + [kind] * 3 + [None]
    assert script.met == {kind: 3 + 2}, "two windows, the second cut off by the end"


def test_a_made_up_market_has_trends_to_trade():
    """Sums over a half-life of trends vary far more than those of independent returns would (here 1 +- 0.1)."""
    market = made_up(NOW, tuple(f"S{k}/USDT" for k in range(20)), "1h", (1000, 0), 5)
    logs = np.log(np.stack([candles[:, CLOSE] for candles in market.candles.values()]))
    one, fifty = np.diff(logs, axis=1), logs[:, 50:] - logs[:, :-50]
    assert 5.0 < fifty.var() / (50.0 * one.var()) < 25.0


def test_what_was_downloaded_is_a_market(tmp_path):
    (tmp_path / "binance-BTC-USDT-1h.csv").write_text(
        "time,symbol,open,high,low,close,volume\n"
        "2026-01-01T00:00:00Z,BTC/USDT,1.0,2.0,0.5,1.5,10.0\n2026-01-01T01:00:00Z,BTC/USDT,1.5,2.0,1.0,1.75,9.0\n"
    )
    market = downloaded(tmp_path, "1h")
    assert market.candles["BTC/USDT"][:, CLOSE].tolist() == [1.5, 1.75]
    assert start_of(market, 700, 60) == datetime(2026, 1, 1, 1, tzinfo=UTC)
    with pytest.raises(DataError, match="no files of candles of 4h"):
        downloaded(tmp_path, "4h")
    (tmp_path / "stooq-AAPL-1h.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="is no file of candles"):
        downloaded(tmp_path, "1h")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--speed", "0"), "--speed is bars in a second, above 0"),
        (("--speed", "nan"), "--speed is bars in a second, above 0"),
        (("--bars", "0"), "--bars is at least 1"),
        (("--symbols", "AAPL"), "'AAPL' is no symbol of an exchange"),
        (("--market", "nowhere"), "no files of candles of 1h"),
        (("--folder", "mine"), "mine: holds something else than a practice"),
        (("--folder", "file"), "Not a directory"),
        (("--faults", "fire"), "invalid choice: 'fire'"),
        (("--set", "risk.stop_loss"), "--set risk.stop_loss: expected KEY=VALUE"),
        (("--set", "risk.stop_los=0.1"), "stop_los"),
        (("--set", "data.interval=1d"), "--set data.interval: a practice may change settings of agents, combine"),
        (("--set", "risk.kill_file=/tmp/x"), "--set risk.kill_file: a practice may change"),
    ],
)
def test_what_cannot_be_practised_is_one_line_and_touches_nothing(tmp_path, words, line):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "quorum.toml").write_text("[desk]\n")
    (tmp_path / "file").write_text("")
    told = call("practice", *words, cwd=tmp_path, environment=dict(os.environ), code=None)
    assert told.returncode in (1, 2)
    assert line in told.stderr.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "mine", "quorum.toml"]
