"""Migrations, hypertables, checks, roles, and the queries that the README promises, on the real TimescaleDB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from agents.adapters.database.engine import open_engine, probe_timescaledb
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.migrate import is_current, newest_revision, upgrade
from agents.adapters.database.tables import HYPERTABLES, metadata
from agents.core.errors import ServiceError
from tests.conftest import SERVERS, SERVICES

ROOT = Path(__file__).resolve().parents[2]
VIEWS = (
    "v_positions",
    "v_equity",
    "v_trades",
    "v_agent_scorecard",
    "v_weights_current",
    "v_why_trade",
    "v_weight_changes",
    "v_why_weight",
    "v_tuning_value_added",
    "v_health",
    "v_trade_signals",
    "v_agent_value_added",
    "v_pnl_by_agent",
    "v_pnl_by_symbol",
    "v_pnl_by_side",
    "v_costs",
    "v_slippage",
    "v_resting_stops",
    "v_agent_life",
    "v_against_holding",
    "v_agent_regimes",
    "v_regime_days",
    "v_effective_weights",
    "v_units",
    "v_unit_values",
    "v_cash_flows",
    "agent_performance",
)

APPEND_ONLY = ("decisions", "fills", "corporate_actions", "trades", "trade_attribution")
README_QUERIES = (
    "SELECT agent_weights, sharpe_improvement, timestamp FROM weight_history ORDER BY timestamp DESC LIMIT 1;",
    "SELECT timestamp, agent_weights, reason FROM weight_history ORDER BY timestamp DESC LIMIT 10;",
    "SELECT agent_name, sharpe_ratio, win_rate, total_signals FROM agent_performance WHERE date >= CURRENT_DATE - INTERVAL"
    " '7 days' ORDER BY sharpe_ratio DESC;",
    "SELECT date, agent_name, sharpe_ratio, win_rate FROM agent_performance WHERE agent_name = 'SentimentAnalyst' ORDER BY"
    " date DESC LIMIT 30;",
    "SELECT generated_at, summary, recommendations FROM project_reports ORDER BY generated_at DESC LIMIT 1;",
)
BELIEFS_QUERY = (
    "SELECT timestamp, agent, (b ->> 'mean')::float8 AS believed, (b ->> 'low')::float8 AS low, (b ->> 'high')::float8 AS"
    " high, (b ->> 'better')::float8 AS better FROM weight_history, jsonb_each(evidence -> 'beliefs') AS v (agent, b) ORDER"
    " BY version DESC, believed DESC LIMIT 12;"
)


def run_alembic(engine: Engine, action, *arguments) -> None:
    settings = Config(str(ROOT / "alembic.ini"))
    with engine.connect() as connection:
        settings.attributes["connection"] = connection
        action(settings, *arguments)


def test_the_newest_migration_by_its_file_name_is_the_one_that_alembic_names():
    assert newest_revision() == ScriptDirectory.from_config(Config(str(ROOT / "alembic.ini"))).get_current_head()


@pytest.fixture
def migrator(owner, database) -> Engine:
    """The owner of the tables, who owns the database too, as on a desk: it may make new tables."""
    with SERVERS.superuser() as session:
        session.execute(f'ALTER DATABASE "{database}" OWNER TO quorum_owner')
    return owner


def test_schema_equals_metadata_and_survives_down_and_up(migrator):
    run_alembic(migrator, command.check)
    assert is_current(migrator)
    run_alembic(migrator, command.downgrade, "base")
    assert not is_current(migrator)
    with migrator.connect() as connection:
        left = connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar()
    assert left == 1, "only alembic's own table"
    run_alembic(migrator, command.upgrade, "head")
    run_alembic(migrator, command.check)


def test_the_desks_state_is_kept_uncompressed(migrator):
    """It is written anew with every decision, and to compress it takes the server half a millisecond each time."""
    kept = text("SELECT attstorage FROM pg_attribute WHERE attrelid = 'desk_state'::regclass AND attname = 'state'")
    found = []
    for move, revision in ((command.upgrade, "head"), (command.downgrade, "0019"), (command.upgrade, "head")):
        run_alembic(migrator, move, revision)
        with migrator.connect() as connection:
            found.append(connection.execute(kept).scalar())
    assert found == ["e", "x", "e"], "e: EXTERNAL, out of line as it is; x: EXTENDED, compressed first"


def test_what_was_left_of_partial_orders_has_expired(migrator):
    """A desk from before the migration must not take such an order for one that still works."""
    run_alembic(migrator, command.downgrade, "0004")
    with migrator.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO orders (client_order_id, decision_time, symbol, side, quantity, state, reason)"
                " VALUES ('a', now(), 'S', 'buy', 2, 'partial', 'the rest expired: share of volume')"
            )
        )
    run_alembic(migrator, command.upgrade, "head")
    assert PostgresJournal(migrator).open_orders() == []
    with migrator.connect() as connection:
        assert connection.execute(text("SELECT state FROM orders")).scalar() == "expired"


def test_a_desk_from_before_reads_were_recorded_keeps_its_bars_and_the_files_they_came_from(migrator):
    """Nothing of its files counts as consumed, so they are read once more; going back keeps them too."""
    run_alembic(migrator, command.downgrade, "0005")
    names, values = ", ".join(BAR), ", ".join(f":{name}" for name in BAR)
    with migrator.begin() as connection:
        connection.execute(text(f"INSERT INTO bars ({names}) VALUES ({values})"), BAR)
        connection.execute(
            text("INSERT INTO bar_files VALUES ('d1', 'a.csv', 3, 2, 1, 0), ('d2', 'a.csv', 5, 5, 0, 0)")
        )
    run_alembic(migrator, command.upgrade, "head")
    with migrator.connect() as connection:
        assert connection.execute(text("SELECT symbol, close, read_id FROM bars")).all() == [("A", 10.0, 0)]
        reads = connection.execute(text("SELECT id, file, consumed, sha256, rows_read, rows_corrected FROM bar_reads"))
        assert reads.all() == [(1, "a.csv", 0, "d1", 3, 0), (2, "a.csv", 0, "d2", 5, 0)]
    run_alembic(migrator, command.downgrade, "0005")
    with migrator.connect() as connection:
        assert connection.execute(text("SELECT sha256, rows_read FROM bar_files ORDER BY 1")).all() == [
            ("d1", 3),
            ("d2", 5),
        ]
        assert connection.execute(text("SELECT count(*) FROM bars")).scalar() == 1
    run_alembic(migrator, command.upgrade, "head")


def test_every_series_is_a_hypertable_with_fitting_chunks(owner):
    with owner.connect() as connection:
        found = dict(
            connection.execute(text("SELECT hypertable_name, time_interval FROM timescaledb_information.dimensions"))
            .tuples()
            .all()
        )
    assert set(found) == set(HYPERTABLES)
    assert {interval.days for interval in found.values()} == {1825}, "daily bars: five years in a chunk"
    upgrade(owner, interval_s=60)
    with owner.connect() as connection:
        days = connection.execute(
            text("SELECT DISTINCT time_interval FROM timescaledb_information.dimensions")
        ).scalars()
        assert [d.days for d in days] == [7]


def test_two_migrators_at_once(services):
    SERVICES.drop_database("quorum_two")
    SERVICES.ensure_database("quorum_two")
    url = SERVICES.database_url("quorum_two", "quorum_owner")
    code = (
        "import sys; from agents.adapters.database.engine import open_engine; from agents.adapters.database.migrate import upgrade;"
        "print(upgrade(open_engine(sys.argv[1]), interval_s=86400))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], answers
    SERVICES.drop_database("quorum_two")


def test_a_migration_that_is_killed_leaves_nothing_half_done(services):
    """A11: the next start finds the old schema, whole, and brings it to the newest."""
    name = "quorum_killed_migration"
    SERVICES.drop_database(name)
    SERVICES.ensure_database(name)
    owner = open_engine(SERVICES.database_url(name, "quorum_owner"))
    run_alembic(owner, command.upgrade, "0005")
    code = (
        "import sys; from agents.adapters.database.engine import open_engine; from agents.adapters.database.migrate import"
        " upgrade; upgrade(open_engine(sys.argv[1]), interval_s=86400)"
    )
    environment = {**os.environ, "KILLPOINT": "migration.before_commit:1"}
    killed = subprocess.run([sys.executable, "-c", code, str(owner.url)], cwd=ROOT, env=environment, check=False)
    assert killed.returncode == -9
    with owner.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0005"
        assert connection.execute(text("SELECT to_regclass('journal_chain')")).scalar() is None
    assert upgrade(owner, interval_s=86400)
    run_alembic(owner, command.check)
    owner.dispose()
    SERVICES.drop_database(name)


def test_readme_queries_word_for_word(owner):
    readme = (ROOT / "README.md").read_text()
    with owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO weight_history (timestamp, agent_weights, method, status, reason) VALUES (now(), :w, 'm',"
                " 'apply', 'because')"
            ),
            {"w": json.dumps({"A": 0.4, "B": 0.6})},
        )
        documented = " ".join((readme + (ROOT / "docs" / "sql.md").read_text()).split())
        for query in (*README_QUERIES, BELIEFS_QUERY):
            assert query in documented, query
            connection.execute(text(query)).all()
        weights = connection.execute(text("SELECT agent_name, weight FROM v_weights_current ORDER BY 1")).all()
    assert [(name, float(weight)) for name, weight in weights] == [("A", 0.4), ("B", 0.6)]


def test_all_views_answer_on_an_empty_desk(owner):
    with owner.connect() as connection:
        for view in VIEWS:
            connection.execute(text(f"SELECT * FROM {view}")).all()


BAR = {
    "symbol": "A",
    "time": "2024-01-02T21:00Z",
    "bar_open": "2024-01-02T14:30Z",
    "available_at": "2024-01-02T21:00Z",
    "open": 10,
    "high": 11,
    "low": 9,
    "close": 10,
    "volume": 5,
    "source": "t",
}
BAD_BARS = [
    {"close": "NaN"},
    {"close": "Infinity"},
    {"close": 0},
    {"low": -1},
    {"high": 9},
    {"low": 12},
    {"close": 12},
    {"volume": -1},
    {"volume": "NaN"},
    {"time": "0001-01-01Z"},
    {"time": "9999-01-01Z"},
    {"time": "infinity"},
    {"available_at": "2024-01-02T20:00Z"},
    {"bar_open": "2024-01-03Z"},
    {"split": 0},
    {"split": "NaN"},
    {"dividend": -1},
    {"adjustment": "Infinity"},
]


@pytest.mark.parametrize("change", BAD_BARS)
def test_the_database_refuses_impossible_bars(trader, change):
    row = {"split": 1, "dividend": 0, "adjustment": 1, **BAR, **change}
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with pytest.raises((IntegrityError, DBAPIError)) as caught, trader.begin() as connection:
        connection.execute(text(f"INSERT INTO bars ({names}) VALUES ({values})"), row)
    assert caught.value.orig.sqlstate == "23514", "a CHECK constraint, not a crash"
    with trader.connect() as connection:
        chunks = connection.execute(text("SELECT count(*) FROM show_chunks('bars')")).scalar()
    assert chunks == 0 or change.get("time") is None


def test_a_good_bar_goes_in(trader):
    names, values = ", ".join(BAR), ", ".join(f":{name}" for name in BAR)
    with trader.begin() as connection:
        connection.execute(text(f"INSERT INTO bars ({names}) VALUES ({values})"), BAR)


def refused(engine: Engine, statement: str) -> bool:
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    except ProgrammingError as error:
        assert error.orig.sqlstate == "42501", error
        return True
    return False


ORDER = (
    "INSERT INTO orders (client_order_id, decision_time, symbol, side, quantity, state, reason)"
    " VALUES ('x', now(), 'A', 'buy', 1, 'intent', '')"
)


def test_the_database_has_one_order_for_a_decision_and_a_symbol_and_each_fill_once(trader):
    """The last line: whatever the program believes, no second row of either."""
    order = ORDER.replace("now()", "'2024-01-02Z'")
    fill = (
        "INSERT INTO fills (fill_id, client_order_id, time, symbol, side, quantity, price, fee, spread_cost, impact_cost)"
        " VALUES ('f', 'x', '2024-01-03Z', 'A', 'buy', 1, 10, 0, 0, 0)"
    )
    with trader.begin() as connection:
        for statement in (order, fill):
            connection.execute(text(statement))
    for again in (order, order.replace("'x'", "'y'"), fill):
        with pytest.raises(IntegrityError) as caught, trader.begin() as connection:
            connection.execute(text(again))
        assert caught.value.orig.sqlstate == "23505"


def test_roles_have_the_least_rights(database):
    engines = {
        role: open_engine(SERVICES.database_url(database, f"quorum_{role}")) for role in ("trader", "meta", "reader")
    }
    try:
        assert not refused(engines["trader"], ORDER)
        assert refused(engines["meta"], ORDER.replace("'x'", "'y'"))
        assert refused(engines["reader"], ORDER.replace("'x'", "'z'"))
        assert refused(engines["trader"], "DELETE FROM orders")
        assert refused(engines["trader"], "TRUNCATE orders")
        assert refused(engines["trader"], "DROP TABLE orders")
        assert refused(engines["trader"], "CREATE TABLE mine (x int)")
        assert refused(
            engines["trader"],
            "INSERT INTO weight_history (timestamp, agent_weights, method, status, reason)"
            " VALUES (now(), '{}', 'm', 'apply', '')",
        )
        assert refused(engines["trader"], "SELECT * FROM email_config")
        assert not refused(engines["meta"], "SELECT * FROM orders")
        for view in VIEWS:
            assert not refused(engines["reader"], f"SELECT * FROM {view}")
        for table in metadata.tables:  # a person who looks around reads everything but secrets and mail
            secret = table in ("email_config", "outbox")
            assert refused(engines["reader"], f"SELECT * FROM {table}") == secret, table
            assert refused(engines["reader"], f"DELETE FROM {table}"), table
    finally:
        for engine in engines.values():
            engine.dispose()


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_journal_is_append_only_even_for_its_owner(owner, table):
    rows = {
        "decisions": "INSERT INTO decisions VALUES (now(), 0, 'equal', '{}', 'active', 1, 1, 0, 'r')",
        "fills": ORDER + "; INSERT INTO fills VALUES ('f', 'x', now(), 'A', 'buy', 1, 1, 0, 0, 0)",
        "corporate_actions": "INSERT INTO corporate_actions VALUES (now(), 'A', 'split', 2, 1, 0)",
        "trades": "INSERT INTO trades VALUES ('t', 'A', now(), now(), 'long', 1, 1, 1, 0, 0)",
        "trade_attribution": "INSERT INTO trades VALUES ('t', 'A', now(), now(), 'long', 1, 1, 1, 0, 0);"
        " INSERT INTO trade_attribution VALUES ('t', 'A', 0)",
    }
    with owner.begin() as connection:
        for statement in rows[table].split("; "):
            connection.execute(text(statement))
    for change in (
        f"DELETE FROM {table}",
        f"UPDATE {table} SET {'symbol' if table != 'decisions' else 'reason'} = 'B'",
    ):
        if table == "trade_attribution":
            change = change.replace("SET symbol", "SET agent_name")
        with pytest.raises(DBAPIError, match="never changed or deleted"), owner.begin() as connection:
            connection.execute(text(change))


def test_a_server_without_the_extension_is_refused_with_the_remedy(services):
    import psycopg

    with psycopg.connect(host=str(SERVICES.run), user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS quorum_plain")
        connection.execute("CREATE DATABASE quorum_plain OWNER quorum_owner TEMPLATE template0")
    engine = open_engine(SERVICES.database_url("quorum_plain", "quorum_owner"))
    with pytest.raises(ServiceError, match="has no timescaledb extension; run CREATE EXTENSION"):
        upgrade(engine, interval_s=60)
    engine.dispose()
    SERVICES.drop_database("quorum_plain")


def test_the_edition_is_probed(owner):
    with owner.connect() as connection:
        version, edition = probe_timescaledb(connection)
    assert version.startswith("2.")
    assert edition in ("apache", "timescale")


def test_an_unreachable_server_is_one_line_without_the_password():
    engine = open_engine("postgresql://u:geheim@127.0.0.1:1/d")
    with pytest.raises(ServiceError) as caught:
        upgrade(engine, interval_s=60)
    assert "geheim" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_times_are_utc(trader):
    with trader.connect() as connection:
        now = connection.execute(text("SELECT now()")).scalar()
    assert isinstance(now, datetime)
    assert now.utcoffset() == UTC.utcoffset(None)
