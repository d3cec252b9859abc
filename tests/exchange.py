"""A made-up exchange for tests: markets of random walks on the hours up to a moment, and after it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.made_up_market import made_up
from agents.adapters.exchanges.recorded_market import RecordedMarket

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def recorded(around: datetime, before: int = 300, after: int = 60, interval: str = "1h", symbols=SYMBOLS):
    """Candles without a gap: `before` that are over at `around`, and `after` that are not."""
    return made_up(around, symbols, interval, (before, after), 0)


KEY, SECRET = "key-of-the-desk-7f3a", "secret-of-the-desk-9c1b"


def account_at(market: RecordedMarket, cash: str = "1000000", **more) -> FakeAccount:
    """An account with this much of the quote currency."""
    return FakeAccount(market, KEY, SECRET, {"USDT": Decimal(cash)}, **more)
