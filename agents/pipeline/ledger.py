"""fills + corporate actions + cash flows -> positions, cash and closed trades, in Decimal: a fold, rebuildable from the
journal.

Identities, to the last unit: cash = start + flows - sum(quantity x price) - fees + actions' cash; and
cash + sum(cost) - sum(carried) = start + flows + sum(trade pnl): money came, or is in a closed trade or in a position.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType

from agents.core.cash_flows import CashFlow
from agents.core.types import MONEY_STEP, CorporateAction, Fill, Position, Trade, round_price

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The cash of one book and its open positions by symbol, whose quantities are signed."""

    cash: Decimal
    positions: Mapping[str, Position] = field(default_factory=lambda: MappingProxyType({}))


def fold_fills(ledger: Ledger, events: Iterable[Fill | CorporateAction | CashFlow]) -> tuple[Ledger, list[Trade]]:
    """Apply events in their order (by time, and of one bar cash flows, then actions, then fills): the ledger after
    them, and the trades that they closed."""
    cash = ledger.cash
    positions = dict(ledger.positions)
    trades: list[Trade] = []
    for event in events:
        if isinstance(event, CashFlow):
            cash += event.amount
        elif isinstance(event, CorporateAction):
            cash += event.cash
            trades += _apply_action(positions, event)
        else:
            cash -= event.signed_quantity * event.price + event.fee
            trades += _apply_fill(positions, event)
    return Ledger(cash=cash, positions=MappingProxyType(positions)), trades


def _apply_action(positions: dict[str, Position], action: CorporateAction) -> list[Trade]:
    held = positions.get(action.symbol)
    if held is None:
        return []
    quantity = held.quantity + action.quantity_change
    if quantity != 0:
        positions[action.symbol] = replace(held, quantity=quantity, carried=held.carried + action.cash)
        return []
    del positions[action.symbol]  # a reverse split made the whole position a fraction, which was paid out
    paid_out = Trade(
        trade_id=f"t-{action.kind}-{action.symbol}-{action.time:%Y%m%dT%H%M%S}",
        symbol=action.symbol,
        opened_at=held.opened_at,
        closed_at=action.time,
        side="long" if held.quantity > 0 else "short",
        quantity=abs(held.quantity),
        entry_price=abs(held.average_entry_price),
        exit_price=round_price(action.cash / held.quantity),
        fees=ZERO,
        pnl=action.cash + held.carried - held.cost,
    )
    return [paid_out]


def _apply_fill(positions: dict[str, Position], fill: Fill) -> list[Trade]:
    signed = fill.signed_quantity
    held = positions.get(fill.symbol)
    if held is None or held.quantity * signed > 0:
        positions[fill.symbol] = _grow(held, fill, signed, fill.fee)
        return []
    closing = min(abs(signed), abs(held.quantity))
    closing_fee = fill.fee if closing == abs(signed) else _money(fill.fee * closing / abs(signed))
    trade, rest = _close(held, fill, closing, closing_fee)
    if rest is None:
        del positions[fill.symbol]
    else:
        positions[fill.symbol] = rest
    opening = abs(signed) - closing
    if opening > 0:
        quantity = opening if signed > 0 else -opening
        positions[fill.symbol] = _grow(None, fill, quantity, fill.fee - closing_fee)
    return [trade]


def _grow(held: Position | None, fill: Fill, signed: Decimal, fee: Decimal) -> Position:
    cost = signed * fill.price
    if held is None:
        return Position(quantity=signed, cost=cost, carried=-fee, opened_at=fill.time)
    return replace(held, quantity=held.quantity + signed, cost=held.cost + cost, carried=held.carried - fee)


def _close(held: Position, fill: Fill, closing: Decimal, fee: Decimal) -> tuple[Trade, Position | None]:
    """Close `closing` units: the slice takes its share of cost and carried cash, rounded once; the rest keeps the
    rest, so nothing is lost to rounding."""
    whole = closing == abs(held.quantity)
    share = closing / abs(held.quantity)
    cost = held.cost if whole else _money(held.cost * share)
    carried = held.carried if whole else _money(held.carried * share)
    signed = closing if held.quantity > 0 else -closing
    trade = Trade(
        trade_id=f"t-{fill.fill_id}",
        symbol=fill.symbol,
        opened_at=held.opened_at,
        closed_at=fill.time,
        side="long" if held.quantity > 0 else "short",
        quantity=closing,
        entry_price=round_price(cost / signed),
        exit_price=fill.price,
        fees=fee,
        pnl=signed * fill.price - cost + carried - fee,
    )
    rest = replace(held, quantity=held.quantity - signed, cost=held.cost - cost, carried=held.carried - carried)
    return trade, None if whole else rest


def _money(value: Decimal) -> Decimal:
    return value.quantize(MONEY_STEP, rounding=ROUND_HALF_EVEN)
