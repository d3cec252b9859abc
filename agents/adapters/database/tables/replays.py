"""What replays leave: checks of parity, and every setting that was ever tried on a history."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary, Table, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from agents.adapters.database.tables.columns import MOMENT, check, metadata, moment, words

parity_checks = Table(
    "parity_checks",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    moment("checked_at"),
    moment("checked_from"),
    Column("checked_to", MOMENT, nullable=False, comment="decisions up to here are checked"),
    Column("decisions", Integer, nullable=False),
    Column("differences", Integer, nullable=False),
    Column("counts", JSONB, nullable=False, comment="signal, weight, risk, order, fill, equity -> how many differ"),
    Column("examples", JSONB, nullable=False),
    Column("slippage", JSONB, nullable=False, comment="delay, spread, impact, fees -> [recorded, modelled]"),
    Column(
        "state", LargeBinary, nullable=False, comment="the recomputed step's state, from which the next check goes on"
    ),
    check("ordered", "checked_from <= checked_to"),
    UniqueConstraint("checked_to"),
)

settings_tried = Table(
    "settings_tried",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("data_hash", Text, nullable=False, comment="of the bars that were replayed"),
    Column("symbols", ARRAY(Text), nullable=False),
    moment("first_bar"),
    moment("last_bar"),
    words("settings_hash"),
    Column("settings", JSONB, nullable=False),
    Column("result", JSONB, nullable=False),
    Column("returns", LargeBinary, comment="daily returns of the live book, float64, deflated"),
    Column("tried_at", MOMENT, nullable=False, server_default=func.now()),
    check("ordered", "first_bar <= last_bar"),
    UniqueConstraint("data_hash", "settings_hash", name="uq_settings_tried_once"),
)
