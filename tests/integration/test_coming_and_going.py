"""A shadow agent on a real database: the desk decides as if it were not there; then a person promotes and retires it, and
the record says so."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import open_engine, transaction
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.settings import Settings, with_changes
from agents.core.types import as_datetime
from agents.core.weight_sets import in_force
from agents.orchestrator.weights_in_force import DeskWeights
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import SimulatedTime
from agents.tuning.agent_life import LifeRules, persons_change
from agents.tuning.weight_decision import decide_weights
from agents.wiring import desk as app
from agents.wiring.connections import Connections
from agents.wiring.desk_record import desk_journal
from agents.wiring.meta import MetaPlane
from agents.wiring.parity import check_parity
from tests.conftest import SERVERS, SERVICES
from tests.market import make_bars
from tests.simulated_jobs import jobs_on_tables

BARS = make_bars(140, 3, 5)
ALONE = with_changes(
    Settings(), {"agents.enabled": ["TrendFollower", "MeanReversion", "Breakout"], "tuning.floor": 0.05}
)
WEEK = timedelta(days=7)


@pytest.fixture
def watched(tmp_path):
    (tmp_path / "steady.py").write_text(
        "import numpy as np\n"
        "from agents.trading.base import TradingAgent, pack_signals\n\n"
        "class Steady(TradingAgent):\n"
        "    name = 'Steady'\n"
        "    bars_needed = 3\n\n"
        "    def signals(self, panel):\n"
        "        full = np.ones(panel.close.shape)\n"
        "        return pack_signals(panel, full, 0.8 * full, {})\n\n"
        "    def explain(self, evidence, strength):\n"
        "        return 'steady'\n"
    )
    return with_changes(
        ALONE,
        {
            "agents.shadow": ["Steady"],
            "agents.own": {"Steady": f"{tmp_path}/steady.py:Steady"},
            "agents.isolation": "none",
        },
    )


@pytest.fixture
def desk_connections(services):
    """Makes connections to fresh databases."""
    with ExitStack() as opened:

        def make():
            name = opened.enter_context(SERVERS.database())
            engines = [
                open_engine(SERVICES.database_url(name, f"quorum_{role}")) for role in ("owner", "trader", "meta")
            ]
            for engine in engines:
                opened.callback(engine.dispose)
            return Connections(*engines, services.redis_url, (), {})

        yield make


def traded(settings, connections):
    """BARS through both planes on the desk's tables, a job of the optimizer every week."""
    agents = app.agents_of(settings, SystemClock())
    BarsStore(connections.trader).put(BARS, "test")
    clock = SimulatedClock(as_datetime(BARS.time[0]))
    plane = MetaPlane(settings, connections, clock, with_pictures=False, every=WEEK, cache_in_memory=True)
    weights = DeskWeights(
        agents.names, PostgresWeightStore(connections.trader), plane.cache, app.stand_in_of(settings), 0.0
    )
    try:
        with desk_journal(connections) as journal:
            desk = RecordedDesk(app.plan_of(settings, BARS.symbols), agents, weights.current, journal)
            record_history(BARS, desk, SimulatedTime(clock, jobs_on_tables(plane, clock)), lambda *_: None)
    finally:
        plane.jobs.release()
    return plane


def rows(connections, query):
    with transaction(connections.meta) as connection:
        return connection.execute(text(query)).all()


DECIDED = """
SELECT d.time, d.weights_version, d.weights, d.reason FROM decisions d ORDER BY 1
"""
BOOKS = "SELECT time, book, equity, cash, turnover FROM equity WHERE book NOT LIKE 'shadow:S%' ORDER BY 1, 2"
TUNED = "SELECT version, timestamp, agent_weights, status, reason, inputs_hash, causes FROM weight_history ORDER BY 1"
QUERIES = (
    DECIDED,
    BOOKS,
    TUNED,
    "SELECT fill_id, time, symbol, side, quantity, price, fee, spread_cost, impact_cost FROM fills ORDER BY fill_id",
    "SELECT client_order_id, decision_time, symbol, side, quantity, state FROM orders ORDER BY 1",
    "SELECT time, symbol, combined, multiplier, target_weight, order_quantity FROM decision_details ORDER BY 1, 2",
    "SELECT trade_id, agent_name, contribution FROM trade_attribution WHERE agent_name <> 'Steady' ORDER BY 1, 2",
)


def test_the_record_of_a_desk_is_the_same_with_a_shadow_and_a_person_may_let_it_in_and_out(desk_connections, watched):
    alone, beside = desk_connections(), desk_connections()
    traded(ALONE, alone)
    plane = traded(watched, beside)
    for query in QUERIES:
        assert rows(alone, query) == rows(beside, query), query
    assert rows(beside, "SELECT count(*) FROM signals WHERE agent_name = 'Steady' AND NOT abstained")[0][0] > 300
    report = check_parity(plane.checked_desk, plane.clock.now(), keep=False, from_start=True)
    assert (report["differences"], report["skipped"]) == (0, 0)
    states = dict(rows(beside, "SELECT agent_name, state FROM v_agent_life"))
    assert states == {"TrendFollower": "full", "MeanReversion": "full", "Breakout": "full", "Steady": "shadow"}

    at = as_datetime(BARS.time[-1]) + timedelta(days=1)
    before = plane.store.weights_in_force(at)
    said = persons_change(
        plane.store.life_changes().lives["Steady"], "promote", ("seen", "ada"), ("shadow", LifeRules()), at
    )
    outcome = decide_weights(plane.store, plane.tuning, at, said=said)
    assert "; the largest wish" not in outcome["reason"], "seen: why nothing else moves read as the change's own reason"
    assert outcome["new_weights"]["Steady"] == pytest.approx(0.05) and sum(outcome["new_weights"].values()) == 1.0
    now = in_force(PostgresWeightStore(beside.trader).newest(), plane.agents, app.stand_in_of(watched), at)
    assert now.version == outcome["version"], "the trading plane takes it as it is"
    if outcome["reason"].endswith("below 3"):
        for name in before.weights:
            assert float(now.weights[name]) == pytest.approx(0.95 * float(before.weights[name]), abs=2e-6)
    report = check_parity(plane.checked_desk, at, keep=False, from_start=True)
    assert report["differences"] == 0

    said = persons_change(
        plane.store.life_changes().lives["Steady"], "retire", ("enough", "ada"), ("shadow", LifeRules()), at + WEEK
    )
    outcome = decide_weights(plane.store, plane.tuning, at + WEEK, said=said)
    assert "Steady" not in outcome["new_weights"] and sum(outcome["new_weights"].values()) == 1.0
    last = rows(beside, "SELECT state, actor, reason FROM v_agent_life WHERE agent_name = 'Steady'")
    assert last == [("retired", "ada", "enough")]
    with pytest.raises(DBAPIError, match="append-only|corrections are new rows|permission denied"):
        rows(beside, "UPDATE agent_life SET reason = 'x'")


def test_one_that_is_retired_though_enabled_is_published_with_nothing_so_that_nobody_takes_it_for_new(desk_connections):
    connections = desk_connections()
    plane = traded(ALONE, connections)
    at = as_datetime(BARS.time[-1]) + timedelta(days=1)
    said = persons_change(
        plane.store.life_changes().lives["Breakout"], "retire", ("enough", "ada"), ("enabled", LifeRules()), at
    )
    outcome = decide_weights(plane.store, plane.tuning, at, said=said)
    assert outcome["new_weights"]["Breakout"] == 0.0 and outcome["weights_updated"]
    later = decide_weights(plane.store, plane.tuning, at + WEEK)
    assert later["new_weights"]["Breakout"] == 0.0 and later["version"] == outcome["version"] + 1
    newest = PostgresWeightStore(connections.trader).newest()
    assert float(in_force(newest, plane.agents, app.stand_in_of(ALONE), at + WEEK).weights["Breakout"]) == 0.0
    assert json.dumps(later["evidence"]["life"]["Breakout"]["state"]) == '"retired"'
    assert isinstance(plane.cache, MemoryWeightCache)
