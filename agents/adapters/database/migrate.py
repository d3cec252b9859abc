"""Bring a database to the newest schema; safe to call from two processes at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from agents.adapters.database.engine import driver_connection, first_line, probe_timescaledb, safe_url, transaction
from agents.core.errors import ServiceError

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATION_LOCK = 7710002
"""The lock that migrations/env.py takes."""
ROOT = Path(__file__).resolve().parents[3]
MIGRATIONS = ROOT / "migrations" / "versions"
CHUNK_DAYS = {60: 7, 300: 30, 900: 60, 1800: 90, 3600: 180, 14400: 365, 86400: 1825}
"""Bar interval in seconds -> days in a chunk: about a hundred thousand rows of signals each."""


def configuration() -> Config:
    """Alembic's configuration, wherever the caller's working directory is."""
    from alembic.config import (
        Config,  # here: alembic takes half a second to import, and is needed once for each release
    )

    return Config(str(ROOT / "alembic.ini"))


def newest_revision() -> str:
    """The id of the newest migration: their files' names begin with it, in order."""
    return max(file.name.partition("_")[0] for file in MIGRATIONS.glob("[0-9]*_*.py"))


def is_current(engine: Engine) -> bool:
    """Has this database the newest schema? ServiceError where it cannot be reached."""
    try:
        with transaction(engine) as connection:
            applied = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
            return list(applied) == [newest_revision()]
    except ProgrammingError:
        return False  # no such table: it was never migrated


def upgrade(engine: Engine, *, interval_s: int) -> bool:
    """Migrate to the newest schema and fit chunk sizes to the bar interval; True where the schema changed.

    ServiceError where the database lacks timescaledb or cannot be reached.
    """
    try:
        with engine.connect() as connection:
            probe_timescaledb(connection)
        changed = not is_current(engine)
        if changed:
            _migrate(engine)
            _seal(engine)
        _fit_chunks(engine, interval_s)
        return changed
    except ServiceError:
        raise
    except Exception as error:
        raise ServiceError(f"database {safe_url(engine)} could not be migrated: {first_line(error)}") from error


def _migrate(engine: Engine) -> None:
    from alembic import command  # as above

    settings = configuration()
    with engine.connect() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")


def _seal(engine: Engine) -> None:
    """Give what an older release recorded its links; while a desk trades, it does so itself at its next start."""
    from agents.adapters.database.chain_store import seal_unchained  # as below
    from agents.adapters.database.writer import DESK_LOCK

    with engine.begin() as connection:
        if connection.execute(text(f"SELECT pg_try_advisory_xact_lock({DESK_LOCK})")).scalar():
            seal_unchained(driver_connection(connection))


def _fit_chunks(engine: Engine, interval_s: int) -> None:
    from agents.adapters.database.tables import HYPERTABLES  # here: a command that only reads needs no tables

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
