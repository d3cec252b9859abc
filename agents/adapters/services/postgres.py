"""The embedded PostgreSQL: one cluster in a state directory, on a UNIX socket, for this user alone."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import psycopg

from agents.adapters.database.bounded import BoundedConnection
from agents.adapters.services.folder import (
    CLOCK,
    START_TIMEOUT_S,
    Say,
    StateFolder,
    give,
    kill_all,
    processes_in,
    service_user,
    works_in,
    write_private,
)
from agents.core.errors import ServiceError
from agents.core.waiting import told_when_slow

ROLES = ("quorum_owner", "quorum_trader", "quorum_meta", "quorum_reader")
SUPERUSER = "postgres"
PROGRAM = "postgres"
ORPHANS_S = 3.0
"""So long a dead server's sessions may take to notice; one that computes or stands still never does."""
CREATE_LOCK = 7710001
SILENCES_BORNE = 2
"""A server that takes no session for so many attempts, of five seconds each, stands still."""
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{run}'
unix_socket_permissions = 0700
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timescaledb.max_background_workers = 0
max_connections = 60
shared_buffers = 128MB
# The log of changes is kept small: a desk writes little, and a replay that writes much waits for nobody.
max_wal_size = 96MB
min_wal_size = 32MB
wal_compression = on
checkpoint_warning = 0
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = off
max_locks_per_transaction = 256
"""


class PostgresServer:
    """The server of one state directory, running or not."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder

    def start(self, binaries: Path, say: Say) -> None:
        """Make it answer, with a new cluster where there is none; ServiceError where it does not start."""
        with told_when_slow(say, "waiting for PostgreSQL, which does not answer yet"):
            answers = self._answers()
        if answers:
            return
        data = self._folder.data
        if not (data / "PG_VERSION").exists():
            say("creating the database cluster")
            self._init_cluster(binaries)
        self._write_settings()
        self._clear_stale_pid_file()
        log = self._folder.logs / "postgresql.log"
        say("starting PostgreSQL")
        command = [str(binaries / "pg_ctl"), "start", "-w", "-t", str(START_TIMEOUT_S), "-D", str(data)]
        self._folder.run_as_service([*command, "-l", str(log), "-s"], "PostgreSQL did not start")

    def pid(self) -> int | None:
        """The postmaster of our data directory; None for no, a dead or somebody else's process."""
        try:
            pid = int((self._folder.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if works_in(pid, self._folder.data, PROGRAM) else None

    def kill(self) -> None:
        """End all its processes at once, as a power cut does; the next start recovers what was committed."""
        kill_all(self._processes())

    def version(self) -> str:
        """Asked of the running server; psycopg.Error where it does not answer."""
        with self.connect("postgres") as connection:
            row = connection.execute("SHOW server_version").fetchone()
        return str(row[0]) if row else "?"

    def connect(self, database: str) -> BoundedConnection:
        """A session of the superuser, each statement a transaction of its own."""
        run = str(self._folder.run)
        return BoundedConnection.connect(host=run, user=SUPERUSER, dbname=database, connect_timeout=5, autocommit=True)

    def ensure_database(self, name: str) -> None:
        """Create the roles, the database `name` (owned by quorum_owner) and its extension where they are missing."""
        with self.connect("postgres") as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (CREATE_LOCK,))
            for role in ROLES:
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                    connection.execute(f'CREATE ROLE "{role}" LOGIN')
            connection.execute("GRANT quorum_trader, quorum_meta, quorum_reader TO quorum_owner")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                connection.execute(f'CREATE DATABASE "{name}" OWNER quorum_owner TEMPLATE template0 ENCODING UTF8')
        with self.connect(name) as connection:
            connection.execute("SET client_min_messages = error")
            connection.execute("SELECT pg_advisory_lock(%s)", (CREATE_LOCK,))
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")

    def drop_database(self, name: str) -> None:
        """Remove a database with all that is in it, ending sessions on it."""
        with self.connect("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _answers(self) -> bool:
        """True once the running server answers; False when there is none, also when it dies while we wait.

        One that starts up says so, and is waited for; ServiceError where it says nothing at all, again and again.
        """
        deadline, silences = CLOCK.monotonic_s() + START_TIMEOUT_S, 0
        while (pid := self.pid()) is not None:
            try:
                self.connect("postgres").close()
                return True
            except psycopg.Error as error:
                silences += isinstance(error, psycopg.errors.ConnectionTimeout)
                if CLOCK.monotonic_s() > deadline or silences == SILENCES_BORNE:
                    raise ServiceError(
                        f"PostgreSQL runs (process {pid}) but does not answer: {error}; see {self._folder.logs}."
                        f" Where it stands still, end that process, which loses nothing, and try again"
                    ) from None
                CLOCK.sleep_s(0.1)
        return False

    def _clear_stale_pid_file(self) -> None:
        """Remove the lock files of a dead server, once the last of its backends is gone: they share its memory. Who
        stays is ended, as the server itself does with all of them where one has crashed."""
        data, run, began_s = self._folder.data, self._folder.run, CLOCK.monotonic_s()
        while self._processes():
            waited_s = CLOCK.monotonic_s() - began_s
            if waited_s > START_TIMEOUT_S:
                raise ServiceError(f"processes of a dead PostgreSQL still use {data}; end them and try again")
            if waited_s > ORPHANS_S:
                self.kill()
            CLOCK.sleep_s(0.05)
        for stale in (data / "postmaster.pid", run / ".s.PGSQL.5432.lock", run / ".s.PGSQL.5432"):
            stale.unlink(missing_ok=True)

    def _processes(self) -> list[int]:
        """The server's processes; they all work in its data directory."""
        return processes_in(self._folder.data, PROGRAM)

    def _init_cluster(self, binaries: Path) -> None:
        """The cluster appears in one rename, so that an interrupted one is never used."""
        fresh = self._folder.root / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        give(fresh)
        command = [str(binaries / "initdb"), "-D", str(fresh), "-U", SUPERUSER, "-E", "UTF8"]
        options = ["--locale=C.UTF-8", "--auth=peer", "--no-instructions", "--data-checksums"]
        self._folder.run_as_service([*command, *options], "initdb failed")
        shutil.rmtree(self._folder.data, ignore_errors=True)
        fresh.rename(self._folder.data)

    def _write_settings(self) -> None:
        names = {pwd.getpwuid(os.geteuid()).pw_name}
        if (owner := service_user()) is not None:
            names.add(owner.pw_name)
        data = self._folder.data
        ident = "".join(f"quorum {name} {role}\n" for name in sorted(names) for role in (SUPERUSER, *ROLES))
        write_private(data / "pg_ident.conf", ident)
        write_private(data / "pg_hba.conf", "local all all peer map=quorum\n")
        write_private(data / "quorum.conf", SETTINGS.format(run=self._folder.run))
        main = data / "postgresql.conf"
        text = main.read_text()
        if "include 'quorum.conf'" not in text:
            write_private(main, text + "\ninclude 'quorum.conf'\n")
