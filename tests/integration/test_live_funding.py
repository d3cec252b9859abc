"""A desk of perpetual futures on an exchange's live candles and funding: ccxt's own class for Binance's futures asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fake_futures import funding_of
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.funding_history import fetch_funding, funding_file
from agents.adapters.exchanges.futures_prices import prices_of
from agents.core.errors import DataError, UsageError
from tests.daemons import HandClock, running, until
from tests.exchange import recorded
from tests.integration.test_wrong_prices import parity_of

NOW = datetime(2026, 3, 4, 5, 24, tzinfo=UTC)
WARM_UP, HOURS = 420, 14
SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
MARKET = recorded(NOW, before=WARM_UP, after=HOURS + 3, symbols=SYMBOLS)
NOW_MS = round(NOW.timestamp() * 1000)


def test_the_exchange_tells_its_contracts_candles_and_what_was_settled(tmp_path):
    """Older settlements come without a price: the exchange's mark candles have it."""
    with FakeExchange(MARKET, HandClock(NOW)) as fake:
        prices = prices_of("binanceusdm", fake.url)
        prices.require(SYMBOLS, "1h")
        with pytest.raises(UsageError, match=r"no perpetual market 'BTC/USDT'; near are .*BTC/USDT:USDT"):
            prices.require(["BTC/USDT"], "1h")
        terms = prices.terms(SYMBOLS[0])
        assert (terms.quantity_step, terms.price_step, terms.least_cost) == (0.001, 0.01, 5.0)
        candles = prices.candles(SYMBOLS[0], "1h", NOW_MS - 5 * 3_600_000, 10)
        assert np.array_equal(candles[:4], MARKET.candles[SYMBOLS[0]][WARM_UP - 4 : WARM_UP])
        true = funding_of(MARKET, SYMBOLS[0], 0, NOW_MS)
        assert np.array_equal(prices.funding(SYMBOLS[0], 0, 1000), np.array(true)) and len(true) > 40
        assert np.array_equal(prices.funding(SYMBOLS[0], int(true[3][0]), 5), np.array(true[3:8]))
        with pytest.raises(DataError, match="no perpetual market 'XRP/USDT:USDT'"):
            prices.funding("XRP/USDT:USDT", 0, 5)
        file = funding_file(tmp_path, "binanceusdm", SYMBOLS[0])
        assert file.path.name == "binanceusdm-BTC-USDT-USDT.funding.csv"
        assert fetch_funding(prices, file, 0, lambda ask: ask()) == len(true)
        assert fetch_funding(prices, file, 0, lambda ask: ask()) == 0
        first = f"{datetime.fromtimestamp(true[0][0] / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
        assert file.path.read_text().splitlines()[:2] == [
            "time,symbol,rate,price",
            f"{first},{SYMBOLS[0]},{true[0][1]!r},{true[0][2]!r}",
        ]
        prices.close()


@pytest.mark.parametrize("faults", [(), (Fault(kind="error", path="GET /fapi/v1/fundingRate", after=2, count=4),)])
def test_a_desk_pays_what_the_exchange_settles(tmp_path, services, faults):
    """Through a restart and an exchange that fails when it is asked for funding: each settlement once, and a replay of
    the record agrees."""
    (tmp_path / "bars").mkdir()
    clock = HandClock(NOW)
    with FakeExchange(MARKET, clock, FaultScript(faults)) as fake:
        data = {
            "feed": "ccxt:binanceusdm",
            "exchange_url": fake.url,
            "symbols": SYMBOLS,
            "interval": "1h",
            "calendar": "24/7",
            "session_open": "00:00",
            "session_close": "24:00",
            "time_means": "open",
            "stream_wait_s": 0.0,
        }
        sections = {
            "DESK": {"profile": "crypto-perp"},
            "AGENTS": {"enabled": ("TrendFollower", "MeanReversion", "MarketHold")},
            "EXECUTION": {"lot_size": 0.001, "buffer": 0.02, "commission_bps": 5.0},
            "RISK": {"allow_short": True},
        }
        with running(tmp_path, clock, **sections, **data) as desk:
            failed = until(desk, NOW + timedelta(hours=HOURS), restarts=[NOW + timedelta(hours=5)])
            assert (failed > 0) is bool(faults)
            held = {(t, s): float(q) for t, s, q in desk.rows("SELECT time, symbol, position FROM decision_details")}
            first, last = min(t for t, _ in held), max(t for t, _ in held)
            assert (
                desk.scalar("SELECT count(DISTINCT time) FROM decisions") == HOURS + 2
            )  # two of the warm-up are fresh
            booked = {(t, s): float(c) for t, s, c in desk.rows("SELECT time, symbol, cash FROM corporate_actions")}
            expected = {}
            for symbol in SYMBOLS:
                for moment, rate, price in funding_of(MARKET, symbol, 0, NOW_MS + HOURS * 3_600_000):
                    at = datetime.fromtimestamp(moment / 1000, UTC)
                    if first <= at < last and held[at, symbol]:
                        expected[at, symbol] = -held[at, symbol] * rate * price
            assert set(booked) == set(expected) and len(expected) >= 2
            for key, cash in expected.items():
                assert booked[key] == pytest.approx(cash, abs=1e-6)
            assert parity_of(desk)["differences"] == 0
