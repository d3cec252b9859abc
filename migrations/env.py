"""Alembic's entry: the database that the caller names, under a lock, ignoring what TimescaleDB owns."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Literal

from alembic import context
from sqlalchemy import Connection, create_engine, text

from agents.adapters.database.engine import normalise_url
from agents.adapters.database.migrate import MIGRATION_LOCK, newest_revision
from agents.adapters.database.roles import grant_rights
from agents.adapters.database.tables import metadata
from agents.core.killpoint import killpoint


def include_name(
    name: str | None,
    type_: Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint"],
    parent_names: MutableMapping[str, str | None],
) -> bool:
    """Only our own schema: autogenerate would drop TimescaleDB's internal tables."""
    return not (type_ == "schema" and name not in (None, "public"))


def migrate(connection: Connection) -> None:
    """Run what was asked for; a second migrator waits for the first and then finds nothing to do."""
    connection.execute(text(f"SELECT pg_advisory_lock({MIGRATION_LOCK})"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            include_name=include_name,
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()
            if context.get_context().get_current_revision() == newest_revision():
                grant_rights(connection)
            killpoint("migration.before_commit")
    finally:
        connection.rollback()
        connection.execute(text(f"SELECT pg_advisory_unlock({MIGRATION_LOCK})"))
        connection.commit()


def main() -> None:
    given = context.config.attributes.get("connection")
    if isinstance(given, Connection):
        migrate(given)
        return
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("alembic: set DATABASE_URL to the database to migrate (quorum migrates its own by itself)")
    engine = create_engine(normalise_url(url))
    with engine.connect() as connection:
        migrate(connection)
    engine.dispose()


main()
