"""The replay's arrays against the live desk's tables: the same days, scorecards, decisions and orders from the same history."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.beliefs import read_beliefs
from agents.adapters.database.engine import open_engine
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.life_store import read_changes
from agents.adapters.database.reader import DeskReader
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.core.weight_sets import StandIn
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.weights_in_force import DeskWeights
from agents.pipeline.parameters import OrderRules
from agents.pipeline.record import orders_of
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import SimulatedTime
from agents.wiring import desk as app
from agents.wiring import meta as meta_app
from agents.wiring.connections import Connections
from agents.wiring.daemon import paper_broker
from agents.wiring.desk_record import desk_journal
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.meta import MetaPlane
from agents.wiring.recorded_replay import Notices, persist
from agents.wiring.replay import replay_history, silent
from agents.wiring.weights import desk_weights
from tests.conftest import SERVERS, SERVICES
from tests.market import decide_on, make_bars
from tests.simulated_jobs import jobs_on_tables
from tests.twins import MemoryWeightStore

PACE = 72.0
BARS = make_bars(420, 4, 11, gaps=0.02, actions=True)
START = {
    "TechnicalAnalyst": 0.4,
    "TrendFollower": 0.2,
    "MeanReversion": 0.1,
    "Breakout": 0.1,
    "SentimentAnalyst": 0.1,
    "OnChainAnalyst": 0.1,
}
SETTINGS = Settings(
    desk={"name": "t"},
    data={"clock": "bars"},
    agents={"static_weights": START, "enabled": tuple(START)},
    tuning={"false_changes_per_year": 0.9},
    meta={"analyzer_hours": PACE, "optimizer_hours": PACE, "report_hours": PACE},
)


@pytest.fixture(scope="module")
def desk(services):
    """A desk whose journal and jobs were replayed into the real tables, with the jobs of the live plane between bars:
    its meta plane, and a reader. Nobody else empties this process's Redis meanwhile, as these tests stay together."""
    SERVERS.empty_redis()
    with SERVERS.database() as name, ExitStack() as stack:
        owner, trader, meta = (
            open_engine(SERVICES.database_url(name, f"quorum_{role}")) for role in ("owner", "trader", "meta")
        )
        for engine in (owner, trader, meta):
            stack.callback(engine.dispose)
        store = BarsStore(trader)
        store.put(BARS, "test")
        stored = store.after(None, limit=10_000)
        for column in ("open", "close", "volume", "split", "dividend"):
            np.testing.assert_array_equal(getattr(stored, column), getattr(BARS, column))
        connections = Connections(owner, trader, meta, SERVICES.redis_url, (), {})
        agents, clock = app.agents_of(SETTINGS, SystemClock()), SimulatedClock(as_datetime(BARS.time[0]))
        made = MetaPlane(SETTINGS, connections, clock, with_pictures=False, every=timedelta(hours=PACE))
        weights = desk_weights(SETTINGS, connections, agents)
        with desk_journal(connections) as journal:
            recorded = RecordedDesk(app.plan_of(SETTINGS, BARS.symbols), agents, weights.current, journal)
            record_history(BARS, recorded, SimulatedTime(clock, jobs_on_tables(made, clock)), silent)
        yield made, DeskReader(owner)
        made.jobs.release()
        made.cache.close()


@pytest.fixture(scope="module")
def replayed():
    """The same history on arrays."""
    return replay_history(history_of(BARS), ReplayRequest(settings=SETTINGS, report_every=None))


@pytest.mark.slow
def test_jobs_on_arrays_are_the_jobs_on_tables(desk, replayed):
    _, reader = desk
    rows = reader.rows("SELECT * FROM weight_history ORDER BY version")
    assert len(rows) == len(replayed.decisions) > 100
    assert {"apply", "hold"} <= {row["status"] for row in rows}, "the history must hold changes"
    for row, decision in zip(rows, replayed.decisions, strict=True):
        assert row["decided_for"] == decision.decided_for
        assert row["timestamp"] == decision.at
        assert (row["status"], row["method"], row["trials"]) == (decision.status, decision.method, decision.trials)
        assert row["agent_weights"] == {
            name: pytest.approx(float(w), abs=1e-12) for name, w in decision.weights.items()
        }
        assert row["inputs_hash"] == decision.inputs_hash
        assert row["reason"] == decision.reason
        assert row["sharpe_improvement"] == pytest.approx(decision.sharpe_improvement, abs=1e-8)
    realised = {row["version"]: row["realised_improvement"] for row in rows if row["realised_at"] is not None}
    assert realised.keys() == replayed.realised.keys()
    for version, value in realised.items():
        assert value == (
            None if replayed.realised[version] is None else pytest.approx(replayed.realised[version], abs=1e-9)
        )
    equity = reader.rows("SELECT time, equity FROM equity WHERE book = 'paper' ORDER BY time")
    np.testing.assert_array_equal([row["equity"] for row in equity], replayed.run.equity[:, 0])


@pytest.mark.slow
def test_days_and_scorecards_on_arrays_are_those_on_tables(desk, replayed):
    """The live jobs ran every three days; now both look at the same last bar."""
    plane, reader = desk
    end = as_datetime(BARS.time[-1])
    plane.run_job("performance_analyzer", end)
    from_tables = meta_app.MetaPlane(SETTINGS, plane.connections, plane.clock).store.agent_days(until=end)
    for field in fields(from_tables):
        ours, theirs = getattr(replayed.days, field.name), getattr(from_tables, field.name)
        if field.name == "agents":
            assert ours == theirs
        elif field.name == "date":
            np.testing.assert_array_equal(ours, theirs)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-7, err_msg=field.name)
    cards = {
        (r["agent_name"], r["window_days"]): r
        for r in reader.rows("SELECT * FROM agent_scorecards WHERE date = (SELECT max(date) FROM agent_scorecards)")
    }
    assert len(cards) == len(replayed.scorecards) == 24
    for card in replayed.scorecards:
        row = cards[card.agent_name, card.window_days]
        assert row["verdict"] == card.verdict
        for name, value in card.figures.items():
            assert row[name] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)), name


def test_a_live_week_is_its_replay_row_by_row(owner, trader):
    """The orchestrator, the paper broker and the database, bar by bar after a warm-up, against the replay from there."""
    settings = Settings(desk={"name": "demo"}, agents={"static_weights": START, "enabled": tuple(START)})
    plan, journal = app.plan_of(settings, BARS.symbols), PostgresJournal(trader)
    agents = app.agents_of(settings, SystemClock())
    weights = DeskWeights(agents.names, MemoryWeightStore(), MemoryWeightCache(), StandIn(START, 0.05), 3600.0)
    first, last = 300, 340
    journal.hold_desk()
    try:
        desk = Orchestrator(plan, agents, weights, journal)
        broker = paper_broker(desk, journal)
        desk.recover(broker, BARS.rows(0, first), as_datetime(BARS.time[first - 1]))
        for t in range(first, last):
            window = BARS.rows(max(0, t + 1 - desk.bars_needed), t + 1)
            decide_on(desk, broker, window, as_datetime(BARS.time[t]))
    finally:
        journal.release()
    kept = []
    history = history_of(BARS, as_datetime(BARS.time[first]), as_datetime(BARS.time[last - 1]))
    replayed = replay_history(history, ReplayRequest(settings=settings, tuning=False), observers=[kept.append])
    reader, out, lead = DeskReader(owner), kept[0].out, kept[0].first
    details = reader.rows("SELECT * FROM decision_details ORDER BY time, symbol")
    assert len(details) == (last - first) * len(BARS.symbols)
    for k, row in enumerate(details):
        t, s = lead + k // len(BARS.symbols), k % len(BARS.symbols)
        assert row["order_quantity"] == out.order[t, s]
        assert row["position"] == out.position[t, s]
        for name in ("combined", "raw_weight", "target_weight"):
            theirs = getattr(out, name)[t, s]
            assert row[name] == (pytest.approx(theirs, rel=1e-9, abs=1e-12) if np.isfinite(theirs) else None)
    orders = [order for day in orders_of(out, kept[0].bars, "demo", OrderRules()) for order in day]
    stored = reader.rows("SELECT client_order_id, quantity FROM orders ORDER BY decision_time, symbol")
    assert [(r["client_order_id"], r["quantity"]) for r in stored] == [(o.client_order_id, o.quantity) for o in orders]
    fills = reader.rows(
        "SELECT symbol, side, quantity, price, fee, spread_cost, impact_cost FROM fills ORDER BY time, symbol"
    )
    ours = replayed.run.fills
    assert len(fills) == len(ours.bar) > 10
    for k, row in enumerate(fills):
        assert row["symbol"] == BARS.symbols[ours.symbol[k]]
        assert float(row["quantity"]) * (1 if row["side"] == "buy" else -1) == ours.quantity[k]
        for name, values in (
            ("price", ours.price),
            ("fee", ours.fee),
            ("spread_cost", ours.spread),
            ("impact_cost", ours.impact),
        ):
            assert float(row[name]) == pytest.approx(values[k], abs=1e-8)
    equity = reader.rows("SELECT equity FROM equity WHERE book = 'paper' ORDER BY time")
    np.testing.assert_array_equal([r["equity"] for r in equity], replayed.run.equity[:, 0])


@pytest.mark.slow
def test_a_persisted_replay_fills_the_views(database, services):
    """--persist: decisions, weights and scorecards of the array replay, behind the same SQL views as on a live desk."""
    url = SERVICES.database_url("quorum_tests_persisted", "quorum_owner")
    services.ensure_database("quorum_tests_persisted")
    plan = ReplayRequest(settings=SETTINGS, report_every=timedelta(days=28))
    start = as_datetime(BARS.time[100])
    history = history_of(BARS, start)
    replayed = replay_history(history, plan)
    recorded, line = persist(url, history, plan, replayed, Notices(lambda _line: None, silent))
    assert recorded == 320
    assert line.startswith("psql")
    engine = open_engine(url)
    try:
        reader = DeskReader(engine)
        equity = reader.rows("SELECT equity FROM equity WHERE book = 'paper' ORDER BY time")
        np.testing.assert_array_equal([r["equity"] for r in equity], replayed.run.equity[:, 0])
        weights = reader.rows("SELECT status, decided_for FROM weight_history ORDER BY version")
        assert [(r["status"], r["decided_for"]) for r in weights] == [
            (d.status, d.decided_for) for d in replayed.decisions
        ]
        for view in (
            "v_agent_scorecard",
            "v_weights_current",
            "v_weight_changes",
            "v_tuning_value_added",
            "v_why_trade",
            "v_equity",
            "v_trades",
        ):
            assert reader.rows(f"SELECT * FROM {view} LIMIT 1"), view
        beliefs = replayed.jobs.beliefs
        assert set(beliefs) == {"past", "now"}
        for kind, known in beliefs.items():
            kept = read_beliefs(engine, kind)
            assert kept is not None and (kept.digest, kept.days, kept.agents) == (
                known.digest,
                known.days,
                known.agents,
            )
            for name, values in known.arrays.items():
                np.testing.assert_array_equal(kept.arrays[name], values, err_msg=name)
        assert replayed.jobs.lives and read_changes(engine) == list(replayed.jobs.lives)
        versions = reader.rows("SELECT DISTINCT weights_version FROM decisions ORDER BY 1")
        assert len(versions) > 1, "weights changed on the way"
        with pytest.raises(Exception, match="name a new one"):
            persist(url, history, plan, replayed, Notices(lambda _line: None, silent))
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM project_reports")).scalar() == 1
            stored = connection.execute(text("SELECT settings, data_hash FROM settings_tried")).one()
            assert stored.settings == replayed.manifest and stored.data_hash == replayed.manifest["data_sha256"]
    finally:
        engine.dispose()
