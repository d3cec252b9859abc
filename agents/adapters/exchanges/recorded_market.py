"""What a made-up exchange knows: candles that were recorded, seen at a moment, in the shapes of Binance's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents.core.arrays import Floats
from agents.core.symbols import is_perpetual

OPENED, OPEN, HIGH, LOW, CLOSE, VOLUME = range(6)
"""Columns of candles [n, 6]: when each opened, in ms since 1970, its prices, and its volume in the base currency."""
TICK, LOT, LEAST_COST = 0.01, 0.00001, 5.0
"""Step of prices and of quantities, and the least that an order may be worth, of every market here,
where a market has no other."""
Answer = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class RecordedMarket:
    """Candles of one interval by symbol (BTC/USDT), each oldest first; where one is missing nothing was traded.

    `seed` shapes how a candle grows while it is open: nobody recorded that.
    """

    interval: str
    interval_ms: int
    candles: Mapping[str, Floats]
    seed: int = 0
    lots: dict[str, float] = field(default_factory=dict)
    """Steps of quantities that are not LOT, by symbol; may change while it trades."""
    closed: set[str] = field(default_factory=set)
    """Symbols that take no orders at the moment; and those that it does not know any more."""
    gone: set[str] = field(default_factory=set)
    order_types: list[str] = field(
        default_factory=lambda: ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"]
    )
    """What orders it takes; may change while it trades."""
    moved: dict[str, float] = field(default_factory=dict)
    """By what factor the last price that is told is another than the true one, by symbol."""

    def known(self) -> list[str]:
        """Its symbols."""
        return [symbol for symbol in self.candles if symbol not in self.gone]

    def symbol_of(self, name: str) -> str | None:
        """The symbol that the exchange calls `name` (BTCUSDT)."""
        return next((symbol for symbol in self.known() if name_of(symbol) == name), None)

    def seen(self, symbol: str, at_ms: int) -> Floats:
        """The candles that have opened at `at_ms`, the last of them as far as it has come."""
        candles = self.candles[symbol]
        seen = candles[: int(np.searchsorted(candles[:, OPENED], at_ms, side="right"))]
        if len(seen) and seen[-1, OPENED] + self.interval_ms > at_ms:
            seen = np.vstack([seen[:-1], self._half(seen[-1], at_ms)])
        return seen

    def _half(self, candle: Floats, at_ms: int) -> Floats:
        """A candle before its end: its first price, what was traded by now, and a last price on the way."""
        share = (at_ms - candle[OPENED]) / self.interval_ms
        draw = np.random.default_rng([self.seed, int(candle[OPENED]), at_ms]).uniform(-0.5, 0.5)
        last = candle[OPEN] + (candle[CLOSE] - candle[OPEN]) * share + (candle[HIGH] - candle[LOW]) * draw * share
        last = float(np.clip(round(last, 2), candle[LOW], candle[HIGH]))
        high, low = max(candle[OPEN], last), min(candle[OPEN], last)
        return np.array([candle[OPENED], candle[OPEN], high, low, last, candle[VOLUME] * share])

    # ------------------------------------------------------------ answers

    def information(self, at_ms: int) -> Answer:
        """`exchangeInfo`: every market with its steps."""
        markets = [
            _market(s, self.lots.get(s, LOT), closed=s in self.closed) | {"orderTypes": list(self.order_types)}
            for s in self.known()
            if not is_perpetual(s)
        ]
        return {"timezone": "UTC", "serverTime": at_ms, "symbols": markets}

    def klines(self, symbol: str, at_ms: int, *, start_ms: int | None, limit: int) -> Answer:
        """`klines`: at most `limit` candles from `start_ms` on (None: the newest), the open one among them."""
        seen = self.seen(symbol, at_ms)
        first = max(0, len(seen) - limit) if start_ms is None else int(np.searchsorted(seen[:, OPENED], start_ms))
        return [self._kline(candle) for candle in seen[first : first + limit]]

    def _kline(self, candle: Floats) -> Answer:
        opened, volume = int(candle[OPENED]), float(candle[VOLUME])
        prices = [_text(float(price)) for price in candle[OPEN:VOLUME]]
        worth = _text(volume * float(candle[CLOSE]))
        return [opened, *prices, _text(volume), opened + self.interval_ms - 1, worth, 1, _text(volume), worth, "0"]

    def ticker(self, symbol: str, at_ms: int) -> Answer:
        """`ticker/24hr`: the last day, and the touch."""
        day = self.seen(symbol, at_ms)
        day = day[day[:, OPENED] > at_ms - 86_400_000]
        answer: dict[str, Any] = {"symbol": name_of(symbol), "closeTime": at_ms, "openTime": at_ms - 86_400_000}
        if len(day):
            first, last = float(day[0, OPEN]), float(day[-1, CLOSE]) * self.moved.get(symbol, 1.0)
            answer |= {
                "openPrice": _text(first),
                "highPrice": _text(float(day[:, HIGH].max())),
                "lowPrice": _text(float(day[:, LOW].min())),
                "lastPrice": _text(last),
                "prevClosePrice": _text(first),
                "priceChange": _text(last - first),
                "priceChangePercent": _text(100.0 * (last / first - 1.0)),
                "volume": _text(float(day[:, VOLUME].sum())),
                "quoteVolume": _text(float((day[:, VOLUME] * day[:, CLOSE]).sum())),
                "bidPrice": _text(last - TICK),
                "askPrice": _text(last + TICK),
            }
        return answer

    def depth(self, symbol: str, at_ms: int, *, limit: int) -> Answer:
        """`depth`: one unit at each tick around the last price."""
        seen = self.seen(symbol, at_ms)
        if not len(seen):
            return {"lastUpdateId": at_ms, "bids": [], "asks": []}
        last, steps = float(seen[-1, CLOSE]), range(1, limit + 1)
        sides = {
            name: [[_text(last + sign * k * TICK), "1"] for k in steps] for name, sign in (("bids", -1), ("asks", 1))
        }
        return {"lastUpdateId": at_ms, **sides}


def name_of(symbol: str) -> str:
    """What the exchange calls a symbol: BTCUSDT."""
    return symbol.partition(":")[0].replace("/", "")


def _market(symbol: str, lot: float, *, closed: bool) -> dict[str, Any]:
    base, _, quote = symbol.partition("/")
    return {
        "symbol": base + quote,
        "status": "BREAK" if closed else "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "baseAssetPrecision": 8,
        "quoteAssetPrecision": 8,
        "isSpotTradingAllowed": True,
        "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": _text(TICK), "maxPrice": "1000000", "tickSize": _text(TICK)},
            {"filterType": "LOT_SIZE", "minQty": _text(lot), "maxQty": "9000", "stepSize": _text(lot)},
            {"filterType": "NOTIONAL", "minNotional": _text(LEAST_COST), "maxNotional": "9000000"},
        ],
    }


def _text(number: float) -> str:
    """As exchanges write numbers: decimal, eight places."""
    return f"{number:.8f}"
