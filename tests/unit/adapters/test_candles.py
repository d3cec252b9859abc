"""Candles from an exchange: what counts as over, what is no answer, files that grow once, history that goes on."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest

from agents.adapters.exchanges.candle_file import HEADER, CandleFile
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.history import ATTEMPTS, History
from agents.adapters.exchanges.public_prices import ExchangeAwayError, ExchangeElsewhereError, PublicPrices, over
from agents.adapters.exchanges.recorded_market import OPENED, RecordedMarket
from agents.core.errors import DataError, UsageError
from tests.daemons import HandClock
from tests.exchange import recorded

NOW = datetime(2026, 3, 4, 10, 24, tzinfo=UTC)
HOUR = 3_600_000
MARKET = recorded(NOW)
TRUE = MARKET.candles["BTC/USDT"]
FIRST, NOW_MS = int(TRUE[0, OPENED]), int(NOW.timestamp() * 1000)


@contextmanager
def opened(*faults, market=MARKET, share=0.0, seed=0):
    with FakeExchange(market, HandClock(NOW), FaultScript(faults, share=share, seed=seed)) as fake:
        prices = PublicPrices("binance", fake.url)
        prices._exchange.rateLimit = 1
        yield fake, prices
        prices.close()


def fetched(prices, clock, file, *, start=FIRST, until=NOW_MS, said=None):
    """All that `fetch` brings; what it said."""
    said = [] if said is None else said
    list(History(prices, "1h", clock, said.append).fetch(file, start, until))
    return said


@pytest.mark.parametrize(
    ("newest_min", "later", "expected"),
    [
        (-60, True, 1),  # it ended this moment, and the next one has begun
        (-60, False, 0),  # it ended this moment; it may still change
        (-61, False, 1),  # it ended a minute ago, and nothing came since
        (-59, True, 0),  # the exchange's clock is ahead of ours
    ],
)
def test_a_candle_is_over_by_our_clock_and_by_a_later_one(newest_min, later, expected):
    opened_ms = NOW_MS + newest_min * 60_000
    rows = [[opened_ms, 1, 1, 1, 1, 1]] + ([[opened_ms + HOUR, 1, 1, 1, 1, 1]] if later else [])
    assert len(over(np.array(rows, dtype=float), HOUR, NOW_MS)) == expected


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("limited", "limits requests; asked again after 7 s"),
        ("banned", "limits requests; asked again after 7 s"),
        ("error", "does not work at the moment"),
        ("maintenance", "This service is no longer available"),
        ("lost", "cannot be reached"),
        ("cut", "cannot be reached"),
        ("page", "is no answer"),
        ("empty", "is no answer"),
    ],
)
def test_whatever_an_exchange_does_is_one_line_and_never_candles(kind, words):
    with opened(Fault(kind=kind, path="klines", seconds=7)) as (_, prices):
        with pytest.raises(ExchangeAwayError, match=words) as raised:
            prices.candles("BTC/USDT", "1h", FIRST, 10)
        assert "\n" not in str(raised.value)
        assert "<" not in str(raised.value)
        assert raised.value.wait_s == (7 if kind in ("limited", "banned") else 0)
        assert np.array_equal(prices.candles("BTC/USDT", "1h", FIRST, 10), TRUE[:10])


def test_a_place_that_is_not_served_is_told_with_what_to_do():
    with (
        opened(Fault(kind="elsewhere", count=0)) as (_, prices),
        pytest.raises(ExchangeElsewhereError, match="choose another exchange"),
    ):
        prices.require(["BTC/USDT"], "1h")


@pytest.mark.parametrize(("column", "value"), [(OPENED, 1.0), (1, 0.0), (2, 0.01), (4, np.nan), (5, -1.0)])
def test_candles_that_cannot_be_true_are_no_answer(column, value):
    wrong = TRUE.copy()
    wrong[5, column] = wrong[5, column] + value if column == OPENED else value
    with (
        opened(market=RecordedMarket("1h", HOUR, {"BTC/USDT": wrong})) as (_, prices),
        pytest.raises(ExchangeAwayError, match=r"cannot be (true|understood)"),
    ):
        prices.candles("BTC/USDT", "1h", FIRST, 10)


@pytest.mark.parametrize(
    ("name", "symbol", "interval", "words"),
    [
        ("binanc", "BTC/USDT", "1h", "'binanc' is no exchange that ccxt knows; near are binance"),
        ("binance", "BTC/USTD", "1h", "no spot market 'BTC/USTD'; near are BTC/USDT"),
        ("coinbase", "BTC/USD", "4h", "coinbase has no candles of 4h; of ours it has 1m, 5m"),
    ],
)
def test_a_wrong_name_is_told_with_those_near_it(name, symbol, interval, words):
    with FakeExchange(MARKET, HandClock(NOW)) as fake, pytest.raises(UsageError, match=words):
        PublicPrices(name, fake.url).require([symbol], interval)


def test_terms_are_what_orders_must_keep_to():
    with opened() as (_, prices):
        terms = prices.terms("ETH/USDT")
        assert (terms.price_step, terms.quantity_step, terms.least_cost) == (0.01, 0.00001, 5.0)
        assert terms.taker == 0.001


# ------------------------------------------------------------ files


def test_a_file_grows_once_and_a_cut_line_is_taken_away(tmp_path):
    file = CandleFile.of(tmp_path / "bars", "binance", "BTC/USDT", "1h")
    assert file.path.name == "binance-BTC-USDT-1h.csv"
    assert (file.append(TRUE[:20]), file.append(TRUE[10:30])) == (20, 10)
    whole = file.path.read_bytes()
    for cut in (3, 30, 60):  # wherever a crash stopped it
        file.path.write_bytes(whole[:-cut])
        kept = (whole[:-cut].count(b"\n")) - 1
        assert file.newest_ms() == TRUE[kept - 1, OPENED]
        file.append(TRUE[:30])
        assert file.path.read_bytes() == whole
    assert file.times_ms().tolist() == TRUE[:30, OPENED].tolist()


@pytest.mark.parametrize("content", ["symbol,time,close\n", "time,symbol,open,high,low,close,volume\nrubbish\n"])
def test_another_kind_of_file_is_not_touched(tmp_path, content):
    file = CandleFile(tmp_path / "x.csv", "BTC/USDT")
    file.path.write_text(content)
    with pytest.raises(DataError, match=r"another kind of file|is no candle"):
        file.append(TRUE[:2])
    assert file.path.read_text() == content


def test_gaps_are_named(tmp_path):
    file = CandleFile(tmp_path / "x.csv", "BTC/USDT")
    file.append(np.delete(TRUE[:50], [7, 8, 20], axis=0))
    assert [(gap.first_ms - FIRST, gap.last_ms - FIRST, gap.candles) for gap in file.gaps(HOUR)] == [
        (7 * HOUR, 8 * HOUR, 2),
        (20 * HOUR, 20 * HOUR, 1),
    ]


# ------------------------------------------------------------ history


@pytest.mark.parametrize("seed", range(3))
def test_history_through_many_faults_is_the_history(tmp_path, seed):
    with opened(share=0.3, seed=seed) as (_, prices):
        prices.page = lambda _symbol: 25
        file = CandleFile(tmp_path / "x.csv", "BTC/USDT")
        said = fetched(prices, HandClock(NOW), file)
        rows = file.path.read_text().splitlines()
        assert file.times_ms().tolist() == TRUE[:300, OPENED].tolist(), "the one that is open is not among them"
        closes = [float(row.split(",")[5]) for row in rows[1:]]
        assert closes == TRUE[:300, 4].tolist()
        assert said, "there were faults"


def test_history_goes_on_where_it_stopped_and_asks_for_no_more(tmp_path):
    dead = Fault(kind="error", path="klines", after=3, count=10**6)
    with opened(dead) as (fake, prices):
        prices.page = lambda _symbol: 50
        file, clock = CandleFile(tmp_path / "x.csv", "BTC/USDT"), HandClock(NOW)
        with pytest.raises(ExchangeAwayError):
            fetched(prices, clock, file)
        assert clock.elapsed_s - 1000.0 == sum(2.0**k for k in range(ATTEMPTS - 1))
        assert len(file.times_ms()) == 150
        fake.script, asked = FaultScript(), fake.asked["/api/v3/klines"]
        fetched(prices, clock, file)
        assert (len(file.times_ms()), fake.asked["/api/v3/klines"] - asked) == (300, 3)
        fetched(prices, clock, file)
        assert fake.asked["/api/v3/klines"] - asked == 3, "all is there: nothing is asked"


def test_older_candles_are_put_before_those_that_are_there(tmp_path):
    with opened() as (_, prices):
        file, clock = CandleFile(tmp_path / "x.csv", "BTC/USDT"), HandClock(NOW)
        fetched(prices, clock, file, start=FIRST + 200 * HOUR)
        history = History(prices, "1h", clock, print)
        for start in (FIRST + 50 * HOUR, FIRST - 9000 * HOUR, FIRST - 9000 * HOUR):
            list(history.fetch_earlier(file, start))
        assert file.path.read_bytes().startswith(HEADER)
        assert file.times_ms().tolist() == TRUE[:300, OPENED].tolist()
        assert [each.name for each in tmp_path.iterdir()] == ["x.csv"]


def test_a_long_gap_ends_no_history(tmp_path):
    gapped = RecordedMarket("1h", HOUR, {"BTC/USDT": np.vstack([TRUE[:40], TRUE[200:]])})
    with opened(market=gapped) as (_, prices):
        prices.page = lambda _symbol: 20
        file = CandleFile(tmp_path / "x.csv", "BTC/USDT")
        fetched(prices, HandClock(NOW), file)
        assert [gap.candles for gap in file.gaps(HOUR)] == [160]


def test_the_users_end_is_kept_to(tmp_path):
    with opened() as (_, prices):
        file = CandleFile(tmp_path / "x.csv", "BTC/USDT")
        fetched(prices, HandClock(NOW), file, until=FIRST + 10 * HOUR + 1)
        assert len(file.times_ms()) == 10
