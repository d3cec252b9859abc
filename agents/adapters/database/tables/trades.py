"""Orders, what they became, and what the desk holds."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Numeric, Table, Text, func, text

from agents.adapters.database.tables.columns import (
    MOMENT,
    check,
    metadata,
    moment,
    money,
    price,
    recorded_at,
    sane_time,
    words,
)

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("decision_time", MOMENT, nullable=False),
    words("symbol"),
    words("side"),
    money("quantity"),
    words("state"),
    words("reason"),
    recorded_at(),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    Column(
        "kind",
        Text,
        comment="market, limit, chase (rests, then crosses), stop, adopted (placed by others), or exit (closed while"
        " the database was away); empty before version 0022 of the schema",
    ),
    Column("limit_price", Numeric, comment="at which a limit or chase order rests"),
    check("side_known", "side IN ('buy', 'sell')"),
    check("quantity_positive", "quantity > 0"),
    check(
        "state_known",
        "state IN ('intent', 'sending', 'unknown', 'acked', 'partial', 'filled', 'cancelled', 'expired', 'rejected',"
        " 'not_placed')",
    ),
    check("kind_known", "kind IN ('market', 'limit', 'chase', 'stop', 'adopted', 'exit')"),
    check("limit_price_fits", "(limit_price IS NOT NULL) = (coalesce(kind, '') IN ('limit', 'chase'))"),
    Index("ix_orders_state", "state"),
    Index(
        "uq_orders_decision",
        "decision_time",
        "symbol",
        unique=True,
        postgresql_where=text("kind IS NULL OR kind IN ('market', 'limit', 'chase')"),
    ),
    Index("uq_orders_stop", "decision_time", "symbol", unique=True, postgresql_where=text("kind = 'stop'")),
)

paper_orders = Table(
    "paper_orders",
    metadata,
    Column("client_order_id", Text, primary_key=True, comment="what the paper venue accepted"),
    words("symbol"),
    words("side"),
    money("quantity"),
    recorded_at(),
)

fills = Table(
    "fills",
    metadata,
    Column("fill_id", Text, primary_key=True),
    words("client_order_id", ForeignKey("orders.client_order_id")),
    moment(),
    words("symbol"),
    words("side"),
    money("quantity"),
    price("price"),
    money("fee"),
    money("spread_cost"),
    money("impact_cost"),
    recorded_at(),
    sane_time(),
    check("side_known", "side IN ('buy', 'sell')"),
    check("quantity_positive", "quantity > 0 AND quantity <> 'NaN'"),
    check("price_positive", "price > 0 AND price <> 'NaN'"),
    Index("ix_fills_time", "time"),
    Index("ix_fills_client_order_id", "client_order_id"),
)

fill_fees = Table(
    "fill_fees",
    metadata,
    Column("fill_id", Text, ForeignKey("fills.fill_id"), primary_key=True),
    words("currency"),
    money("amount"),
    check("amount_finite", "amount <> 'NaN'"),
    comment="what was paid where a venue took a fee in another currency than the price's; fills.fee is its worth",
)

corporate_actions = Table(
    "corporate_actions",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    money("ratio"),
    money("quantity_change"),
    money("cash"),
    sane_time(),
    check("kind_known", "kind IN ('split', 'dividend', 'delisting', 'funding')"),
)

trades = Table(
    "trades",
    metadata,
    Column("trade_id", Text, primary_key=True),
    words("symbol"),
    moment("opened_at"),
    moment("closed_at"),
    words("side"),
    money("quantity"),
    price("entry_price"),
    price("exit_price"),
    money("fees"),
    money("pnl"),
    sane_time("closed_at"),
    check("side_known", "side IN ('long', 'short')"),
    check("pnl_finite", "pnl <> 'NaN'"),
    Index("ix_trades_closed_at", "closed_at"),
)

trade_attribution = Table(
    "trade_attribution",
    metadata,
    Column("trade_id", Text, ForeignKey("trades.trade_id"), primary_key=True),
    Column("agent_name", Text, primary_key=True),
    money("contribution"),
    check("contribution_finite", "contribution <> 'NaN'"),
)

positions = Table(
    "positions",
    metadata,
    Column("symbol", Text, primary_key=True),
    money("quantity"),
    money("cost"),
    money("carried"),
    moment("opened_at"),
    check("quantity_not_zero", "quantity <> 0 AND quantity <> 'NaN'"),
)
