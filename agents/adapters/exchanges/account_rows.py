"""Orders and executions of an account, as ccxt hands them on -> numbers that money can be counted with."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from agents.core.cash_flows import FlowKind


class VenueOrder(NamedTuple):
    """An order as the exchange shows it; `status` as ccxt says: open, closed, canceled, expired, rejected."""

    venue_id: str
    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    filled: Decimal
    status: str
    time_ms: int


class VenueTrade(NamedTuple):
    """An execution as the exchange shows it; `fee` None where it does not tell."""

    trade_id: str
    order_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal | None
    fee_currency: str
    time_ms: int


class VenueMove(NamedTuple):
    """A deposit (positive) or a withdrawal, with its cost, that the exchange says is done; or what `kind` says."""

    move_id: str
    currency: str
    amount: Decimal
    time_ms: int
    kind: FlowKind | None = None
    symbol: str | None = None
    """Whose fee, tax or interest it is."""


def move_of(row: Mapping[str, Any], *, withdrawn: bool) -> VenueMove | None:
    """A deposit or withdrawal in ccxt's shape; None for one that is not done, or was called off."""
    if row.get("status") != "ok" or row.get("id") is None:
        return None
    amount, fee = Decimal(str(row.get("amount") or 0)), row.get("fee") or {}
    if withdrawn:
        same = fee.get("currency") in (None, row.get("currency"))
        amount = -amount - (Decimal(str(fee.get("cost") or 0)) if same else Decimal(0))
    return VenueMove(str(row["id"]), str(row.get("currency") or ""), amount, int(row.get("timestamp") or 0))


def order_of(row: Mapping[str, Any]) -> VenueOrder:
    """An order in ccxt's shape."""
    return VenueOrder(
        venue_id=str(row["id"]),
        client_id=str(row.get("clientOrderId") or ""),
        symbol=str(row["symbol"]),
        side=str(row.get("side") or ""),
        quantity=Decimal(str(row.get("amount") or 0)),
        filled=Decimal(str(row.get("filled") or 0)),
        status=str(row.get("status") or "open"),
        time_ms=int(row.get("timestamp") or 0),
    )


def trade_of(row: Mapping[str, Any]) -> VenueTrade:
    """An execution in ccxt's shape."""
    fee = row.get("fee") or {}
    cost = fee.get("cost")
    return VenueTrade(
        trade_id=str(row["id"]),
        order_id=str(row.get("order") or ""),
        symbol=str(row["symbol"]),
        side=str(row["side"]),
        quantity=Decimal(str(row["amount"])),
        price=Decimal(str(row["price"])),
        fee=None if cost is None else Decimal(str(cost)),
        fee_currency=str(fee.get("currency") or ""),
        time_ms=int(row["timestamp"]),
    )
