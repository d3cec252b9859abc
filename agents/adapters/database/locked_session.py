"""A session that holds an advisory lock: the right that the lock stands for lives and dies with the session."""

from __future__ import annotations

from typing import Any, cast

import psycopg
from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

from agents.adapters.database.engine import first_line, safe_url
from agents.core.errors import ServiceError

Driver = psycopg.Connection[Any]


class LockedSession:
    """One session of `engine`, outside any transaction, that has or wants the lock of this number."""

    def __init__(self, engine: Engine, lock: int) -> None:
        self._engine = engine
        self._lock = lock
        self._session: PoolProxiedConnection | None = None

    def take(self) -> bool:
        """Take the lock where it is not held; False where another session has it, ServiceError without a server."""
        if self._session is not None:
            return True
        try:
            session = self._engine.raw_connection()
        except DBAPIError as error:
            raise ServiceError(f"database {safe_url(self._engine)}: {first_line(error)}") from error
        driver = cast("Driver", session.driver_connection)
        driver.autocommit = True
        row = driver.execute("SELECT pg_try_advisory_lock(%s)", (self._lock,)).fetchone()
        if row is None or not row[0]:
            session.close()
            return False
        self._session = session
        return True

    def is_alive(self) -> bool:
        """Whether the session still answers; one that does not is dropped, and its lock with it."""
        if self._session is None:
            return False
        try:
            self.driver.execute("SELECT 1")
        except psycopg.Error:
            self.drop()
            return False
        return True

    @property
    def driver(self) -> Driver:
        """The session's connection, while the lock is held."""
        assert self._session is not None
        return cast("Driver", self._session.driver_connection)

    def drop(self) -> None:
        """End the session; the lock is anybody's."""
        if self._session is not None:
            self._session.invalidate()
            self._session = None
