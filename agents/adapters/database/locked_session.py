"""A session that holds an advisory lock: the right that the lock stands for lives and dies with the session."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import psycopg
from sqlalchemy import Engine, PoolProxiedConnection

from agents.adapters.database.engine import safe_url, told_plainly
from agents.core.errors import ServiceError

Driver = psycopg.Connection[Any]
_TAKE = """
SELECT pg_try_advisory_lock(%s), pg_backend_pid(), a.backend_start
FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()
"""
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"


class LockedSession:
    """One session of `engine`, outside any transaction, that has or wants the lock of this number."""

    def __init__(self, engine: Engine, lock: int) -> None:
        self._engine = engine
        self._lock = lock
        self._session: PoolProxiedConnection | None = None
        self._newest: tuple[int, datetime] | None = None

    def take(self) -> bool:
        """Take the lock where it is not held; False where somebody else has it. ServiceError without a server, and
        while the server has not noticed the end of this object's own lost session: two must never hold the right."""
        if self._session is not None:
            return True
        with told_plainly(self._engine):
            session = self._engine.raw_connection()
            try:
                taken = self._try(cast("Driver", session.driver_connection))
            except BaseException:
                session.invalidate()
                raise
        if taken:
            self._session = session
        else:
            session.close()
        return taken

    def _try(self, driver: Driver) -> bool:
        driver.autocommit = True
        if self._lock_answers(driver):
            return True
        if self._newest is None:
            return False
        lost, _ = self._newest
        if driver.execute(_END, self._newest).fetchone() is not None:
            raise ServiceError(
                f"database {safe_url(self._engine)}: our lost session (backend {lost}) still holds its lock and was"
                " told to end; where it stands still for long, end that process of the server"
            )
        self._newest = None
        return self._lock_answers(driver)  # it may have ended since the first question

    def _lock_answers(self, driver: Driver) -> bool:
        row = driver.execute(_TAKE, (self._lock,)).fetchone()
        if row is None or not row[0]:
            return False
        self._newest = row[1], row[2]
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
