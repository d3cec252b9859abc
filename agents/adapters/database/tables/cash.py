"""Money that comes to a desk's account or leaves it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Identity, Index, Table, Text, text

from agents.adapters.database.tables.columns import (
    MOMENT,
    check,
    metadata,
    moment,
    money,
    recorded_at,
    sane_time,
    words,
)
from agents.core.cash_flows import FLOW_KINDS

cash_flows = Table(
    "cash_flows",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    moment(),
    words("kind"),
    Column("amount", money("amount").type, nullable=False, comment="what the desk's cash grows by"),
    words("currency"),
    Column("symbol", Text, comment="whose interest, funding or dividend it is"),
    Column("source", Text, nullable=False, comment="who says so: person, exchange or rule"),
    Column("key", Text, comment="its source's own name for it: the same twice is one flow"),
    words("reason"),
    words("actor"),
    Column("after_days", Double, nullable=False, server_default="0", comment="since the desk's first decision"),
    Column("taken_at", MOMENT, comment="when the desk took it, or refused to"),
    Column("obeyed_after", MOMENT, comment="the newest decision then: the next one is the first with it"),
    Column("units", Double, comment="of the desk from then on; 1 at its start, and a deposit buys some"),
    Column("refused", Text, comment="why the desk did not take it"),
    recorded_at(),
    sane_time(),
    check("amount_known", "amount <> 'NaN' AND amount <> 0"),
    check("kind_known", f"kind IN ({', '.join(repr(kind) for kind in FLOW_KINDS)})"),
    check("source_known", "source IN ('person', 'exchange', 'rule')"),
    check("reason_given", "reason <> ''"),
    Index("uq_cash_flows_key", "source", "key", unique=True, postgresql_where=text("key IS NOT NULL")),
    Index("ix_cash_flows_waiting", "id", postgresql_where=text("taken_at IS NULL")),
)
