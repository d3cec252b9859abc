"""The account at an exchange that a desk trades on, and where the two sides' books differ."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text, text

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
