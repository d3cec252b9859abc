"""The schema as SQLAlchemy knows it, both planes; migrations create it, `alembic check` holds the two together.

Hypertables hold series, plain tables what must be unique (a unique key of a hypertable must contain its time).
No foreign key points at a hypertable: TimescaleDB before 2.25 has defects there.
"""

from __future__ import annotations

from agents.adapters.database.tables import broker, cash, decisions, management, market, replays, trades, tuning
from agents.adapters.database.tables.columns import metadata

__all__ = [
    "HYPERTABLES",
    "broker",
    "cash",
    "decisions",
    "management",
    "market",
    "metadata",
    "replays",
    "trades",
    "tuning",
]

HYPERTABLES = {
    "bars": "time",
    "exogenous": "time",
    "signals": "time",
    "decision_details": "time",
    "equity": "time",
    "shadow_returns": "time",
    "bar_contributions": "time",
    "agent_work_log": "time",
    "system_metrics": "time",
}
"""Hypertable -> its time column."""
