"""A decision about a symbol -> its reasons in words, for console and page. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.core.types import NoTrade
from agents.reports.formatting import exact, number, percent, quantity

_KINDS = {
    "stop": "stop",
    "limit": "limit order",
    "chase": "limit order that chases",
    "exit": "exit while the database was away",
}
"""What is no market order, in words."""


def decision_lines(decision: Mapping[str, Any]) -> list[str]:
    """From votes to what was asked for, what limits left of it, and why there is no order."""
    limits = f" (limited by: {decision['clamps']})" if decision["clamps"] else ""
    lines = [
        f"combined forecast {number(decision['combined'], sign=True)}"
        f" (diversification x{number(decision['multiplier'])}),"
        f" weights version {decision['weights_version']} from {decision['weights_level']},"
        f" risk state {decision['risk_state']}",
        f"asked for {percent(decision['raw_weight'])} of equity, after buffer and limits"
        f" {percent(decision['target_weight'])}{limits}; held {quantity(decision['position'])}",
    ]
    return [*lines, f"no order: {_why_no_order(decision)}"] if decision["no_trade"] else lines


def _why_no_order(decision: Mapping[str, Any]) -> str:
    """Its recorded reason, where that says it."""
    reason: str = decision["no_trade"]
    if reason == str(NoTrade.STOPPED) or decision["target_weight"] or decision["position"]:
        return reason
    if reason == str(NoTrade.BUFFER) and decision["raw_weight"] and not decision["clamps"]:
        return "inside the no-trade zone: what is asked for is not worth what its trades would cost"
    return "the target is no position, and there is none"


def order_lines(decision: Mapping[str, Any]) -> list[str]:
    """Its orders and what became of them, and the funding of its bar."""
    orders = [
        f"{_KINDS.get(order['kind'], 'order')} {order['client_order_id']}: {order['side']} {exact(order['quantity'])}"
        + (f" at {exact(order['limit_price'])}" if order["limit_price"] else "")
        + f" -> {order['state']}"
        + (f" ({order['reason']})" if order["reason"] else "")
        for order in decision["placed_orders"]
    ]
    fills = [
        f"fill {fill['time']:%Y-%m-%d %H:%M}: {exact(fill['quantity'])} at {exact(fill['price'])},"
        f" fee {exact(fill['fee'])}, spread {exact(fill['spread_cost'])}, impact {exact(fill['impact_cost'])}"
        for fill in decision["fills"]
    ]
    funding = [f"funding {paid['time']:%Y-%m-%d %H:%M}: {exact(paid['cash'])}" for paid in decision.get("funding", ())]
    return orders + fills + funding
