"""Databases of the first schema that desks were run on: nothing of them is lost, and they are as good as before.

Kept in tests/old_databases, as COPY text of every table below schema 0005, of made bars of two symbols: `desk`, a live
desk of 256 decisions with a restart, a halt, splits and gaps; and `demo`, a recorded history with its scheduled jobs.
Written by the program of that schema, which is why the tables are filled here instead of trading anew.
"""

from __future__ import annotations

import lzma
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, text

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.chain_store import ChainStore
from agents.adapters.database.engine import driver_connection, open_engine
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.migrate import is_current, upgrade
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.core.weight_sets import StandIn
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.weights_in_force import DeskWeights
from agents.trading.registry import AGENTS
from agents.wiring import desk as app
from agents.wiring.connections import Connections
from agents.wiring.daemon import paper_broker
from agents.wiring.job_settings import tuning_of
from agents.wiring.meta import MetaPlane
from agents.wiring.parity import CheckedDesk, check_parity
from tests.conftest import SERVICES
from tests.integration.test_schema import BELIEFS_QUERY, README_QUERIES, VIEWS, run_alembic
from tests.market import decide_on
from tests.old_agents import TechnicalAnalystOfOld

FILES = Path(__file__).resolve().parents[1] / "old_databases"
START = {
    "TechnicalAnalyst": 0.4,
    "TrendFollower": 0.3,
    "MeanReversion": 0.1,
    "Breakout": 0.1,
    "SentimentAnalyst": 0.05,
    "OnChainAnalyst": 0.05,
}
SETTINGS = Settings(
    desk={"name": "t"},
    data={"clock": "bars"},
    agents={"static_weights": START, "enabled": tuple(START)},
    execution={"buffer_by_cost": False},
    tuning={"false_changes_per_year": 0.9},
)
DECISIONS = {"desk": 256, "demo": 150}
NAME = "quorum_of_old"
BECAME = {"bar_files": "SELECT sha256, file, rows_read, rows_loaded, rows_equal, rows_quarantined FROM bar_reads"}
"""Tables that are no more -> where their rows are now."""
RENAMED = {"agent_performance": "agent_scorecards"}
"""Tables whose rows are the same under another name."""
_IDENTITIES = """
SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attidentity <> '' AND c.relnamespace = 'public'::regnamespace
"""


@pytest.fixture
def old(request, services):
    """The owner of a database of schema 0005 that holds the rows of a kept file."""
    SERVICES.drop_database(NAME)
    SERVICES.ensure_database(NAME)
    owner = open_engine(SERVICES.database_url(NAME, "quorum_owner"))
    run_alembic(owner, command.upgrade, "0005")
    load(owner, FILES / f"{request.param}.copy.xz")
    yield owner
    owner.dispose()
    SERVICES.drop_database(NAME)


def load(owner: Engine, file: Path) -> None:
    with owner.begin() as connection:
        driver = driver_connection(connection)
        blocks = lzma.decompress(file.read_bytes()).split(b"\\.\n")
        for block in blocks[:-1]:
            statement, _, rows = block.partition(b"\n")
            with driver.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(rows)
        for table, column in connection.execute(text(_IDENTITIES)).all():
            newest = f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}"
            connection.execute(text(newest))


def rows_of(owner: Engine, queries: dict[str, str]) -> dict[str, list[str]]:
    with owner.connect() as connection:
        return {name: sorted(str(tuple(row)) for row in connection.execute(text(q))) for name, q in queries.items()}


def columns_of(owner: Engine) -> dict[str, list[str]]:
    query = (
        "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = ANY(SELECT relname::text FROM pg_class WHERE relkind = 'r')"
        " GROUP BY 1"
    )
    with owner.connect() as connection:
        return dict(connection.execute(text(query)).tuples().all())


@pytest.mark.parametrize("old", DECISIONS, indirect=True)
def test_nothing_of_an_old_database_is_lost(old, request):
    """Every row of every table with every column, word for word; sealed, readable, and the whole way back too."""
    before = columns_of(old)
    before.pop("alembic_version")
    quoted = {table: ", ".join(f'"{column}"' for column in names) for table, names in before.items()}
    every = {table: f"SELECT {columns} FROM {table}" for table, columns in quoted.items()}
    kept = rows_of(old, every)
    assert len(kept["decisions"]) == DECISIONS[request.node.callspec.params["old"]]

    assert upgrade(old, interval_s=86400)
    moved = BECAME | {table: f"SELECT {quoted[table]} FROM {name}" for table, name in RENAMED.items()}
    now = rows_of(old, {table: moved.get(table, query) for table, query in every.items()})
    for table, rows in kept.items():
        if table in BECAME:
            assert len(now[table]) == len(rows), table
        else:
            assert now[table] == rows, table
    assert ChainStore(old).check(whole=True).differences == []
    with old.connect() as connection:
        links = connection.execute(text("SELECT count(*) FROM journal_chain WHERE kind = 'decision'")).scalar()
        assert links == len(kept["decisions"])
        for query in (*README_QUERIES, BELIEFS_QUERY, *(f"SELECT * FROM {view}" for view in VIEWS)):
            connection.execute(text(query)).all()

    run_alembic(old, command.downgrade, "0005")
    assert rows_of(old, {table: q for table, q in every.items() if table not in BECAME}) == {
        table: rows for table, rows in kept.items() if table not in BECAME
    }
    run_alembic(old, command.upgrade, "head")
    assert is_current(old)


@pytest.mark.parametrize("old", ["demo"], indirect=True)
def test_old_scorecards_and_trials_answer_the_queries_of_the_first_day(old):
    """Seen: one row for each of four windows, undefined ratios first, and a method that was only tried as the newest
    weights. A trial is kept apart, word for word, and goes back to its version."""
    with old.begin() as connection:
        connection.execute(text(_TRY.format(version="1000", seconds=1)))
        connection.execute(text(_TRY.format(version="1001", seconds=2)))
    history = "SELECT * FROM weight_history ORDER BY version"
    before = rows_of(old, {"h": history, "trials": "SELECT * FROM weight_history WHERE status = 'trial'"})
    assert len(before["trials"]) == 2

    upgrade(old, interval_s=86400)
    with old.connect() as connection:
        newest = connection.execute(text(README_QUERIES[0])).one()
        in_force = dict(connection.execute(text("SELECT agent_name, weight::float8 FROM v_weights_current")).all())
        assert newest.agent_weights == in_force
        tried = connection.execute(text("SELECT id, method, agent_weights FROM weight_trials ORDER BY id")).all()
        assert [(row.id, row.method) for row in tried] == [(1000, "hrp"), (1001, "hrp")]
        cards = connection.execute(
            text(
                "SELECT date, agent_name, sharpe_ratio FROM agent_scorecards WHERE window_days = 30 ORDER BY 1, 3 DESC"
            )
        )
        defined = [tuple(row) for row in cards if row.sharpe_ratio is not None]
        shown = connection.execute(text("SELECT date, agent_name, sharpe_ratio, rank FROM agent_performance"))
        rows = sorted(shown, key=lambda row: (row.date, row.rank))
        assert [tuple(row)[:3] for row in rows] == defined
        assert len(defined) > 10
        firsts = {row.date: row.agent_name for row in rows if row.rank == 1}
        assert len(firsts) == len({row.date for row in rows})

    run_alembic(old, command.downgrade, "0005")
    assert rows_of(old, {"h": history})["h"] == before["h"]


_TRY = """
INSERT INTO weight_history (version, timestamp, agent_weights, previous_weights, method, status, reason, sample_size)
OVERRIDING SYSTEM VALUE
SELECT {version}, max(timestamp) + interval '{seconds} s', '{{"A": 0.9, "B": 0.1}}', NULL, 'hrp', 'trial', 'looked', 40
FROM weight_history
"""


@pytest.mark.parametrize("old", ["desk"], indirect=True)
def test_an_old_desk_is_reproduced_and_trades_on(old, redis_url, monkeypatch):
    """Its parity is clean over all 256 decisions, and over those that follow, with the agents that it had, but for one
    rule that changed since: an order of a symbol that has no bar works on, where it expired."""
    monkeypatch.setitem(AGENTS, "TechnicalAnalyst", TechnicalAnalystOfOld)
    upgrade(old, interval_s=86400)
    trader, meta = (open_engine(SERVICES.database_url(NAME, f"quorum_{role}")) for role in ("trader", "meta"))
    try:
        store, journal = BarsStore(trader), PostgresJournal(trader)
        last = journal.last()
        assert last is not None
        connections = Connections(old, trader, meta, redis_url, (), {})
        plane = MetaPlane(SETTINGS, connections, SimulatedClock(last.time), with_pictures=False)
        checked = CheckedDesk(SETTINGS, meta, plane.store, tuning_of(SETTINGS))
        assert unexplained(old, check_parity(checked, last.time, keep=False, from_start=True), 256) == []
        assert unexplained(old, check_parity(checked, last.time, keep=False), 75) == [], "from an old check's state"
        news = store.after(last.time, limit=10)
        trade(trader, journal, store, news)
        found = check_parity(checked, as_datetime(news.time[-1]), keep=False, from_start=True)
        assert unexplained(old, found, 256 + len(news.time)) == []
        assert not [e for e in found["examples"] if e["time"] > last.time.isoformat()], (
            "what was decided since is clean"
        )
        assert ChainStore(trader).check(whole=True).differences == []
        plane.cache.close()
    finally:
        trader.dispose()
        meta.dispose()


def unexplained(owner: Engine, found: dict, decisions: int) -> list:
    """Differences that are not where one of the two symbols had no bar, or at the bar after it."""
    assert found["decisions"] == decisions
    query = "SELECT time FROM bars GROUP BY time HAVING count(*) = 1"
    with owner.connect() as connection:
        alone = connection.execute(text(query)).scalars().all()
    explained = {("risk", time.isoformat()) for time in alone}
    explained |= {("fill", (time + timedelta(days=1)).isoformat()) for time in alone}
    assert found["differences"] == len(found["examples"]) <= 2 * len(alone), "all of them are named"
    return [e for e in found["examples"] if (e["kind"], e["time"]) not in explained]


def trade(trader, journal, store, news) -> None:
    plan, agents = app.plan_of(SETTINGS, news.symbols), app.agents_of(SETTINGS, SystemClock())
    weights = DeskWeights(agents.names, PostgresWeightStore(trader), MemoryWeightCache(), StandIn(START, 0.05), 0.0)
    journal.hold_desk()
    desk = Orchestrator(plan, agents, weights, journal)
    broker = paper_broker(desk, journal)
    desk.recover(broker, news.rows(0, 0), as_datetime(news.time[0]))
    for time in news.time:
        at = as_datetime(time)
        decide_on(desk, broker, store.window(until=at, count=desk.bars_needed), at)
    journal.release()
