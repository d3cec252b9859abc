"""A made-up exchange for tests: markets of random walks on the hours up to a moment, and after it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import numpy as np

from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.recorded_market import RecordedMarket
from agents.core.settings import INTERVALS_S

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def recorded(around: datetime, before: int = 300, after: int = 60, interval: str = "1h", symbols=SYMBOLS):
    """Candles without a gap: `before` that are over at `around`, and `after` that are not."""
    length_ms = INTERVALS_S[interval] * 1000
    first = int(around.timestamp() * 1000) // length_ms * length_ms - before * length_ms
    candles = {}
    for k, symbol in enumerate(symbols):
        rng = np.random.default_rng(k)
        close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, before + after))), 2)
        opened = np.concatenate([[100.0], close[:-1]])
        high, low = np.maximum(opened, close) + 0.5, np.minimum(opened, close) - 0.5
        time = first + np.arange(before + after) * length_ms
        candles[symbol] = np.column_stack([time, opened, high, low, close, rng.integers(1, 900, before + after)])
    return RecordedMarket(interval, length_ms, candles)


KEY, SECRET = "key-of-the-desk-7f3a", "secret-of-the-desk-9c1b"


def account_at(market: RecordedMarket, cash: str = "1000000", **more) -> FakeAccount:
    """An account with this much of the quote currency."""
    return FakeAccount(market, KEY, SECRET, {"USDT": Decimal(cash)}, **more)
