"""Faults to be injected into real servers: frozen and killed processes, servers that are down, full disks, refusals of
one table, and a proxy between a client and its server.

Each is a context manager that ends its fault on the way out, however the block ends. A block should prove that its
fault fired: `Proxy.dropped` (tests/fault_proxy.py), a row that was refused, a process that stands still (`is_frozen`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from agents.adapters.services.embedded import EmbeddedServices
from agents.core.clock import SystemClock
from tests.fault_proxy import Proxy, proxied

CLOCK = SystemClock()
DISK_FULL = "53100"
READ_ONLY = "25006"
DEADLOCK = "40P01"


# ---------------------------------------------------------------- processes


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Processes stand still (SIGSTOP) while the block runs, proven before it begins; those that end are no error."""
    try:
        for pid in pids:
            _send(pid, signal.SIGSTOP)
        _wait_until(lambda: all(is_frozen(pid) for pid in pids if _runs(pid)), "the processes stand still")
        yield
    finally:
        for pid in pids:
            _send(pid, signal.SIGCONT)


def is_frozen(pid: int) -> bool:
    """Whether the process stands still now: the proof that SIGSTOP arrived."""
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def server_pids(services: EmbeddedServices) -> list[int]:
    """The postmaster of the embedded PostgreSQL first, then all its children; empty where it does not run."""
    pid = services.postgres.pid()
    if pid is None:
        return []
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def backends(services: EmbeddedServices, *, database: str | None = None, application: str = "%") -> list[int]:
    """The server's sessions of a database and application (a LIKE pattern), the oldest first; not the asking one."""
    with superuser(services) as session:
        rows = session.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND (%s::text IS NULL OR datname = %s) AND application_name LIKE %s ORDER BY backend_start",
            (database, database, application),
        ).fetchall()
    return [row[0] for row in rows]


def holder(services: EmbeddedServices, lock: int, database: str) -> int | None:
    """The session that holds an advisory lock of a database, such as a desk's; None where nobody does."""
    with superuser(services) as session:
        row = session.execute(
            "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objid = %s AND d.datname = %s",
            (lock, database),
        ).fetchone()
    return None if row is None else int(row[0])


@contextmanager
def frozen_server(services: EmbeddedServices) -> Iterator[None]:
    """The whole embedded PostgreSQL stands still; the kernel goes on taking connections for it."""
    with frozen(*server_pids(services)):
        yield


@contextmanager
def frozen_redis(services: EmbeddedServices) -> Iterator[None]:
    """The embedded Redis stands still."""
    pid = services.redis.pid()
    assert pid is not None, "Redis runs"
    with frozen(pid):
        yield


def kill_server(services: EmbeddedServices) -> None:
    """SIGKILL for the postmaster and its children, as a power cut or the kernel's OOM killer; returns once all are gone."""
    pids = server_pids(services)
    for pid in pids:
        _send(pid, signal.SIGKILL)
    _wait_until(lambda: not any(_runs(pid) for pid in pids), "the killed server's processes are gone")


def kill_redis(services: EmbeddedServices) -> None:
    """SIGKILL for the embedded Redis; returns once it is gone."""
    pid = services.redis.pid()
    assert pid is not None, "Redis runs"
    _send(pid, signal.SIGKILL)
    _wait_until(lambda: not _runs(pid), "the killed Redis is gone")


@contextmanager
def stopped_server(services: EmbeddedServices, *, immediate: bool = False) -> Iterator[None]:
    """The embedded PostgreSQL is down while the block runs, after a fast or an immediate shutdown; then up again."""
    pid = services.postgres.pid()
    assert pid is not None, "PostgreSQL runs"
    _send(pid, signal.SIGQUIT if immediate else signal.SIGINT)
    _wait_until(lambda: not _runs(pid), "the stopped server is gone")
    try:
        yield
    finally:
        services.up(lambda _line: None)


# ---------------------------------------------------------------- refusals of the server


@contextmanager
def superuser(services: EmbeddedServices, database: str = "postgres") -> Iterator[psycopg.Connection]:
    """A session of the embedded server's superuser, each statement a transaction of its own."""
    run = str(services.run)
    with psycopg.connect(host=run, user="postgres", dbname=database, autocommit=True) as session:
        yield session


@contextmanager
def refused(services: EmbeddedServices, database: str, table: str, sqlstate: str = DISK_FULL) -> Iterator[None]:
    """The server answers every INSERT into a table with this error, as a full disk (53100), a read-only server (25006) or
    a deadlock (40P01) does; needs no root and no small disk."""
    name = f"fault_{table}"
    with superuser(services, database) as session:
        session.execute(
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE EXCEPTION 'injected fault on {table}' USING ERRCODE = '{sqlstate}'; END $$"
        )
        session.execute(f"CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}()")
    try:
        yield
    finally:
        with superuser(services, database) as session:
            session.execute(f"DROP FUNCTION {name}() CASCADE")


@contextmanager
def all_sessions_taken(services: EmbeddedServices, leave: int = 0) -> Iterator[int]:
    """Idle sessions hold all places of the server but `leave`; yields how many are held."""
    held: list[psycopg.Connection] = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.append(psycopg.connect(host=str(services.run), user="quorum_trader", dbname="postgres"))
        for _ in range(min(leave, len(held))):
            held.pop().close()
        yield len(held)
    finally:
        for session in held:
            session.close()


# ---------------------------------------------------------------- disks


def may_mount() -> bool:
    """Whether this process may mount a small disk: root with the right to."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of this size (tmpfs) at `folder`, which is made; needs `may_mount`."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path, *, leave_bytes: int = 0) -> Iterator[Path]:
    """The file system of `folder` has only `leave_bytes` left; the ballast is removed at the end."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(ballast, max(0, ballast.stat().st_size - leave_bytes))
        yield ballast
    finally:
        ballast.unlink(missing_ok=True)


# ---------------------------------------------------------------- the way to the server


@contextmanager
def proxied_postgres(services: EmbeddedServices, folder: Path) -> Iterator[tuple[Proxy, Path]]:
    """A proxy before the embedded PostgreSQL; `host=` its folder (the second value) in a URL goes through it."""
    with proxied(folder / ".s.PGSQL.5432", services.run / ".s.PGSQL.5432") as proxy:
        yield proxy, folder


# ---------------------------------------------------------------- helpers


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    deadline = CLOCK.monotonic_s() + timeout_s
    while not condition():
        assert CLOCK.monotonic_s() < deadline, f"within {timeout_s:g} s: {what}"
        CLOCK.sleep_s(0.02)
