"""The account at an exchange that a desk trades on, and where the two sides' books differ."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Numeric, Table, Text, text

from agents.adapters.database.tables.columns import MOMENT, check, metadata, moment, money, recorded_at, words

broker_accounts = Table(
    "broker_accounts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    words("broker"),
    words("mode"),
    Column("fingerprint", Text, nullable=False, comment="of the key's name, never of its secret"),
    Column("confirmed", Text, nullable=False, comment="what a person typed; empty where nothing is at stake"),
    Column("confirmed_by", Text, nullable=False, server_default="", comment="the user of the machine who typed it"),
    recorded_at(),
    check("mode_known", "mode IN ('sandbox', 'live')"),
    comment="the newest row is the account that this desk trades on",
)

resting_stops = Table(
    "resting_stops",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    moment("decision_time"),
    words("symbol"),
    words("side"),
    money("quantity"),
    Column("stop_price", Numeric, nullable=False, comment="at which the step would close the position"),
    words("state"),
    Column("reason", Text, nullable=False, server_default=""),
    Column("updated_at", MOMENT, nullable=False, server_default=text("now()")),
    check("quantity_positive", "quantity > 0 AND quantity <> 'NaN'"),
    check("stop_price_positive", "stop_price > 0 AND stop_price <> 'NaN'"),
    check("side_known", "side IN ('buy', 'sell')"),
    check("state_known", "state IN ('sending', 'resting', 'reached', 'none', 'refused', 'ended')"),
    Index("ix_resting_stops_standing", "symbol", postgresql_where=text("state <> 'ended'")),
    comment="stops that rest at the exchange; their fills are those of an order of the decision that booked them",
)

broker_outside = Table(
    "broker_outside",
    metadata,
    Column("currency", Text, primary_key=True),
    Column("amount", money("amount").type, nullable=False, comment="on the account, and not the desk's"),
    words("reason"),
    Column("updated_at", MOMENT, nullable=False),
    check("amount_finite", "amount <> 'NaN'"),
)

reconciliation_breaks = Table(
    "reconciliation_breaks",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    words("kind"),
    Column("name", Text, nullable=False, comment="the symbol, or the currency of the desk's cash"),
    money("ours"),
    money("theirs"),
    moment("opened_at"),
    moment("seen_at"),
    Column("asked", Text, comment="what a person wants done about it: adopt or ignore"),
    Column("reason", Text, comment="the person's"),
    Column("closed_at", MOMENT),
    Column("resolution", Text),
    check("kind_known", "kind IN ('position', 'cash', 'order')"),
    check("asked_known", "asked IN ('adopt', 'ignore')"),
    check("asked_with_a_reason", "asked IS NULL OR reason <> ''"),
    Index("uq_reconciliation_breaks_open", "kind", "name", unique=True, postgresql_where=text("closed_at IS NULL")),
)
