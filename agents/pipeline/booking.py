"""what the step made of bars -> the ledger after them, and what it booked: actions, trades, who earned them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import numpy as np

from agents.core.types import (
    REMAINDER,
    Bars,
    Contribution,
    CorporateAction,
    Fill,
    Floats,
    Order,
    OrderOutcome,
    Trade,
    as_datetime,
    to_decimal,
)
from agents.pipeline.attribution import exact_shares
from agents.pipeline.ledger import ZERO, Ledger, fold_fills
from agents.pipeline.state import Outputs

Executed = tuple[Sequence[Sequence[OrderOutcome]], Sequence[Sequence[Order]]]
"""Of each of n bars the outcomes, and the orders among them that are stops."""
Kind = Literal["split", "dividend", "delisting"]


class Booked(NamedTuple):
    """In the order of their events."""

    actions: list[CorporateAction]
    trades: list[Trade]
    contributions: list[Contribution]


def book_bars(
    bars: Bars, out: Outputs, executed: Executed, agents: tuple[str, ...], ledger: Ledger
) -> tuple[Ledger, Booked]:
    """The ledger after n bars and what it booked: of each bar first funding and corporate actions before its open, then
    the fills of orders, then those of stops, then the funding within it."""
    booked = Booked([], [], [])
    for t, (outcomes, stops) in enumerate(zip(*executed, strict=True)):
        actions, within = _actions_of(out, bars, t), _funding_of(out.funding_within[t], bars, _middle(bars, t))
        booked.actions.extend((*actions, *within))
        stop_ids = {order.client_order_id for order in stops}
        ordered: list[Fill | CorporateAction] = [*actions]
        stopped: list[Fill | CorporateAction] = []
        for fill in (fill for outcome in outcomes for fill in outcome.fills):
            (stopped if fill.client_order_id in stop_ids else ordered).append(fill)
        for events, realised in ((ordered, out.realised[t]), ([*stopped, *within], out.stop_realised[t])):
            ledger, closed = fold_fills(ledger, events)
            booked.trades.extend(closed)
            for trade in closed:
                shares = realised[bars.symbols.index(trade.symbol)]
                booked.contributions.extend(_contributions_of(trade, shares, agents))
    return ledger, booked


def _actions_of(out: Outputs, bars: Bars, t: int) -> list[CorporateAction]:
    opened = as_datetime(bars.opened[t])
    actions = _funding_of(out.funding[t], bars, opened)
    for s in np.nonzero((out.split_change[t] != 0.0) | (out.action_cash[t] != 0.0))[0]:
        kind: Kind = "split" if out.split_change[t, s] != 0.0 else "dividend"
        actions.append(
            CorporateAction(
                time=opened,
                symbol=bars.symbols[s],
                kind="delisting" if np.isfinite(bars.delisting[t, s]) else kind,
                ratio=to_decimal(float(bars.split[t, s])),
                quantity_change=to_decimal(float(out.split_change[t, s])),
                cash=to_decimal(float(out.action_cash[t, s])),
            )
        )
    return actions


def _funding_of(paid: Floats, bars: Bars, at: datetime) -> list[CorporateAction]:
    """What was `paid` [S] of a bar's funding, at a moment."""
    return [
        CorporateAction(
            time=at,
            symbol=bars.symbols[s],
            kind="funding",
            ratio=to_decimal(1.0),
            quantity_change=ZERO,
            cash=to_decimal(float(paid[s])),
        )
        for s in np.nonzero(paid)[0]
    ]


def _middle(bars: Bars, t: int) -> datetime:
    """A moment within a bar, which no other bar has."""
    opened, closed = as_datetime(bars.opened[t]), as_datetime(bars.time[t])
    return opened + (closed - opened) / 2


def _contributions_of(trade: Trade, realised: Floats, agents: tuple[str, ...]) -> list[Contribution]:
    """Agents' shares as money; the remainder row takes what is left of the trade's P&L, so the sum is exact."""
    shares = exact_shares(float(trade.pnl), realised)
    rows = [
        Contribution(trade_id=trade.trade_id, agent_name=name, contribution=to_decimal(float(share)))
        for name, share in zip(agents, shares[:-1], strict=True)
    ]
    rest = trade.pnl - sum((row.contribution for row in rows), start=ZERO)
    return [*rows, Contribution(trade_id=trade.trade_id, agent_name=REMAINDER, contribution=rest)]
