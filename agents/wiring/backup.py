"""A desk's database as a file, and back: while it trades, and checked by restoring it into a database beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from sqlalchemy.engine import URL, make_url

from agents.adapters.database.chain_store import ChainStore
from agents.adapters.database.engine import first_line, normalise_url, open_engine
from agents.adapters.database.manifest import Contents, contents_of, read_manifest, write_manifest
from agents.adapters.services.dumps import DatabaseServer
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError, UsageError
from agents.core.settings import Settings
from agents.wiring.connections import Say, embedded_name, services_of, without_secrets

SUPERUSER = "postgres"
ENDING_S = 3.0
"""Sessions of a program that has just ended may be seen for a moment longer."""


class Occasion(NamedTuple):
    """Whose database, when, and who hears what is being done."""

    settings: Settings
    demo: bool
    at: datetime
    say: Say


def backup(occasion: Occasion, file: Path | None, *, verify: bool) -> dict[str, Any]:
    """Dump one moment of the desk's database to `file` (None: below the state directory) and tell what it holds.

    ServiceError where that fails, or where `verify` finds that what comes back is not what was dumped.
    """
    settings, demo, at, say = occasion
    server, url = _server(settings, demo)
    name = str(url.database)
    file = (file or _place(settings) / f"{name}-{at:%Y%m%d-%H%M%S}.dump").absolute()
    _make_room(file)
    with _snapshot(server, name) as (session, snapshot):
        say(f"dumping {name}")
        contents = contents_of(session)
        server.dump(name, file, snapshot)
    document = write_manifest(file, contents, at.isoformat()) | {"path": str(file), "verified": verify}
    if verify:
        scratch = f"{name}_verify_{os.getpid()}"
        say(f"restoring it into {scratch} to compare")
        try:
            server.restore(file, scratch, contents.timescaledb)
            _require_same(server, url.set(database=scratch), contents)
        finally:
            server.drop(scratch)
    return document


def restore(occasion: Occasion, file: Path, *, replace: bool) -> dict[str, Any]:
    """Make the desk's database anew from a backup, which is restored and compared beside it first.

    UsageError where the database holds something and `replace` is not given, or where others use it. What was there is
    kept as a backup.
    """
    settings, demo, _, say = occasion
    server, url = _server(settings, demo)
    name = str(url.database)
    if settings.database_url is None:
        services_of(settings).ensure_database(name)  # and with it the roles, to whom things belong
    contents = read_manifest(file.absolute())
    kept = None
    if _holds_something(server, name):
        if not replace:
            raise UsageError(
                f"the database {name!r} holds a desk already; `quorum restore --replace` keeps a dump of it and puts"
                " the backup in its place"
            )
        _require_unused(server, name)
        kept = backup(occasion, None, verify=False)["path"]
    fresh = f"{name}_restore_{os.getpid()}"
    say(f"restoring {file.name}")
    try:
        server.restore(file.absolute(), fresh, contents.timescaledb)
        _require_same(server, url.set(database=fresh), contents)
        _require_unused(server, name)
        server.replace(name, by=fresh)
    except ServiceError:
        server.drop(fresh)
        raise
    return {"database": name, "kept": kept, **asdict(contents)}


def _server(settings: Settings, demo: bool) -> tuple[DatabaseServer, URL]:
    """The server of the desk's database, with a login that may make others, and that database as this login opens it.

    ServiceError where the embedded server does not run or a URL cannot be read.
    """
    if settings.database_url is None:
        embedded = services_of(settings)
        embedded.up(lambda _line: None)
        name = embedded_name(settings, demo)
        conninfo = psycopg.conninfo.make_conninfo(host=str(embedded.run), user=SUPERUSER)
        programs = embedded.psql().parent
        return DatabaseServer(conninfo, None, "postgres", programs), make_url(embedded.database_url(name, SUPERUSER))
    url = make_url(normalise_url(settings.database_url.get_secret_value()))
    plain, secret = without_secrets(url._replace(database=None))
    always, password = str(url.database), secret.get("PGPASSWORD")
    url = url.set(database=f"{url.database}_demo") if demo else url
    prefix = next(iter(sorted(services_of(settings).prefix.glob("usr/lib/postgresql/*/bin"), reverse=True)), None)
    return DatabaseServer(plain, password, _maintenance(plain, password, always), prefix), url


def _maintenance(conninfo: str, password: str | None, otherwise: str) -> str:
    """`postgres`, from where every other database can be replaced, or the desk's own where that is closed."""
    try:
        DatabaseServer(conninfo, password, "postgres", None).connect().close()
    except ServiceError:
        return otherwise
    return "postgres"


@contextmanager
def _snapshot(server: DatabaseServer, name: str) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """A session that sees one moment, and the name under which another session may see the same."""
    try:
        with server.connect(name) as session:
            session.execute("SET idle_in_transaction_session_timeout = 0")
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            row = session.execute("SELECT pg_export_snapshot()").fetchone()
            assert row is not None
            yield session, str(row[0])
            session.execute("ROLLBACK")
    except psycopg.Error as error:
        raise ServiceError(f"database {name!r}: {first_line(error)}") from None


def _require_same(server: DatabaseServer, url: URL, expected: Contents) -> None:
    """ServiceError where the restored database is not what was dumped, or its chain does not hold."""
    with server.connect(str(url.database)) as session:
        differs = contents_of(session).differs_from(expected)
    engine = open_engine(url.render_as_string(hide_password=False))
    try:
        changed = ChainStore(engine).check(whole=True).differences if expected.chain_link else ()
    finally:
        engine.dispose()
    if differs or changed:
        raise ServiceError(f"what comes back is not what was dumped: {'; '.join([*differs, *map(str, changed)][:5])}")


def _holds_something(server: DatabaseServer, name: str) -> bool:
    with server.connect() as session:
        if session.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            return False
    with server.connect(name) as session:
        try:
            row = session.execute("SELECT EXISTS (SELECT 1 FROM decisions) OR EXISTS (SELECT 1 FROM bars)").fetchone()
        except psycopg.errors.UndefinedTable:
            return False
    return bool(row and row[0])


def _require_unused(server: DatabaseServer, name: str) -> None:
    """UsageError where somebody has a session on it: a running daemon would go on with what it remembers."""
    query = (
        "SELECT DISTINCT application_name FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + ENDING_S
    with server.connect() as session:
        while True:
            users = sorted(row[0] or "another program" for row in session.execute(query, (name,)).fetchall())
            if not users or clock.monotonic_s() > deadline_s:
                break
            clock.sleep_s(0.1)
    if users:
        raise UsageError(f"the database {name!r} is in use by {', '.join(users)}; stop the daemons first")


def _place(settings: Settings) -> Path:
    return services_of(settings).root / "backups"


def _make_room(file: Path) -> None:
    """The folder of a file that must not be there yet."""
    if file.exists():
        raise UsageError(f"{file} is there already; name another file")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{file.parent} cannot be made: {error.strerror}") from None
