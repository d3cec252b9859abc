"""Stop orders of the made-up exchange, by Binance's rules: refused where they would trigger at once, asleep until the
market reaches them, and then at the market or at their limit. What they are to sell is locked from the beginning."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from agents.adapters.exchanges.fake_orders import FakeOrder, RefusedError
from agents.adapters.exchanges.recorded_market import HIGH, LOW, OPEN, OPENED, TICK, RecordedMarket

PRICE_STEP = Decimal(repr(TICK))
STOP_TYPES = ("STOP_LOSS", "STOP_LOSS_LIMIT")


class Trigger(NamedTuple):
    """When the market reached a stop, and what was paid then."""

    at_ms: int
    price: Decimal


def checked_stop(wanted: Mapping[str, str], market: RecordedMarket, last: Decimal) -> Decimal | None:
    """The price at which an order wakes, None for one that never sleeps; RefusedError where the market knows no such
    order or has reached it already."""
    kind = wanted.get("type", "MARKET")
    if kind not in market.order_types:
        raise RefusedError(-1116, "Invalid orderType.")
    if kind not in STOP_TYPES:
        return None
    stop = Decimal(wanted["stopPrice"])
    if stop % PRICE_STEP:
        raise RefusedError(-1013, "Filter failure: PRICE_FILTER")
    if last <= stop if wanted["side"] == "SELL" else last >= stop:
        raise RefusedError(-2010, "Stop price would trigger immediately.")
    return stop


def trigger_of(order: FakeOrder, market: RecordedMarket, at_ms: int, last: Decimal) -> Trigger | None:
    """When a sleeping order was reached, None where it still sleeps. A candle's low (high) is reached half-way."""
    assert order.stop is not None
    stop, sells = float(order.stop), order.side == "SELL"
    candles, half_ms = market.candles[order.symbol], market.interval_ms // 2
    met = (candles[:, OPENED] + half_ms >= order.created_ms) & (candles[:, OPENED] <= at_ms)
    for candle in candles[met]:
        opened, middle = int(candle[OPENED]), int(candle[OPENED]) + half_ms
        opens_beyond = candle[OPEN] <= stop if sells else candle[OPEN] >= stop
        if opened >= order.created_ms and opens_beyond:
            return Trigger(opened, _crossed(Decimal(repr(float(candle[OPEN]))), sells=sells))
        reached = candle[LOW] <= stop if sells else candle[HIGH] >= stop
        if middle <= at_ms and reached:
            return Trigger(middle, _crossed(order.stop, sells=sells))
    if last <= order.stop if sells else last >= order.stop:
        return Trigger(at_ms, _crossed(last, sells=sells))
    return None


def _crossed(price: Decimal, *, sells: bool) -> Decimal:
    """What a market order gets at a price: a tick beside it."""
    return price - PRICE_STEP if sells else price + PRICE_STEP
