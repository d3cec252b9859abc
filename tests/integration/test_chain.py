"""The chain of hashes over the journal: what nobody touched is good, what somebody touched is named."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from agents.adapters.database.chain_store import ChainStore, open_check
from agents.adapters.database.chained_tables import CHAINED, lines_of
from agents.adapters.database.engine import open_engine
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.tables import metadata
from agents.adapters.database.wipe import JOURNAL_TABLES
from agents.core.clock import SimulatedClock
from agents.core.errors import JournalError
from agents.core.types import as_datetime
from agents.wiring.connections import Connections
from agents.wiring.integrity import check_record, require_intact
from agents.wiring.meta import MetaPlane
from tests.conftest import SERVERS, SERVICES
from tests.integration.test_parity import BARS, SETTINGS, LiveDesk

FIRST, RESTART, LAST = 250, 285, 310
NOW = as_datetime(BARS.time[LAST]) + timedelta(hours=1)


@pytest.fixture(scope="module")
def traded(services):
    """The name of a database in which a desk traded, was started anew, was halted and went on."""
    with SERVERS.database() as name:
        engines = [open_engine(SERVICES.database_url(name, f"quorum_{role}")) for role in ("owner", "trader", "meta")]
        desk = LiveDesk(*engines, SERVICES.redis_url)
        desk.trade(FIRST, RESTART)
        desk.trade(RESTART, LAST)
        desk.plane.cache.close()
        for engine in engines:
            engine.dispose()
        yield name


@pytest.fixture
def copied(traded):
    """The traded database for one test, to be damaged."""
    name = f"{traded}_copy"
    SERVICES.drop_database(name)
    with SERVERS.superuser() as session:
        session.execute(f'CREATE DATABASE "{name}" TEMPLATE "{traded}"')
    yield name
    SERVICES.drop_database(name)


@pytest.fixture
def trader(copied):
    engine = open_engine(SERVICES.database_url(copied, "quorum_trader"))
    yield engine
    engine.dispose()


def damage(database: str, *statements: str) -> None:
    """As an owner who goes past the triggers."""
    engine = open_engine(SERVICES.database_url(database, "postgres"))
    with engine.begin() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        for statement in statements:
            assert connection.execute(text(statement)).rowcount > 0, statement
    engine.dispose()


def named(trader, *, whole: bool = True) -> list[str]:
    return [str(difference) for difference in ChainStore(trader).check(whole=whole).differences]


def one(trader, query: str):
    with trader.connect() as connection:
        return connection.execute(text(query)).first()


def test_what_nobody_touched_is_good_and_each_decision_has_its_link(trader):
    report = ChainStore(trader).check(whole=True)
    assert report.differences == []
    counted = one(trader, "SELECT count(*) FILTER (WHERE kind = 'decision'), count(*) FROM journal_chain")
    assert counted[0] == LAST - FIRST
    assert report.to_seq == counted[1]
    for table in ("fills", "trades", "trade_attribution", "corporate_actions"):
        assert one(trader, f"SELECT count(*) FROM {table}")[0] > 0, f"{table}: the test covers nothing"


DAMAGE = {
    "an order's quantity": (
        "UPDATE orders SET quantity = quantity + 1 WHERE client_order_id = (SELECT min(client_order_id) FROM orders)",
        "SELECT 'orders ' || to_char(decision_time, 'YYYY-MM-DD HH24:MI:SS') || ' ' || client_order_id || ': changed'"
        " FROM orders ORDER BY client_order_id LIMIT 1",
    ),
    "a fill's price by its last digit": (
        "UPDATE fills SET price = price + 0.00000001 WHERE fill_id = (SELECT max(fill_id) FROM fills)",
        "SELECT 'fills ' || max(fill_id) || ': changed' FROM fills",
    ),
    "a signal by its last bit": (
        "UPDATE signals SET confidence = confidence * 0.9999999999999999 WHERE agent_name = 'Breakout' AND symbol = 'S1'"
        " AND confidence > 0.1 AND time = (SELECT max(time) FROM signals WHERE agent_name = 'Breakout' AND symbol = 'S1'"
        " AND confidence > 0.1)",
        "SELECT 'signals ' || to_char(max(time), 'YYYY-MM-DD HH24:MI:SS') || ' Breakout S1: changed' FROM signals"
        " WHERE agent_name = 'Breakout' AND symbol = 'S1' AND confidence > 0.1",
    ),
    "what an agent's fills cost": (
        "UPDATE bar_contributions SET cost = NULL WHERE agent_name = 'Breakout' AND time = (SELECT max(time)"
        " FROM bar_contributions)",
        "SELECT 'bar_contributions ' || to_char(max(time), 'YYYY-MM-DD HH24:MI:SS') || ' Breakout: changed'"
        " FROM bar_contributions",
    ),
    "why an agent said it": (
        "UPDATE signals SET reason = 'insider' WHERE agent_name = 'Breakout' AND symbol = 'S0'"
        " AND time = (SELECT min(time) FROM signals)",
        "SELECT 'signals ' || to_char(min(time), 'YYYY-MM-DD HH24:MI:SS') || ' Breakout S0: changed' FROM signals",
    ),
    "the weights that were traded with": (
        "UPDATE decisions SET weights = jsonb_set(weights, '{Breakout}', '0.2')"
        " WHERE time = (SELECT min(time) FROM decisions)",
        "SELECT 'decisions ' || to_char(min(time), 'YYYY-MM-DD HH24:MI:SS') || ': changed' FROM decisions",
    ),
    "the market's regime": (
        "UPDATE decisions SET regime = CASE regime WHEN 'calm up' THEN 'calm down' ELSE 'calm up' END"
        " WHERE time = (SELECT max(time) FROM decisions)",
        "SELECT 'decisions ' || to_char(max(time), 'YYYY-MM-DD HH24:MI:SS') || ': changed' FROM decisions",
    ),
    "an agent's share of a trade": (
        "UPDATE trade_attribution SET contribution = contribution + 1 WHERE agent_name = 'Breakout'"
        " AND trade_id = (SELECT min(trade_id) FROM trades)",
        "SELECT 'trade_attribution ' || min(trade_id) || ' Breakout: changed' FROM trades",
    ),
    "how an order ended": (
        "UPDATE orders SET state = 'rejected' WHERE client_order_id ="
        " (SELECT min(client_order_id) FROM orders WHERE state = 'filled')",
        "SELECT 'orders ' || min(client_order_id) || ': changed' FROM orders WHERE state IN ('filled', 'rejected')",
    ),
    "a fill taken away": (
        "DELETE FROM fills WHERE fill_id = 'GONE'",
        "SELECT 'fills GONE: missing'",
    ),
    "a fill added": (
        "INSERT INTO fills SELECT 'MORE', client_order_id, time, symbol, side, quantity, price, fee, 0, 0 FROM fills LIMIT 1",
        "SELECT 'fills MORE: no link of the chain covers it'",
    ),
    "a position": (
        "UPDATE positions SET cost = cost + 1",
        "SELECT 'positions after link ' || max(seq) || ': changed' FROM journal_chain WHERE state IS NOT NULL",
    ),
    "the desk's state": (
        "UPDATE desk_state SET state = state || '\\x00'::bytea",
        "SELECT 'desk_state after link ' || max(seq) || ': changed' FROM journal_chain WHERE state IS NOT NULL",
    ),
    "a decision that nobody made": (
        "INSERT INTO decisions SELECT time + interval '1 hour', 0, 'equal', '{}', 'active', 1, 1, 0, '' FROM decisions"
        " ORDER BY time LIMIT 1",
        "SELECT 'decisions ' || to_char(min(time) + interval '1 hour', 'YYYY-MM-DD HH24:MI:SS')"
        " || ': no link of the chain covers it' FROM decisions",
    ),
    "a link": ("UPDATE journal_chain SET time = time + interval '1 s' WHERE seq = 3",
               "SELECT 'journal_chain 3: the link was changed'"),
    "a link taken away": ("DELETE FROM journal_chain WHERE seq = 3",
                          "SELECT 'journal_chain 4: the links after 2 are missing'"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_what_was_changed_is_named(what, copied, trader):
    """K09."""
    statement, expected = DAMAGE[what]
    if "GONE" in statement:
        gone = str(one(trader, "SELECT min(fill_id) FROM fills")[0])
        statement, expected = statement.replace("GONE", gone), expected.replace("GONE", gone)
    damage(copied, statement)
    assert one(trader, expected)[0] in named(trader)


def test_only_the_changed_row_is_named(copied, trader):
    damage(copied, "UPDATE fills SET price = price + 1 WHERE fill_id = (SELECT max(fill_id) FROM fills)")
    assert len(named(trader)) == 1


def test_an_end_that_was_cut_off_is_seen_against_the_last_good_check(copied, trader):
    check_record(trader, NOW, whole=True)
    seq = one(trader, "SELECT max(seq) FROM journal_chain")[0]
    damage(copied, f"DELETE FROM journal_chain WHERE seq = {seq}")
    assert f"journal_chain {seq}: is not the link that was verified before" in named(trader, whole=False)


def test_a_desk_whose_record_was_changed_does_not_trade_until_a_person_accepts(copied, trader):
    """At the start what is new since the last good check, every night everything; an alarm while it lasts."""
    require_intact(trader, NOW)
    damage(copied, "UPDATE signals SET reason = 'insider' WHERE time = (SELECT min(time) FROM signals)")
    require_intact(trader, NOW)  # older than the last good check: the night's check is for that
    report = check_record(trader, NOW, whole=True)
    assert len(report.differences) == 18, "six agents of that desk, three symbols"
    with trader.connect() as connection:
        alarm = open_check(connection)
    assert alarm is not None and alarm.differences == 18 and alarm.first.startswith("signals 2001-")
    require_intact(trader, NOW)
    with trader.connect() as connection:
        assert open_check(connection) is not None, "a look at the newest links refutes nothing"

    damage(copied, "UPDATE desk_state SET time = time, state = state || '\\x01'::bytea")
    with pytest.raises(JournalError, match=r"desk_state after link \d+: changed.*quorum verify --accept"):
        require_intact(trader, NOW)
    check_record(trader, NOW, whole=True, accepted="mended by hand")
    require_intact(trader, NOW)
    assert check_record(trader, NOW, whole=True).differences == [], "what is accepted is known"
    with trader.connect() as connection:
        assert open_check(connection) is None


def test_the_nights_job_finds_it_and_an_alarm_lasts_until_it_is_dealt_with(copied, trader):
    meta = open_engine(SERVICES.database_url(copied, "quorum_meta"))
    plane = MetaPlane(SETTINGS, Connections(trader, trader, meta, SERVICES.redis_url, (), {}), SimulatedClock(NOW))
    assert plane.run_job("parity_check", NOW)["chain_differences"] == 0
    first = "(SELECT min(client_order_id) FROM orders)"
    damage(copied, f"UPDATE orders SET quantity = quantity + 1 WHERE client_order_id = {first}")
    assert plane.run_job("parity_check", NOW)["chain_differences"] == 1
    alarm = "SELECT severity, detail FROM alarms WHERE kind = 'journal_changed' AND closed_at IS NULL"
    plane.raise_alarms(NOW)
    severity, detail = one(trader, alarm)
    assert severity == "critical"
    assert detail.startswith("a row is not what was recorded (orders 2001-") and "quorum verify" in detail
    check_record(trader, NOW, whole=True, accepted="as the broker's statement says")
    plane.raise_alarms(NOW)
    assert one(trader, alarm) is None
    plane.cache.close()
    meta.dispose()


def test_what_was_recorded_without_links_is_sealed_when_the_desk_is_taken_up(copied, trader):
    """A database of an older release, and a desk that an older program went on trading."""
    damage(copied, "DELETE FROM journal_chain WHERE seq > 30")
    assert named(trader) != []
    journal = PostgresJournal(trader)
    journal.hold_desk()
    journal.release()
    assert named(trader) == []
    damage(copied, "DELETE FROM journal_chain")
    journal.hold_desk()
    journal.release()
    assert named(trader) == []
    damage(copied, "UPDATE fills SET price = price + 1 WHERE fill_id = (SELECT max(fill_id) FROM fills)")
    assert named(trader) == [str(one(trader, "SELECT 'fills ' || max(fill_id) || ': changed' FROM fills")[0])]


def test_numbers_come_back_as_they_were_chained(trader):
    """Floats to the last bit, money to the last digit, however they are written."""
    draw = random.Random(7)
    floats = [draw.uniform(-1, 1) * 10.0 ** draw.randint(-300, 300) for _ in range(500)] + [-0.0, 5e-324, 0.1 + 0.2]
    money = [Decimal(draw.randint(-(10**18), 10**18)).scaleb(-draw.randint(0, 12)) for _ in range(500)]
    money += [Decimal("-0.000000004"), Decimal("1E+3"), Decimal("-0"), Decimal("0.000000005"), Decimal("-0.000000015")]
    with trader.connect() as connection:
        query = text("SELECT x, x, x FROM unnest(CAST(:x AS float8[])) x")
        rows = connection.execute(query, {"x": floats}).all()
        written = [("paper", x, x, x) for x in floats]
        assert lines_of("equity", [("paper", *row) for row in rows]) == lines_of("equity", written)
        cast = text("SELECT CAST(x AS numeric(28,8)) FROM unnest(CAST(:x AS numeric[])) x")
        back = connection.execute(cast, {"x": money}).scalars().all()
    shares = [("t", "a", x) for x in money]
    assert lines_of("trade_attribution", shares) == lines_of("trade_attribution", [("t", "a", x) for x in back])


def test_a_row_from_before_a_column_has_the_bytes_of_then():
    assert lines_of("bar_contributions", [("A", 1.5, None), ("B", -0.0, 2.5)]) == [b"('A', 1.5)", b"('B', -0.0, 2.5)"]
    old = (7, "static", '{"A": 1}', "active", 10.0, 10.0, 0, "why", 3)
    known = lines_of("decisions", [(*old, None), (*old, "calm up")])
    assert known == [ascii((*old[:2], [("A", "1")], *old[3:])).encode(), known[0][:-1] + b", 'calm up')"]


def test_every_column_that_is_final_is_covered():
    """A column that the journal writes and nobody chains could be changed unseen."""
    may_change = {"orders": {"state", "reason"}}
    head_only = {"positions", "desk_state"}
    others = {"risk_events", "paper_orders", "late_bars", "parity_checks", "journal_chain", "chain_checks"}
    others |= {"broker_outside", "reconciliation_breaks", "resting_stops"}  # they stand until they are settled
    others |= {"cash_flows"}  # taken between two decisions, as commands are: parity computes each decision with them
    assert {chained.table for chained in CHAINED} == set(JOURNAL_TABLES) - head_only - others
    for chained in CHAINED:
        if chained.name == chained.table:
            covered = {chained.time, *chained.columns} | may_change.get(chained.table, set())
            written = {column.name for column in metadata.tables[chained.table].c} - {"recorded_at", "updated_at"}
            assert written <= covered, chained.table


APPEND_ONLY = ("signals", "decision_details", "equity", "shadow_returns", "bar_contributions", "agent_work_log",
               "journal_chain")  # fmt: skip


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_no_session_changes_a_row_not_even_the_owners(copied, table):
    owner = open_engine(SERVICES.database_url(copied, "quorum_owner"))
    column = {"journal_chain": "time"}.get(table, "agent_name" if "agent_name" in metadata.tables[table].c else "time")
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(DBAPIError, match="never changed or deleted"), owner.begin() as connection:
            connection.execute(text(statement))
    for statement in ("UPDATE orders SET quantity = 1", "DELETE FROM orders", "UPDATE orders SET symbol = 'X'"):
        with pytest.raises(DBAPIError, match="may change; corrections are new rows"), owner.begin() as connection:
            connection.execute(text(statement))
    owner.dispose()
