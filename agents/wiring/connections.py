"""From settings to connections: the servers run, the database exists with the newest schema, one engine for each role.

Every command starts here, so this file imports nothing that computes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL, make_url

from agents.adapters.database.bounded import PATIENCE_S
from agents.adapters.database.engine import (
    TRADING_PATIENCE_S,
    first_line,
    normalise_url,
    open_engine,
    open_for_a_person,
    transaction,
)
from agents.adapters.database.migrate import is_current, upgrade
from agents.adapters.database.reading_role import open_to_read
from agents.adapters.database.roles import META, OWNER, READER, TRADER, grant_missing_rights, require_roles
from agents.adapters.services.embedded import EmbeddedServices
from agents.core.errors import ServiceError, SilentServiceError
from agents.core.log import log_event
from agents.core.settings import INTERVALS_S, Settings
from agents.core.waiting import told_when_slow

logger = logging.getLogger(__name__)
PATIENCE_OF = {TRADER: TRADING_PATIENCE_S, META: PATIENCE_S}
"""Who trades is told soon that the server is silent; who computes over the whole journal waits longer."""
Say = Callable[[str], None]
"""Shows one line about what is going on."""
Opened = Callable[..., Engine]
"""`open_engine`, or `open_for_a_person`."""


@dataclass(frozen=True, slots=True)
class Connections:
    """One desk's database, opened as its owner (schema), as the trading and as the meta plane; and where Redis is.

    No session of the owner stays open: who uses `owner`, opens one. `psql` is the command line that opens the same
    database to look around, `psql_environment` what that program needs beside it.
    """

    owner: Engine
    trader: Engine
    meta: Engine
    redis_url: str
    psql: tuple[str, ...]
    psql_environment: Mapping[str, str]

    def psql_as_owner(self) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """Command line and environment of psql with all rights, for a person who has to change something."""
        command = tuple(OWNER if word == READER else word for word in self.psql)
        return command, {name: value for name, value in self.psql_environment.items() if name != "PGOPTIONS"}

    @property
    def database(self) -> str:
        """Its name."""
        return str(self.owner.url.database)

    def close(self) -> None:
        """Drop all sessions."""
        self.owner.dispose()
        self.trader.dispose()
        self.meta.dispose()


def services_of(settings: Settings) -> EmbeddedServices:
    """The embedded services of this user, running or not."""
    return EmbeddedServices(settings.state_dir)


def connect(settings: Settings, *, demo: bool, say: Say, database: str | None = None) -> Connections:
    """Start the embedded servers where no URL names others, make the database and bring its schema up to date.

    The database is the desk's or the demo's; on the embedded server also another one, by its name. ServiceError where a
    server cannot be started or reached, lacks timescaledb, or does not let this user act as Quorum's roles.
    """
    embedded = services_of(settings)
    if settings.database_url is None or settings.redis_url is None:
        embedded.up(say, by_others=not settings.keep_servers)
    url = _owner_url(settings, demo, database)
    if settings.database_url is None:
        embedded.ensure_database(str(url.database))
    elif demo:
        ensure_database(_with_password(url), beside=str(_owner_url(settings, False).database))
    say(f"database {url.database}")
    owner = open_engine(_with_password(url), application="quorum-owner")
    try:
        if settings.database_url is not None:
            require_roles(owner, allow_owner=settings.database.allow_owner)  # first: migrations give them their rights
        upgrade(owner, interval_s=INTERVALS_S["1d" if demo else settings.data.interval])
        grant_missing_rights(owner)
        return _connections(settings, owner, demo)
    finally:
        owner.dispose()


def connect_to_read(settings: Settings, *, demo: bool, say: Say) -> Connections:
    """As `connect`, for a command that only reads the database: where that answers and has the newest schema, neither
    Redis nor the servers' programs are looked at. A server that does not answer is a ServiceError at once."""
    owner = open_for_a_person(_with_password(_owner_url(settings, demo)), application="quorum-owner")
    try:
        with told_when_slow(say, f"waiting for PostgreSQL (database {owner.url.database})"):
            connections = _connections(settings, owner, demo, open_for_a_person)
            if is_current(connections.trader):
                return connections
        connections.close()
    except SilentServiceError as error:
        raise ServiceError(
            f"PostgreSQL does not answer: it stands still or has too much to do ({error}); see: quorum services status"
        ) from None
    except ServiceError:
        pass  # it does not run or does not exist yet: `connect` mends that, or says what is wrong
    owner.dispose()
    return connect(settings, demo=demo, say=say)


def open_reader(settings: Settings, *, demo: bool, say: Say) -> Engine:
    """The desk's database for whoever only looks, as `quorum_reader`; on a server of the user's that lets nobody act as
    that, as its owner. Read-only in any case. Errors as `connect_to_read`."""
    connections = connect_to_read(settings, demo=demo, say=say)
    connections.close()
    if settings.database_url is None:
        url = services_of(settings).database_url(embedded_name(settings, demo), READER)
        return open_to_read(url, application="quorum-web")
    acts = require_roles(connections.owner, allow_owner=settings.database.allow_owner)
    connections.close()
    url = _with_password(_owner_url(settings, demo))
    return open_to_read(url, role=READER if acts else None, application="quorum-web")


def connect_as_it_is(settings: Settings) -> Connections:
    """As `connect`, whatever schema the database has: for a word that must not wait for a migration. ServiceError where
    the database cannot be reached."""
    owner = open_for_a_person(_with_password(_owner_url(settings, False)), application="quorum-owner")
    if settings.database_url is None and not services_of(settings).status()[0].running:
        services_of(settings).up(lambda _line: None, by_others=not settings.keep_servers)
    return _connections(settings, owner, False, open_for_a_person)


def ensure_database(url: str, beside: str = "postgres") -> None:
    """Make the database of `url` and its extension, from a session on the database `beside` of the same server;
    ServiceError where that fails."""
    wanted = make_url(normalise_url(url))
    engine = open_engine(_with_password(wanted.set(database=beside)))
    engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            query = text("SELECT 1 FROM pg_database WHERE datname = :n")
            if not connection.execute(query, {"n": wanted.database}).scalar():
                connection.execute(text(f'CREATE DATABASE "{wanted.database}" TEMPLATE template0'))
    except Exception as error:
        raise ServiceError(
            f"the database {wanted.database!r} is not there and cannot be made: {first_line(error)}"
        ) from None
    finally:
        engine.dispose()
    fresh = open_engine(_with_password(wanted))
    with transaction(fresh) as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS timescaledb"))
    fresh.dispose()


def embedded_name(settings: Settings, demo: bool) -> str:
    """The database of the desk, or of its demo, on the embedded server."""
    return f"{settings.database.name}_demo" if demo else settings.database.name


def desk_database(settings: Settings) -> str:
    """The name of the desk's database, wherever its server is; nothing is connected."""
    return str(_owner_url(settings, False).database)


def _owner_url(settings: Settings, demo: bool, database: str | None = None) -> URL:
    """Where the database is, as its owner; on a server of the user's the demo's database stands beside the desk's."""
    if settings.database_url is None:
        name = database or embedded_name(settings, demo)
        return make_url(services_of(settings).database_url(name, "quorum_owner"))
    url = make_url(normalise_url(settings.database_url.get_secret_value()))
    return url.set(database=f"{url.database}_demo") if demo else url


def _connections(settings: Settings, owner: Engine, demo: bool, opened: Opened = open_engine) -> Connections:
    """Sessions of the other roles beside the owner's; a demo's may lose its last moments in a power cut."""
    embedded = services_of(settings)
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else embedded.redis_url
    if settings.database_url is not None:
        return _on_own_server(settings, owner, redis_url, opened)
    name = str(owner.url.database)
    trader, meta = (
        opened(
            embedded.database_url(name, role),
            application=role.replace("_", "-"),
            durable=not demo,
            patience_s=patience_s,
        )
        for role, patience_s in PATIENCE_OF.items()
    )
    psql = (str(embedded.psql()), "-h", str(embedded.run), "-U", READER, "-d", name)
    return Connections(owner, trader, meta, redis_url, psql, {})


def _on_own_server(settings: Settings, owner: Engine, redis_url: str, opened: Opened) -> Connections:
    """Sessions of the user's login that act with the rights of Quorum's roles; with the owner's only where the settings
    allow it."""
    shown, environment = without_secrets(owner.url)
    if require_roles(owner, allow_owner=settings.database.allow_owner):
        trader, meta = (_as_role(owner, role, opened) for role in (TRADER, META))
        environment["PGOPTIONS"] = f"-c role={READER}"
    else:
        log_event(logger, "all daemons act with the rights of the tables' owner", level=logging.WARNING)
        trader, meta = (
            opened(_with_password(owner.url), application="quorum-all", patience_s=patience_s)
            for patience_s in PATIENCE_OF.values()
        )
    return Connections(owner, trader, meta, redis_url, ("psql", shown), environment)


def without_secrets(url: URL) -> tuple[str, dict[str, str]]:
    """A URL as psql takes it, which every process of the machine may see, and the environment with its password."""
    password = str(url.password or "")
    bare = url.set(drivername="postgresql").difference_update_query(("sslpassword",))
    shown = _with_password(bare._replace(password=None))  # `set` takes None for "as it was"
    return shown, {"PGPASSWORD": password} if password else {}


def _as_role(owner: Engine, role: str, opened: Opened) -> Engine:
    """Sessions of the owner's login that act with a role's rights."""
    return opened(
        _with_password(owner.url), role=role, application=role.replace("_", "-"), patience_s=PATIENCE_OF[role]
    )


def _with_password(url: URL) -> str:
    return url.render_as_string(hide_password=False)
