"""Which stop orders an exchange takes, as it and ccxt say, and how one is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Any, Literal

from agents.core.orders import Order

StopKind = Literal["market", "limit", "watch", "bar"]
"""What becomes of a stop at a venue: it rests there and trades at the market, or at a limit behind it, when it is
reached; it does not rest, and the desk watches the price; or the step's rule at the end of a bar is all there is."""
BEHIND = Decimal("0.05")
"""So far behind the stop stands the limit where an exchange takes no other: what falls further at once waits there."""


def stop_kind(exchange: Any, market: Mapping[str, Any]) -> StopKind:
    """Of a spot market of one of ccxt's exchanges. Stops rest only where they are kept like other orders: some
    exchanges have another list for them, with ids that their executions do not name."""
    listed = (market.get("info") or {}).get("orderTypes")
    if isinstance(listed, list):
        return "market" if "STOP_LOSS" in listed else "limit" if "STOP_LOSS_LIMIT" in listed else "watch"
    symbol = market["symbol"]
    apart = exchange.feature_value(symbol, "fetchOpenOrders", "trigger")
    if apart or not exchange.feature_value(symbol, "createOrder", "stopLossPrice"):
        return "watch"
    if exchange.has.get("createStopMarketOrder"):
        return "market"
    return "limit" if exchange.has.get("createStopLimitOrder") else "watch"


def limit_behind(stop: Decimal, side: str, tick: float | None) -> Decimal:
    """The limit of a stop that may not trade at the market, in whole ticks."""
    sells = side == "sell"
    price = stop * (1 - BEHIND if sells else 1 + BEHIND)
    if not tick:
        return price
    step = Decimal(str(tick))
    return (price / step).to_integral_value(ROUND_DOWN if sells else ROUND_UP) * step


def order_arguments(order: Order, quantity: Decimal, kind: StopKind, tick: float | None) -> tuple[object, ...]:
    """What ccxt's `create_order` is called with: at the market, at a limit, or asleep until a stop is reached."""
    price, more = order.limit_price, {"clientOrderId": order.client_order_id}
    if order.stop_price is not None:
        more["stopLossPrice"] = f"{order.stop_price:f}"
        price = limit_behind(order.stop_price, order.side, tick) if kind == "limit" else None
    return (
        order.symbol,
        "market" if price is None else "limit",
        order.side,
        f"{quantity:f}",
        None if price is None else f"{price:f}",
        more,
    )
