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
_END = "SELECT pg_terminate_backend(pid, 500) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
"""True once it has ended, which it is given half a second for."""


class LockedSession:
    """One session of `engine`, outside any transaction, that has or wants these locks."""

    def __init__(self, engine: Engine, *locks: int) -> None:
        self._engine = engine
        self._locks = locks
        self._held: set[int] = set()
        self._session: PoolProxiedConnection | None = None
        self._backend: tuple[int, datetime] | None = None
        self._lost: tuple[int, datetime] | None = None

    @property
    def held(self) -> frozenset[int]:
        """The locks that this session has."""
        return frozenset(self._held)

    def take(self) -> bool:
        """Take the locks that nobody holds; whether this session has all of them now. ServiceError without a server,
        and while the server has not noticed the end of this object's own lost session: two must never hold the
        right."""
        if len(self._held) == len(self._locks):
            return True
        with told_plainly(self._engine):
            session = self._session or self._engine.raw_connection()
            try:
                self._try(cast("Driver", session.driver_connection))
            except BaseException:
                self._session = None
                self._held.clear()
                session.invalidate()
                raise
        self._session = session if self._held else None
        if not self._held:
            session.close()
        return len(self._held) == len(self._locks)

    def _try(self, driver: Driver) -> None:
        driver.autocommit = True
        if self._all_answer(driver) or self._lost is None:
            return
        lost, _ = self._lost
        lives_on = driver.execute(_END, self._lost).fetchone() == (False,)
        if not self._all_answer(driver) and lives_on:
            raise ServiceError(
                f"database {safe_url(self._engine)}: our lost session (backend {lost}) still holds its lock and was"
                " told to end; where it stands still for long, end that process of the server"
            )
        self._lost = None

    def _all_answer(self, driver: Driver) -> bool:
        for lock in self._locks:
            row = None if lock in self._held else driver.execute(_TAKE, (lock,)).fetchone()
            if row is not None and row[0]:
                self._held.add(lock)
                self._backend = row[1], row[2]
        return len(self._held) == len(self._locks)

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
        """The session's connection, while a lock is held."""
        assert self._session is not None
        return cast("Driver", self._session.driver_connection)

    def drop(self) -> None:
        """End the session; its locks are anybody's."""
        if self._session is not None:
            self._session.invalidate()
            self._session = None
            self._held.clear()
            self._lost = self._backend
