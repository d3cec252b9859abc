"""Candles that are pushed: taken where they are over for certain, asked for where they are not, and a thread that ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from agents.adapters.exchanges import candle_stream
from agents.adapters.exchanges.candle_stream import OVER, CandleStream, can_listen
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.public_prices import PublicPrices
from agents.adapters.exchanges.recorded_market import OPENED
from agents.core.clock import SystemClock
from tests.exchange import SYMBOLS, LiveClock, eventually, recorded
from tests.unit.adapters.test_exchange_feed import World

NOW = datetime(2026, 3, 4, 10, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
WAIT_S, SILENT_S = 30.0, 600.0
MARKET = recorded(NOW, after=20)
BTC, ETH = SYMBOLS


class Listening(World):
    """A feed that listens; time passes in steps, and at each both sides get to say and to hear what is to be said."""

    def __init__(self, folder, fake, clock):
        super().__init__(folder, fake, clock)
        self.stream = CandleStream(self.prices, "1h", clock, SILENT_S)
        self.arrived = []
        self.stream.arrived = lambda: self.arrived.append(clock.now())
        self.feed.listen(self.stream, WAIT_S)
        clock.fake, clock.stream = fake, lambda: self.stream

    def connected(self):
        """Time passes until it listens, and has heard something."""
        for _ in range(60):
            eventually(self.stream.heard, 0.1)
            if self.stream.heard():
                return
            self.clock.sleep_s(10.0)

    def heard_of(self, opened: datetime) -> None:
        eventually(lambda: all(int(opened.timestamp() * 1000) in known for known in self.stream._over.values()))

    def asked(self) -> int:
        return self.fake.asked["/api/v3/klines"]


@contextmanager
def listening(folder, *faults):
    clock = LiveClock(NOW)
    with FakeExchange(MARKET, clock, FaultScript(faults)) as fake:
        made = Listening(folder, fake, clock)
        try:
            made.poll()
            made.connected()
            yield made
        finally:
            made.feed.close()


def to_the_end_of_the_hour(desk, number):
    """The moment right after the end of the hour of this number from NOW's on."""
    end = NOW.replace(minute=0, second=0) + (number + 1) * HOUR
    desk.clock.sleep_s((end - desk.clock.now()).total_seconds() + 0.1)
    return end - HOUR


def for_the_hour(kind, number=1, hours=1.0):
    begins = NOW.replace(minute=30) + number * HOUR
    return Fault(kind=kind, path="stream", count=0, begins=begins, ends=begins + hours * HOUR)


def test_what_is_pushed_is_not_asked_for(tmp_path):
    """Also the exchange's time, which was asked for before: nothing stands between a bar's end and its decision."""
    with listening(tmp_path) as desk:
        asked = desk.asked()
        for number in range(3):
            desk.poll(3300.0 if number == 0 else 3500.0)
            opened = to_the_end_of_the_hour(desk, number)
            desk.heard_of(opened)
            requests = sum(desk.fake.asked.values())
            desk.feed.poll(desk.clock.now())
            assert desk.shown.polls[-1] == (51 + number, 51 + number)
            assert sum(desk.fake.asked.values()) == requests
            assert len(desk.arrived) == number + 1, "the daemon is woken when the last symbol is there"
        assert desk.asked() == asked
        assert desk.fake.asked["/api/v3/time"] == 4, "once for each bar"
        assert_true_candles(desk)


def assert_true_candles(desk):
    for symbol, file in zip(SYMBOLS, desk.files, strict=True):
        rows = [line.split(",") for line in file.path.read_text().splitlines()[1:]]
        true = {int(c[OPENED]): [float(x) for x in c[1:]] for c in MARKET.candles[symbol]}
        for time_ms, row in zip(file.times_ms(), rows, strict=True):
            assert [float(x) for x in row[2:]] == pytest.approx(true[int(time_ms)], rel=1e-9)
        assert len(set(file.times_ms().tolist())) == len(rows)


DISTURBED = {
    "the connection ends": for_the_hour("lost"),
    "silence while connected": for_the_hour("empty"),
    "a candle's last state is lost": for_the_hour("late"),
    "each connection ends at once": for_the_hour("cut"),
    "none is accepted": for_the_hour("limited"),
}


@pytest.mark.parametrize("fault", DISTURBED)
def test_what_is_not_pushed_is_asked_for(tmp_path, caplog, fault):
    with caplog.at_level(logging.INFO), listening(tmp_path, DISTURBED[fault]) as desk:
        asked = desk.asked()
        pushed_hour(desk, 0)
        to_the_end_of_the_hour(desk, 1)
        polls = 0
        while desk.shown.polls[-1] != (52, 52):
            desk.poll(5.0)
            polls += 1
            assert polls < 20
        assert desk.asked() == asked + 2
        desk.clock.sleep_s(2500.0)
        desk.connected()
        pushed_hour(desk, 2)
        assert desk.asked() == asked + 2, "it listens again"
        assert_true_candles(desk)
    said = [r.getMessage() for r in caplog.records if "stream" in r.getMessage()]
    lost = "the exchange's stream is silent; candles are asked for meanwhile"
    again = "listening to the exchange's stream of candles"
    assert said == ([again] if fault == "a candle's last state is lost" else [again, lost, again]), "one line each way"


def pushed_hour(desk, number):
    """An hour passes, and its candles come without being asked for."""
    desk.heard_of(to_the_end_of_the_hour(desk, number))
    desk.feed.poll(desk.clock.now())
    assert desk.shown.polls[-1] == (51 + number, 51 + number)


def test_messages_that_come_twice_and_in_another_order_change_nothing(tmp_path):
    with listening(tmp_path, for_the_hour("shuffled", 0, hours=4.0)) as desk:
        asked = desk.asked()
        for number in range(3):
            pushed_hour(desk, number)
        assert desk.asked() == asked
        assert_true_candles(desk)


def test_what_was_missed_is_back_filled_at_once_and_only_then_listened_for(tmp_path):
    with listening(tmp_path, for_the_hour("maintenance", 0, hours=3.0)) as desk:
        asked = desk.asked()
        for number in range(3):
            to_the_end_of_the_hour(desk, number)
        desk.clock.sleep_s(2000.0)
        desk.connected()
        desk.feed.poll(desk.clock.now())
        assert desk.shown.polls == [(50, 50), (53, 53)]
        assert desk.asked() == asked + 2, "one page of each symbol"
        pushed_hour(desk, 3)
        assert desk.asked() == asked + 2
        assert_true_candles(desk)


def test_behind_a_gap_nothing_is_taken(tmp_path):
    """The first of two candles lost its last state, and nobody looked before the second was over."""
    with listening(tmp_path, for_the_hour("late", 0)) as desk:
        asked = desk.asked()
        to_the_end_of_the_hour(desk, 0)
        desk.heard_of(to_the_end_of_the_hour(desk, 1))
        desk.feed.poll(desk.clock.now())
        assert desk.shown.polls[-1] == (52, 52)
        assert desk.asked() == asked + 2
        assert_true_candles(desk)


class TimePassesInPauses:
    """asyncio for the stream's thread: a second of the exchange's clock passes at each of its looks between connections,
    and none while one is made, however long a busy machine takes for that."""

    def __init__(self, clock) -> None:
        self.clock, self.passes = clock, False

    def __getattr__(self, name):
        return getattr(asyncio, name)

    async def sleep(self, _duration_s: float) -> None:
        if self.passes:
            self.clock.sleep_s(1.0)
        await asyncio.sleep(0.001)


def test_a_storm_of_reconnects_grows_calm(tmp_path, monkeypatch):
    """Each connection ends right after it subscribed: the pauses double, on the clock that the exchange lives by."""
    began_s = []
    with listening(tmp_path, for_the_hour("lost", 0, hours=2.0)) as desk:
        to_the_end_of_the_hour(desk, 0)
        usual, time = CandleStream._while_heard, TimePassesInPauses(desk.clock)

        def while_heard(stream, exchange):
            began_s.append(desk.clock.monotonic_s())
            return usual(stream, exchange)

        monkeypatch.setattr(candle_stream, "asyncio", time)
        monkeypatch.setattr(CandleStream, "_while_heard", while_heard)
        time.passes = True
        eventually(lambda: len(began_s) > 5)
        time.passes = False
    pauses = [round(after - before) for before, after in pairwise(began_s[:6])]
    assert pauses == [pauses[0] * 2**k for k in range(5)]


def test_the_thread_ends_when_it_is_told_to_also_where_nobody_answers(tmp_path):
    clock = SystemClock()
    for faults in (
        (),
        (Fault(kind="empty", path="stream", count=0),),
        (Fault(kind="maintenance", path="stream", count=0),),
    ):
        with FakeExchange(MARKET, LiveClock(NOW), FaultScript(faults)) as fake:
            desk = Listening(tmp_path / str(len(faults)), fake, fake._clock)
            desk.poll()
            eventually(lambda: desk.fake.stream.accepted)  # noqa: B023
            started_s = clock.monotonic_s()
            desk.feed.close()
            assert clock.monotonic_s() - started_s < 8.0
            assert not desk.stream._thread.is_alive()
            assert "candles" not in {thread.name for thread in threading.enumerate()}


MESSAGES = {
    "bybit": ({"topic": "kline.60.BTCUSDT", "data": [{"start": 1, "open": "1", "high": "3", "low": "1", "close": "2",
               "volume": "5", "confirm": over}]} for over in (False, True)),
    "okx": ({"arg": {"channel": "candle1H", "instId": "BTC-USDT"}, "data": [["1", "1", "3", "1", "2", "5", "9", "9", over]]}
            for over in ("0", "1")),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_other_exchanges_mark_candles_that_are_over_in_their_way(name):
    """In the shapes that their documentation and ccxt's sources show."""
    half, whole = MESSAGES[name]
    assert list(OVER[name](half)) == []
    ((market, opened, *numbers),) = OVER[name](whole)
    assert market.replace("-", "") == "BTCUSDT"
    assert (int(opened), [float(n) for n in numbers]) == (1, [1.0, 3.0, 1.0, 2.0, 5.0])


def test_an_exchange_that_marks_nothing_is_not_listened_to():
    assert can_listen("binance") == ""
    assert can_listen("kraken").startswith("kraken does not mark candles that are over")


def test_a_message_that_nobody_understands_ends_nothing(tmp_path):
    with listening(tmp_path) as desk:
        for message in ({"e": "kline"}, {"e": "kline", "k": {"x": True}}, {"e": "kline", "k": {"x": True, "s": "BTCUSDT",
                "t": 1, "o": "x", "h": 1, "l": 1, "c": 1, "v": 1}}):  # fmt: skip
            with pytest.raises((KeyError, ValueError)):
                desk.stream._note(message)
        assert all(not known for known in desk.stream._over.values())
        prices: PublicPrices = desk.prices
        assert desk.stream._listener().handle_ohlcv(None, {"e": "kline"}) is None
        assert prices.url == desk.fake.url
