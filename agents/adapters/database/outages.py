"""Times in which a daemon could not work, in the table outages: written when they are over."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import row_dicts, transaction
from agents.core.endurance import Outage

_INSERT = """
INSERT INTO outages (plane, began_at, ended_at, attempts, reason)
VALUES (:plane, :began_at, :ended_at, :attempts, :reason) ON CONFLICT DO NOTHING
"""
_RECENT = """
SELECT plane, began_at, ended_at, attempts, reason FROM outages
WHERE ended_at > CAST(:at AS timestamptz) - interval '1 hour' AND ended_at <= :at ORDER BY ended_at DESC
"""


def recent_outages(connection: Connection, at: datetime) -> list[Outage]:
    """Those that were over in the hour before `at`, the newest first."""
    return [Outage(**row) for row in row_dicts(connection, _RECENT, at=at)]


def record_outage(engine: Engine, outage: Outage) -> None:
    """Keep it; again changes nothing."""
    with transaction(engine) as connection:
        connection.execute(text(_INSERT), asdict(outage))
