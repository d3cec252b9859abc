"""A person's halt and resume against a desk that decides, sends, waits, restarts; with the timing forced and by chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import open_engine
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.migrate import configuration
from agents.adapters.database.reader import DeskReader
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.clock import SystemClock
from agents.core.ports import RiskEvent
from agents.core.settings import Settings
from agents.core.types import Order, OrderOutcome, RiskState, as_datetime
from agents.core.weight_sets import StandIn
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.weights_in_force import DeskWeights
from agents.wiring.daemon import paper_broker
from agents.wiring.desk import plan_of
from tests.conftest import SERVICES
from tests.market import all_agents, batch_of, decide_on, make_bars
from tests.program import call
from tests.twins import MemoryWeightStore

BARS = make_bars(280, 2, 31)
FIRST = 60
"""Decisions are made from this bar on."""
HALTED, ACTIVE = RiskState.HALTED, RiskState.ACTIVE
Deed = Callable[[], None]


class InterruptedJournal(PostgresJournal):
    """A journal in whose work a person breaks in at named moments, as another process does at any."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.deeds: dict[str, list[Deed]] = {}

    def at(self, moment: str, deed: Deed) -> None:
        self.deeds.setdefault(moment, []).append(deed)

    def _now(self, moment: str) -> None:
        for deed in self.deeds.pop(moment, []):
            deed()

    def pending_commands(self):
        found = super().pending_commands()
        self._now("after reading")
        return found

    def record(self, cycle, obeyed=None):
        if "before recording" in self.deeds or not super().pending_commands():
            self._now("after reading")  # a desk reads commands only once its record has found some
        self._now("before recording")
        done = super().record(cycle, obeyed)
        if done:
            self._now("after recording")
        return done


class Desk:
    """A desk on a database, whose broker remembers what was placed."""

    def __init__(self, trader: Engine) -> None:
        self.trader, self.clock, self.placed = trader, SystemClock(), list[Order]()
        self.journal = InterruptedJournal(trader)
        self.journal.hold_desk()
        self.store = BarsStore(trader, BARS.symbols)
        self.reader = DeskReader(trader)
        self.next = FIRST
        self.open()

    def open(self) -> None:
        """Take the desk up, as a start does."""
        agents = all_agents(self.clock)
        weights = DeskWeights(agents.names, MemoryWeightStore(), MemoryWeightCache(), StandIn({}, 0.05), 3600.0)
        self.desk = Orchestrator(plan_of(Settings(), BARS.symbols), agents, weights, self.journal)
        self.broker = paper_broker(self.desk, self.journal)
        place = self.broker.place

        def noted(orders) -> list[OrderOutcome]:
            self.placed += orders
            return place(orders)

        self.broker.place = noted
        self.desk.recover(self.broker, BARS.rows(0, FIRST), as_datetime(BARS.time[FIRST]))

    def decide(self):
        at = as_datetime(BARS.time[self.next])
        cycle = decide_on(self.desk, self.broker, self.store.window(until=at, count=self.desk.bars_needed), at)
        self.next += 1
        return cycle

    def decide_in(self) -> str:
        """Decide; the risk state of that decision."""
        return word(self.decide())

    def decide_until_orders(self):
        while not (cycle := self.decide()).orders:
            pass
        return cycle

    def between(self) -> None:
        self.desk.obey_commands(self.broker, as_datetime(BARS.time[self.next]) - timedelta(hours=1))

    def command(self, state: RiskState) -> None:
        at = self.clock.now()
        event = RiskEvent(at=at, before=state, after=state, reason="test", actor="person", applied=False)
        PostgresJournal(self.trader).record_risk_event(event)

    def state(self) -> str:
        return str(self.reader.risk_state())

    def orders(self) -> dict[str, str]:
        return {row["client_order_id"]: row["state"] for row in self.reader.rows("SELECT * FROM orders")}


def word(cycle) -> str:
    return str(RiskState(cycle.risk_state[-1]))


@pytest.fixture
def desk(trader: Engine) -> Iterator[Desk]:
    BarsStore(trader, BARS.symbols).load(batch_of(BARS))
    made = Desk(trader)
    yield made
    made.journal.release()


@pytest.mark.parametrize("moment", ["after reading", "before recording"])
@pytest.mark.parametrize("earlier", [None, ACTIVE])
def test_a_halt_while_a_decision_is_made_is_obeyed_by_that_decision(desk, moment, earlier):
    """Seen: it was marked as obeyed with the earlier command, and the desk stayed active."""
    desk.decide_until_orders()
    if earlier is not None:
        desk.command(earlier)
    desk.journal.at(moment, lambda: desk.command(HALTED))
    cycle = desk.decide()
    assert word(cycle) == "halted"
    assert desk.state() == "halted"
    assert desk.reader.waiting_commands() == []


def test_a_resume_while_a_halt_is_obeyed_is_not_lost(desk):
    """The other way round."""
    desk.decide()
    desk.command(HALTED)
    desk.journal.at("before recording", lambda: desk.command(ACTIVE))
    assert desk.decide_in() == "active"
    assert desk.reader.waiting_commands() == []


def test_a_halt_between_intent_and_sending_keeps_the_orders_back(desk):
    """F22: the decision is on record; nothing of it leaves, and the next bar finds the desk halted."""
    desk.decide()
    while True:
        desk.journal.at("after recording", lambda: desk.command(HALTED))
        before = len(desk.placed)
        cycle = desk.decide()
        if cycle.orders:
            break
        desk.command(ACTIVE)
        desk.between()
    assert len(desk.placed) == before
    assert {desk.orders()[order.client_order_id] for order in cycle.orders} == {"not_placed"}
    desk.between()
    assert desk.state() == "halted"
    assert desk.decide_in() == "halted"


def test_a_halt_between_bars_cancels_what_works_and_survives_a_restart(desk):
    cycle = desk.decide_until_orders()
    desk.command(HALTED)
    assert desk.state() == "active"
    desk.between()
    assert desk.state() == "halted"
    assert {desk.orders()[order.client_order_id] for order in cycle.orders} == {"expired"}
    assert desk.broker.open_orders() == []
    desk.open()
    assert desk.broker.open_orders() == []
    assert desk.decide_in() == "halted"
    desk.command(ACTIVE)
    desk.between()
    assert desk.state() == "active"
    assert desk.decide_in() == "active"


def test_a_halt_that_cannot_be_recorded_is_obeyed_the_next_time(desk, monkeypatch):
    """The broker took the orders back, the database did not take the word: all is done again, and nothing stays open."""
    cycle = desk.decide_until_orders()
    desk.command(HALTED)

    def refuse(*_: object) -> None:
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(desk.journal, "record_outcomes", refuse)
        with pytest.raises(ConnectionError):
            desk.between()
    assert desk.state() == "active"
    desk.between()
    assert desk.state() == "halted"
    assert {desk.orders()[order.client_order_id] for order in cycle.orders} == {"expired"}


def test_200_random_interleavings(desk):
    """Seeded: at every bar a person halts or resumes at one or two moments, or not, and sometimes the desk restarts.

    Whatever the order: each command is obeyed once, by its number; the last one counts; and no order leaves after a
    halt that was given before.
    """
    chance, moments = random.Random(31), ("between", "before", "after reading", "before recording", "after recording")
    desk.decide()
    last, given = ACTIVE, 0
    for _ in range(200):
        for moment in sorted(chance.sample(moments, chance.choice((0, 1, 1, 2))), key=moments.index):
            last, given = chance.choice((HALTED, ACTIVE)), given + 1
            if moment in ("between", "before"):
                desk.command(last)
                if moment == "between":
                    desk.between()
                    assert desk.state() == str(last)
            else:
                desk.journal.at(moment, lambda state=last: desk.command(state))
        before = len(desk.placed)
        cycle = desk.decide()
        assert not desk.journal.deeds or "after recording" in desk.journal.deeds
        halted_late = [c for c in desk.journal.pending_commands() if c.state is HALTED]
        if halted_late:
            assert len(desk.placed) == before, "halted before sending"
        else:
            assert word(cycle) in (str(last), "reducing") or desk.journal.pending_commands()
        if chance.random() < 0.1:
            desk.open()
    desk.between()
    assert desk.state() in (str(last), "reducing")
    rows = desk.reader.rows("SELECT applied_at, obeyed_after FROM risk_events WHERE actor = 'person' ORDER BY id")
    assert len(rows) == given
    assert all(row["applied_at"] is not None and row["obeyed_after"] is not None for row in rows)
    marks = [row["obeyed_after"] for row in rows]
    assert marks == sorted(marks)


@pytest.mark.fault
def test_halt_needs_no_migration(tmp_path, database, owner, desk):
    """An old database is told at once; nothing is migrated, and no daemon is needed."""
    from alembic import command

    desk.decide()
    settings = configuration()
    superuser = open_engine(SERVICES.database_url(database, "postgres"))
    with superuser.connect() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0005")
    superuser.dispose()
    environment = {
        "DATABASE_URL": SERVICES.database_url(database, "quorum_owner"),
        "REDIS_URL": SERVICES.redis_url,
        "PATH": "/usr/bin",
    }
    call("halt", "--reason", "old", cwd=tmp_path, environment=environment)
    with owner.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0005"
        row = connection.execute(text("SELECT to_state, reason, applied_at FROM risk_events")).one()
    assert tuple(row) == ("halted", "old", None)
