"""ccxt's own class cannot tell the made-up exchange from Binance: markets, candles, prices, and what goes wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import ccxt
import numpy as np
import pytest

from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fault_script import KINDS, Fault, FaultScript
from agents.adapters.exchanges.recorded_market import HIGH, LOW, OPENED
from agents.core.clock import SystemClock
from tests.daemons import HandClock
from tests.exchange import SYMBOLS, recorded

NOW = datetime(2026, 3, 4, 10, 24, tzinfo=UTC)
MARKET = recorded(NOW)


def pointed(urls, base):
    if isinstance(urls, dict):
        return {name: pointed(url, base) for name, url in urls.items()}
    return base + urlsplit(urls).path


@pytest.fixture
def fake():
    with FakeExchange(MARKET, HandClock(NOW)) as exchange:
        yield exchange


@pytest.fixture
def client(fake):
    made = ccxt.binance({"enableRateLimit": False, "timeout": 5000})
    made.urls["api"] = pointed(made.urls["api"], fake.url)
    yield made
    made.session.close()


def test_markets_time_and_status(client):
    client.load_markets()
    market = client.market("BTC/USDT")
    assert (set(client.symbols), market["spot"], market["active"]) == (set(SYMBOLS), True, True)
    assert (market["precision"]["amount"], market["limits"]["cost"]["min"]) == (0.00001, 5.0)
    assert client.fetch_time() == NOW.timestamp() * 1000
    assert client.fetch_status()["status"] == "ok"


def test_candles_come_in_pages_the_last_of_them_half(client):
    start = int(MARKET.candles["BTC/USDT"][0, OPENED])
    pages, since = [], start
    while page := client.fetch_ohlcv("BTC/USDT", "1h", since=since, limit=70):
        pages.append(page)
        since = page[-1][0] + 1
    assert [len(page) for page in pages] == [70, 70, 70, 70, 21]
    candles, true = np.vstack(pages), MARKET.candles["BTC/USDT"]
    assert np.array_equal(candles[:300], true[:300])
    assert candles[300, OPENED] == true[300, OPENED]
    assert candles[300, HIGH] - candles[300, LOW] < true[300, HIGH] - true[300, LOW]


def test_prices_and_book_are_of_the_same_moment(client):
    ticker, book = client.fetch_ticker("ETH/USDT"), client.fetch_order_book("ETH/USDT", 5)
    assert ticker["bid"] == book["bids"][0][0] < ticker["last"] < book["asks"][0][0] == ticker["ask"]
    assert set(client.fetch_tickers()) == set(SYMBOLS)


def test_its_clock_may_be_wrong(fake, client):
    fake.skew = timedelta(seconds=-10)
    assert client.fetch_time() == (NOW.timestamp() - 10) * 1000


def test_too_many_requests_are_refused_until_the_minute_is_over():
    clock = HandClock(NOW)
    with FakeExchange(MARKET, clock, per_minute=2) as fake:
        client = ccxt.binance({"enableRateLimit": False})
        client.urls["api"] = pointed(client.urls["api"], fake.url)
        client.fetch_time(), client.fetch_time()
        with pytest.raises(ccxt.DDoSProtection):
            client.fetch_time()
        clock.sleep_s(float(client.last_response_headers["Retry-After"]) + 0.01)
        assert client.fetch_time()
        client.session.close()


# what ccxt makes of each fault: an error's class, or what it takes for an answer
SEEN_AS = {
    "limited": ccxt.DDoSProtection,
    "banned": ccxt.DDoSProtection,
    "error": ccxt.ExchangeNotAvailable,
    "maintenance": ccxt.BadRequest,
    "lost": ccxt.NetworkError,
    "cut": ccxt.NetworkError,
    "elsewhere": ccxt.ExchangeNotAvailable,
    "slow": ccxt.RequestTimeout,
    "page": "rubbish",
    "empty": "no candles",
    "late": "all but the newest",
}


@pytest.mark.parametrize("kind", SEEN_AS)
def test_a_fault_meets_one_request_and_the_next_is_answered(fake, client, kind, monkeypatch):
    client.load_markets()
    fake.script = FaultScript([Fault(kind=kind, path="klines", seconds=0.4)])
    if kind == "slow":
        monkeypatch.setattr(fake, "wait_s", SystemClock().sleep_s)
        client.timeout = 100
    if isinstance(SEEN_AS[kind], str):
        answer = client.fetch_ohlcv("BTC/USDT", "1h", limit=2)
        if kind == "page":
            assert None in answer[0], "a web page, taken for candles letter by letter"
        elif kind == "empty":
            assert answer == []
        else:
            assert answer[-1][0] == MARKET.candles["BTC/USDT"][299, OPENED]
            assert answer[-1] != MARKET.candles["BTC/USDT"][299].tolist(), "it is over, and shown as before its end"
    else:
        with pytest.raises(SEEN_AS[kind]):
            client.fetch_ohlcv("BTC/USDT", "1h", limit=2)
    client.timeout = 5000
    assert len(client.fetch_ohlcv("BTC/USDT", "1h", limit=2)) == 2


def test_maintenance_lasts_as_long_as_scripted(fake, client):
    ends = NOW + timedelta(minutes=5)
    fake.script = FaultScript([Fault(kind="maintenance", count=0, ends=ends)])
    for _ in range(3):
        with pytest.raises(ccxt.BadRequest):
            client.fetch_time()
    fake._clock.sleep_s(301)
    assert client.fetch_time()


def test_a_seed_draws_the_same_faults_again():
    def drawn(seed):
        script = FaultScript(share=0.3, seed=seed)
        return [fault and fault.kind for fault in (script.next("/", NOW) for _ in range(200))]

    assert drawn(1) == drawn(1) != drawn(2)
    assert {kind for kind in drawn(1) if kind} == set(KINDS)
    assert 40 < sum(kind is not None for kind in drawn(1)) < 80
