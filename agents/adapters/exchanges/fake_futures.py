"""The public part of the made-up exchange's futures API, in the shapes of Binance's: perpetual futures of the recorded
market, and funding every eight hours at rates that its seed makes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.adapters.exchanges.recorded_market import LEAST_COST, OPEN, OPENED, TICK, Answer, RecordedMarket
from agents.core.symbols import is_perpetual

FUNDING_MS = 8 * 3_600_000
MARKED_MS = 10 * 86_400_000
"""Of older settlements no mark price is told, as at Binance of those before 2023."""
MOST_ROWS, USUAL_ROWS = 1000, 100
CONTRACT_LOT = 0.001
"""Step of quantities."""
PREFIX = "/fapi/v1"
SAME_SHAPE = ("/klines", "/markPriceKlines", "/ticker/24hr", "/depth")
"""What answers as it does for spot; the mark price is the last one."""


def funding_rate(market: RecordedMarket, symbol: str, at_ms: int) -> float:
    """What is settled at one moment: about what Binance settles, of both signs."""
    draw = np.random.default_rng([market.seed, zlib.crc32(symbol.encode()), at_ms]).normal(0.0001, 0.0004)
    return round(float(draw), 8)


def funding_of(market: RecordedMarket, symbol: str, first_ms: int, until_ms: int) -> list[tuple[int, float, float]]:
    """Moments, rates and mark prices that were settled from `first_ms` up to `until_ms`."""
    candles = market.candles[symbol]
    first_ms = max(first_ms, int(candles[0, OPENED]))
    found = []
    for at_ms in range(-(-first_ms // FUNDING_MS) * FUNDING_MS, until_ms + 1, FUNDING_MS):
        row = min(int(np.searchsorted(candles[:, OPENED], at_ms)), len(candles) - 1)
        found.append((at_ms, funding_rate(market, symbol, at_ms), float(candles[row, OPEN])))
    return found


def answer_futures(market: RecordedMarket, path: str, query: Mapping[str, str], at_ms: int) -> tuple[int, Answer]:
    """(status, document) of one request, but for candles and tickers."""
    if path == f"{PREFIX}/ping":
        return 200, {}
    if path == f"{PREFIX}/time":
        return 200, {"serverTime": at_ms}
    if path == f"{PREFIX}/exchangeInfo":
        contracts = [_contract(symbol, market) for symbol in market.known() if is_perpetual(symbol)]
        return 200, {"timezone": "UTC", "serverTime": at_ms, "symbols": contracts}
    symbol = market.symbol_of(query.get("symbol", ""))
    if symbol is None or not is_perpetual(symbol):
        return 400, {"code": -1121, "msg": "Invalid symbol."}
    if path == f"{PREFIX}/fundingRate":
        return 200, _funding(market, symbol, query, at_ms)
    return 404, {"code": -1000, "msg": f"this exchange has no {path}"}


def _funding(market: RecordedMarket, symbol: str, query: Mapping[str, str], at_ms: int) -> Answer:
    """The oldest from `startTime` on, else the newest; stamped some milliseconds late, as at Binance."""
    limit = min(int(query.get("limit", USUAL_ROWS)), MOST_ROWS)
    rows = funding_of(market, symbol, int(query.get("startTime", 0)), at_ms)
    rows = rows[:limit] if "startTime" in query else rows[-limit:]
    name = symbol.partition(":")[0].replace("/", "")
    marks = [f"{price:.8f}" if moment > at_ms - MARKED_MS else "" for moment, _, price in rows]
    return [
        {"symbol": name, "fundingTime": moment + 4, "fundingRate": f"{rate:.8f}", "markPrice": mark}
        for (moment, rate, _), mark in zip(rows, marks, strict=True)
    ]


def _contract(symbol: str, market: RecordedMarket) -> dict[str, Any]:
    base, _, rest = symbol.partition("/")
    quote, _, settled = rest.partition(":")
    lot = f"{market.lots.get(symbol, CONTRACT_LOT):.8f}"
    return {
        "symbol": base + quote,
        "pair": base + quote,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 0,
        "status": "BREAK" if symbol in market.closed else "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": quote,
        "marginAsset": settled,
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": f"{TICK:.8f}", "maxPrice": "1000000", "tickSize": f"{TICK:.8f}"},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000", "stepSize": lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": lot, "maxQty": "9000", "stepSize": lot},
            {"filterType": "MIN_NOTIONAL", "notional": f"{LEAST_COST:g}"},
        ],
    }
