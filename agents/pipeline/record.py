"""arrays of the step -> the record of a cycle: orders, outcomes, ledger, trades, contributions, in Decimal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from agents.core.books import book_names
from agents.core.types import (
    Bars,
    CycleRecord,
    Fill,
    FillStatus,
    Floats,
    Integers,
    NoTrade,
    Order,
    OrderOutcome,
    OrderState,
    Signals,
    WeightSet,
    WorkLogEntry,
    as_datetime,
    to_decimal,
    to_float,
    to_price,
)
from agents.pipeline.bar import BarFills, BrokerFills
from agents.pipeline.booking import book_bars
from agents.pipeline.ledger import Ledger
from agents.pipeline.order_ids import client_order_id
from agents.pipeline.parameters import DeskPlan, OrderRules
from agents.pipeline.saved_state import pack_state
from agents.pipeline.state import Outputs, State


def orders_of(out: Outputs, bars: Bars, desk: str, rules: OrderRules) -> list[list[Order]]:
    """Orders decided at each of the n bars."""
    result: list[list[Order]] = [[] for _ in bars.time]
    for t, s in zip(*np.nonzero(out.order), strict=True):
        at = as_datetime(bars.time[t])
        quantity, limit = float(out.order[t, s]), float(out.limit[t, s])
        result[t].append(
            Order(
                client_order_id=client_order_id(desk, at, bars.symbols[s]),
                decision_time=at,
                symbol=bars.symbols[s],
                side="buy" if quantity > 0 else "sell",
                quantity=to_decimal(abs(quantity)),
                kind=("chase" if rules.crosses else "limit") if limit else "market",
                limit_price=to_price(limit) if limit else None,
            )
        )
    return result


def meets_close(order: Order, opened: datetime, delay_s: float) -> bool:
    """Whether a bar had opened before the data of an order's decision were there, `delay_s` after their bar: then the
    order meets that bar's close (`market.tradable`)."""
    return delay_s > 0.0 and opened < order.decision_time + timedelta(seconds=delay_s)


def settle_order(order: Order, fills: BarFills, s: int, at: datetime) -> OrderOutcome:
    """The matcher's verdict on a working order of the symbol in column `s`, at a bar which it met at `at`.

    The unfilled rest of a one-bar order has expired, and so has an order that was taken back before, since positions
    may only shrink, or that a split rounded away (no status)."""
    status, quantity = FillStatus(fills.status[s]), float(fills.quantity[s])
    executed: tuple[Fill, ...] = ()
    if quantity != 0.0:
        executed = (
            Fill(
                fill_id=f"{order.client_order_id}.1",
                client_order_id=order.client_order_id,
                time=at,
                symbol=order.symbol,
                side=order.side,
                quantity=to_decimal(abs(quantity)),
                price=to_price(fills.price[s]),
                fee=to_decimal(fills.fee[s]),
                spread_cost=to_decimal(fills.spread_cost[s]),
                impact_cost=to_decimal(fills.impact_cost[s]),
            ),
        )
    state, reason = _FATES.get(status, ("expired" if str(status).startswith("expired") else "rejected", str(status)))
    reason += f", {order.limit_price.normalize():f}" if status == FillStatus.NOT_REACHED and order.limit_price else ""
    return OrderOutcome(client_order_id=order.client_order_id, state=state, reason=reason, fills=executed)


_FATES: dict[FillStatus, tuple[OrderState, str]] = {
    FillStatus.NONE: ("expired", "taken back, delisted, or rounded away by a split"),
    FillStatus.FILLED: ("filled", ""),
    FillStatus.PARTIAL: ("expired", "the rest expired: share of volume"),
    FillStatus.PAID_PARTLY: ("expired", "the rest expired: not enough buying power"),
}


def outcomes_of(
    out: Outputs, bars: Bars, working: Sequence[Order], orders: Sequence[Sequence[Order]], delay_s: float
) -> tuple[list[list[OrderOutcome]], list[Order]]:
    """What the step's own matcher did at each of the n bars with the orders that worked then: those `working` before
    the first bar, and those decided at each of the n bars. Each meets the next bar of its symbol.

    Returns the outcomes, and the orders that work after the last bar."""
    column = {symbol: s for s, symbol in enumerate(bars.symbols)}
    result: list[list[OrderOutcome]] = []
    for t, decided in enumerate(orders):
        fills = BarFills(
            out.fill_quantity[t],
            out.fill_price[t],
            out.fill_fee[t],
            out.fill_spread[t],
            out.fill_impact[t],
            out.fill_status[t],
        )
        opened, closed = as_datetime(bars.opened[t]), as_datetime(bars.time[t])
        met = np.isfinite(bars.open[t]) | np.isfinite(bars.delisting[t])
        settled = sorted((o for o in working if met[column[o.symbol]]), key=lambda order: order.symbol)
        moments = [closed if order.rests or meets_close(order, opened, delay_s) else opened for order in settled]
        result.append([settle_order(o, fills, column[o.symbol], at) for o, at in zip(settled, moments, strict=True)])
        working = [*(order for order in working if not met[column[order.symbol]]), *decided]
    return result, list(working)


def broker_fills_of(outcomes: Iterable[OrderOutcome], symbols: tuple[str, ...]) -> BrokerFills:
    """A broker's fills at one bar as arrays [1, S]; several fills of one symbol count as one at their mean price."""
    shape = (1, len(symbols))
    quantity, value, fee, parts = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    price = np.full(shape, np.nan)
    for fill in (fill for outcome in outcomes for fill in outcome.fills):
        cell = 0, symbols.index(fill.symbol)
        signed, price[cell] = to_float(fill.signed_quantity), to_float(fill.price)
        quantity[cell] += signed
        value[cell] += signed * price[cell]
        fee[cell] += to_float(fill.fee)
        parts[cell] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return BrokerFills(quantity, np.where(parts > 1, value / quantity, price), fee)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """What the agents said about n bars and how much each of them counted.

    `signals` [A] of [n, S]; `reasons` [A][n][S] in words; `forecast` [n, S, A] in the common unit (NaN = abstained);
    `weights` [n], those in force at each bar; `regime` [n], the market's.
    """

    agents: tuple[str, ...]
    signals: Sequence[Signals]
    reasons: tuple[tuple[tuple[str, ...], ...], ...]
    forecast: Floats
    regime: Integers
    weights: Sequence[WeightSet]
    work_log: Sequence[WorkLogEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What the step made of n bars: its results, the state after them, and for each bar the orders decided, the stops
    that closed something, and the outcomes of both; `placed` are answers about orders that work on, `note` what the
    first decision says beside."""

    out: Outputs
    state: State
    orders: Sequence[Sequence[Order]]
    stops: Sequence[Sequence[Order]]
    outcomes: Sequence[Sequence[OrderOutcome]]
    placed: Sequence[OrderOutcome] = ()
    note: str = ""


def build_cycle(
    plan: DeskPlan, bars: Bars, opinions: Opinions, traded: Traded, ledger: Ledger
) -> tuple[CycleRecord, Ledger]:
    """The record of n bars, and the ledger after them; `ledger` is the one before."""
    out, agents = traded.out, opinions.agents
    ledger, booked = book_bars(bars, out, (traded.outcomes, traded.stops), agents, ledger)
    cycle = CycleRecord(
        time=bars.time,
        symbols=bars.symbols,
        agents=agents,
        books=book_names(plan.book, agents),
        signals=tuple(opinions.signals),
        reasons=opinions.reasons,
        forecast=opinions.forecast,
        regime=opinions.regime,
        combined=out.combined,
        multiplier=out.multiplier,
        raw_weight=out.raw_weight,
        target_weight=out.target_weight,
        clamps=out.clamps,
        no_trade=out.no_trade,
        order_quantity=out.order,
        position=out.position,
        mark=out.mark,
        equity=out.equity,
        cash=out.cash,
        turnover=out.turnover,
        risk_state=out.risk_state,
        contribution=out.contribution,
        agent_cost=out.agent_cost,
        shadow_return=out.shadow_return,
        hits=out.hits,
        calls=out.calls,
        weights=tuple(opinions.weights),
        orders=tuple(order for decided in (*traded.orders, *traded.stops) for order in decided),
        outcomes=(*(outcome for settled in traded.outcomes for outcome in settled), *traded.placed),
        actions=tuple(booked.actions),
        trades=tuple(booked.trades),
        contributions=tuple(booked.contributions),
        positions=ledger.positions,
        work_log=tuple(opinions.work_log),
        reason=_reasons(out, traded.note),
        state=pack_state(traded.state, bars.symbols, agents, ledger),
        data_version=bars.version,
    )
    return cycle, ledger


def _reasons(out: Outputs, note: str) -> tuple[str, ...]:
    first, *others = (describe_decision(out, t) for t in range(len(out.order)))
    return ("; ".join(filter(None, (first, note))), *others)


def describe_decision(out: Outputs, t: int) -> str:
    """Why the desk did what it did at one bar, in a few words; never empty."""
    ordered = int(np.count_nonzero(out.order[t]))
    reasons = Counter(str(NoTrade(code)) for code in out.no_trade[t] if code != NoTrade.TRADED)
    if stopped := int(np.count_nonzero(out.stop_quantity[t])):
        reasons["stopped out at this bar"] = stopped
    idle = ", ".join(f"{count}x {reason}" for reason, count in reasons.most_common())
    if ordered == 0:
        return f"no trade: {idle or 'no symbols'}"
    return f"{ordered} ordered" + (f"; {idle}" if idle else "")
