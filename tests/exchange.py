"""A made-up exchange for tests: markets of random walks on the hours up to a moment, and after it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.made_up_market import made_up
from agents.adapters.exchanges.recorded_market import RecordedMarket
from agents.core.clock import SystemClock
from tests.daemons import HandClock

SYMBOLS = ("BTC/USDT", "ETH/USDT")


def recorded(around: datetime, before: int = 300, after: int = 60, interval: str = "1h", symbols=SYMBOLS):
    """Candles without a gap: `before` that are over at `around`, and `after` that are not."""
    return made_up(around, symbols, interval, (before, after), 0)


KEY, SECRET = "key-of-the-desk-7f3a", "secret-of-the-desk-9c1b"


def account_at(market: RecordedMarket, cash: str = "1000000", **more) -> FakeAccount:
    """An account with this much of the quote currency."""
    return FakeAccount(market, KEY, SECRET, {"USDT": Decimal(cash)}, **more)


class LiveClock(HandClock):
    """A hand clock on which an exchange's stream and who listens keep up: time passes in steps, and at each one all is
    said and heard that is to be."""

    STEP_S = 100.0

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.fake, self.stream = None, lambda: None

    def sleep_s(self, duration_s: float) -> None:
        while duration_s > 0:
            super().sleep_s(min(self.STEP_S, duration_s))
            duration_s -= self.STEP_S
            if self.fake is not None and self.fake.stream.port:
                now_ms = round(self.now().timestamp() * 1000)
                eventually(lambda: self.fake.stream.ticked_ms >= now_ms)  # noqa: B023
                if self.fake.stream._fault(now_ms) is None:
                    eventually(self._has_heard, 3.0)

    def _has_heard(self) -> bool:
        """Or nobody listens; who connects again is given some time."""
        stream = self.stream()
        return stream is None or (stream._heard_s is not None and stream._heard_s >= self.monotonic_s())


def eventually(is_so, within_s: float = 60.0) -> None:
    """Waits until it is so, or for so long."""
    clock = SystemClock()
    ends_s = clock.monotonic_s() + within_s
    while not is_so() and clock.monotonic_s() < ends_s:
        clock.sleep_s(0.002)
