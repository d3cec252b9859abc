"""The real servers for the suite: the embedded services in a state directory of the tests' own, a template database
cloned for each test (pytest-postgresql), and the embedded Redis."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, settings
from pytest_postgresql import factories
from sqlalchemy import Engine

from agents.adapters.database.engine import open_engine
from agents.adapters.database.migrate import upgrade
from agents.adapters.services.embedded import EmbeddedServices

settings.register_profile(
    "suite", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("suite")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
for variable in [v for v in os.environ if v.startswith("QUORUM_")]:
    del os.environ[variable]
for variable in ("DATABASE_URL", "REDIS_URL"):
    os.environ.pop(variable, None)


def _state_dir() -> Path:
    """One state directory for all runs of the suite, so that the servers' packages are fetched once."""
    named = os.environ.get("TESTS_STATE_DIR")
    if named:
        return Path(named)
    return Path("/var/lib/quorum-tests") if os.geteuid() == 0 else Path.home() / ".cache" / "quorum-tests"


SERVICES = EmbeddedServices(_state_dir())


@pytest.fixture(scope="session")
def services() -> EmbeddedServices:
    """The tests' own PostgreSQL and Redis, started by pytest_configure."""
    return SERVICES


def load_schema(**connection: object) -> None:
    """Fill pytest-postgresql's template database: the extension and all migrations."""
    name = str(connection["dbname"])
    with psycopg.connect(host=str(SERVICES.run), user="postgres", dbname=name, autocommit=True) as session:
        session.execute("SET client_min_messages = error")
        session.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        session.execute("GRANT ALL ON SCHEMA public TO quorum_owner")
        session.execute(f'ALTER DATABASE "{name}" OWNER TO quorum_owner')
    engine = open_engine(SERVICES.database_url(name, "quorum_owner"))
    upgrade(engine, interval_s=86400)
    engine.dispose()


postgresql_server = factories.postgresql_noproc(
    host=str(SERVICES.run), user="postgres", dbname="quorum_tests", load=[load_schema]
)
postgresql = factories.postgresql("postgresql_server")


@pytest.fixture
def database(services: EmbeddedServices, postgresql: psycopg.Connection) -> Iterator[str]:
    """Name of a fresh database with the whole schema."""
    yield postgresql.info.dbname


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    engine = open_engine(SERVICES.database_url(database, "quorum_owner"))
    yield engine
    engine.dispose()


@pytest.fixture
def trader(database: str) -> Iterator[Engine]:
    engine = open_engine(SERVICES.database_url(database, "quorum_trader"))
    yield engine
    engine.dispose()


@pytest.fixture
def redis_url(services: EmbeddedServices) -> Iterator[str]:
    """The tests' Redis, emptied."""
    client = redis.Redis.from_url(services.redis_url)
    client.flushall()
    client.close()
    yield services.redis_url


def pytest_configure(config: pytest.Config) -> None:
    """The servers must run before pytest-postgresql looks for them; they stop with the suite that started them."""
    if config.option.collectonly:
        return
    was_running = SERVICES.status()[0].running
    SERVICES.up(lambda line: print("·", line))
    SERVICES.ensure_database("quorum")  # and with it the roles
    _drop_leftovers()
    if not was_running:
        config.add_cleanup(lambda: SERVICES.down())


def _drop_leftovers() -> None:
    """Databases of a run that was killed would be in this one's way."""
    with psycopg.connect(host=str(SERVICES.run), user="postgres", dbname="postgres", autocommit=True) as session:
        session.execute("UPDATE pg_database SET datistemplate = false WHERE datname LIKE 'quorum\\_tests%'")
        for (name,) in session.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'quorum\\_tests%'"
        ).fetchall():
            session.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def fresh(services: EmbeddedServices) -> Iterator[EmbeddedServices]:
    """Services in a new state directory, with the programs of the suite's: to be killed at will."""
    folder = Path(tempfile.mkdtemp(prefix="quorum-services-"))
    folder.chmod(0o755)
    made = EmbeddedServices(folder)
    made.prefix = SERVICES.prefix
    yield made
    made.down()
    shutil.rmtree(folder)
