"""The real servers for the suite, and the data that only some machines have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine

from agents.adapters.database.engine import open_engine
from agents.adapters.services.embedded import EmbeddedServices
from agents.quant.allocation import propose
from agents.wiring.connections import Connections
from tests.market import make_bars
from tests.servers import Servers, state_dir

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("suite", deadline=None, max_examples=60, suppress_health_check=SLOW_IS_FINE, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1500, suppress_health_check=SLOW_IS_FINE)
settings.load_profile("suite")

SHARED_DATA = Path(os.environ.get("TESTS_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
for variable in [v for v in os.environ if v.startswith("QUORUM_")]:
    del os.environ[variable]
for variable in ("DATABASE_URL", "REDIS_URL"):
    os.environ.pop(variable, None)

TOGETHER = {
    "tests/acceptance/test_demo.py",
    "tests/integration/test_replay_tables.py",
    "tests/integration/test_seed_queries.py",
    "tests/integration/test_web.py",
    "tests/acceptance/test_web_browser.py",
}
"""Modules with an expensive fixture that all their tests use: it is made once."""
SERVERS = Servers(state_dir())
SERVICES = SERVERS.services


def shared_data(*parts: str) -> Path:
    """A file of the market data that only some machines have, beside the repository; where it is missing, the test
    that asks for it skips with its name."""
    file = SHARED_DATA.joinpath(*parts)
    if not file.exists():
        pytest.skip(f"needs {file}")
    return file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With pytest-xdist: every test goes to the next free worker, but those of a module in TOGETHER to one of them.

    The largest group goes first. (pytest-xdist's own `--dist loadgroup` does not see groups under pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.split("::", 1)[0]
            return module if module in TOGETHER else nodeid

    return Scheduling(config, log)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers where a test asks for them, before the first test's timeout begins to run."""
    if not session.config.option.collectonly and any("services" in item.fixturenames for item in session.items):
        SERVERS.start()
        compile_once()


def compile_once() -> None:
    """Let one process compile what takes longest, a minute where nothing is cached yet, and the others use it: each of
    them, and each daemon that a test starts, would compile it too. Two begin at different ends."""
    from tests.unit.pipeline.test_step import run_replay

    def step() -> None:
        run_replay(make_bars(20, 2, 0))

    def beliefs() -> None:
        returns, weights = np.random.default_rng(0).normal(0.0, 0.01, (100, 3)), np.full(3, 1 / 3)
        propose(returns[:1], weights, state=propose(returns, weights).state)

    parts = [step, beliefs]
    for part in parts if os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0" else reversed(parts):
        with SERVERS.only_one_process(f"compiling-{part.__name__}"):
            part()


def pytest_configure(config: pytest.Config) -> None:
    """The controller of pytest-xdist runs no tests: its folder is for a worker."""
    if config.getoption("dist", "no") != "no":
        SERVERS.stop()


def pytest_unconfigure() -> None:
    SERVERS.stop()


@pytest.fixture(scope="session")
def services() -> EmbeddedServices:
    """This process's own PostgreSQL and Redis, running."""
    SERVERS.start()
    return SERVICES


@pytest.fixture
def database(services: EmbeddedServices) -> Iterator[str]:
    """Name of a fresh database with the whole schema."""
    with SERVERS.database() as name:
        yield name


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
def meta(database: str) -> Iterator[Engine]:
    engine = open_engine(SERVICES.database_url(database, "quorum_meta"))
    yield engine
    engine.dispose()


@pytest.fixture
def connections(owner: Engine, trader: Engine, meta: Engine, redis_url: str) -> Connections:
    """A fresh desk's, in each role."""
    return Connections(owner, trader, meta, redis_url, (), {})


@pytest.fixture
def redis_url(services: EmbeddedServices) -> str:
    """The Redis of this process, emptied."""
    SERVERS.empty_redis()
    return services.redis_url


@pytest.fixture
def fresh(services: EmbeddedServices) -> Iterator[EmbeddedServices]:
    """Services in a new state directory, with the programs of the suite's: to be killed at will."""
    with SERVERS.fresh() as made:
        yield made
