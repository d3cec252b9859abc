"""PostgreSQL and Redis for one process that runs tests: a worker of pytest-xdist, or pytest itself.

Each such process takes the first numbered folder that no live process holds. So workers, and two runs at the same time,
have servers of their own and need no names that differ; and a run that was killed leaves a folder behind that the next
one takes over and cleans. The folders are in memory where there is room: each of hundreds of tests has a database of 650
files for a second, which a disk may take half a second of processor to make and remove.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import psutil
import psycopg
import redis

from agents.adapters.database.engine import open_engine
from agents.adapters.database.migrate import upgrade
from agents.adapters.services.debian import fetch_prefix
from agents.adapters.services.embedded import EmbeddedServices
from agents.adapters.services.programs import find_installed, package_cache
from agents.core.clock import SystemClock

TEMPLATE = "quorum_template"
LOCK = "tests.lock"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30
"""So much memory must be free for the folders to be there; a process takes 150 to 400 MB."""
START_TIMEOUT_S = 60.0
HASTE = ("fsync", "full_page_writes", "synchronous_commit")
"""Switched off: these servers are never killed. Tests that kill one start their own, which are set up as users' are."""


def state_dir() -> Path:
    """One state directory for all runs of the suite, so that the servers' packages are fetched once."""
    named = os.environ.get("TESTS_STATE_DIR")
    if named:
        return Path(named).absolute()
    return Path("/var/lib/quorum-tests") if os.geteuid() == 0 else Path.home() / ".cache" / "quorum-tests"


class Servers:
    """The servers of this process; nothing runs before `start`."""

    def __init__(self, state: Path, *, durable: bool = False) -> None:
        self.state, self._durable = state, durable
        state.mkdir(parents=True, exist_ok=True)
        self._folders = state / "servers" if durable else _folders(state)
        self._lock, folder = _claim(self._folders)
        self.services = EmbeddedServices(folder)
        self._names = (f"quorum_tests_{n}" for n in itertools.count())
        self._started = False

    def start(self) -> None:
        """Run both servers, without anything that an earlier run left, and make the template database."""
        if self._started:
            return
        self._link_programs()
        self._stop_abandoned()
        self.services.up(_say)
        self._remove_leftovers()
        self._set_durability()
        self.services.ensure_database(TEMPLATE)  # and with it the roles
        owner = open_engine(self.services.database_url(TEMPLATE, "quorum_owner"))
        upgrade(owner, interval_s=86400)
        owner.dispose()
        self._started = True

    def stop(self) -> None:
        """Stop what was started, and give the folder back; an empty one where it takes memory."""
        if self._started:
            self.services.down()
            self._give_back(self.services.root)
        self._lock.close()

    def _give_back(self, folder: Path) -> None:
        """Nothing but its lock stays of a folder in memory."""
        if self._folders.parent == MEMORY:
            for left in folder.iterdir():
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                elif left.name != LOCK:
                    left.unlink()

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new database with the whole schema; its owner is the superuser, as where an administrator makes it."""
        name = next(self._names)
        with self.superuser() as session:  # files are copied many times faster than pages through the log
            session.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        yield name
        self.services.drop_database(name)

    @contextmanager
    def fresh(self) -> Iterator[EmbeddedServices]:
        """Servers in a state directory of their own, to be killed at will."""
        folder = Path(tempfile.mkdtemp(prefix="fresh-", dir=self.services.root))
        folder.chmod(0o755)
        made = EmbeddedServices(folder)
        made.prefix = self.services.prefix
        yield made
        made.down()
        shutil.rmtree(folder)

    def empty_redis(self) -> None:
        with redis.Redis.from_url(self.services.redis_url) as client:
            client.flushall()

    def superuser(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.services.run), user="postgres", dbname="postgres", autocommit=True)

    @contextmanager
    def only_one_process(self, doing: str) -> Iterator[None]:
        """A section that all processes of all runs pass one after the other."""
        with (self.state / f"{doing}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _link_programs(self) -> None:
        """Where the machine has no servers: fetched once for all folders, by whoever comes first."""
        if find_installed() is not None:
            return
        with self.only_one_process("fetching"):
            programs = fetch_prefix(self.state / "prefix", package_cache(), _say)
            if not self.services.prefix.exists():
                self.services.prefix.symlink_to(programs)

    def _stop_abandoned(self) -> None:
        """Servers of killed runs in folders that nobody has taken over."""
        for folder in self._folders.iterdir():
            if folder != self.services.root and (lock := _lock(folder)) is not None:
                with lock:
                    for abandoned in (folder, *folder.glob("fresh-*")):
                        EmbeddedServices(abandoned).down()
                    self._give_back(folder)

    def _remove_leftovers(self) -> None:
        """Servers and databases of a run that was killed. They are this folder's, so they are nobody else's."""
        for folder in self.services.root.glob("fresh-*"):
            EmbeddedServices(folder).down()
            shutil.rmtree(folder)
        with self.superuser() as session:
            session.execute("UPDATE pg_database SET datistemplate = false WHERE datname = %s", (TEMPLATE,))
            names = session.execute("SELECT datname FROM pg_database WHERE datname LIKE 'quorum%'").fetchall()
        for (name,) in names:
            self.services.drop_database(name)
        self.empty_redis()

    def _set_durability(self) -> None:
        with self.superuser() as session:
            for setting in HASTE:
                session.execute(
                    f"ALTER SYSTEM RESET {setting}" if self._durable else f"ALTER SYSTEM SET {setting} = off"
                )
            session.execute("SELECT pg_reload_conf()")


def start_redis(programs: Path, socket: Path) -> subprocess.Popen[bytes]:
    """A Redis that answers on `socket`, to be killed at will; `programs` is the prefix of the fetched ones."""
    server = programs / "usr" / "bin" / "redis-server"
    program = str(server) if server.exists() else shutil.which("redis-server")
    assert program is not None
    process = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(socket.parent)],
        stdout=subprocess.DEVNULL,
    )
    clock = SystemClock()
    deadline = clock.monotonic_s() + START_TIMEOUT_S
    with redis.Redis(unix_socket_path=str(socket)) as client:
        while True:
            try:
                client.ping()
                return process
            except redis.RedisError:
                assert process.poll() is None and clock.monotonic_s() < deadline
                clock.sleep_s(0.02)


def _say(line: str) -> None:
    """On standard error, which pytest-xdist passes on from its workers."""
    print("·", line, file=sys.stderr)


def _folders(state: Path) -> Path:
    """Where the processes' folders are, for this user and state directory: in memory where it has room, else on disk."""
    place = MEMORY / f"quorum-tests-{os.geteuid()}-{zlib.crc32(bytes(state)):08x}"
    try:
        if min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) < ROOM_BYTES:
            return state / "servers"
        place.mkdir(mode=0o755, exist_ok=True)
    except OSError:  # no such place here
        return state / "servers"
    return place if place.stat().st_uid == os.geteuid() and not place.is_symlink() else state / "servers"


def _claim(servers: Path) -> tuple[TextIO, Path]:
    """The first folder that nobody holds, and its lock, which ends with the process however that ends."""
    for number in itertools.count():
        folder = servers / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        servers.chmod(0o755)  # the servers' user must be able to enter
        if (lock := _lock(folder)) is not None:
            return lock, folder
    raise AssertionError("counting does not end")


def _lock(folder: Path) -> TextIO | None:
    """The folder's lock; None where a live process holds it."""
    lock = (folder / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
