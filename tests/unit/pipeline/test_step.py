"""The compiled step as a whole: identities, prefix and poison, live against replay, compiled against plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.adapters.twins.in_memory import MemoryBars, MemoryWeightCache
from agents.core.books import CONTROLS, FIRST_SHADOW
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.errors import ServiceError
from agents.core.settings import Settings
from agents.core.types import REMAINDER, Bars, Order, WeightSet, WeightsLevel, as_datetime
from agents.core.weight_sets import StandIn, unpublished
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.paper_broker import PaperBroker
from agents.orchestrator.weights_in_force import DeskWeights
from agents.pipeline.order_ids import client_order_id
from agents.pipeline.parameters import DeskPlan
from agents.pipeline.saved_state import unpack_state
from agents.pipeline.state import new_state
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import SimulatedTime
from agents.wiring.desk import plan_of
from tests.market import all_agents, decide_on, make_bars
from tests.real_history import demo_bars, etf_bars
from tests.twins import MemoryJournal, MemoryPaperVenue, MemoryWeightStore

T0 = datetime(1990, 1, 1, tzinfo=UTC)
AGENTS = all_agents(SystemClock())


def weights() -> DeskWeights:
    return DeskWeights(AGENTS.names, MemoryWeightStore(), MemoryWeightCache(), StandIn({}, 0.05), 3600.0)


def plan(settings_: Settings, symbols: tuple[str, ...]) -> DeskPlan:
    return plan_of(settings_.model_copy(update={"desk": settings_.desk.model_copy(update={"name": "demo"})}), symbols)


def run_replay(bars: Bars, settings_: Settings | None = None, journal: MemoryJournal | None = None) -> MemoryJournal:
    journal = journal or MemoryJournal()
    desk = RecordedDesk(plan(settings_ or Settings(), bars.symbols), AGENTS, weights().current, journal)
    record_history(bars, desk, SimulatedTime(SimulatedClock(T0)), lambda *_: None)
    return journal


def joined(journal: MemoryJournal, name: str) -> np.ndarray:
    return np.concatenate([getattr(cycle, name) for cycle in journal.cycles])


def run_live(bars: Bars, start: int, settings_: Settings | None = None) -> MemoryJournal:
    """The orchestrator bar by bar from `start`, with the paper broker; what was before is warm-up."""
    settings_ = settings_ or Settings()
    journal, clock = MemoryJournal(), SimulatedClock(T0)
    base = plan(settings_, bars.symbols)
    desk = Orchestrator(base, AGENTS, weights(), journal)
    broker = PaperBroker(base, MemoryPaperVenue(), desk.account)
    source = MemoryBars(bars)
    desk.recover(broker, bars.rows(0, start), clock.now())
    for t in range(start, len(bars.time)):
        at = as_datetime(bars.time[t])
        clock.advance_to(at)
        decide_on(desk, broker, source.window(until=at, count=desk.bars_needed), at)
    return journal


class Connection:
    """A connection that is lost at chosen calls, of which there are several kinds."""

    def __init__(self, lost: dict[str, set[int]]) -> None:
        self.lost, self.calls, self.working = lost, Counter(), False

    def use(self, name: str) -> None:
        if self.working:
            self.calls[name] += 1
            if self.calls[name] in self.lost.get(name, ()):
                raise ServiceError(f"{name}: the server has gone away")


class FlakyVenue(MemoryPaperVenue):
    """Loses the connection before it took the orders or after."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection

    def accept(self, orders):
        self.connection.use("before_accept")
        super().accept(orders)
        self.connection.use("after_accept")


class FlakyJournal(MemoryJournal):
    """Loses the connection when answers are written."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection

    def record(self, cycle, obeyed=None):
        self.connection.working = False  # one transaction: it is not lost half-way
        done = super().record(cycle, obeyed)
        self.connection.working = True
        return done

    def record_outcomes(self, at, outcomes):
        self.connection.use("answers")
        super().record_outcomes(at, outcomes)


@pytest.mark.parametrize(
    "lost", [{"answers": {3, 9, 10}}, {"after_accept": {4}, "answers": {4}}, {"after_accept": {5, 6}}]
)
def test_a_database_lost_after_the_decision_doubles_nothing(lost):
    """The cycle fails after its decision is on record; tried again, it goes on with sending and decides nothing twice."""
    bars = make_bars(90, 2, 5)
    calm = run_live(bars, 0)
    connection = Connection(lost)
    journal, venue = FlakyJournal(connection), FlakyVenue(connection)
    base = plan(Settings(), bars.symbols)
    desk = Orchestrator(base, AGENTS, weights(), journal)
    broker = PaperBroker(base, venue, desk.account)
    source, troubles = MemoryBars(bars), 0
    desk.recover(broker, bars.rows(0, 0), T0)
    connection.working = True
    for time in bars.time:
        at = as_datetime(time)
        for _ in range(5):
            try:
                decide_on(desk, broker, source.window(until=at, count=desk.bars_needed), at)
                break
            except ServiceError:
                troubles += 1
    assert troubles == len(lost.get("answers", ())), "an unknown outcome is resolved at once"
    assert journal.fills == calm.fills
    assert {k: o.quantity for k, (o, _, _) in journal.orders.items()} == {
        k: o.quantity for k, (o, _, _) in calm.orders.items()
    }


@settings(max_examples=12)
@given(seed=st.integers(0, 1000), gaps=st.sampled_from([0.0, 0.03]), actions=st.booleans())
def test_the_money_adds_up(seed, gaps, actions):
    """Each bar's contributions are the live book's P&L; every trade's shares are its P&L exactly; the Decimal ledger
    reproduces the float equity to 1e-6."""
    bars = make_bars(400, 3, seed, gaps=gaps, actions=actions)
    journal = run_replay(bars)
    equity = joined(journal, "equity")[:, 0]
    moves = np.diff(np.concatenate([[1e6], equity]))
    np.testing.assert_allclose(joined(journal, "contribution").sum(axis=1), moves, atol=1e-5)
    pnl = {t.trade_id: t.pnl for cycle in journal.cycles for t in cycle.trades}
    shares: dict[str, Decimal] = dict.fromkeys(pnl, Decimal(0))
    names = set()
    for cycle in journal.cycles:
        for row in cycle.contributions:
            shares[row.trade_id] += row.contribution
            names.add(row.agent_name)
    assert pnl, "this market makes trades"
    assert shares == pnl
    assert REMAINDER in names
    last = journal.cycles[-1]
    state, cash = unpack_state(last.state, plan(Settings(), bars.symbols), AGENTS.names)
    value = float(cash) + sum(float(p.quantity) * state.mark[bars.symbols.index(s)] for s, p in last.positions.items())
    assert value == pytest.approx(equity[-1], rel=1e-6)
    assert float(cash) == pytest.approx(state.cash[0], rel=1e-9)


def test_trade_shares_are_small_change_away_from_the_pools():
    """The remainder row holds what nobody asked for, not attribution errors: agents' and remainder's realised pools
    of all trades sum to the trades' P&L before any fixing."""
    bars = make_bars(500, 3, 3)
    journal = run_replay(bars)
    total = sum(float(t.pnl) for c in journal.cycles for t in c.trades)
    agents_part = sum(
        float(r.contribution) for c in journal.cycles for r in c.contributions if r.agent_name != REMAINDER
    )
    remainder = sum(float(r.contribution) for c in journal.cycles for r in c.contributions if r.agent_name == REMAINDER)
    assert agents_part + remainder == pytest.approx(total, abs=1e-6)
    gross = sum(abs(float(r.contribution)) for c in journal.cycles for r in c.contributions)
    assert abs(remainder) < 0.3 * gross


@pytest.mark.parametrize(("gaps", "actions"), [(0.0, False), (0.03, True)])
def test_live_bar_by_bar_equals_replay(gaps, actions):
    """The same decisions, orders, fills and trades exactly; signals to 1e-9, equity to 1e-9 relative."""
    bars = make_bars(360, 3, 17, gaps=gaps, actions=actions)
    whole = run_replay(bars)
    live = run_live(bars, 0)
    assert [o for c in live.cycles for o in c.orders] == [o for c in whole.cycles for o in c.orders]
    assert live.fills == whole.fills
    assert [t for c in live.cycles for t in c.trades] == [t for c in whole.cycles for t in c.trades]
    assert [a for c in live.cycles for a in c.actions] == [a for c in whole.cycles for a in c.actions]
    states = {key: state for key, (_, state, _) in whole.orders.items()}
    assert {key: state for key, (_, state, _) in live.orders.items()} == states
    np.testing.assert_allclose(joined(live, "equity"), joined(whole, "equity"), rtol=1e-9)
    np.testing.assert_array_equal(joined(live, "no_trade"), joined(whole, "no_trade"))
    np.testing.assert_array_equal(joined(live, "clamps"), joined(whole, "clamps"))
    np.testing.assert_allclose(joined(live, "contribution"), joined(whole, "contribution"), atol=1e-5)
    for a in range(len(AGENTS.names)):
        mine = np.concatenate([c.signals[a].strength for c in live.cycles])
        np.testing.assert_allclose(mine, np.concatenate([c.signals[a].strength for c in whole.cycles]), atol=1e-9)
    assert [c.reasons for c in live.cycles][-1][0][0] == [r[-1] for r in [whole.cycles[-1].reasons[0]]][0]


def assert_no_look_ahead(bars: Bars, cut: int) -> None:
    """Decisions up to `cut` are the same whether the bars after it exist, are garbage, or are missing."""
    poisoned = {f: getattr(bars, f).copy() for f in ("open", "high", "low", "close", "volume")}
    for array in poisoned.values():
        array[cut:] *= 37.0
    prefix = run_replay(bars.rows(0, cut))
    for journal in (run_replay(bars), run_replay(replace(bars, **poisoned))):
        for name in ("order_quantity", "equity", "position", "combined", "contribution"):
            np.testing.assert_array_equal(joined(journal, name)[:cut], joined(prefix, name))


@settings(max_examples=8)
@given(seed=st.integers(0, 1000), gaps=st.sampled_from([0.0, 0.1]), cut=st.integers(60, 290))
def test_the_pipeline_does_not_look_ahead(seed, gaps, cut):
    assert_no_look_ahead(make_bars(300, 3, seed, gaps=gaps, actions=True), cut)


@pytest.mark.parametrize("read", [demo_bars, etf_bars])
def test_the_pipeline_does_not_look_ahead_on_real_history(read):
    """With splits, late listings, and in one ETF a hole of six years; and the money adds up there too."""
    bars = read()
    assert_no_look_ahead(bars, 3000)
    journal = run_replay(bars)
    moves = np.diff(np.concatenate([[1e6], joined(journal, "equity")[:, 0]]))
    np.testing.assert_allclose(joined(journal, "contribution").sum(axis=1), moves, atol=1e-4)


def test_forecasts_do_not_depend_on_the_start():
    """The scale of agents is measured over a window: a desk that begins later says the same, to 1e-9."""
    from agents.pipeline.combine import scale_forecasts

    rng = np.random.default_rng(3)
    raw = np.clip(rng.normal(0, 0.5, (900, 4, 3)), -1, 1)
    raw[rng.random(raw.shape) < 0.2] = np.nan
    whole, correlation = scale_forecasts(raw, 250, 2.0)
    for t in (250, 600, 899):
        part, part_correlation = scale_forecasts(raw[t - 249 : t + 1], 250, 2.0)
        np.testing.assert_allclose(part[-1], whole[t], atol=1e-9)
        np.testing.assert_allclose(part_correlation[-1], correlation[t], atol=1e-9)


def test_the_paper_broker_refuses_by_value():
    bars = make_bars(60, 2, 1)
    base = plan(Settings(), bars.symbols)
    state = new_state(len(AGENTS.names), 2, 1e6)
    venue = MemoryPaperVenue()
    broker = PaperBroker(base, venue, lambda: state, halted={"S1"})
    orders = [
        Order(client_order_id=f"o{k}", decision_time=T0, symbol=symbol, side="buy", quantity=Decimal(5))
        for k, symbol in enumerate(("S0", "S1", "NOPE"))
    ]
    answers = broker.place(orders)
    assert [(a.state, a.reason) for a in answers] == [
        ("acked", ""),
        ("rejected", "rejected: symbol halted"),
        ("rejected", "rejected: unknown symbol"),
    ]
    assert [venue.has(o.client_order_id) for o in orders] == [True, False, False]
    assert broker.lookup("o0").state == "acked"
    assert broker.lookup("o2") is None
    state.pending[0, 0] = 5.0
    assert broker.poll(T0) == [], "nothing has become of it yet"
    assert [o.client_order_id for o in broker.open_orders()] == ["o0"]
    broker.match(bars.rows(0, 1))
    first = broker.poll(T0 - timedelta(days=9999))
    assert [(o.client_order_id, o.state) for o in first] == [("o0", "filled")]
    broker.match(bars.rows(0, 1))
    assert broker.poll(T0 - timedelta(days=9999)) == first, "shown the same bar again: the same answer"
    assert broker.poll(as_datetime(bars.time[0])) == [], "that is known already"
    assert broker.open_orders() == []
    broker.match(bars.rows(1, 2))
    assert broker.poll(as_datetime(bars.time[0])) == []


def test_the_paper_account_is_the_desk_s():
    bars = make_bars(60, 2, 1)
    base = plan(Settings(), bars.symbols)
    state = new_state(len(AGENTS.names), 2, 1e6)
    state.position[0] = (0.0, -2.5)
    state.cash[0] = 12.25
    broker = PaperBroker(base, MemoryPaperVenue(), lambda: state)
    assert broker.positions() == {"S1": Decimal("-2.5")}
    assert broker.balances() == {"cash": Decimal("12.25")}


def test_a_cancelled_order_is_not_filled_any_more():
    bars = make_bars(60, 2, 1)
    state = new_state(len(AGENTS.names), 2, 1e6)
    broker = PaperBroker(plan(Settings(), bars.symbols), MemoryPaperVenue(), lambda: state)
    broker.place([Order(client_order_id="o0", decision_time=T0, symbol="S0", side="buy", quantity=Decimal(5))])
    state.pending[0, 0] = 5.0
    assert [(o.client_order_id, o.state, o.reason) for o in broker.cancel(["o0", "x"])] == [
        ("o0", "expired", "cancelled")
    ]
    broker.match(bars.rows(0, 1))
    assert broker.poll(T0 - timedelta(days=9999)) == []


def test_what_a_bar_leaves_of_an_order_has_expired():
    """A partial fill is no final state; the rest of a one-bar order expires, and says so with the fill it got."""
    bars = make_bars(60, 2, 1)
    state = new_state(len(AGENTS.names), 2, 1e12)
    broker = PaperBroker(plan(Settings(), bars.symbols), MemoryPaperVenue(), lambda: state)
    much = float(np.floor(bars.volume[0, 0]))
    order = Order(client_order_id="o0", decision_time=T0, symbol="S0", side="buy", quantity=Decimal(much))
    broker.place([order])
    state.pending[0, 0] = much
    broker.match(bars.rows(0, 1))
    (outcome,) = broker.poll(T0 - timedelta(days=9999))
    assert (outcome.state, outcome.reason) == ("expired", "the rest expired: share of volume")
    assert 0 < outcome.fills[0].quantity < order.quantity


def test_where_a_replay_is_cut_into_runs_changes_nothing():
    """Stopping after any segment and resuming from the journal gives the same bits."""
    bars = make_bars(500, 3, 8, actions=True)
    whole = run_replay(bars)
    journal = MemoryJournal()

    class Stop(Exception):
        pass

    def stop(done: int, *_: object) -> None:
        raise Stop

    for _ in range(10):
        try:
            desk = RecordedDesk(plan(Settings(), bars.symbols), AGENTS, weights().current, journal)
            record_history(bars, desk, SimulatedTime(SimulatedClock(T0)), stop)
            break
        except Stop:
            continue
    for name in ("order_quantity", "equity", "contribution", "target_weight"):
        np.testing.assert_array_equal(joined(journal, name), joined(whole, name))
    assert journal.fills == whole.fills
    assert [c.trades for c in journal.cycles] == [c.trades for c in whole.cycles]


class Every:
    """Something falls due every so often; it reads nothing."""

    def __init__(self, days: int) -> None:
        self._step = timedelta(days=days)

    def next_due(self, after: datetime) -> datetime:
        return T0 + ((after - T0) // self._step + 1) * self._step

    def run(self, at: datetime) -> None:
        pass


def test_bars_that_are_committed_together_are_decided_on_alike():
    """Whatever weights they have; also where a run ends between and is taken up again."""
    bars = make_bars(500, 3, 8, actions=True)
    clock = SimulatedClock(T0)
    raw = [{name: 1.0 + (k * (a + 1)) % 7 for a, name in enumerate(AGENTS.names)} for k in range(5)]

    def weights_at(at: datetime) -> WeightSet:
        chosen = raw[(at - T0).days // 20 % 5]
        return unpublished(chosen, AGENTS.names, T0, WeightsLevel.STATIC, str(at.date()))

    def run(together: int, journal: MemoryJournal, shown: Callable[..., None]) -> list[int]:
        published: list[int] = []
        desk = RecordedDesk(
            plan(Settings(), bars.symbols),
            AGENTS,
            weights_at,
            journal,
            together,
            lambda: published.append(len(journal.cycles)),
        )
        record_history(bars, desk, SimulatedTime(clock, Every(20)), shown)
        return published

    class Stop(Exception):
        pass

    def stop(done: int, *_: object) -> None:
        if 200 < done < 400:
            raise Stop

    single, whole, parts = MemoryJournal(), MemoryJournal(), MemoryJournal()
    run(1, single, lambda *_: None)
    clock = SimulatedClock(T0)
    published = run(128, whole, lambda *_: None)
    assert published == list(range(len(whole.cycles))), "before each commit"
    assert [len(cycle.time) >= 128 for cycle in whole.cycles[:-1]] == [True] * (len(whole.cycles) - 1)
    assert len(single.cycles) > 4 * len(whole.cycles)
    for _ in range(5):
        clock = SimulatedClock(T0)
        try:
            run(128, parts, stop)
            break
        except Stop:
            continue
    for other in (whole, parts):
        for name in ("order_quantity", "equity", "contribution", "target_weight", "time"):
            np.testing.assert_array_equal(joined(other, name), joined(single, name))
        assert other.fills == single.fills
        for name in ("weights", "trades", "orders", "contributions", "reason"):
            assert [x for c in other.cycles for x in getattr(c, name)] == [
                x for c in single.cycles for x in getattr(c, name)
            ]
        assert [(e.time, e.agent_name) for c in other.cycles for e in c.work_log] == [
            (e.time, e.agent_name) for c in single.cycles for e in c.work_log
        ]
        assert other.cycles[-1].state == single.cycles[-1].state


def test_fills_are_at_the_next_open_with_costs_on_the_wrong_side():
    bars = make_bars(300, 2, 1)
    journal = run_replay(bars)
    place = {as_datetime(t): k for k, t in enumerate(bars.time)}
    for fill in journal.fills.values():
        order = journal.orders[fill.client_order_id][0]
        k = place[order.decision_time] + 1
        opened = bars.open[k, bars.symbols.index(fill.symbol)]
        assert fill.time == as_datetime(bars.opened[k])
        assert (float(fill.price) > opened) == (fill.side == "buy")
        assert abs(float(fill.price) / opened - 1) < 0.01
    assert len(journal.fills) > 50


def test_books_are_what_they_say():
    """Equal weights published: the live book, control equal and control first are one; an agent that never speaks
    has a flat shadow; each shadow depends on its own agent only."""
    bars = make_bars(300, 3, 2)
    journal = run_replay(bars)
    equity = joined(journal, "equity")
    np.testing.assert_array_equal(equity[:, 0], equity[:, 1 + CONTROLS.index("first")])
    onchain = FIRST_SHADOW + AGENTS.names.index("OnChainAnalyst")
    assert (equity[:, onchain] == 1e6).all()
    assert journal.cycles[0].books[onchain] == "shadow:OnChainAnalyst"
    assert np.ptp(equity[:, FIRST_SHADOW + AGENTS.names.index("TrendFollower")]) > 0


def test_drawdown_halts_and_a_halted_desk_only_shrinks():
    settings_ = Settings(risk={"reduce_drawdown": 0.005, "halt_drawdown": 0.01})
    journal = run_replay(make_bars(400, 3, 4), settings_)
    states, position = joined(journal, "risk_state"), joined(journal, "position")
    halted = np.nonzero(states == 2)[0]
    assert len(halted), "a limit of 1 % is reached"
    first = halted[0]
    assert (states[first:] == 2).all()
    sizes = np.abs(position[first + 1 :])
    assert (np.diff(sizes, axis=0) <= 1e-9).all()


def test_order_ids_are_short_and_a_function_of_the_decision():
    one = client_order_id("desk", T0, "AAPL")
    assert one == client_order_id("desk", T0, "AAPL")
    assert one != client_order_id("desk", T0, "MSFT")
    assert len(one) <= 32
    assert all(c.isalnum() or c == "-" for c in one)


def test_state_moves_to_other_symbols_and_agents():
    bars = make_bars(300, 3, 2)
    packed = run_replay(bars).cycles[-1].state
    more, _ = unpack_state(packed, plan(Settings(), ("NEW", *bars.symbols)), AGENTS.names)
    same, _ = unpack_state(packed, plan(Settings(), bars.symbols), AGENTS.names)
    np.testing.assert_array_equal(more.position[:, 1:], same.position)
    fewer, _ = unpack_state(packed, plan(Settings(), bars.symbols), AGENTS.names[1:])
    np.testing.assert_array_equal(fewer.position[0], same.position[0])
    np.testing.assert_allclose(fewer.holding.sum(axis=1), fewer.position[0], atol=1e-9)


PLAIN = """
import sys, numpy as np
sys.path.insert(0, sys.argv[1])
from tests.unit.pipeline.test_step import run_replay, joined
from tests.market import decide_on, make_bars
journal = run_replay(make_bars(120, 2, 6, gaps=0.02, actions=True))
np.save(sys.argv[2], np.hstack([joined(journal, n) for n in ("equity", "order_quantity", "contribution", "target_weight")]))
"""


@pytest.mark.slow
def test_compilation_off_gives_the_same(tmp_path):
    root = str(Path(__file__).resolve().parents[3])
    for name, off in (("plain", "1"), ("compiled", "0")):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": off}
        subprocess.run(
            [sys.executable, "-c", PLAIN, root, str(tmp_path / name)], env=environment, check=True, timeout=240
        )
    plain, compiled = np.load(tmp_path / "plain.npy"), np.load(tmp_path / "compiled.npy")
    np.testing.assert_allclose(plain, compiled, rtol=1e-12, atol=1e-9)
