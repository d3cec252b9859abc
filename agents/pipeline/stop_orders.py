"""Stops that were reached -> their orders and outcomes, as the journal keeps them.

A stop rests at the venue from the decision before, whose state holds its price; it becomes an order on record, with its
fill, at the decision that first knows that it was reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import numpy as np

from agents.core.types import Bars, Fill, FillStatus, Order, OrderOutcome, as_datetime, to_decimal, to_price
from agents.pipeline.bar import StopFills
from agents.pipeline.order_ids import client_order_id
from agents.pipeline.state import Outputs


def stop_id(desk: str, decision_time: datetime, symbol: str) -> str:
    """The id of the order that a symbol's stop became at a decision."""
    return client_order_id(desk, decision_time, f"{symbol}|stop")


def stop_order(desk: str, at: datetime, symbol: str, wanted: float) -> Order:
    """A stop that was reached at the bar which closed `at`, to close `wanted` (signed) units."""
    return Order(
        client_order_id=stop_id(desk, at, symbol),
        decision_time=at,
        symbol=symbol,
        side="buy" if wanted > 0 else "sell",
        quantity=to_decimal(abs(wanted)),
        kind="stop",
    )


def stop_orders(out: Outputs, bars: Bars, desk: str) -> list[list[Order]]:
    """Stops of the live book that closed anything, at each of the n bars."""
    result: list[list[Order]] = [[] for _ in bars.time]
    for t, s in zip(*np.nonzero(out.stop_quantity), strict=True):
        result[t].append(stop_order(desk, as_datetime(bars.time[t]), bars.symbols[s], float(out.stop_wanted[t, s])))
    return result


def stop_fills_at(out: Outputs, t: int) -> StopFills:
    """What the step's own matcher made of the live book's stops at one bar."""
    return StopFills(
        out.stop_at[t],
        out.stop_status[t],
        out.stop_wanted[t],
        out.stop_quantity[t],
        out.stop_price[t],
        out.stop_fee[t],
        out.stop_spread[t],
        out.stop_impact[t],
    )


def settle_stop(order: Order, fills: StopFills, bar: Bars, s: int) -> OrderOutcome:
    """What one bar (of one row) made of a stop of the symbol in column `s`, which closed something. Reached at the open
    its time is that of the open, else that of the close: when within the bar is not known."""
    at, quantity = float(fills.at[s]), abs(float(fills.quantity[s]))
    whole = quantity >= abs(float(fills.wanted[s]))
    fill = Fill(
        fill_id=f"{order.client_order_id}.1",
        client_order_id=order.client_order_id,
        time=as_datetime(bar.opened[0] if at == bar.open[0, s] else bar.time[0]),
        symbol=order.symbol,
        side=order.side,
        quantity=to_decimal(quantity),
        price=to_price(fills.price[s]),
        fee=to_decimal(fills.fee[s]),
        spread_cost=to_decimal(fills.spread_cost[s]),
        impact_cost=to_decimal(fills.impact_cost[s]),
    )
    reason = f"{FillStatus(fills.status[s])}, reached at {at:.9g}"
    return OrderOutcome(
        client_order_id=order.client_order_id,
        state="filled" if whole else "expired",
        reason=reason if whole else f"{reason}; the rest expired: share of volume",
        fills=(fill,),
    )


def with_stops(
    outcomes: Sequence[Sequence[OrderOutcome]], stops: Sequence[Sequence[Order]], out: Outputs, bars: Bars
) -> list[list[OrderOutcome]]:
    """The outcomes of n bars with those of their stops behind them, by the step's own matcher."""
    result: list[list[OrderOutcome]] = []
    for t, settled in enumerate(outcomes):
        fills, bar = stop_fills_at(out, t), bars.rows(t, t + 1)
        closed = [settle_stop(order, fills, bar, bars.symbols.index(order.symbol)) for order in stops[t]]
        result.append([*settled, *closed])
    return result


def parted(outcomes: Iterable[OrderOutcome], desk: str, bar: Bars) -> tuple[list[OrderOutcome], list[OrderOutcome]]:
    """Outcomes known at the decision on one bar (of one row): those of orders, and those of stops. Fills of stops that
    rested at a real venue become those of one order for each symbol, which this decision makes; where the symbol has no
    bar they wait for a decision that has one, as no bar's P&L could be split by them."""
    at = as_datetime(bar.time[0])
    ids = {stop_id(desk, at, symbol) for symbol in bar.symbols}
    ordered: list[OrderOutcome] = []
    stopped: list[OrderOutcome] = []
    resting: dict[str, tuple[Fill, ...]] = {}
    for outcome in outcomes:
        if outcome.of_stop:
            symbol = outcome.fills[0].symbol
            resting[symbol] = (*resting.get(symbol, ()), *outcome.fills)
        else:
            (stopped if outcome.client_order_id in ids else ordered).append(outcome)
    for symbol, fills in resting.items():
        if np.isfinite(bar.open[0, bar.symbols.index(symbol)]):
            key = stop_id(desk, at, symbol)
            own = tuple(replace(fill, client_order_id=key) for fill in fills)
            stopped.append(OrderOutcome(client_order_id=key, state="filled", fills=own, of_stop=True))
    return ordered, stopped


def closed_by(stopped: Iterable[OrderOutcome], stops: Sequence[Order]) -> list[OrderOutcome]:
    """What stops closed, with how each ended: one at a real venue that closed less than it was to has expired for the
    record, as the decision that books it orders the rest."""
    wanted = {order.client_order_id: order.quantity for order in stops}
    answers = []
    for outcome in stopped:
        filled = sum((fill.quantity for fill in outcome.fills), start=Decimal(0))
        if outcome.of_stop and filled < wanted.get(outcome.client_order_id, filled):
            answers.append(replace(outcome, state="expired", reason="filled at the exchange; the rest is ordered"))
        else:
            answers.append(replace(outcome, reason="filled at the exchange") if outcome.of_stop else outcome)
    return answers
