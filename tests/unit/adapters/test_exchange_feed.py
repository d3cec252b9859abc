"""The feed from an exchange: whole rounds, what is waited for and for how long, and an exchange that asks for peace."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from agents.adapters.exchanges.candle_file import CandleFile
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.public_prices import ExchangeAwayError, PublicPrices
from agents.adapters.exchanges.recorded_market import OPENED, RecordedMarket
from agents.adapters.feeds.exchange_feed import ExchangeFeed, Wanted
from agents.core.ports import Arrival
from agents.core.risk_settings import Limit
from agents.orchestrator.clock_drift import ClockDrift
from tests.daemons import HandClock
from tests.exchange import SYMBOLS, recorded

NOW = datetime(2026, 3, 4, 10, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
MARKET = recorded(NOW, after=10)
BTC, ETH = SYMBOLS


def without(symbol, *numbers):
    """The market, in which nothing of `symbol` was traded in the hours of these numbers from NOW's on."""
    candles = dict(MARKET.candles)
    candles[symbol] = np.delete(candles[symbol], [300 + number for number in numbers], axis=0)
    return RecordedMarket(MARKET.interval, MARKET.interval_ms, candles)


class Shown:
    """Stands for the folder's feed: how many candles of each symbol there were when it was asked to read."""

    def __init__(self, files):
        self.files, self.polls = files, []

    def poll(self, at):
        self.polls.append(tuple(len(file.times_ms()) for file in self.files))
        return Arrival(0, 0.0)


class World:
    def __init__(self, folder, fake, clock, warm_up=50):
        self.fake, self.clock = fake, clock
        self.prices = PublicPrices("binance", fake.url)
        self.prices._exchange.rateLimit = 1
        self.files = [CandleFile.of(folder, "binance", symbol, "1h") for symbol in SYMBOLS]
        self.shown = Shown(self.files)
        wanted = Wanted(folder, SYMBOLS, "1h", 3_600_000, warm_up, 60.0)
        drift = ClockDrift(Limit(at=5.0, action="warn"))
        self.feed = ExchangeFeed(self.prices, self.shown, wanted, clock, drift.note)

    def poll(self, after_s=2.0):
        self.clock.sleep_s(after_s)
        return self.feed.poll(self.clock.now())

    def until(self, moment):
        self.poll((moment - self.clock.now()).total_seconds())


@contextmanager
def world(folder, *faults, market=MARKET, **more):
    clock = HandClock(NOW)
    with FakeExchange(market, clock, FaultScript(faults)) as fake:
        made = World(folder, fake, clock, **more)
        yield made
        made.prices.close()


def test_a_new_desk_gets_its_warm_up_and_then_each_candle_once(tmp_path):
    with world(tmp_path) as desk:
        desk.poll()
        assert desk.shown.polls == [(50, 50)]
        asked = desk.fake.asked["/api/v3/klines"]
        for _ in range(20):
            desk.poll()
        assert desk.fake.asked["/api/v3/klines"] == asked, "nothing is due"
        desk.until(NOW + HOUR)
        assert desk.shown.polls[-1] == (51, 51)
        assert desk.fake.asked["/api/v3/klines"] == asked + 2


def test_after_a_pause_all_that_was_missed_comes_before_the_desk_reads(tmp_path):
    with world(tmp_path) as desk:
        desk.poll()
        desk.prices.page = lambda _symbol: 2
        desk.until(NOW + 7 * HOUR)
        assert desk.shown.polls == [(50, 50), (57, 57)]


def test_a_restart_goes_on_where_the_files_end(tmp_path):
    with world(tmp_path) as desk:
        desk.poll()
        again = World(tmp_path, desk.fake, desk.clock)
        asked = desk.fake.asked["/api/v3/klines"]
        again.poll()
        assert desk.fake.asked["/api/v3/klines"] == asked
        again.until(NOW + 3 * HOUR)
        assert again.shown.polls[-1] == (53, 53)
        again.prices.close()


def test_a_round_is_never_shown_in_part(tmp_path):
    """The second symbol's request fails: the first one's candle is in its file, and nobody reads it."""
    broken = Fault(kind="error", path="klines", after=3, count=3)
    with world(tmp_path, broken) as desk:
        desk.poll()
        desk.clock.sleep_s(3600)
        for _ in range(3):
            with pytest.raises(ExchangeAwayError):
                desk.poll()
        desk.poll(), desk.poll()
        assert set(desk.shown.polls) == {(50, 50), (51, 51)}


def test_an_exchange_that_asks_for_peace_is_left_alone(tmp_path):
    with world(tmp_path, Fault(kind="limited", path="klines", after=2, seconds=30)) as desk:
        desk.poll()
        desk.clock.sleep_s(3600)
        asked = sum(desk.fake.asked.values())
        for _ in range(10):
            with pytest.raises(ExchangeAwayError, match="asked again after 30 s"):
                desk.poll()
        assert sum(desk.fake.asked.values()) == asked + 2, "the clock, and the one that was refused"
        desk.poll(30.0)
        assert desk.shown.polls[-1] == (51, 51)


def test_a_candle_that_is_known_not_to_be_is_not_waited_for(tmp_path):
    with world(tmp_path, market=without(ETH, 0)) as desk:
        desk.poll()
        desk.until(NOW + HOUR)
        assert desk.shown.polls[-1] == (51, 50)


def test_a_candle_that_may_still_come_is_waited_for_and_then_no_more(tmp_path):
    with world(tmp_path, market=without(ETH, *range(10))) as desk:
        desk.poll()
        waited = []
        for number in range(1, 6):
            desk.until(NOW + number * HOUR)
            polls = 0
            while len(desk.shown.polls) == number:
                polls += 1
                desk.poll(5.0)
            waited.append(5.0 * polls)
        assert waited == [60.0, 60.0, 60.0, 0.0, 0.0]
        assert desk.shown.polls[-1] == (55, 50)


def test_a_symbol_that_was_taken_off_does_not_hold_the_others(tmp_path, caplog):
    with world(tmp_path) as desk:
        desk.poll()
        del desk.fake.market.candles[ETH]
        try:
            with caplog.at_level(logging.WARNING):
                for number in (1, 2):
                    desk.until(NOW + number * HOUR)
                    assert desk.shown.polls[-1] == (50 + number, 50)
            assert [record.getMessage() for record in caplog.records] == ["no candles of a symbol"]
        finally:
            desk.fake.market.candles[ETH] = recorded(NOW, after=10).candles[ETH]


@pytest.mark.parametrize(("skew_s", "alarms"), [(0, 0), (4, 0), (-8, 1), (8, 1)])
def test_clocks_that_differ_are_told_once(tmp_path, caplog, skew_s, alarms):
    with world(tmp_path) as desk:
        desk.fake.skew = timedelta(seconds=skew_s)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                desk.poll(3600.0)
                for _ in range(10):
                    desk.poll()
        assert len([record for record in caplog.records if record.getMessage() == "ALARM"]) == alarms
        assert [int(t) for t in desk.files[0].times_ms()] == MARKET.candles[BTC][251:303, OPENED].tolist()


def test_a_long_back_fill_lets_the_daemon_breathe(tmp_path, monkeypatch):
    with world(tmp_path, warm_up=60) as desk:
        desk.prices.page = lambda _symbol: 10
        candles = desk.prices.candles
        monkeypatch.setattr(desk.prices, "candles", lambda *args: desk.clock.sleep_s(4.0) or candles(*args))
        answers = [desk.poll().quiet_s for _ in range(4)]
        assert answers == [0.0, 0.0, 0.0, None], "three pages in each poll, and not quiet meanwhile"
        assert desk.shown.polls == [(60, 60)]
