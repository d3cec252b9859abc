"""One suite for each port, over the in-memory twin and over PostgreSQL or Redis: a twin that differs is a lie."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from functools import cache

import numpy as np
import pytest

from agents.adapters.brokers.paper_venue import PostgresPaperVenue
from agents.adapters.cache.redis_weights import RedisWeightCache
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.adapters.twins.in_memory import MemoryBars, MemoryWeightCache
from agents.core.clock import SystemClock
from agents.core.errors import DeskBusyError, JournalError
from agents.core.ports import RiskEvent
from agents.core.types import CycleRecord, OrderOutcome, RiskState, WeightSet, WeightsLevel, as_datetime
from tests.market import batch_of, make_bars
from tests.twins import MemoryJournal, MemoryPaperVenue, MemoryWeightStore
from tests.unit.orchestrator.test_weights import GOOD
from tests.unit.pipeline.test_step import AGENTS, joined, run_replay

T0 = datetime(2024, 1, 1, tzinfo=UTC)
BARS = make_bars(260, 3, 12, gaps=0.02, actions=True)


@cache
def cycles() -> list[CycleRecord]:
    """What a desk decided on BARS, in segments."""
    return run_replay(BARS).cycles


# ---------------------------------------------------------------- journal


@pytest.fixture(params=["memory", "postgres"])
def journal(request):
    if request.param == "memory":
        yield MemoryJournal()
        return
    real = PostgresJournal(request.getfixturevalue("trader"))
    real.hold_desk()
    yield real
    real.release()


def test_a_new_desk_has_no_last_decision(journal):
    assert journal.last() is None
    assert list(journal.open_orders()) == []
    assert list(journal.pending_commands()) == []


def test_what_is_recorded_is_where_the_desk_resumes(journal):
    for cycle in cycles():
        journal.record(cycle)
    last = journal.last()
    assert last.time == as_datetime(BARS.time[-1])
    assert last.state == cycles()[-1].state
    assert dict(last.positions) == dict(cycles()[-1].positions)


def test_recording_a_cycle_twice_is_once_and_going_back_is_refused(journal):
    journal.record(cycles()[0])
    journal.record(cycles()[0])
    journal.record(cycles()[1])
    journal.record(cycles()[1])
    with pytest.raises(JournalError):
        journal.record(cycles()[0])
    assert journal.last().time == as_datetime(cycles()[1].time[-1])


def test_open_orders_are_those_without_a_final_state(journal):
    journal.record(cycles()[0])
    orders = [(o, s) for o, s in journal.open_orders()]
    expected = [o for o in cycles()[0].orders if o.decision_time == as_datetime(cycles()[0].time[-1])]
    assert sorted(o.client_order_id for o, _ in orders) == sorted(o.client_order_id for o in expected)
    assert {s for _, s in orders} <= {"acked"}
    assert expected, "the last bar of this segment orders something"
    first = expected[0].client_order_id
    journal.record_outcomes(T0, [OrderOutcome(client_order_id=first, state="rejected", reason="halted")])
    journal.record_outcomes(T0, [OrderOutcome(client_order_id=first, state="acked")])
    assert first not in [o.client_order_id for o, _ in journal.open_orders()], "final states stay"


def test_forecasts_come_back_as_they_were_recorded(journal):
    for cycle in cycles():
        journal.record(cycle)
    at = as_datetime(BARS.time[-1])
    back = journal.forecasts(AGENTS.names, BARS.symbols, until=at, count=50)
    expected = np.stack(
        [
            np.concatenate(
                [
                    np.where(c.signals[a].abstained, np.nan, c.signals[a].strength * c.signals[a].confidence)
                    for c in cycles()
                ]
            )
            for a in range(len(AGENTS.names))
        ],
        axis=1,
    )[-50:]
    np.testing.assert_array_equal(back, expected)
    fewer = journal.forecasts(("Nobody", AGENTS.names[0]), ("S1", "X"), until=at, count=5)
    assert np.isnan(fewer[:, 0]).all()
    np.testing.assert_array_equal(fewer[:, 1, 0], expected[-5:, 0, 1])


def test_commands_are_pending_until_obeyed(journal):
    resume = RiskEvent(
        at=T0, before=RiskState.HALTED, after=RiskState.ACTIVE, reason="checked", actor="person", applied=False
    )
    journal.record_risk_event(resume)
    (command,) = journal.pending_commands()
    assert command.state is RiskState.ACTIVE
    journal.obey([command], after=T0)
    assert list(journal.pending_commands()) == []
    assert list(journal.obeyed_since(T0)) == [command]
    reduce = RiskEvent(
        at=T0, before=RiskState.ACTIVE, after=RiskState.REDUCING, reason="drawdown", actor="desk", applied=True
    )
    journal.record_risk_event(reduce)
    assert list(journal.pending_commands()) == []


def test_a_decision_obeys_the_commands_it_knew_and_no_others(journal):
    halt = RiskEvent(
        at=T0, before=RiskState.ACTIVE, after=RiskState.HALTED, reason="test", actor="person", applied=False
    )
    first, second = cycles()[:2]
    journal.record_risk_event(halt)
    known = list(journal.pending_commands())
    journal.record_risk_event(halt)
    assert not journal.record(first, known), "another command came meanwhile"
    assert journal.last() is None
    assert len(journal.pending_commands()) == 2
    assert journal.record(first, journal.pending_commands())
    assert list(journal.pending_commands()) == []
    assert journal.record(second, [])
    assert list(journal.obeyed_since(as_datetime(second.time[0]))) == []


def test_only_one_process_holds_a_desk(trader):
    one, two = PostgresJournal(trader), PostgresJournal(trader)
    one.hold_desk()
    with pytest.raises(DeskBusyError, match="trades this desk already"):
        two.hold_desk()
    with pytest.raises(JournalError, match="does not hold the desk"):
        two.record(cycles()[0])
    one.release()
    two.hold_desk()
    two.release()


def test_everything_of_a_cycle_is_in_the_tables(trader):
    from sqlalchemy import text

    journal = PostgresJournal(trader)
    journal.hold_desk()
    for cycle in cycles():
        journal.record(cycle)
    journal.release()
    memory = run_replay(BARS)
    with trader.connect() as connection:

        def one(query):
            return connection.execute(text(query)).scalar()

        assert one("SELECT count(*) FROM decisions") == len(BARS.time)
        assert one("SELECT count(*) FROM signals") == len(BARS.time) * len(AGENTS.names) * 3
        assert one("SELECT count(*) FROM signals WHERE reason = ''") == 0
        assert one("SELECT count(*) FROM decisions WHERE reason = ''") == 0
        assert one("SELECT count(*) FROM fills") == len(memory.fills)
        assert (
            one(
                "SELECT count(*) FROM trades t WHERE pnl <> (SELECT sum(contribution) FROM trade_attribution a"
                " WHERE a.trade_id = t.trade_id)"
            )
            == 0
        )
        assert one("SELECT count(*) FROM trades") > 10
        equity = (
            connection.execute(text("SELECT equity FROM equity WHERE book = 'paper' ORDER BY time")).scalars().all()
        )
        np.testing.assert_array_equal(np.array(equity), joined(memory, "equity")[:, 0])
        cash = one(
            "SELECT 1000000 - sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END * price + fee) FROM fills"
        )
        cash += one("SELECT coalesce(sum(cash), 0) FROM corporate_actions")
        assert float(cash) == pytest.approx(joined(memory, "cash")[-1, 0], rel=1e-12)
        row = connection.execute(text("SELECT * FROM v_why_trade ORDER BY decision_time DESC LIMIT 1")).mappings().one()
        assert set(row["votes"]) == set(AGENTS.names)


# ---------------------------------------------------------------- paper venue


@pytest.fixture(params=["memory", "postgres"])
def venue(request):
    if request.param == "memory":
        yield MemoryPaperVenue()
        return
    journal = PostgresJournal(request.getfixturevalue("trader"))
    journal.hold_desk()
    yield PostgresPaperVenue(journal.writer)
    journal.release()


def test_the_venue_knows_what_it_accepted(venue):
    order = cycles()[0].orders[0]
    assert not venue.has(order.client_order_id)
    venue.accept([order])
    venue.accept([order])
    venue.accept([])
    assert venue.has(order.client_order_id)


def test_only_who_holds_the_desk_may_place_orders(trader):
    one, two = PostgresJournal(trader), PostgresJournal(trader)
    venue, order = PostgresPaperVenue(two.writer), cycles()[0].orders[0]
    one.hold_desk()
    with pytest.raises(JournalError, match="does not hold the desk"):
        venue.accept([order])
    one.release()
    two.hold_desk()
    venue.accept([order])
    two.release()
    assert PostgresPaperVenue(one.writer).has(order.client_order_id), "committed before it answered"


# ---------------------------------------------------------------- weights


@pytest.fixture(params=["memory", "postgres"])
def store(request):
    return MemoryWeightStore() if request.param == "memory" else PostgresWeightStore(request.getfixturevalue("owner"))


def test_versions_rise_and_the_newest_is_in_force(store):
    assert store.newest() is None
    first = store.publish(GOOD, at=T0, method="equal", reason="start")
    second = store.publish({"A": D("0.2"), "B": D("0.3"), "C": D("0.5")}, at=T0, method="adaptive", reason="evidence")
    assert second.version > first.version
    newest = store.newest()
    assert (newest.version, newest.weights, newest.level) == (second.version, second.weights, WeightsLevel.DATABASE)


@pytest.fixture(params=["memory", "redis"])
def cache(request):
    if request.param == "memory":
        yield MemoryWeightCache()
        return
    real = RedisWeightCache(request.getfixturevalue("redis_url"), "desk", SystemClock())
    yield real
    real.close()


def test_the_cache_gives_back_what_it_took_and_announces_it(cache):
    weights = WeightSet(
        version=7,
        weights=GOOD,
        created_at=T0,
        valid_until=T0 + timedelta(days=2),
        level=WeightsLevel.DATABASE,
        reason="r",
    )
    assert cache.read() is None
    assert cache.announced() is None
    assert cache.write(weights)
    assert cache.read() == replace(weights, level=WeightsLevel.REDIS)
    assert wait_for(cache.announced) == 7
    assert cache.announced() is None
    assert cache.alive


def wait_for(poll):
    clock = SystemClock()
    deadline = clock.monotonic_s() + 60.0
    while (value := poll()) is None and clock.monotonic_s() < deadline:
        clock.sleep_s(0.01)
    return value


# ---------------------------------------------------------------- bars


@pytest.fixture(params=["memory", "postgres"])
def source(request):
    if request.param == "memory":
        return MemoryBars(BARS)
    store = BarsStore(request.getfixturevalue("trader"), BARS.symbols)
    store.load(batch_of(BARS))
    return store


def assert_same_bars(one, two):
    np.testing.assert_array_equal(one.time, two.time)
    for name in ("open", "close", "volume", "split", "dividend"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    there = np.isfinite(two.close)
    np.testing.assert_allclose(one.adjustment[there], two.adjustment[there])


def test_windows_end_at_the_asked_moment(source):
    middle = as_datetime(BARS.time[120])
    assert_same_bars(source.window(until=middle, count=50), BARS.rows(71, 121))
    assert_same_bars(source.window(until=middle + timedelta(hours=1), count=1), BARS.rows(120, 121))
    assert_same_bars(source.window(until=middle, count=10_000), BARS.rows(0, 121))
    assert len(source.window(until=as_datetime(BARS.time[0]) - timedelta(days=1), count=5).time) == 0


def test_after_gives_what_is_newer_oldest_first(source):
    assert_same_bars(source.after(None, limit=3), BARS.rows(0, 3))
    assert_same_bars(source.after(as_datetime(BARS.time[100]), limit=7), BARS.rows(101, 108))
    assert len(source.after(as_datetime(BARS.time[-1]), limit=7).time) == 0
