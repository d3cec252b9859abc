"""The made-up exchange's own book of an account, quick enough for thousands of lives: prices go minute by minute along a
path that is made once, and only orders that may still be filled are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from functools import cache

import numpy as np

from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.fake_orders import ZERO, FakeOrder, RefusedError
from agents.adapters.exchanges.recorded_market import CLOSE, HIGH, LOW, OPEN, OPENED
from tests.simulation.chance import Plan, Scene
from tests.simulation.market import market_of

FEES = Decimal("1.001")
MINUTE_MS, MINUTES = 60_000, 60


class Path:
    """Prices of one symbol: `cents` [minutes], each on the way from its bar's open to the close."""

    def __init__(self, candles: np.ndarray, seed: int) -> None:
        rng = np.random.default_rng(seed)
        share = np.arange(MINUTES) / MINUTES
        opened, high, low, close = (candles[:, [k]] for k in (OPEN, HIGH, LOW, CLOSE))
        noise = (high - low) * rng.uniform(-0.5, 0.5, (len(candles), MINUTES)) * share
        prices = np.clip(opened + (close - opened) * share + noise, low, high)
        self.cents = np.round(prices.ravel() * 100).astype(np.int64)
        self.begins_ms = int(candles[0, OPENED])

    def minute(self, at_ms: int) -> int:
        """Which of `cents` counts then."""
        return min((at_ms - self.begins_ms) // MINUTE_MS, len(self.cents) - 1)


@cache
def paths_of(scene: Scene) -> Mapping[str, Path]:
    """By symbol."""
    candles = market_of(scene).candles
    return {symbol: Path(candles[symbol], scene.number) for symbol in scene.symbols}


class Book(FakeAccount):
    """The account. What cannot be paid when it is to be filled ends: nothing is sold that is not there."""

    paths: Mapping[str, Path]

    @classmethod
    def of(cls, plan: Plan, balances: dict[str, Decimal]) -> Book:
        """The account of a seed."""
        book = cls(market_of(plan.scene), "key", "secret", balances, manners=plan.manners, seed=plan.seed)
        book.paths = paths_of(plan.scene)
        book._ended = set()
        return book

    def advance(self, at_ms: int) -> None:
        for due in [due for due in self._coming if due[0] <= at_ms]:
            self._coming.remove(due)
            with suppress(RefusedError):
                order = self._checked(due[1], due[0])
                self.orders[order.order_id] = order
        for number in [number for number in self.orders if number not in self._ended]:
            order = self.orders[number]
            if order.works or order.ghost:
                self._fill(order, at_ms)
            else:
                self._ended.add(number)

    def _locked(self) -> dict[str, Decimal]:
        locked: dict[str, Decimal] = {}
        for number, order in self.orders.items():
            if number not in self._ended and order.works:
                base, _, quote = order.symbol.partition("/")
                rest = order.quantity - order.executed
                name, amount = (base, rest) if order.side == "SELL" else (quote, rest * (order.price or ZERO))
                locked[name] = locked.get(name, ZERO) + amount
        return locked

    def _last(self, symbol: str, at_ms: int) -> Decimal:
        path = self.paths[symbol]
        return Decimal(int(path.cents[path.minute(at_ms)])) / 100

    def _traded_through(self, order: FakeOrder, at_ms: int) -> bool:
        assert order.price is not None
        path, limit = self.paths[order.symbol], int(order.price * 100)
        seen = path.cents[path.minute(order.created_ms) : path.minute(at_ms) + 1]
        return bool(seen.min() < limit if order.side == "BUY" else seen.max() > limit)

    def _trade(self, order: FakeOrder, time_ms: int) -> None:
        rest = (order.quantity - order.executed) / (order.parts - order.filled)
        base, _, quote = order.symbol.partition("/")
        paid_in, needed = base, rest
        if order.side == "BUY":
            paid_in, needed = quote, rest * (order.price or self._touch(order.symbol, order.side, time_ms)) * FEES
        others = self._locked().get(paid_in, ZERO) if order.ghost or order.price is None else ZERO
        own = order.quantity - order.executed if order.works and order.side == "SELL" else ZERO
        if needed > self.balances.get(paid_in, ZERO) - max(ZERO, others - own):
            order.status, order.ghost, order.parts = "CANCELED", False, order.filled
            return
        super()._trade(order, time_ms)
