"""A desk whose process, agents or universe change on the way: it decides as if nothing had happened to it, and the
parity check, under the settings of its last day, finds nothing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.delistings import delist, take_back, to_be_closed
from agents.adapters.database.desk_facts import freshness, reader
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.reader import DeskReader
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.errors import UsageError
from agents.core.facts import Period
from agents.core.settings import Settings, with_changes
from agents.core.types import Bars, as_datetime
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.paper_broker import PaperBroker
from agents.orchestrator.weights_in_force import DeskWeights
from agents.pipeline.saved_state import unpack_state
from agents.wiring import desk as app
from agents.wiring import meta as meta_app
from agents.wiring.connections import Connections
from agents.wiring.daemon import leavers_of, paper_broker
from agents.wiring.job_settings import tuning_of
from agents.wiring.job_words import kinds_of
from agents.wiring.parity import CheckedDesk, check_parity
from agents.wiring.weights import desk_weights
from tests.market import decide_on, make_bars
from tests.twins import MemoryJournal, MemoryPaperVenue, MemoryWeightStore
from tests.unit.pipeline.test_step import joined

BARS = make_bars(420, 4, 21, gaps=0.02, actions=True)
FIRST, LAST = 120, 330
NAMES = ("TechnicalAnalyst", "TrendFollower", "MeanReversion", "Breakout")
SETTINGS = Settings(
    desk={"name": "t"},
    data={"clock": "bars", "symbols": ("S0", "S1", "S2", "S3")},
    agents={"enabled": NAMES, "static_weights": dict(zip(NAMES, (0.3, 0.26, 0.19, 0.25), strict=True))},
    tuning={"false_changes_per_year": 0.9},
)


class World:
    """A desk of a database that trades `bars` bar by bar; each `trade` is a process of its own."""

    def __init__(self, connections: Connections, bars: Bars):
        self.bars, self.connections = bars, connections
        self.journal = PostgresJournal(connections.trader)
        BarsStore(connections.trader).put(bars, "test")
        self.clock = SimulatedClock(as_datetime(bars.time[0]))

    def trade(self, first: int, last: int, settings: Settings, *, tune: bool = False) -> None:
        leaving = leavers_of(settings.data.symbols, self.journal)
        store = BarsStore(self.connections.trader, (*settings.data.symbols, *leaving))
        agents = app.agents_of(settings, SystemClock())
        in_use = desk_weights(settings, self.connections, agents)
        plane = meta_app.MetaPlane(settings, self.connections, self.clock, with_pictures=False)
        self.journal.hold_desk()
        desk = Orchestrator(app.plan_of(settings, store.symbols(), leaving), agents, in_use, self.journal)
        broker = paper_broker(desk, self.journal)
        before = as_datetime(self.bars.time[first - 1])
        count = desk.bars_needed + desk.plan.scale_window_bars
        desk.recover(broker, store.window(until=before, count=count), before)
        for t in range(first, last):
            at = as_datetime(self.bars.time[t])
            self.clock.advance_to(at)
            decide_on(desk, broker, store.window(until=at, count=desk.bars_needed), at)
            if tune and t % 10 == 0:
                due = at + timedelta(hours=1)
                plane.run_job("weight_optimizer", due, due)
        self.journal.release()
        plane.cache.close()

    def parity(self, settings: Settings) -> dict:
        plane = meta_app.MetaPlane(settings, self.connections, self.clock, with_pictures=False)
        checked = CheckedDesk(settings, self.connections.meta, plane.store, tuning_of(settings))
        found = check_parity(checked, as_datetime(self.bars.time[-1]), keep=False)
        plane.cache.close()
        return found

    def rows(self, query: str) -> list:
        return DeskReader(self.connections.owner).rows(query)


DECIDED = """
SELECT d.time, d.equity::text, x.symbol, x.combined::text, x.order_quantity::text, x.position::text
FROM decisions d JOIN decision_details x USING (time) ORDER BY d.time, x.symbol
"""


def test_agents_that_join_and_leave_keep_weights_and_parity(connections):
    """30/26/19/25 became equal in the trading plane, and parity raised an alarm."""
    world = World(connections, BARS)
    world.trade(FIRST, 200, SETTINGS, tune=True)
    tuned = world.rows("SELECT weights FROM decisions ORDER BY time DESC LIMIT 1")[0]["weights"]
    more = with_changes(SETTINGS, {"agents.enabled": (*NAMES, "SentimentAnalyst")})
    world.trade(200, 206, more)
    joined_ = world.rows("SELECT weights, weights_level FROM decisions ORDER BY time DESC LIMIT 1")[0]
    assert joined_["weights"]["SentimentAnalyst"] == pytest.approx(0.05)
    for name in NAMES:
        assert joined_["weights"][name] == pytest.approx(0.95 * tuned[name], abs=2e-6)
    plane = meta_app.MetaPlane(more, connections, world.clock, with_pictures=False)
    meta_plane = plane.store.weights_in_force(world.clock.now()).weights
    assert {name: float(w) for name, w in meta_plane.items()} == joined_["weights"]
    plane.cache.close()
    world.trade(206, 240, more, tune=True)
    static = dict.fromkeys(NAMES[1:], 1.0)
    fewer = with_changes(
        SETTINGS, {"agents.enabled": ("SentimentAnalyst", *NAMES[1:]), "agents.static_weights": static}
    )
    world.trade(240, 270, fewer, tune=True)
    world.trade(270, 280, more)
    for settings in (more, fewer, SETTINGS):
        found = world.parity(settings)
        assert found["examples"] == [], kinds_of(found)
        assert found["decisions"] == 280 - FIRST


def test_restarts_and_both_orders_decide_the_same_to_the_last_bit(connections, owner):
    """Warm-up, restarts in its first days and later, symbols and agents written down in both orders."""
    world = World(connections, BARS)
    backwards = with_changes(
        SETTINGS, {"data.symbols": ("S3", "S2", "S1", "S0"), "agents.enabled": tuple(reversed(NAMES))}
    )
    edges = [FIRST, *np.sort(np.random.default_rng(7).choice(np.arange(FIRST + 1, LAST), 5, replace=False)), LAST]
    for k, (first, last) in enumerate(itertools.pairwise(edges)):
        world.trade(int(first), int(last), backwards if k % 2 else SETTINGS)
    found = world.parity(backwards)
    assert (found["examples"], found["decisions"]) == ([], LAST - FIRST)
    decided = world.rows(DECIDED)
    whole = uninterrupted(BARS, FIRST, LAST)
    for name, column in (("order_quantity", "order_quantity"), ("position", "position"), ("combined", "combined")):
        recorded = np.array([float(row[column]) if row[column] is not None else np.nan for row in decided])
        np.testing.assert_array_equal(recorded, joined(whole, name).ravel())
    equity = np.array([float(row["equity"]) for row in decided[:: len(BARS.symbols)]])
    np.testing.assert_array_equal(equity, joined(whole, "equity")[:, 0])


SHADOWS = """
SELECT agent_name, "return" FROM shadow_returns WHERE time = '{time}' ORDER BY agent_name
"""


def without(*left: str) -> Settings:
    return with_changes(SETTINGS, {"data.symbols": tuple(s for s in BARS.symbols if s not in left)})


def held_at(world: World, t: int, symbol: str) -> float:
    query = "SELECT position FROM decision_details WHERE time = '{}' AND symbol = '{}'"
    found = world.rows(query.format(as_datetime(world.bars.time[t]), symbol))
    return found[0]["position"] if found else 0.0


def test_a_symbol_that_leaves_is_closed_in_every_book_and_may_return(connections):
    """Each shadow lost what it held, -24.6 % in one bar, and the tuner read that. The live book could not leave."""
    world = World(connections, BARS)
    world.trade(FIRST, 200, SETTINGS)
    left = max(BARS.symbols, key=lambda symbol: abs(held_at(world, 199, symbol)))
    assert held_at(world, 199, left) != 0.0
    held = world.rows(f"SELECT sum(abs(position)) AS n FROM decision_details WHERE symbol = '{left}'")[0]["n"]
    assert held > 0
    world.trade(200, 230, without(left))
    for row in world.rows(SHADOWS.format(time=as_datetime(BARS.time[200]))):
        assert abs(row["return"]) < 0.04, "a day's move, not the value of a position"
    order = world.rows(f"SELECT * FROM v_why_trade WHERE symbol = '{left}' ORDER BY decision_time DESC LIMIT 1")[0]
    assert (order["clamps"], order["state"]) == ("leaving the universe", "filled")
    assert order["decision_time"] == as_datetime(BARS.time[200])
    assert held_at(world, 200, left) != 0.0
    assert held_at(world, 201, left) == 0.0
    world.trade(230, 232, without(left))
    assert world.rows(f"SELECT 1 FROM decision_details WHERE symbol = '{left}' AND time > '{BARS.time[229]}Z'") == []
    world.trade(232, 260, SETTINGS)
    assert any(held_at(world, t, left) != 0.0 for t in range(232, 260)), "it is traded again"
    for settings in (SETTINGS, without(left)):
        found = world.parity(settings)
        assert (found["examples"], found["decisions"]) == ([], 260 - FIRST)
    totals = world.rows(
        "SELECT (SELECT sum(contribution) FROM bar_contributions) AS shares,"
        " (SELECT equity FROM decisions ORDER BY time DESC LIMIT 1) AS equity"
    )[0]
    assert totals["shares"] == pytest.approx(totals["equity"] - 1e6, abs=1e-3)


def test_a_leaver_without_bars_is_kept_and_marked(connections):
    """Nobody can sell it: the live book keeps it at its last price, the books beside are closed, the desk trades on."""
    gone = {name: getattr(BARS, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for grid in gone.values():
        grid[200:, 0] = np.nan
    world = World(connections, replace(BARS, **gone))
    world.trade(FIRST, 200, SETTINGS)
    before = held_at(world, 199, "S0")
    assert before != 0.0
    world.trade(200, 215, without("S0"))
    world.trade(215, 220, without("S0"))
    assert held_at(world, 219, "S0") == before
    for row in world.rows(SHADOWS.format(time=as_datetime(BARS.time[200]))):
        assert abs(row["return"]) < 0.04
    state, _ = unpack_state(
        world.journal.last().state, app.plan_of(SETTINGS, BARS.symbols), app.agents_of(SETTINGS, SystemClock()).names
    )
    assert (state.position[1:, 0] == 0.0).all()
    assert state.position[0, 0] == before
    found = world.parity(SETTINGS)
    assert (found["examples"], found["decisions"]) == ([], 220 - FIRST)


def test_a_delisting_that_a_person_tells_closes_the_symbol(connections):
    gone = {name: getattr(BARS, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for grid in gone.values():
        grid[200:, 0] = np.nan
    world = World(connections, replace(BARS, **gone))
    world.trade(FIRST, 205, SETTINGS)
    held = held_at(world, 204, "S0")
    assert held != 0.0, "no bar comes any more: it is kept"
    last = as_datetime(BARS.time[204])
    delist(connections.trader, "S0", 12.5, last + timedelta(hours=1))
    world.trade(205, 215, SETTINGS)
    assert held_at(world, 205, "S0") == 0.0
    end = as_datetime(BARS.time[214])
    with connections.owner.connect() as session:
        fresh = freshness(reader(session, Period(end, end)))
    assert "S0" not in fresh and "S1" in fresh, "seen: it counted as stale data for ever"
    action = world.rows("SELECT * FROM corporate_actions WHERE kind = 'delisting'")[0]
    assert (float(action["quantity_change"]), float(action["cash"])) == (-held, held * 12.5)
    trade = world.rows("SELECT * FROM trades WHERE trade_id LIKE 't-delisting%'")[0]
    shares = world.rows(f"SELECT sum(contribution) AS n FROM trade_attribution WHERE trade_id = '{trade['trade_id']}'")
    assert shares[0]["n"] == trade["pnl"]
    found = world.parity(SETTINGS)
    assert (found["examples"], found["decisions"]) == ([], 215 - FIRST)
    with pytest.raises(UsageError, match="is off the market since"):
        delist(connections.trader, "S0", 12.5, None)
    with pytest.raises(UsageError, match="has no bars here"):
        delist(connections.trader, "NOPE", 12.5, None)
    with pytest.raises(UsageError, match="has bars until"):
        delist(connections.trader, "S1", 12.5, as_datetime(BARS.time[100]))


def known_until(connections, last: int) -> None:
    """The database has the bars up to number `last`, and no later ones."""
    with connections.owner.begin() as session:
        session.execute(text("DELETE FROM bars"))
    BarsStore(connections.trader).put(BARS.rows(0, last + 1), "test")


def test_a_wrong_delisting_is_taken_back_until_a_decision_has_closed_the_books(connections):
    """Told of the wrong symbol: before the next decision nothing has happened; after it the close stays on record, and
    the symbol is traded again with its next bar."""
    world = World(connections, BARS)
    booked = "SELECT * FROM corporate_actions WHERE kind = 'delisting'"
    known_until(connections, 199)
    world.trade(FIRST, 200, SETTINGS)
    would = to_be_closed(connections.trader, "S1")
    assert would.held == held_at(world, 199, "S1") != 0.0
    assert would.last_price in BARS.close[190:200, 1]
    since = delist(connections.trader, "S1", 1.0, None)
    assert take_back(connections.owner, "S1").price == 1.0
    assert delist(connections.trader, "S1", 2.0, None) == since, "now with the right price"
    assert take_back(connections.owner, "S1").price == 2.0
    assert take_back(connections.owner, "S1") is None
    known_until(connections, 209)
    world.trade(200, 210, SETTINGS)
    assert held_at(world, 209, "S1") != 0.0
    assert world.rows(booked) == []
    delist(connections.trader, "S1", 1.0, None)
    known_until(connections, 219)
    world.trade(210, 220, SETTINGS)
    assert len(world.rows(booked)) == 1
    closed = f"{as_datetime(BARS.time[210]):%Y-%m-%d %H:%M}"
    with pytest.raises(
        UsageError, match=f"S1: every book was closed at 1 by the decision of {closed}, .* stays on record"
    ):
        take_back(connections.owner, "S1")
    assert held_at(world, 210, "S1") == 0.0
    assert held_at(world, 219, "S1") != 0.0, "it is traded again"
    found = world.parity(SETTINGS)
    assert (found["examples"], found["decisions"]) == ([], 220 - FIRST)


def uninterrupted(bars: Bars, first: int, last: int) -> MemoryJournal:
    """The same desk in memory, without a restart."""
    journal, agents = MemoryJournal(), app.agents_of(SETTINGS, SystemClock())
    stand_in = app.stand_in_of(SETTINGS)
    in_use = DeskWeights(agents.names, MemoryWeightStore(), MemoryWeightCache(), stand_in, 0.0)
    desk = Orchestrator(app.plan_of(SETTINGS, bars.symbols), agents, in_use, journal)
    broker = PaperBroker(desk.plan, MemoryPaperVenue(), desk.account)
    count = desk.bars_needed + desk.plan.scale_window_bars
    desk.recover(broker, bars.rows(max(0, first - count), first), as_datetime(bars.time[first - 1]))
    for t in range(first, last):
        at = as_datetime(bars.time[t])
        decide_on(desk, broker, bars.rows(max(0, t + 1 - desk.bars_needed), t + 1), at)
    return journal
