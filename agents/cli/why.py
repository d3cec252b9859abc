"""`quorum why`: one decision about a symbol, from every vote to its fills, in the desk's own words."""

from __future__ import annotations

from argparse import Namespace

from rich.table import Table
from rich.text import Text

from agents.adapters.database.engine import Row
from agents.adapters.database.reader import DeskReader
from agents.cli.screen import Screen, new_table
from agents.cli.status import connected, mute_words
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.types import NoTrade
from agents.reports.formatting import exact, number, percent, quantity

_KINDS = {"stop": "stop", "limit": "limit order", "chase": "limit order that chases"}
"""What is no market order, in words."""


def why(options: Namespace, screen: Screen) -> int:
    """One decision about a symbol, with every vote, the order and its fills."""
    at = options.at or SystemClock().now()
    with connected(options, screen) as connections:
        reader = DeskReader(connections.trader)
        decision, mute = reader.why(options.symbol, at), reader.mute()
        known = reader.symbols() if decision is None else []
    if decision is not None:
        for vote in decision["votes"]:
            if vote["abstained"] and vote["agent_name"] in mute:
                vote["reason"] = mute_words(vote["reason"])
        screen.result(decision, *_why_tables(decision))
        return 0
    if options.symbol in known:
        raise UsageError(f"no decision about {options.symbol} at or before {at:%Y-%m-%d %H:%M} UTC")
    raise UsageError(f"no decision about '{options.symbol}'; decided upon were: {', '.join(known) or 'none yet'}")


def _why_tables(decision: Row) -> list[Table | Text]:
    """The votes as a table, then combination, limits, order and fills as lines."""
    table = new_table(f"{decision['symbol']} at {decision['time']:%Y-%m-%d %H:%M} UTC")
    for name in ("agent", "weight", "strength", "confidence", "forecast", "reason"):
        words = name in ("agent", "reason")
        table.add_column(name, justify="left" if words else "right", no_wrap=name != "reason")
    for vote in decision["votes"]:
        silent = vote["abstained"]
        table.add_row(
            vote["agent_name"],
            percent(decision["weights"].get(vote["agent_name"])),
            "" if silent else number(vote["strength"], sign=True),
            "" if silent else number(vote["confidence"]),
            "" if silent else number(vote["forecast"], sign=True),
            vote["reason"],
        )
    return [table, *(Text(line) for line in (*_decision_lines(decision), *_order_lines(decision)))]


def _decision_lines(decision: Row) -> list[str]:
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


def _why_no_order(decision: Row) -> str:
    """Its recorded reason, where that says it."""
    reason: str = decision["no_trade"]
    if reason == str(NoTrade.STOPPED) or decision["target_weight"] or decision["position"]:
        return reason
    if reason == str(NoTrade.BUFFER) and decision["raw_weight"] and not decision["clamps"]:
        return "inside the no-trade zone: what is asked for is not worth what its trades would cost"
    return "the target is no position, and there is none"


def _order_lines(decision: Row) -> list[str]:
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
    return orders + fills
