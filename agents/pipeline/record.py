"""arrays of the step -> the record of a cycle: orders, outcomes, ledger, trades, contributions, in Decimal."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from agents.core.books import CONTROLS, book_names
from agents.core.errors import JournalError
from agents.core.types import (
    REMAINDER,
    Bars,
    Contribution,
    CorporateAction,
    CycleRecord,
    Fill,
    FillStatus,
    Floats,
    NoTrade,
    Order,
    OrderOutcome,
    OrderState,
    Signals,
    Trade,
    WeightSet,
    WorkLogEntry,
    as_datetime,
    to_decimal,
)
from agents.pipeline.attribution import exact_shares
from agents.pipeline.ledger import Ledger, fold_fills
from agents.pipeline.state import Outputs, State, new_state

STATE_FORMAT = 1


def client_order_id(desk: str, decision_time: datetime, symbol: str) -> str:
    """At most 32 characters of [A-Za-z0-9-]; the same decision always gives the same id."""
    digest = hashlib.sha256(f"{desk}|{decision_time.isoformat()}|{symbol}".encode()).digest()
    return f"{desk[:8]}-" + base64.b32encode(digest)[:22].decode()


def orders_of(out: Outputs, bars: Bars, desk: str) -> list[list[Order]]:
    """Orders decided at each of the n bars."""
    result: list[list[Order]] = [[] for _ in bars.time]
    for t, s in zip(*np.nonzero(out.order), strict=True):
        at = as_datetime(bars.time[t])
        quantity = float(out.order[t, s])
        result[t].append(
            Order(
                client_order_id=client_order_id(desk, at, bars.symbols[s]),
                decision_time=at,
                symbol=bars.symbols[s],
                side="buy" if quantity > 0 else "sell",
                quantity=to_decimal(abs(quantity)),
            )
        )
    return result


def settle_order(
    order: Order,
    status: FillStatus,
    opened: datetime,
    *,
    quantity: float,
    price: float,
    costs: tuple[float, float, float],
) -> OrderOutcome:
    """A matcher's verdict on a working order as a value; `costs` are (fee, spread, impact). The unfilled rest of a
    one-bar order has expired, and so has an order that a split rounded away (no status)."""
    fills: tuple[Fill, ...] = ()
    if quantity != 0.0:
        fee, spread, impact = (to_decimal(cost) for cost in costs)
        fills = (
            Fill(
                fill_id=f"{order.client_order_id}.1",
                client_order_id=order.client_order_id,
                time=opened,
                symbol=order.symbol,
                side=order.side,
                quantity=to_decimal(abs(quantity)),
                price=to_decimal(price),
                fee=fee,
                spread_cost=spread,
                impact_cost=impact,
            ),
        )
    state, reason = _FATES.get(status, ("rejected", str(status)))
    return OrderOutcome(client_order_id=order.client_order_id, state=state, reason=reason, fills=fills)


_FATES: dict[FillStatus, tuple[OrderState, str]] = {
    FillStatus.NONE: ("expired", "split"),
    FillStatus.FILLED: ("filled", ""),
    FillStatus.PARTIAL: ("expired", "the rest expired: share of volume"),
    FillStatus.NO_BAR: ("expired", str(FillStatus.NO_BAR)),
    FillStatus.NO_VOLUME: ("expired", str(FillStatus.NO_VOLUME)),
}


def outcomes_of(out: Outputs, bars: Bars, working: Sequence[Sequence[Order]]) -> list[list[OrderOutcome]]:
    """What the step's own matcher did at each bar with the orders that were `working` then."""
    column = {symbol: s for s, symbol in enumerate(bars.symbols)}
    result: list[list[OrderOutcome]] = []
    for t, orders in enumerate(working):
        answers = []
        for order in orders:
            s = column[order.symbol]
            costs = (float(out.fill_fee[t, s]), float(out.fill_spread[t, s]), float(out.fill_impact[t, s]))
            quantity, price = float(out.fill_quantity[t, s]), float(out.fill_price[t, s])
            status, opened = FillStatus(out.fill_status[t, s]), as_datetime(bars.opened[t])
            answers.append(settle_order(order, status, opened, quantity=quantity, price=price, costs=costs))
        result.append(answers)
    return result


def build_cycle(
    *,
    bars: Bars,
    out: Outputs,
    state: State,
    ledger: Ledger,
    agents: tuple[str, ...],
    live_book: str,
    signals: Sequence[Signals],
    reasons: tuple[tuple[tuple[str, ...], ...], ...],
    forecast: Floats,
    weights: Sequence[WeightSet],
    orders: Sequence[Sequence[Order]],
    outcomes: Sequence[Sequence[OrderOutcome]],
    placed: Sequence[OrderOutcome],
    work_log: Sequence[WorkLogEntry],
) -> tuple[CycleRecord, Ledger]:
    """The record of n bars and the ledger after them; all sequences but `placed` run over the n bars."""
    actions: list[CorporateAction] = []
    trades: list[Trade] = []
    contributions: list[Contribution] = []
    for t in range(len(bars.time)):
        today = _actions_of(out, bars, t)
        fills = [fill for outcome in outcomes[t] for fill in outcome.fills]
        ledger, closed = fold_fills(ledger, [*today, *fills])
        actions += today
        trades += closed
        for trade in closed:
            contributions += _contributions_of(trade, out.realised[t, bars.symbols.index(trade.symbol)], agents)
    cycle = CycleRecord(
        time=bars.time,
        symbols=bars.symbols,
        agents=agents,
        books=book_names(live_book, agents),
        signals=tuple(signals),
        reasons=reasons,
        forecast=forecast,
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
        shadow_return=out.shadow_return,
        hits=out.hits,
        calls=out.calls,
        weights=tuple(weights),
        orders=tuple(order for day in orders for order in day),
        outcomes=(*(outcome for day in outcomes for outcome in day), *placed),
        actions=tuple(actions),
        trades=tuple(trades),
        contributions=tuple(contributions),
        positions=ledger.positions,
        work_log=tuple(work_log),
        reason=tuple(describe_decision(out, t) for t in range(len(bars.time))),
        state=pack_state(state, bars.symbols, agents, ledger),
    )
    return cycle, ledger


def _actions_of(out: Outputs, bars: Bars, t: int) -> list[CorporateAction]:
    actions: list[CorporateAction] = []
    opened = as_datetime(bars.opened[t])
    for s in np.nonzero((out.split_change[t] != 0.0) | (out.action_cash[t] != 0.0))[0]:
        is_split = out.split_change[t, s] != 0.0
        actions.append(
            CorporateAction(
                time=opened,
                symbol=bars.symbols[s],
                kind="split" if is_split else "dividend",
                ratio=to_decimal(float(bars.split[t, s])),
                quantity_change=to_decimal(float(out.split_change[t, s])),
                cash=to_decimal(float(out.action_cash[t, s])),
            )
        )
    return actions


def _contributions_of(trade: Trade, realised: Floats, agents: tuple[str, ...]) -> list[Contribution]:
    """Agents' shares as money; the remainder row takes what is left of the trade's P&L, so the sum is exact."""
    shares = exact_shares(float(trade.pnl), realised)
    rows = [
        Contribution(trade_id=trade.trade_id, agent_name=name, contribution=to_decimal(float(share)))
        for name, share in zip(agents, shares[:-1], strict=True)
    ]
    rest = trade.pnl - sum((row.contribution for row in rows), start=trade.pnl * 0)
    return [*rows, Contribution(trade_id=trade.trade_id, agent_name=REMAINDER, contribution=rest)]


def describe_decision(out: Outputs, t: int) -> str:
    """Why the desk did what it did at one bar, in a few words; never empty."""
    ordered = int(np.count_nonzero(out.order[t]))
    reasons = Counter(str(NoTrade(code)) for code in out.no_trade[t] if code != NoTrade.TRADED)
    idle = ", ".join(f"{count}x {reason}" for reason, count in reasons.most_common())
    if ordered == 0:
        return f"no trade: {idle or 'no symbols'}"
    return f"{ordered} ordered" + (f"; {idle}" if idle else "")


def pack_state(state: State, symbols: tuple[str, ...], agents: tuple[str, ...], ledger: Ledger) -> bytes:
    """The step's state as bytes (numpy's npz, no pickle), with the names of its axes and the ledger's exact cash."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format=np.array([STATE_FORMAT]),
        symbols=np.array(symbols, dtype=np.str_),
        agents=np.array(agents, dtype=np.str_),
        ledger_cash=np.array([str(ledger.cash)], dtype=np.str_),
        **state._asdict(),
    )
    return buffer.getvalue()


def unpack_state(
    packed: bytes, symbols: tuple[str, ...], agents: tuple[str, ...], initial_cash: float
) -> tuple[State, str]:
    """(state, ledger cash) on the axes `symbols` and `agents`: what is new starts empty; JournalError where a symbol
    with a position, or nothing readable, would be lost."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as saved:
        if int(saved["format"][0]) != STATE_FORMAT:
            raise JournalError(f"the stored state has format {saved['format'][0]}, this version reads {STATE_FORMAT}")
        old_symbols, old_agents = tuple(saved["symbols"].tolist()), tuple(saved["agents"].tolist())
        values = {name: saved[name] for name in State._fields}
        cash = str(saved["ledger_cash"][0])
    if old_symbols == symbols and old_agents == agents:
        return State(**values), cash
    for s, symbol in enumerate(old_symbols):
        if symbol not in symbols and values["position"][0, s] != 0.0:
            raise JournalError(f"{symbol} has an open position and cannot leave the desk's symbols; add it again")
    return _on_new_axes(values, (old_symbols, symbols), (old_agents, agents), initial_cash), cash


def _on_new_axes(
    values: dict[str, Floats],
    symbols: tuple[tuple[str, ...], tuple[str, ...]],
    agents: tuple[tuple[str, ...], tuple[str, ...]],
    initial_cash: float,
) -> State:
    fresh = new_state(len(agents[1]), len(symbols[1]), initial_cash)
    common_symbols = [s for s in symbols[0] if s in symbols[1]]
    common_agents = [a for a in agents[0] if a in agents[1]]
    take_s, put_s = ([axis.index(s) for s in common_symbols] for axis in symbols)
    take_a, put_a = ([axis.index(a) for a in common_agents] for axis in agents)
    base = 1 + len(CONTROLS)
    take_b, put_b = [[*range(base), *(base + a for a in side)] for side in (take_a, put_a)]
    take_h, put_h = [*take_a, len(agents[0])], [*put_a, len(agents[1])]
    rows = {"position": (take_b, put_b), "pending": (take_b, put_b)}
    for name, target in fresh._asdict().items():
        source = values[name]
        if name in rows:
            target[np.ix_(rows[name][1], put_s)] = source[np.ix_(rows[name][0], take_s)]
        elif name in ("asked", "holding", "pool"):
            columns = (take_a, put_a) if name == "asked" else (take_h, put_h)
            target[np.ix_(put_s, columns[1])] = source[np.ix_(take_s, columns[0])]
        elif name in ("mark", "volatility"):
            target[put_s] = source[take_s]
        elif name in ("cash", "equity", "peak", "risk_state"):
            target[put_b] = source[take_b]
        else:
            target[put_a] = source[take_a]
    fresh.first_weights[~np.isfinite(fresh.first_weights)] = 0.0
    lost = fresh.position[0] - fresh.holding.sum(axis=1)
    fresh.holding[:, -1] += lost
    return fresh
