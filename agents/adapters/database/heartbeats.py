"""The table heartbeats: the last sign of life of each daemon."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import row_dicts, transaction
from agents.core.meta_types import Heartbeat

_BEAT = """
INSERT INTO heartbeats (daemon, at, started_at, pid, state, detail)
VALUES (:daemon, :at, :started_at, :pid, :state, :detail)
ON CONFLICT (daemon) DO UPDATE SET at = :at, started_at = :started_at, pid = :pid, state = :state, detail = :detail
WHERE :state = 'running' OR heartbeats.started_at <= :started_at
"""
"""An earlier process that stops says nothing of one that was started later."""


class HeartbeatTable:
    """Heartbeats of one desk's daemons."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def beat(self, heartbeat: Heartbeat) -> None:
        """Put this in the place of the daemon's last one; "stopped" not in that of one started later."""
        with transaction(self._engine) as connection:
            connection.execute(text(_BEAT), asdict(heartbeat))

    def all(self) -> list[Heartbeat]:
        """The last heartbeat of each daemon that ever ran."""
        with transaction(self._engine) as connection:
            return read_heartbeats(connection)


def read_heartbeats(connection: Connection) -> list[Heartbeat]:
    """The last heartbeat of each daemon that ever ran, by name."""
    query = "SELECT daemon, at, started_at, pid, state, detail FROM heartbeats ORDER BY daemon"
    return [Heartbeat(**row) for row in row_dicts(connection, query)]
