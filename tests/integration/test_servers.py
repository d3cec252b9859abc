"""Servers that stand still, refuse and come back: what each costs, what is said, and what goes on."""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import os
import signal
from collections.abc import Iterator

import psycopg
import pytest
import redis
from sqlalchemy import Engine, text

from agents.adapters.cache.redis_weights import RedisWeightCache
from agents.adapters.database.bounded import BoundedConnection
from agents.adapters.database.engine import driver_connection, open_engine, transaction
from agents.adapters.database.locked_session import LockedSession
from agents.adapters.database.writer import DeskWriter
from agents.core.clock import SystemClock
from agents.core.errors import DataError, ServiceError
from agents.core.settings import Settings
from agents.core.types import WeightsLevel
from agents.core.weight_sets import StandIn, to_text
from agents.orchestrator.weights_in_force import DeskWeights
from agents.wiring.connections import connect_to_read
from tests.conftest import SERVICES
from tests.faults import (
    DEADLOCK,
    READ_ONLY,
    all_sessions_taken,
    frozen,
    frozen_server,
    is_frozen,
    refused,
)
from tests.twins import MemoryWeightStore
from tests.unit.orchestrator.test_weights import GOOD
from tests.unit.pipeline.test_step import T0

CLOCK = SystemClock()
PATIENCE_S = 0.6
LOCK = 7719999


@pytest.fixture
def hasty(database: str) -> Iterator[Engine]:
    """A desk's engine with little patience."""
    engine = open_engine(SERVICES.database_url(database, "quorum_trader"), patience_s=PATIENCE_S)
    yield engine
    engine.dispose()


def session_of(connection) -> int:
    return driver_connection(connection).info.backend_pid


def copy_into(connection, statement: str, *rows: tuple[object, ...]) -> None:
    """By the driver's COPY, whose errors SQLAlchemy does not see."""
    with driver_connection(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


@pytest.mark.fault
@pytest.mark.parametrize("statement", ["SELECT 1", "COPY bars FROM STDIN", "COMMIT"])
def test_a_frozen_backend_costs_its_patience_and_one_line(hasty, statement):
    """C05: the server, not the network, stands still; over a UNIX socket."""
    pids, started_s = list[int](), CLOCK.monotonic_s()

    def ask() -> None:
        with transaction(hasty) as connection:
            pids.append(session_of(connection))
            connection.execute(text("SELECT 1"))
            with frozen(pids[0]):
                assert is_frozen(pids[0])
                if statement == "COMMIT":
                    connection.commit()
                elif statement == "SELECT 1":
                    connection.execute(text(statement))
                else:
                    copy_into(connection, statement)

    with pytest.raises(ServiceError, match=r"database .*no answer within 0\.6 s \(session \d+\)$"):
        ask()
    assert PATIENCE_S <= CLOCK.monotonic_s() - started_s < PATIENCE_S + 1.0
    with transaction(hasty) as connection:
        assert session_of(connection) != pids[0], "the session is given up"


@pytest.mark.fault
def test_who_only_reads_is_told_soon_of_a_server_that_stands_still_and_is_not_kept(database, monkeypatch):
    """Seen: `quorum status` was silent for 68 s."""
    monkeypatch.setattr("agents.adapters.database.engine.CONNECT_TIMEOUT_S", 3)
    said: list[tuple[float, str]] = []
    settings, started_s = Settings(state_dir=SERVICES.root), CLOCK.monotonic_s()
    wanted = r"^PostgreSQL does not answer: .*see: quorum services status$"
    with frozen_server(SERVICES), pytest.raises(ServiceError, match=wanted):
        connect_to_read(settings, demo=False, say=lambda line: said.append((CLOCK.monotonic_s() - started_s, line)))
    assert CLOCK.monotonic_s() - started_s < 10.0
    ((after_s, line),) = said
    assert after_s < 5.0
    assert line == "waiting for PostgreSQL (database quorum)"


@pytest.mark.fault
def test_a_server_that_stands_still_while_a_person_waits_is_one_line_within_ten_seconds(database):
    """Seen: 17 s, and over a minute for what the meta plane's sessions read; a slow answer is still waited for."""
    url = SERVICES.database_url(database, "quorum_owner")
    settings = Settings(database_url=url, redis_url=SERVICES.redis_url)
    connections = connect_to_read(settings, demo=False, say=lambda _line: None)
    wanted = r"database .*no answer within 6 s, to a new session neither; see: quorum services status$"
    try:
        for engine in (connections.trader, connections.meta):
            with transaction(engine) as connection:
                connection.execute(text("SELECT 1"))
            started_s = CLOCK.monotonic_s()
            with frozen_server(SERVICES), pytest.raises(ServiceError, match=wanted), transaction(engine) as connection:
                connection.execute(text("SELECT 1"))
            assert CLOCK.monotonic_s() - started_s < 10.0
        with transaction(connections.trader) as connection:
            connection.execute(text("SELECT pg_sleep(6.5)"))
    finally:
        connections.close()


@pytest.mark.fault
def test_who_waits_long_is_told_before_the_end(hasty, monkeypatch, caplog):
    monkeypatch.setattr("agents.adapters.database.bounded.SLOW_S", 0.2)
    with transaction(hasty, patience_s=5.0) as connection, caplog.at_level(logging.WARNING):
        connection.execute(text("SELECT pg_sleep(0.9)"))  # more than the usual patience: this one was asked for
    told = [record for record in caplog.records if "does not answer" in record.message]
    assert len(told) == 1
    with transaction(hasty) as connection:
        assert driver_connection(connection).patience_s == PATIENCE_S


def test_the_deadline_counts_silence_not_work(hasty):
    """A long answer that keeps coming is no silence."""
    slow = "SELECT repeat('x', 20000), pg_sleep(0.03) FROM generate_series(1, 40)"
    with transaction(hasty) as connection:
        assert len(connection.execute(text(slow)).all()) == 40


@pytest.mark.fault
def test_a_lost_session_that_still_holds_the_lock_is_waited_for_and_ended(hasty):
    """B03: nobody else takes the right before the server has let go of it; a second process is not blamed for it."""
    locked = LockedSession(hasty, LOCK)
    assert locked.take()
    pid = locked.driver.info.backend_pid
    with frozen(pid):
        assert not locked.is_alive()
        with pytest.raises(ServiceError, match=f"our lost session \\(backend {pid}\\) still holds its lock"):
            locked.take()
    for _ in range(100):
        try:
            assert locked.take()
            break
        except ServiceError:
            CLOCK.sleep_s(0.05)
    assert locked.driver.info.backend_pid != pid
    other = LockedSession(hasty, LOCK)
    assert not other.take(), "somebody else's lock is not ours to end"
    assert locked.is_alive()
    locked.drop()
    assert other.take()
    other.drop()


def test_who_lets_go_of_a_lock_can_take_it_again_at_once(hasty):
    """Seen: the server had not ended the old session yet, and the desk was refused its own lock."""
    locked = LockedSession(hasty, LOCK)
    assert locked.take()
    for k in range(150):  # which the server drops before it lets go of the lock
        locked.driver.execute(f"CREATE TEMP TABLE work_{k} (it integer)".encode())
    locked.drop()
    assert locked.take()
    locked.drop()


@pytest.mark.fault
def test_the_writer_says_one_line_when_its_session_is_killed_and_goes_on(hasty):
    """B03, C04: the right to write ends with the session and is taken up again with it."""
    writer = DeskWriter(hasty)
    writer.hold()
    with writer.session() as session:
        pid = session.info.backend_pid
    with SERVICES.postgres.connect("postgres") as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(ServiceError, match="terminating connection|closed"), writer.transaction() as session:
        session.execute("SELECT 1")
    with writer.transaction() as session:
        assert session.info.backend_pid != pid
    writer.release()


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("53100", ServiceError),
        (READ_ONLY, ServiceError),
        (DEADLOCK, ServiceError),
        ("23514", DataError),
        ("22021", DataError),
    ],
)
def test_what_the_server_refuses_is_one_line_also_in_copy(database, hasty, sqlstate, kind):
    """C09, C12, C13: a full disk, a read-only server, a deadlock; a row that it does not take."""
    writer = DeskWriter(hasty)
    writer.hold()
    insert = "INSERT INTO system_metrics (time, name, value) VALUES (now(), 'x', 1)"
    with refused(SERVICES, database, "system_metrics", sqlstate):
        with pytest.raises(kind, match="injected fault on system_metrics"), transaction(hasty) as connection:
            connection.execute(text(insert))
        with pytest.raises(kind, match="injected fault on system_metrics"), transaction(hasty) as connection:
            copy_into(connection, "COPY system_metrics FROM STDIN", ("2026-01-01T00:00:00Z", "x", 1.0))
        for pipelined in (False, True):
            fault = pytest.raises(kind, match="injected fault on system_metrics")
            with fault, writer.transaction(pipelined=pipelined) as session:
                session.execute(insert)
    for pipelined in (False, True):
        with writer.transaction(pipelined=pipelined) as session:
            session.execute(insert)
    with writer.session() as session:
        assert session.execute("SELECT count(*) FROM system_metrics").fetchone() == (2,)
    writer.release()


@pytest.mark.fault
def test_a_server_that_stands_still_before_a_pipelined_commit_is_one_line(hasty):
    """B02: nothing is waited for before the COMMIT, and the session is given up with the right to write."""
    writer = DeskWriter(hasty)
    writer.hold()
    with writer.session() as session:
        pid = session.info.backend_pid
    with frozen(pid):
        with pytest.raises(ServiceError, match="no answer"), writer.transaction(pipelined=True) as session:
            session.execute("INSERT INTO system_metrics (time, name, value) VALUES (now(), 'x', 1)")
        gc.collect()  # what the driver left of it says nothing either
    for _ in range(100):
        try:
            with writer.transaction(pipelined=True) as session:
                assert session.info.backend_pid != pid
                break
        except ServiceError:
            CLOCK.sleep_s(0.05)
    else:
        pytest.fail("the desk is not held again")
    writer.release()


@pytest.mark.fault
def test_a_server_without_a_free_place_is_one_line(hasty):
    """C11."""
    with all_sessions_taken(SERVICES), pytest.raises(ServiceError, match="reserved|too many"), transaction(hasty):
        pass
    with transaction(hasty):
        pass


@pytest.mark.fault
def test_idle_sessions_that_the_server_ended_are_replaced_silently(hasty):
    """C14."""
    with transaction(hasty) as connection:
        pid = session_of(connection)
    os.kill(pid, signal.SIGTERM)
    CLOCK.sleep_s(0.2)
    with transaction(hasty) as connection:
        assert session_of(connection) != pid


def test_sessions_everywhere_are_bounded(hasty):
    with transaction(hasty) as connection:
        assert isinstance(driver_connection(connection), BoundedConnection)
        assert isinstance(driver_connection(connection), psycopg.Connection)


# ---------------------------------------------------------------- Redis says anything


KEY = "quorum:desk:weights"
NAMES = list(GOOD)


def signed(**changes: object) -> str:
    """The text of a set as the meta plane writes it, with a checksum that fits, but other values."""
    body = json.loads(to_text(MemoryWeightStore().publish(GOOD, at=T0, method="equal", reason="start"), KEY))
    body.pop("sha256")
    body |= changes
    return json.dumps({**body, "sha256": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()})


RUBBISH = {
    "naive valid_until": signed(valid_until="2999-01-01T00:00:00"),
    "naive created_at": signed(created_at="2026-01-01T00:00:00"),
    "no date": signed(valid_until="never"),
    "5,000 digits": '{"version": ' + "9" * 5000 + "}",
    "a version for no database": signed(version=2**63),
    "half a version": signed(version=1.5),
    "true": signed(version=True),
    "infinite": '{"version": 1e400, "key": "x", "sha256": "x"}',
    "overflow": signed(weights=dict.fromkeys(NAMES, "9e999999")),
    "signalling": signed(weights=dict.fromkeys(NAMES, "sNaN")),
    "negative": signed(weights={**dict.fromkeys(NAMES, "0.5"), NAMES[0]: "-0.5"}),
    "half": signed(weights={NAMES[0]: "1"}),
    "a list": signed(weights=[1, 2]),
    "not text": b"\xff\xfe\x00",
    "much": b"9" * 10_000_000,
    "deep": "[" * 50_000,
}


@pytest.mark.parametrize("content", RUBBISH.values(), ids=RUBBISH)
@pytest.mark.parametrize("announced", [b"9" * 5000, b"-1", b"\xff", b"7"])
def test_nothing_in_redis_ends_the_desk(redis_url, content, announced):
    """D03, D04: what is not what the meta plane writes is refused as a whole; the database's weights are in force."""
    store, at = MemoryWeightStore(), CLOCK.now()
    store.publish(GOOD, at=at, method="equal", reason="start")
    cache = RedisWeightCache(redis_url, "quorum:desk", CLOCK)
    weights = DeskWeights(NAMES, store, cache, StandIn({}, 0.05), 3600.0)
    assert cache.announced() is None  # subscribes
    with redis.Redis.from_url(redis_url) as client:
        client.set(KEY, content)
        client.publish(f"{KEY}:announce", announced)
    assert weights.current(at).level is WeightsLevel.DATABASE
    with redis.Redis.from_url(redis_url) as client:
        client.set(KEY, content)
    assert weights.current(at).weights == GOOD
    cache.close()
