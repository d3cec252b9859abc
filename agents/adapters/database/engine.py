"""Connections: one engine for each role, bounded waits, COPY from numpy, and driver errors as one clear line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, cast

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.errors import ConnectionTimeout
from sqlalchemy import Connection, Engine, create_engine, event, exc, text
from sqlalchemy.engine import make_url

from agents.adapters.database.bounded import PATIENCE_S, BoundedConnection, NoAnswer
from agents.core.errors import DataError, ServiceError, SettingsError, SilentServiceError
from agents.core.log import mask_secrets

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 60_000
LOCK_TIMEOUT_MS = 10_000
POOL_TIMEOUT_S = 5.0
PERSONAL_PATIENCE_S = 6.0
"""Whoever waits for the answer themselves is told after so long that the server stands still."""
TRADING_PATIENCE_S = 12.0
"""What a desk asks is small: a server that is silent for so long does not answer it any more."""
VERSIONS_LOCK = 7710008
"""Held while a version of the weights is numbered."""
POSTGRES_EPOCH = np.datetime64("2000-01-01T00:00:00", "us")
COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"

AWAY = (
    exc.OperationalError,
    exc.InterfaceError,
    exc.InternalError,
    exc.TimeoutError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
)
"""The server is away, breaks, is full or takes no writes: SQLAlchemy's words for it, and the driver's own, for COPY."""
REFUSED = (exc.DataError, exc.IntegrityError, psycopg.DataError, psycopg.IntegrityError)
"""The server does not take this row."""

Row = dict[str, Any]
"""One row of an answer, by column."""


def open_engine(
    url: str,
    *,
    role: str | None = None,
    application: str = "quorum",
    durable: bool = True,
    patience_s: float = PATIENCE_S,
) -> Engine:
    """An engine whose sessions are UTC, act as `role` where one is given, and never wait for ever: one whose server is
    silent for `patience_s` is closed.

    A parameter never appears in an error or a log. Not `durable`: a power cut may lose the last moments, in their
    order; that is enough where they can be computed again.
    """
    return _bounded(_create(url, application, _options(role, durable), looked_at=True), patience_s, None)


def open_for_a_person(
    url: str,
    *,
    role: str | None = None,
    application: str = "quorum",
    durable: bool = True,
    patience_s: float = PATIENCE_S,
) -> Engine:
    """As `open_engine`, for a command that is soon over and that a person waits for: they hear of a server that stands
    still after PERSONAL_PATIENCE_S and one more attempt; a slow answer may take `patience_s`."""
    return _bounded(
        _create(url, application, _options(role, durable), looked_at=False), patience_s, PERSONAL_PATIENCE_S
    )


def _options(role: str | None, durable: bool) -> str:
    """What each session sets at its start."""
    acts, lasts = f" -c role={role}" if role else "", "" if durable else " -c synchronous_commit=off"
    return (
        f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
        f" -c idle_in_transaction_session_timeout=120000 -c client_min_messages=warning{acts}{lasts}"
    )


def _create(url: str, application: str, options: str, *, looked_at: bool) -> Engine:
    """An engine whose sessions are `looked_at` before each use, and made anew where they are dead."""
    return create_engine(
        normalise_url(url),
        pool_size=3,
        max_overflow=2,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=looked_at,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": application,
            "options": options,
            "keepalives_idle": 15,
            "tcp_user_timeout": 15000,
            "prepare_threshold": 3,
        },
    )


def _bounded(engine: Engine, patience_s: float, asks_after_s: float | None) -> Engine:
    """The engine, none of whose sessions waits for ever."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, positional: list[Any], named: dict[str, Any]) -> BoundedConnection:
        session = BoundedConnection.connect(*positional, **named)
        session.patience_s, session.asks_after_s = patience_s, asks_after_s
        return session

    return engine


def normalise_url(url: str) -> str:
    """Any spelling of a PostgreSQL URL as the one SQLAlchemy needs for psycopg 3; SettingsError for anything else."""
    for prefix in ("postgres://", "postgresql://", "postgresql+psycopg://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url[len(prefix) :]
            break
    else:
        raise SettingsError("DATABASE_URL is not of the form postgresql://user:password@host:port/database")
    try:
        made = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise SettingsError(
            "DATABASE_URL cannot be read; expected postgresql://user:password@host:port/database"
        ) from None
    named = made.query.get("password")
    if named is None:
        return url
    password = named if isinstance(named, str) else named[-1]  # at the place where whoever shows a URL leaves it out
    return made.set(password=password).difference_update_query(("password",)).render_as_string(hide_password=False)


@contextmanager
def transaction(engine: Engine, *, patience_s: float | None = None) -> Iterator[Connection]:
    """One transaction; errors as `told_plainly`. `patience_s` is for one that is known to take long, as an import."""
    with told_plainly(engine), engine.begin() as connection:
        if patience_s is None:
            yield connection
            return
        session = cast("BoundedConnection", driver_connection(connection))
        usual_s, session.patience_s = session.patience_s, patience_s
        try:
            yield connection
        finally:
            session.patience_s = usual_s


@contextmanager
def told_plainly(engine: Engine) -> Iterator[None]:
    """Errors of the driver as one line without secrets: ServiceError where the server is away, breaks or takes no
    writes, and more precisely SilentServiceError where it does not answer; DataError where it does not take what it is
    given."""
    try:
        yield
    except AWAY as error:
        kind = SilentServiceError if isinstance(_cause(error), (NoAnswer, ConnectionTimeout)) else ServiceError
        raise kind(f"database {safe_url(engine)}: {first_line(error)}") from error
    except REFUSED as error:
        raise DataError(f"database {safe_url(engine)} does not take a row: {first_line(error)}") from error


def safe_url(engine: Engine) -> str:
    """The engine's URL without its password and that of its key."""
    return engine.url.difference_update_query(("sslpassword",)).render_as_string(hide_password=True)


def first_line(error: BaseException) -> str:
    """The first line of a driver's message, without secrets."""
    return mask_secrets(str(_cause(error)).strip().split("\n")[0])


def _cause(error: BaseException) -> BaseException:
    """The driver's own error."""
    cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    before = error.__context__
    while before is not None:  # closing a session that did not answer may fail too, and is not what went wrong
        cause, before = (before if isinstance(before, NoAnswer) else cause), before.__context__
    return cause


def driver_connection(connection: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection below, for COPY."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def copy_block(connection: Connection, table: str, columns: Sequence[str], blocks: Sequence[bytes]) -> None:
    """COPY of binary rows made by `binary_rows`; part of the caller's transaction."""
    if not blocks:
        return
    names = ", ".join(f'"{c}"' for c in columns)
    statement = f"COPY {table} ({names}) FROM STDIN (FORMAT binary)"
    with driver_connection(connection).cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(COPY_HEADER)
        for block in blocks:
            copy.write(block)
        copy.write(COPY_TRAILER)


Column = NDArray[Any] | str
"""A column of a block: datetime64 -> timestamptz, int64 -> bigint, float64 -> double; a str stands in all rows."""


def binary_rows(rows: int, columns: Sequence[Column], *, null_nan: frozenset[int] = frozenset()) -> bytes:
    """`rows` rows in PostgreSQL's binary COPY format, built without a Python loop over rows.

    `null_nan` are indexes of float columns whose NaN means NULL; rows with a NULL there are written apart, so row
    order is not kept. Source: PostgreSQL manual, COPY, "Binary Format".
    """
    for index in sorted(null_nan):
        values = columns[index]
        assert not isinstance(values, str)
        missing = np.isnan(values)
        if missing.any():
            parts = []
            for mask, null in ((~missing, False), (missing, True)):
                if mask.any():
                    kept: list[Column | None] = [c if isinstance(c, str) else c[mask] for c in columns]
                    if null:
                        kept[index] = None
                    parts.append(_fixed_rows(int(mask.sum()), kept))
            return b"".join(parts)
    return _fixed_rows(rows, list(columns))


def _fixed_rows(rows: int, columns: Sequence[Column | None]) -> bytes:
    fields: list[tuple[str, str] | tuple[str, str, int]] = [("count", ">i2")]
    for index, column in enumerate(columns):
        fields.append((f"length{index}", ">i4"))
        if isinstance(column, str):
            fields.append((f"value{index}", f"S{len(column.encode())}"))
        elif column is not None:
            fields.append((f"value{index}", ">f8" if column.dtype.kind == "f" else ">i8"))
    block = np.empty(rows, dtype=fields)
    block["count"] = len(columns)
    for index, column in enumerate(columns):
        if column is None:
            block[f"length{index}"] = -1
        elif isinstance(column, str):
            block[f"length{index}"] = len(column.encode())
            block[f"value{index}"] = column.encode()
        else:
            block[f"length{index}"] = 8
            values = column
            if values.dtype.kind == "M":
                values = (values.astype("datetime64[us]") - POSTGRES_EPOCH).astype(np.int64)
            block[f"value{index}"] = values
    return block.tobytes()


def weights_json(weights: Mapping[str, Decimal]) -> str:
    """A JSON object of exact numbers."""
    return "{" + ", ".join(f"{json.dumps(name)}: {weight}" for name, weight in weights.items()) + "}"


def lock_versions(connection: Connection) -> None:
    """Let nobody else number a version of the weights until this transaction ends.

    So numbers are consecutive: a run that is aborted or repeated leaves no gap, as a sequence would.
    """
    connection.execute(text(f"SELECT pg_advisory_xact_lock({VERSIONS_LOCK})"))


def probe_timescaledb(connection: Connection) -> tuple[str, str]:
    """(version, edition) of the extension, edition "apache" or "timescale"; ServiceError where it is missing."""
    version = connection.execute(text("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")).scalar()
    if version is None:
        available = connection.execute(
            text("SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'")
        ).scalar()
        remedy = (
            "run CREATE EXTENSION timescaledb in it as a superuser"
            if available
            else "install timescaledb on that server (Debian: postgresql-17-timescaledb)"
            " and add it to shared_preload_libraries"
        )
        raise ServiceError(f"database {connection.engine.url.database!r} has no timescaledb extension; {remedy}")
    edition = connection.execute(text("SHOW timescaledb.license")).scalar()
    return str(version), str(edition)


def row_dicts(connection: Connection, query: str, **parameters: object) -> list[Row]:
    """The rows of a query with named parameters, as dictionaries."""
    return [dict(row._mapping) for row in connection.execute(text(query), parameters)]
