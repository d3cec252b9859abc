"""`pg_dump` and `pg_restore` of a fitting version, and the database that one restores into.

TimescaleDB wants its extension made first, in the version of the dump, and to be told before and after a restore.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from agents.core.errors import ServiceError
from agents.core.settings import child_environment

CONNECT_TIMEOUT_S = 10
LINES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A server and a login that may make databases on it: `conninfo` without a secret, `password` apart from it.

    `database` is one that is always there, to be connected to while others are made; `programs` is where fetched
    programs of its version may be.
    """

    conninfo: str
    password: str | None
    database: str
    programs: Path | None

    def connect(self, database: str | None = None) -> psycopg.Connection[Any]:
        """A session in UTC, each statement a transaction of its own; ServiceError where it cannot be had."""
        try:
            return psycopg.connect(
                self.conninfo,
                dbname=database or self.database,
                password=self.password,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                options="-c timezone=UTC -c client_min_messages=error",
            )
        except psycopg.Error as error:
            raise ServiceError(f"database {database or self.database!r}: {_first_line(error)}") from None

    def dump(self, database: str, file: Path, snapshot: str) -> None:
        """Write the database as this snapshot shows it to `file`, for its owner's eyes; ServiceError where that fails,
        and no file then."""
        try:
            file.touch(mode=0o600)
            self._run("pg_dump", database, ["--format=custom", f"--snapshot={snapshot}", f"--file={file}"])
        except OSError as error:
            raise ServiceError(f"{file} cannot be written: {error.strerror}") from None
        except ServiceError:
            file.unlink(missing_ok=True)
            raise

    def restore(self, file: Path, database: str, timescaledb: str | None) -> None:
        """Make `database`, which must not exist, from a dump that was made with this version of TimescaleDB;
        ServiceError where that fails, and no database then."""
        with self.connect() as session:
            _do(session, f'CREATE DATABASE "{database}" TEMPLATE template0 ENCODING UTF8')
        try:
            with self.connect(database) as session:
                _make_extension(session, timescaledb)
                _do(session, "SELECT timescaledb_pre_restore()")
            self._run("pg_restore", database, ["--exit-on-error", str(file)])
            with self.connect(database) as session:
                _do(session, "SELECT timescaledb_post_restore()")
        except ServiceError:
            self.drop(database)
            raise

    def drop(self, database: str) -> None:
        """Remove a database, ending sessions on it."""
        with self.connect() as session:
            _do(session, f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def replace(self, database: str, by: str) -> None:
        """Put the database `by` in the place of `database`, which is removed where it is there."""
        with self.connect() as session:
            row = session.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (database,))
            owner = row.fetchone()
            _do(session, f'DROP DATABASE IF EXISTS "{database}"')
            _do(session, f'ALTER DATABASE "{by}" RENAME TO "{database}"')
            if owner is not None:
                _do(session, f'ALTER DATABASE "{database}" OWNER TO "{owner[0]}"')

    def _run(self, name: str, database: str, arguments: Sequence[str]) -> None:
        program = self._program(name)
        target = make_conninfo(self.conninfo, dbname=database, connect_timeout=CONNECT_TIMEOUT_S)
        secret = {} if self.password is None else {"PGPASSWORD": self.password}
        result = subprocess.run(
            [str(program), f"--dbname={target}", "--no-password", *arguments],
            env=child_environment(LC_ALL="C.UTF-8", **secret),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode != 0:
            lines = [line for line in result.stderr.splitlines() if "error" in line.lower()] or [result.stderr.strip()]
            raise ServiceError(f"{name} of {database!r} failed: {' '.join(lines[:LINES_SHOWN])}")

    def _program(self, name: str) -> Path:
        """The program, of the server's version or newer; ServiceError with what to install."""
        with self.connect() as session:
            wanted = session.info.server_version // 10_000
        other = shutil.which(name)
        candidates = [self.programs / name] if self.programs is not None else []
        candidates += [Path(f"/usr/lib/postgresql/{wanted}/bin/{name}"), *([Path(other)] if other else [])]
        versions = {str(path): _major(path) for path in candidates if path.exists()}
        for path, version in versions.items():
            if version >= wanted:
                return Path(path)
        seen = ", ".join(f"{path} is of version {version}" for path, version in versions.items()) or "none was found"
        raise ServiceError(
            f"a backup of a server of version {wanted} needs its {name} ({seen}); install postgresql-client-{wanted}"
        )


def _make_extension(session: psycopg.Connection[Any], version: str | None) -> None:
    query = "SELECT version FROM pg_available_extension_versions WHERE name = 'timescaledb'"
    there = {row[0] for row in session.execute(query).fetchall()}
    if not there:
        raise ServiceError("this server has no timescaledb; install it (Debian: postgresql-17-timescaledb)")
    if version is not None and version not in there:
        raise ServiceError(
            f"the backup was made with timescaledb {version}, which this server does not have"
            f" ({', '.join(sorted(there))}); install that version, restore, and then update the extension"
        )
    _do(session, "CREATE EXTENSION IF NOT EXISTS timescaledb" + (f" VERSION '{version}'" if version else ""))


def _do(session: psycopg.Connection[Any], statement: str) -> None:
    try:
        session.execute(statement)
    except psycopg.Error as error:
        raise ServiceError(f"{statement.split(' WITH')[0]}: {_first_line(error)}") from None


def _major(program: Path) -> int:
    """The first number that `--version` says; 0 where it does not run."""
    try:
        said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return 0
    digits = said.stdout.partition(")")[2].strip().partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
