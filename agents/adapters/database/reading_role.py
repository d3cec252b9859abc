"""Sessions for whoever only looks: they can change nothing, and a question that takes long is given up."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

from agents.adapters.database.engine import PERSONAL_PATIENCE_S, open_engine

STATEMENT_TIMEOUT_MS = 30_000


def open_to_read(url: str, *, role: str | None = None, application: str) -> Engine:
    """An engine whose sessions act as `role`, where one is given, and whose transactions are read-only in any case."""
    patience_s = PERSONAL_PATIENCE_S + STATEMENT_TIMEOUT_MS / 1000
    engine = open_engine(url, role=role, application=application, patience_s=patience_s)

    @event.listens_for(engine, "connect")
    def only_read(session: Any, _record: object) -> None:
        with session.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
            cursor.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
        session.commit()

    return engine
