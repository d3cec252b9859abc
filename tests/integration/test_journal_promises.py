"""Promises of the journal that no other test would miss: a decision is on disk when it is sent, a desk whose ledger and
state disagree does not trade, and values are stored as they are."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database.array_text import array_of, array_text, copy_text
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import driver_connection, open_engine
from agents.adapters.database.journal import PostgresJournal
from agents.core.clock import SystemClock
from agents.core.errors import JournalError
from agents.core.orders import OrderOutcome
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.orchestrator.orchestrator import Orchestrator
from agents.wiring.daemon import paper_broker
from agents.wiring.desk import plan_of
from tests.conftest import SERVERS, SERVICES
from tests.market import all_agents, batch_of, decide_on, make_bars
from tests.unit.pipeline.test_step import T0, weights

BARS = make_bars(70, 2, 31)
FLUSHED_WITHIN_BYTES = 4096
"""Between a commit that waits for the disk and the next look, other sessions write less than this."""


class Opened:
    """A desk on the real journal."""

    def __init__(self, trader):
        self.store, self.journal = BarsStore(trader), PostgresJournal(trader)
        self.journal.hold_desk()
        self.desk = Orchestrator(plan_of(Settings(), BARS.symbols), all_agents(SystemClock()), weights(), self.journal)
        self.broker = paper_broker(self.desk, self.journal)

    def decide(self, t):
        at = as_datetime(BARS.time[t])
        return decide_on(self.desk, self.broker, self.store.window(until=at, count=self.desk.bars_needed), at)


@pytest.fixture
def opened(trader):
    BarsStore(trader).load(batch_of(BARS))
    made = Opened(trader)
    made.desk.recover(made.broker, BARS.rows(0, 45), T0)
    yield made
    made.journal.release()


def test_a_decision_is_on_disk_before_its_orders_leave(database, owner, monkeypatch):
    """The tests' server need not wait for the disk, a user's does; here as there, the journal must not say otherwise. A
    commit that does not wait for the disk leaves the newest kilobytes of the log unwritten for up to 0.2 s: a
    power cut would forget a decision whose orders are at the venue."""
    with SERVERS.superuser() as session:
        session.execute(f'ALTER ROLE quorum_trader IN DATABASE "{database}" SET synchronous_commit = on')
    trader = open_engine(SERVICES.database_url(database, "quorum_trader"))
    BarsStore(trader).load(batch_of(BARS))
    opened = Opened(trader)
    opened.desk.recover(opened.broker, BARS.rows(0, 45), T0)
    behind = []
    question = text("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn())")
    place = opened.broker.place
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def placed(orders):
            behind.append(int(connection.execute(question).scalar_one()))
            return place(orders)

        monkeypatch.setattr(opened.broker, "place", placed)
        for t in range(45, 70):
            opened.decide(t)
    assert len(behind) >= 10, "this market makes orders"
    assert sum(bytes_ > FLUSHED_WITHIN_BYTES for bytes_ in behind) <= 1, behind
    opened.journal.release()
    trader.dispose()


def test_that_an_order_is_being_sent_is_on_disk_before_it_leaves(database, owner):
    """Seen by the simulation: a power cut forgot it, the desk took the order for one that never left, and an order that
    rests worked on at the exchange for ever."""
    with SERVERS.superuser() as session:
        session.execute(f'ALTER ROLE quorum_trader IN DATABASE "{database}" SET synchronous_commit = on')
    trader = open_engine(SERVICES.database_url(database, "quorum_trader"))
    BarsStore(trader).load(batch_of(BARS))
    opened = Opened(trader)
    opened.desk.recover(opened.broker, BARS.rows(0, 45), T0)
    for t in range(45, 70):
        opened.decide(t)
    on_disk = []
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        keys = list(connection.execute(text("SELECT client_order_id FROM orders LIMIT 12")).scalars())
        for key in keys:
            connection.execute(text(f"UPDATE orders SET state = 'intent' WHERE client_order_id = '{key}'"))
            before = connection.execute(text("SELECT pg_current_wal_insert_lsn()")).scalar_one()
            opened.journal.record_outcomes(T0, [OrderOutcome(client_order_id=key, state="sending")])
            question = text("SELECT pg_current_wal_flush_lsn() > CAST(:before AS pg_lsn)")
            on_disk.append(connection.execute(question, {"before": before}).scalar_one())
    assert len(keys) >= 5 and all(on_disk), on_disk
    opened.journal.release()
    trader.dispose()


def test_a_desk_whose_ledger_is_not_what_its_state_says_does_not_trade(opened, owner, trader):
    for t in range(45, 60):
        opened.decide(t)
    opened.journal.release()
    with owner.begin() as connection:
        held = connection.execute(text("SELECT symbol, quantity FROM positions ORDER BY symbol LIMIT 1")).one()
        connection.execute(text("UPDATE positions SET quantity = quantity + 7 WHERE symbol = :s"), {"s": held.symbol})
    again = Opened(trader)
    with pytest.raises(JournalError, match=rf"{held.symbol}: the ledger holds .* this desk does not trade"):
        again.desk.recover(again.broker, BARS.rows(0, 0), T0)
    with owner.begin() as connection:
        connection.execute(text("UPDATE positions SET quantity = quantity - 7 WHERE symbol = :s"), {"s": held.symbol})
    assert again.desk.recover(again.broker, BARS.rows(0, 0), T0) == as_datetime(BARS.time[59])
    again.journal.release()


ARRAYS = {
    "text": [
        "",
        " ",
        "NULL",
        "null",
        '"',
        "\\",
        '\\"',
        "{a,b}",
        "a,b",
        "'",
        "line\nbreak\ttab",
        "état ☃",
        "%s",
        "\\N",
        "\\.",
        "a\rb",
        "\b\f\v",
        None,
    ],
    "double precision": [0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, np.float64(1 / 3), None],
    "numeric": [Decimal("0"), Decimal("1E+3"), Decimal("-0.00000001"), Decimal("123456789012345678.12345678"), None],
    "boolean": [True, False, None],
    "bigint": [0, -(2**63), 2**63 - 1, None],
    "timestamptz": [datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), None],
    "date": [date(2026, 1, 1), date(1970, 1, 1), None],
    "bytea": [b"", b"\x00\xff\\x41", None],
}


def only_one_type(values: list[object]) -> list[object]:
    """Those of the first one's type, and one of them again: such a column has a quicker way."""
    return [value for value in [*values, values[0]] if type(value) is type(values[0])]


def nothing_to_escape(values: list[object]) -> list[object]:
    """Of words, the plain ones: theirs is quicker still."""
    return [value for value in only_one_type(values) if not {*'"\\'} & {*str(value)}]


@pytest.mark.parametrize("chosen", [list, only_one_type, nothing_to_escape])
@pytest.mark.parametrize("kind", ARRAYS)
def test_values_come_back_from_an_array_as_they_were_sent(trader, kind, chosen):
    sent = chosen(ARRAYS[kind])
    with trader.connect() as connection, driver_connection(connection).cursor(binary=True) as cursor:
        for form in (array_of, array_text):
            rows = cursor.execute(f"SELECT * FROM unnest(%s::{kind}[])", [form(sent)]).fetchall()
            received = [row[0] for row in rows]
            assert [exact(value) for value in received] == [exact(value) for value in sent]


@pytest.mark.parametrize("chosen", [list, only_one_type])
@pytest.mark.parametrize("kind", ARRAYS)
def test_values_come_back_from_a_copy_as_they_were_sent(trader, kind, chosen):
    sent = chosen([*ARRAYS[kind], math.nan, math.inf, -math.inf] if kind == "double precision" else ARRAYS[kind])
    with trader.connect() as connection, driver_connection(connection).cursor(binary=True) as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE copied (id bigint, first {kind}, second {kind}) ON COMMIT DROP")
        with cursor.copy("COPY copied FROM STDIN") as copy:
            copy.write(copy_text([(k, value, value) for k, value in enumerate(sent)]))
        rows = cursor.execute("SELECT id, first, second FROM copied ORDER BY id").fetchall()
    assert [(k, exact(a), exact(b)) for k, a, b in rows] == [(k, exact(v), exact(v)) for k, v in enumerate(sent)]


def test_numbers_that_are_none_come_back_as_they_were_sent(trader):
    with trader.connect() as connection, driver_connection(connection).cursor(binary=True) as cursor:
        sent = array_of([math.nan, math.inf, -math.inf])
        rows = cursor.execute("SELECT * FROM unnest(%s::double precision[])", [sent]).fetchall()
    assert [repr(row[0]) for row in rows] == ["nan", "inf", "-inf"]


def exact(value: object) -> object:
    """Tells -0.0 from 0.0."""
    return value.hex() if isinstance(value, float) else value


def test_a_kind_of_value_without_a_word_is_refused():
    with pytest.raises(TypeError, match="no word for dict in an array"):
        array_text([{}])
    with pytest.raises(TypeError, match="no word for dict in an array"):
        copy_text([({},)])
