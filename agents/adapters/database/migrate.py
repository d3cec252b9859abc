"""Bring a database to the newest schema; safe to call from two processes at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from agents.adapters.database.engine import first_line, probe_timescaledb, safe_url
from agents.adapters.database.tables import HYPERTABLES
from agents.core.errors import ServiceError

MIGRATION_LOCK = 7710002
"""The lock that migrations/env.py takes."""
ROOT = Path(__file__).resolve().parents[3]
CHUNK_DAYS = {60: 7, 300: 30, 900: 60, 1800: 90, 3600: 180, 14400: 365, 86400: 1825}
"""Bar interval in seconds -> days in a chunk: about a hundred thousand rows of signals each."""


def configuration() -> Config:
    """Alembic's configuration, wherever the caller's working directory is."""
    return Config(str(ROOT / "alembic.ini"))


def upgrade(engine: Engine, *, interval_s: int) -> bool:
    """Migrate to head and fit chunk sizes to the bar interval; True where the schema changed.

    ServiceError where the database lacks timescaledb or cannot be reached.
    """
    try:
        with engine.connect() as connection:
            probe_timescaledb(connection)
            head = ScriptDirectory.from_config(configuration()).get_current_head()
            changed = MigrationContext.configure(connection).get_current_revision() != head
            connection.rollback()
            if changed:
                settings = configuration()
                settings.attributes["connection"] = connection
                command.upgrade(settings, "head")
            _fit_chunks(engine, interval_s)
            return changed
    except ServiceError:
        raise
    except Exception as error:
        raise ServiceError(f"database {safe_url(engine)} could not be migrated: {first_line(error)}") from error


def _fit_chunks(engine: Engine, interval_s: int) -> None:
    days = CHUNK_DAYS[min(CHUNK_DAYS, key=lambda s: abs(s - interval_s))]
    with engine.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        rows = connection.execute(
            text(
                "SELECT hypertable_name, time_interval FROM timescaledb_information.dimensions"
                " WHERE hypertable_schema = 'public' AND dimension_number = 1"
            )
        )
        for table, current in rows.all():
            if table in HYPERTABLES and current is not None and current.days != days:
                connection.execute(
                    text("SELECT set_chunk_time_interval(:t, make_interval(days => :d))"), {"t": table, "d": days}
                )
