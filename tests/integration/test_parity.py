"""The parity check on a desk that really traded: all equal where nothing was touched, named differences where something was."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import open_engine
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.reader import DeskReader
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.cli.replay import against_record
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.errors import UsageError
from agents.core.facts import Period
from agents.core.ports import RiskEvent
from agents.core.settings import Settings, with_changes
from agents.core.types import RiskState, as_datetime
from agents.core.weight_sets import StandIn
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.weights_in_force import DeskWeights
from agents.wiring import desk as app
from agents.wiring import meta as meta_app
from agents.wiring import parity as parity_app
from agents.wiring.connections import Connections
from agents.wiring.daemon import paper_broker
from agents.wiring.history import ReplayRequest
from agents.wiring.job_settings import tuning_of
from agents.wiring.job_words import headline, kinds_of
from agents.wiring.own_history import own_history
from agents.wiring.parity import CheckedDesk, check_parity
from agents.wiring.replay import replay_history
from tests.conftest import SERVICES
from tests.market import decide_on, make_bars

BARS = make_bars(420, 3, 21, gaps=0.02, actions=True)
FIRST, RESTART, LAST = 120, 230, 400
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
    tuning={"cap": 0.25},
)

HALT, RESUME = RiskState.HALTED, RiskState.ACTIVE
BETWEEN_BARS = {180: (HALT,), 184: (RESUME,), 188: (HALT, RESUME, HALT), 192: (RESUME, HALT, RESUME)}
"""Bar -> what a person orders after its decision, each obeyed before the next."""


class LiveDesk:
    """A desk that trades bar by bar, with a restart, a halt and a resume by a person, a stale bar, and the optimizer every tenth day."""

    def __init__(self, owner, trader, meta, redis_url, *, put=True, settings=None, bars=BARS):
        settings = settings or SETTINGS  # as it is now: others put another one in its place
        self.settings, self.bars = settings, bars
        self.journal, self.store = PostgresJournal(trader), BarsStore(trader)
        if put:
            self.store.put(bars, "test")
        self.clock = SimulatedClock(as_datetime(bars.time[0]))
        self.connections = Connections(owner, trader, meta, redis_url, (), {})
        self.plane = meta_app.MetaPlane(settings, self.connections, self.clock, with_pictures=False)

    def trade(self, first: int, last: int) -> None:
        bars = self.bars
        plan = app.plan_of(self.settings, bars.symbols)
        agents = app.agents_of(self.settings, SystemClock())
        weights = DeskWeights(
            agents.names, PostgresWeightStore(self.connections.trader), MemoryWeightCache(), StandIn(START, 0.05), 0.0
        )
        self.journal.hold_desk()
        desk = Orchestrator(plan, agents, weights, self.journal)
        broker = paper_broker(desk, self.journal)
        desk.recover(
            broker,
            bars.rows(max(0, first - desk.bars_needed - plan.scale_window_bars), first),
            as_datetime(bars.time[first - 1]),
        )
        for t in range(first, last):
            at = as_datetime(bars.time[t])
            self.clock.advance_to(at)
            if t in (170, 175):
                self.command(at, RiskState.HALTED if t == 170 else RiskState.ACTIVE)
            decide_on(desk, broker, self.store.window(until=at, count=desk.bars_needed), at, stale=t == 200)
            for state in BETWEEN_BARS.get(t, ()):
                self.command(at, state)
                desk.obey_commands(broker, at)
            if t % 10 == 0 and t > 200:
                due = at + timedelta(hours=1)
                self.plane.run_job("weight_optimizer", due, due)
        self.journal.release()

    def command(self, at: datetime, state: RiskState) -> None:
        event = RiskEvent(at=at, before=state, after=state, reason="test", actor="person", applied=False)
        self.journal.record_risk_event(event)


@pytest.fixture
def desk(owner, trader, meta, redis_url):
    made = LiveDesk(owner, trader, meta, redis_url)
    yield made
    made.plane.cache.close()


def parity(desk, settings=SETTINGS, **options):
    at = as_datetime(BARS.time[-1])
    checked = CheckedDesk(settings, desk.connections.meta, desk.plane.store, tuning_of(settings))
    return check_parity(checked, at, **{"keep": False, **options})


def tampered(database, statement: str) -> None:
    """As somebody with all rights, past the guards of the journal."""
    engine = open_engine(SERVICES.database_url(database, "postgres"))
    with engine.begin() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        assert connection.execute(text(statement)).rowcount > 0, statement
    engine.dispose()


def held_by_the_views(rows):
    """Every figure of the views of money against the desk's own rows."""
    added = {(row["agent_name"], row["window_days"]): row for row in rows("SELECT * FROM v_agent_value_added")}
    assert set(added) == {(name, window) for name in START for window in (30, 90, 0)}
    follower = added["TrendFollower", 0]
    assert follower["days"] == 300 - FIRST - 1 and follower["days_differing"] > 50
    assert follower["return_low"] < follower["return_a_year"] < follower["return_high"]
    assert added["OnChainAnalyst", 0]["verdict"] == "nothing to judge yet", "it never speaks"
    earned = rows("SELECT equity - 1e6 AS it FROM equity WHERE book = 'paper' ORDER BY time DESC LIMIT 1")[0]["it"]
    paid = rows("SELECT sum(fee + spread_cost + impact_cost)::float8 AS it FROM fills")[0]["it"]
    for view, names in (("v_pnl_by_symbol", ["S0", "S1", "S2"]), ("v_pnl_by_side", ["long", "short"])):
        parts = rows(f"SELECT * FROM {view} ORDER BY 1")
        assert [next(iter(part.values())) for part in parts] == names
        assert sum(part["net"] for part in parts) == pytest.approx(earned, abs=1e-3)
        assert sum(part["gross"] for part in parts) == pytest.approx(earned + paid, abs=1e-3)
        assert all(part["gross"] - part["net"] == pytest.approx(cost_of(part), abs=1e-3) for part in parts), view
        if view == "v_pnl_by_side":
            assert {part["side"]: cost_of(part) for part in parts} == pytest.approx(costs_by_side(rows))
        else:
            assert {part["symbol"]: cost_of(part) for part in parts} == pytest.approx(paid_by_symbol(rows))
    by_agent = {part["agent_name"]: part for part in rows("SELECT * FROM v_pnl_by_agent")}
    assert set(by_agent) == {*START, "remainder"} and by_agent["OnChainAnalyst"]["costs"] == 0.0
    for figure, whole in (("net", earned), ("costs", paid), ("gross", earned + paid)):
        assert sum(part[figure] for part in by_agent.values()) == pytest.approx(whole, abs=1e-3), figure
    assert by_agent["TrendFollower"]["costs"] > 100.0 and by_agent["TrendFollower"]["trades"] > 10
    assert abs(by_agent["remainder"]["costs"]) < 0.2 * paid, "each agent's costs are its own, not what is left"
    costs = {row["period"]: row for row in rows("SELECT * FROM v_costs")}
    assert set(costs) == {"all", "2001"} and costs["all"]["costs"] == pytest.approx(paid)
    assert 0.01 < costs["all"]["percent_of_equity_a_year"] < 20.0
    assert all(row["costs"] == pytest.approx(cost_of(row)) for row in costs.values())
    mean, years, moved = rows("""SELECT avg(equity), EXTRACT(epoch FROM max(time) - min(time))::float8 / 86400 / 365.25,
                                 sum(turnover) FROM equity WHERE book = 'paper'""")[0].values()
    assert costs["all"]["percent_of_equity_a_year"] == pytest.approx(100.0 * paid / mean / years)
    assert costs["all"]["turnover_a_year"] == pytest.approx(moved / years)
    for part, column in (("fees", "fee"), ("spread", "spread_cost"), ("impact", "impact_cost")):
        whole = rows(f"SELECT sum({column})::float8 AS it FROM fills")[0]["it"]
        assert whole > 1.0 and costs["all"][part] == pytest.approx(whole), part
        for view in ("v_pnl_by_symbol", "v_pnl_by_side"):
            assert rows(f"SELECT sum({part}) AS it FROM {view}")[0]["it"] == pytest.approx(whole), (view, part)
    newest = rows("SELECT max(date) AS it FROM agent_value_added")[0]["it"]
    kept = rows("SELECT * FROM agent_value_added")
    shown = [{name: row[name] for name in follower} for row in kept if row["date"] == newest]
    assert len({row["date"] for row in kept}) > 1 and sorted(shown, key=by_place) == sorted(
        added.values(), key=by_place
    )
    trades = rows("SELECT symbol, side, pnl FROM trades")
    still = [{**row, "side": "long" if row["quantity"] > 0 else "short"} for row in rows("SELECT * FROM v_positions")]
    for view, key in (("v_pnl_by_symbol", "symbol"), ("v_pnl_by_side", "side")):
        for part in rows(f"SELECT * FROM {view}"):
            closed = [trade["pnl"] for trade in trades if trade[key] == part[key]]
            waiting = sum(row["unrealised_pnl"] for row in still if row[key] == part[key])
            assert (part["trades"], part["won"]) == (len(closed), sum(pnl > 0 for pnl in closed)), (view, part)
            assert part["of_it_unrealised"] == pytest.approx(waiting, abs=1e-6), (view, part)
            assert part["net"] == pytest.approx(float(sum(closed)) + waiting, abs=1e-6), (view, part)
    shares = rows("SELECT agent_name, contribution FROM trade_attribution WHERE contribution <> 0")
    for name, part in by_agent.items():
        own = [row["contribution"] for row in shares if row["agent_name"] == name]
        assert (part["trades"], part["won"]) == (len(own), sum(value > 0 for value in own)), name
        assert part["gross"] - part["net"] == pytest.approx(part["costs"], abs=1e-6), name
    whole = rows("SELECT count(*) AS fills, sum(quantity * price)::float8 AS notional FROM fills")[0]
    for row in costs.values():
        assert {name: row[name] for name in whole} == pytest.approx(whole)
        assert row["mean_equity"] == pytest.approx(mean)


def by_place(row):
    return row["window_days"], row["agent_name"]


def cost_of(row):
    return row["fees"] + row["spread"] + row["impact"]


def paid_by_symbol(rows):
    paid = rows("SELECT symbol, sum(fee + spread_cost + impact_cost)::float8 AS paid FROM fills GROUP BY 1")
    return {row["symbol"]: row["paid"] for row in paid}


def costs_by_side(rows):
    """A fill that turns a position pays for the part that closes on the old side, for the rest on the new one."""
    moves = rows("""SELECT symbol, CASE side WHEN 'buy' THEN quantity ELSE -quantity END::float8 AS signed, time, fill_id,
                    (fee + spread_cost + impact_cost)::float8 AS cost FROM fills
                    UNION ALL SELECT symbol, quantity_change::float8, time, '', NULL FROM corporate_actions
                    ORDER BY time, fill_id""")
    held, paid = {}, {"long": 0.0, "short": 0.0}
    for move in moves:
        signed, before = move["signed"], held.get(move["symbol"], 0.0)
        held[move["symbol"]] = before + signed
        if move["cost"] is not None:
            closing = min(1.0, abs(before / signed)) if before * signed < 0.0 else 0.0
            paid["long" if before > 0.0 else "short"] += closing * move["cost"]
            paid["long" if signed > 0.0 else "short"] += (1.0 - closing) * move["cost"]
    return paid


@pytest.mark.slow
def test_everything_is_reproduced_and_what_was_changed_is_named(desk, database, owner, monkeypatch):
    desk.trade(FIRST, RESTART)
    desk.trade(RESTART, LAST)  # the process starts anew: scale and state come from the journal
    found = parity(desk)
    assert found["decisions"] == LAST - FIRST
    assert found["examples"] == []
    assert kinds_of(found) == "nothing"
    statuses = {r["status"] for r in DeskReader(owner).rows("SELECT DISTINCT status FROM weight_history")}
    assert "apply" in statuses, "weights must have changed on the way"
    for name, (recorded, modelled) in found["slippage"].items():
        assert recorded == pytest.approx(modelled, abs=1e-6), name
    assert found["slippage"]["fees"][0] > 0

    # In small batches, whose borders fall between orders and their fills, and before and after a person's commands.
    monkeypatch.setattr(parity_app, "BATCH_DECISIONS", 17)
    assert parity(desk)["examples"] == []
    monkeypatch.undo()

    # The cost model as it is not: every fill differs, no decision does, and the costs say by how much. (A spread would
    # change decisions too: the no-trade zone goes by it.)
    dearer = SETTINGS.model_copy(update={"execution": SETTINGS.execution.model_copy(update={"impact": 0.2})})
    found = parity(desk, dearer)
    assert {kind for kind, n in found["counts"].items() if n} == {"fill"}
    assert found["slippage"]["impact"][1] == pytest.approx(2.0 * found["slippage"]["impact"][0], rel=0.05)
    # Another limit: risk, orders and with them everything after.
    tighter = SETTINGS.model_copy(update={"risk": SETTINGS.risk.model_copy(update={"symbol_cap": 0.05})})
    assert {"risk", "order"} <= {kind for kind, n in parity(desk, tighter)["counts"].items() if n}

    tampered(
        database,
        "UPDATE decision_details SET order_quantity = order_quantity + 1 WHERE time = (SELECT max(time) FROM decisions) AND symbol = 'S1'",
    )
    assert kinds_of(parity(desk)) == "1 order"
    tampered(
        database,
        "UPDATE signals SET strength = -0.9, confidence = 0.9, abstained = false WHERE agent_name = 'Breakout' AND symbol = 'S0'"
        " AND time = (SELECT max(time) FROM decisions)",
    )
    found = parity(desk)
    assert found["counts"]["signal"] >= 2, "against the agent, and in the common unit"
    assert any(e["subject"].startswith("Breakout S0") for e in found["examples"])
    tampered(
        database,
        "UPDATE weight_history SET agent_weights = previous_weights, previous_weights = agent_weights WHERE version ="
        " (SELECT max(version) FROM weight_history WHERE status = 'apply')",
    )
    assert parity(desk)["counts"]["weight"] > 0

    known = DeskReader(owner).rows("SELECT regime, count(*) AS n FROM decisions GROUP BY 1")
    assert sum(row["n"] for row in known if row["regime"] is not None) > 200  # the first half year is too little
    assert len(known) > 2
    tampered(database, "UPDATE decisions SET regime = 'turbulent down' WHERE time = (SELECT max(time) FROM decisions)")
    found = parity(desk)
    assert found["counts"]["regime"] == 1
    assert any(e["recorded"] == "turbulent down" for e in found["examples"])


def test_a_stop_that_closes_a_part_stands_beside_the_order_for_the_rest(owner, trader, meta, redis_url):
    """Where so little is traded that a stop fills in part, the decision of the same bar orders the rest: two orders of
    one symbol and one decision. The desk used to stand still there for good, as its journal took only one."""
    changes = {"risk.stop_loss": 0.01, "risk.trailing_stop": 0.015, "risk.stop_wait_bars": 1}
    settings = with_changes(SETTINGS, changes)
    thin = replace(BARS, volume=BARS.volume / 10_000.0)
    desk = LiveDesk(owner, trader, meta, redis_url, settings=settings, bars=thin)
    try:
        desk.trade(FIRST, 168)
        read = DeskReader(owner).rows
        both = read(
            "SELECT decision_time, symbol FROM orders GROUP BY 1, 2 HAVING count(*) = 2 AND count(DISTINCT kind) = 2"
        )
        assert len(both) >= 2
        assert read("SELECT kind, count(*) > 0 AS some FROM orders GROUP BY 1 ORDER BY 1") == [
            {"kind": "market", "some": True},
            {"kind": "stop", "some": True},
        ]
        assert read("SELECT 1 FROM orders GROUP BY decision_time, symbol, kind HAVING count(*) > 1") == []
        found = check_parity(
            CheckedDesk(settings, desk.connections.meta, desk.plane.store, tuning_of(settings)),
            as_datetime(thin.time[-1]),
            keep=False,
        )
        assert (found["decisions"], found["examples"]) == (48, [])
    finally:
        desk.plane.cache.close()


@pytest.mark.slow
def test_the_nightly_check_goes_on_where_the_last_one_ended(desk, database, owner, monkeypatch):
    desk.trade(FIRST, RESTART)
    first = desk.plane.run_job("parity_check", as_datetime(BARS.time[RESTART]))
    assert (first["decisions"], first["differences"]) == (RESTART - FIRST, 0)
    assert headline("parity_check", first) == "110 decisions replayed; nothing differs"
    again = desk.plane.run_job("parity_check", as_datetime(BARS.time[RESTART]))
    assert again["decisions"] == 0, "nothing new"
    desk.trade(RESTART, 300)
    monkeypatch.setattr(parity_app, "BATCH_DECISIONS", 30)
    monkeypatch.setattr(parity_app, "MOST_BATCHES", 2)
    part = desk.plane.run_job("parity_check", as_datetime(BARS.time[299]))
    assert (part["decisions"], part["examples"]) == (60, []), (
        "a long past is caught up with run by run, each within its deadline"
    )
    monkeypatch.undo()
    second = desk.plane.run_job("parity_check", as_datetime(BARS.time[300]))
    assert (second["decisions"], second["examples"]) == (300 - RESTART - 60, [])
    rows = DeskReader(owner).rows
    same = rows("""SELECT count(*) AS days, max(abs(b.desk_equity / e.equity - 1)) AS off FROM agent_books b
                   JOIN equity e ON e.time::date = b.date AND e.book = 'paper' WHERE b.agent_name = 'TrendFollower'""")[
        0
    ]
    assert same["days"] == 300 - FIRST and same["off"] < 1e-9, "halts and restarts too: the desk, as the model fills it"
    held_by_the_views(rows)
    tampered(
        database,
        "UPDATE fills SET quantity = quantity + 3 WHERE fill_id = (SELECT fill_id FROM fills ORDER BY time DESC LIMIT 1)",
    )
    desk.trade(300, 320)
    third = desk.plane.run_job("parity_check", as_datetime(BARS.time[320]))
    assert third["decisions"] == 20
    assert len(DeskReader(owner).rows("SELECT 1 FROM parity_checks")) == 4
    # The report and the alarm read the newest check.
    facts = desk.plane.reports.facts(Period(as_datetime(BARS.time[0]), as_datetime(BARS.time[-1])))
    assert facts.parity.decisions == 20
    made, _, _ = desk.plane.report(as_datetime(BARS.time[-1]), keep=False)
    assert "20 decisions from" in made.text and "20 decisions from" in made.html


@pytest.mark.slow
def test_the_desks_own_past_is_reproduced_and_asked_what_if(desk):
    """Stored signals, marks and first weights, without asking the agents: the same books as the desk had; other settings, other books."""
    desk.trade(FIRST, RESTART)
    engine = desk.connections.meta
    own = own_history(SETTINGS, engine, None, None)
    assert own.first_weights == START
    plan = ReplayRequest(settings=with_changes(SETTINGS, {"agents.static_weights": own.first_weights}), tuning=False)
    kept = []
    same = replay_history(own.history, plan, signal_source=own.signal_source, observers=[kept.append])
    rows = DeskReader(engine).rows("SELECT time, symbol, order_quantity FROM decision_details ORDER BY time, symbol")
    before = next(k for k, row in enumerate(rows) if row["time"] >= as_datetime(BARS.time[170]))
    orders = kept[0].out.order[kept[0].first :].ravel()
    np.testing.assert_array_equal(orders[:before], [row["order_quantity"] for row in rows[:before]])
    np.testing.assert_allclose(same.run.equity[: 170 - FIRST, 0], own.equity[: 170 - FIRST], rtol=1e-12)
    against = against_record(same.run, own.time, own.equity)
    assert abs(against["difference"]) < 1.0, (
        "a person halted the desk for a week, and a bar was stale: a replay knows neither"
    )
    wild = replay_history(
        own.history,
        ReplayRequest(settings=with_changes(plan.settings, {"combine.volatility_target": 0.4}), tuning=False),
        signal_source=own.signal_source,
    )
    assert wild.run.gross.mean() > 1.3 * same.run.gross.mean()
    part = own_history(SETTINGS, engine, as_datetime(BARS.time[150]), as_datetime(BARS.time[199]))
    assert len(part.time) == 50
    with pytest.raises(UsageError, match="there are some from"):
        own_history(SETTINGS, engine, as_datetime(BARS.time[410]), None)


def test_a_desk_without_a_past_is_told_so(trader):
    with pytest.raises(UsageError, match="has not decided anything yet"):
        own_history(SETTINGS, trader, None, None)
