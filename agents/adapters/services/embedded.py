"""The embedded PostgreSQL and Redis of one user: UNIX sockets only, in one state directory, never run as root.

`up` is idempotent and guarded by a lock, so two commands may call it at once; it recovers from killed servers and
stale pid files. `down` stops only these servers, found by their own data directory.
"""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from agents.adapters.services.folder import CLOCK, START_TIMEOUT_S, Say, StateFolder, wait_gone
from agents.adapters.services.postgres import PostgresServer
from agents.adapters.services.programs import find_programs
from agents.adapters.services.redis_server import RedisServer
from agents.core.errors import ServiceError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One server: is it running, where, which version."""

    name: str
    running: bool
    detail: str


class EmbeddedServices:
    """The servers of one state directory (None: the user's own); `prefix` is where fetched programs are."""

    def __init__(self, state_dir: Path | None = None) -> None:
        self._folder = StateFolder(state_dir)
        self.root, self.data, self.run = self._folder.root, self._folder.data, self._folder.run
        self.prefix = self.root / "prefix"
        self.postgres = PostgresServer(self._folder)
        self.redis = RedisServer(self._folder)

    def database_url(self, database: str, role: str) -> str:
        """SQLAlchemy URL of a database of the embedded server, by peer authentication."""
        return f"postgresql+psycopg://{role}@/{database}?host={self.run}"

    @property
    def redis_url(self) -> str:
        """URL of the embedded Redis."""
        return f"unix://{self.run}/redis.sock"

    def up(self, say: Say, *, by_others: bool = False) -> None:
        """Make both servers run, whoever stopped them before; ServiceError with the way out where that is impossible.

        Where another process keeps them up, or where it is to be done `by_others`, they are only waited for.
        """
        self._folder.require()
        if not by_others:
            self.forget_stop()
        deadline_s, told = CLOCK.monotonic_s() + START_TIMEOUT_S, False
        while by_others or self._folder.is_supervised():
            if all(server.running for server in self.status()):
                return
            if CLOCK.monotonic_s() > deadline_s:
                raise ServiceError(
                    "the embedded servers do not run, and another process is to keep them up (quorum services run, the"
                    f" unit quorum-services); see its log and {self._folder.logs}"
                )
            if not told:
                say("waiting for the process that keeps the servers up")
                told = True
            CLOCK.sleep_s(0.1)
        self.start(say)

    def start(self, say: Say, *, postgres: bool = True, redis: bool = True) -> None:
        """As `up`, for the process that keeps the servers up, and only those that are asked for. One that does not
        start does not keep the other from it."""
        with self._folder.lock(say):
            self._folder.make()
            programs = find_programs(self.prefix, say)
            try:
                if postgres:
                    self.postgres.start(programs.postgres, say)
            finally:
                if redis:
                    self.redis.start(programs.redis, say)

    def down(self) -> list[str]:
        """Stop what runs, until the next `up`; returns the names of the servers that were stopped."""
        with self._folder.lock(lambda _line: None):
            self._folder.stopped_by_hand.touch()
        return self.stop()

    def stop(self, *, within_s: float | None = None) -> list[str]:
        """As `down`, for the process that keeps the servers up: its next start needs no person.

        What has not stopped `within_s` is killed, which loses nothing that was committed; without a limit it is a
        ServiceError that a server does not stop.
        """
        stopped = []
        with self._folder.lock(lambda _line: None):
            for name, server, number in (
                ("PostgreSQL", self.postgres, signal.SIGINT),  # fast shutdown
                ("Redis", self.redis, signal.SIGTERM),
            ):
                if (pid := server.pid()) is None:
                    continue
                os.kill(pid, number)
                try:
                    wait_gone(pid, name, self._folder.logs, within_s or START_TIMEOUT_S)
                except ServiceError:
                    if within_s is None:
                        raise
                    server.kill()
                stopped.append(name.lower())
        return stopped

    @property
    def stopped_by_hand(self) -> bool:
        """Whether a person stopped the servers, and nobody started them since."""
        return self._folder.stopped_by_hand.exists()

    def forget_stop(self) -> None:
        """Somebody wants the servers to run."""
        self._folder.stopped_by_hand.unlink(missing_ok=True)

    def supervising(self) -> AbstractContextManager[bool]:
        """Whether this process is the one that keeps the servers up, while the block runs."""
        return self._folder.supervising()

    def status(self) -> list[ServiceStatus]:
        """What runs now, without starting anything."""
        return [self._postgres_status(), self._redis_status()]

    def ensure_database(self, name: str) -> None:
        """Create the roles, the database `name` (owned by quorum_owner) and its extension where they are missing."""
        self.postgres.ensure_database(name)

    def drop_database(self, name: str) -> None:
        """Remove a database with all that is in it, ending sessions on it."""
        self.postgres.drop_database(name)

    def psql(self) -> Path:
        """The psql program that fits the server."""
        return find_programs(self.prefix, lambda _line: None).postgres / "psql"

    def _postgres_status(self) -> ServiceStatus:
        pid = self.postgres.pid()
        if pid is None:
            return ServiceStatus(name="postgresql", running=False, detail="not running")
        try:
            detail = f"version {self.postgres.version()}, pid {pid}, socket {self.run}"
            return ServiceStatus(name="postgresql", running=True, detail=detail)
        except psycopg.Error as error:
            return ServiceStatus(name="postgresql", running=False, detail=f"pid {pid} does not answer: {error}")

    def _redis_status(self) -> ServiceStatus:
        try:
            detail = f"version {self.redis.version()}, socket {self.run}/redis.sock"
            return ServiceStatus(name="redis", running=True, detail=detail)
        except ServiceError:
            return ServiceStatus(name="redis", running=False, detail="not running")
