"""Times in which a daemon could not work, in the table outages: written when they are over."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction
from agents.core.endurance import Outage

_INSERT = """
INSERT INTO outages (plane, began_at, ended_at, attempts, reason)
VALUES (:plane, :began_at, :ended_at, :attempts, :reason) ON CONFLICT DO NOTHING
"""


def record_outage(engine: Engine, outage: Outage) -> None:
    """Keep it; again changes nothing."""
    with transaction(engine) as connection:
        connection.execute(text(_INSERT), asdict(outage))
