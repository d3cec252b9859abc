"""The step at its edges: calendars that differ, feeds without volume, books that fell far, reverse splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.core.books import CONTROLS, LIVE
from agents.core.settings import Settings
from agents.core.types import REMAINDER, Bars
from agents.pipeline.desk import desk_of
from agents.pipeline.market import known_volume
from agents.pipeline.state import matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_rows
from tests.market import make_bars
from tests.unit.pipeline.test_step import joined, plan, run_live, run_replay


def on_weekdays(bars: Bars, column: int) -> Bars:
    """One symbol trades on five days of seven, the others on all."""
    weekend = (np.arange(len(bars.time)) % 7) >= 5
    names = ("open", "high", "low", "close", "volume")
    grids = {name: getattr(bars, name).copy() for name in names}
    for grid in grids.values():
        grid[weekend, column] = np.nan
    return replace(bars, **grids)


def test_an_order_works_until_its_symbol_trades_again():
    """What is ordered on the last day of a week is filled at the first open of the next one; it expired before."""
    bars = on_weekdays(make_bars(420, 3, 11), 1)
    journal = run_replay(bars)
    mine = [(order, state) for order, state, _ in journal.orders.values() if order.symbol == "S1"]
    place = {np.datetime64(t): k for k, t in enumerate(bars.time)}
    fridays = [
        (order, state)
        for order, state in mine
        if place[np.datetime64(order.decision_time.replace(tzinfo=None))] % 7 == 4
    ]
    assert len(fridays) > 5
    assert {state for _, state in fridays[:-1]} == {"filled"}
    ids = {order.client_order_id: order for order, _ in fridays}
    for fill in journal.fills.values():
        if fill.client_order_id in ids:
            k = place[np.datetime64(ids[fill.client_order_id].decision_time.replace(tzinfo=None))]
            assert np.datetime64(fill.time.replace(tzinfo=None)) == bars.opened[k + 3], "Monday's open"
            assert float(fill.price) == pytest.approx(bars.open[k + 3, 1], rel=1e-3)


def test_orders_that_work_are_the_same_live_and_in_replay():
    bars = on_weekdays(make_bars(360, 3, 5), 2)
    whole, live = run_replay(bars), run_live(bars, 0)
    assert live.fills == whole.fills
    assert {k: s for k, (_, s, _) in live.orders.items()} == {k: s for k, (_, s, _) in whole.orders.items()}
    np.testing.assert_array_equal(joined(live, "position"), joined(whole, "position"))
    np.testing.assert_allclose(joined(live, "equity"), joined(whole, "equity"), rtol=1e-9)


def test_a_halted_desk_takes_back_what_works_and_would_grow():
    """Friday's order to buy, a fall of everything else on Saturday, no fill on Monday."""
    settings_ = Settings()
    base = plan(settings_, ("CRYPTO", "STOCK"))
    state = new_state(1, 2, 1e6)
    state.mark[:] = 100.0
    state.position[LIVE] = (9000.0, 0.0)
    state.cash[LIVE] = 1e5
    state.pending[LIVE] = (0.0, 500.0)
    state.first_weights[:] = 1.0
    price = np.array([[50.0, np.nan], [50.0, 100.0]])
    time = np.array(["2020-01-04", "2020-01-05"], dtype="datetime64[us]")
    bars = Bars(
        time=time,
        opened=time - np.timedelta64(6, "h"),
        symbols=base.symbols,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=np.full((2, 2), np.nan),
        adjustment=np.ones((2, 2)),
        split=np.ones((2, 2)),
        dividend=np.zeros((2, 2)),
    )
    inputs = matched_inputs(bars, np.full((2, 2), np.nan), np.full((2, 2, 1), np.nan), np.ones((2, 1, 1)), np.ones(1))
    out = new_outputs(2, 1, 2)
    run_rows(desk_of(state, base.parameters), inputs, out, 0, 1)
    assert out.risk_state[0] == 2, "half of the capital is gone"
    assert state.pending[LIVE, 1] == 0.0
    assert out.order[0, 1] == 0.0
    run_rows(desk_of(state, base.parameters), inputs, out, 1, 2)
    assert out.position[1, 1] == 0.0


def test_a_feed_without_volume_does_not_stop_the_desk():
    """Currencies: volume 0 on bars that move, or none at all. Before: 6,669 orders, no fill."""
    bars = make_bars(300, 2, 4)
    without = replace(bars, volume=np.zeros(bars.close.shape))
    unknown = replace(bars, volume=np.full(bars.close.shape, np.nan))
    first, second = run_replay(without), run_replay(unknown)
    assert len(first.fills) > 50
    assert first.fills == second.fills
    assert "volume" in first.cycles[0].reason[0]
    assert "S0, S1" in first.cycles[0].reason[0]
    assert not any("volume" in reason for reason in first.cycles[0].reason[1:]), "it says so once"
    assert run_live(without, 0).fills == first.fills
    assert run_live(without, 0).cycles[0].reason == first.cycles[0].reason[:1]


def test_a_bar_without_trades_fills_nothing():
    bars = make_bars(3, 2, 4)
    flat = {name: bars.close.copy() for name in ("open", "high", "low", "close")}
    volume = np.array([[0.0, 5.0], [0.0, np.nan], [7.0, 0.0]])
    np.testing.assert_array_equal(known_volume(replace(bars, **flat, volume=volume)), volume)


def test_a_control_book_that_fell_far_trades_on():
    """At a limit of 1 % a control is soon beyond it; nobody can resume it alone, so it is reduced, not frozen."""
    settings_ = Settings(risk={"reduce_drawdown": 0.005, "halt_drawdown": 0.01})
    base = plan(settings_, ("S0", "S1"))
    bars = make_bars(400, 2, 4)
    rng = np.random.default_rng(1)
    forecast = rng.normal(0, 1, (400, 2, 2))
    inputs = matched_inputs(
        bars, np.full((400, 2), 0.02), forecast, np.tile(np.eye(2), (400, 1, 1)), np.array([1e-9, 1.0])
    )
    state, out = new_state(2, 2, 1e6), new_outputs(400, 2, 2)
    state.first_weights[:] = (0.5, 0.5)
    for t in range(400):
        run_rows(desk_of(state, base.parameters), inputs, out, t, t + 1)
        if state.risk_state[LIVE] == 2:  # a person looks after the live book
            state.risk_state[LIVE] = 0
            state.peak[LIVE] = state.equity[LIVE]
    for b in range(1, 1 + len(CONTROLS)):
        assert 1.0 - out.equity[:, b].min() / 1e6 > 0.01
        assert (out.turnover[300:, b] > 0).any(), "it trades"


def test_a_reverse_split_that_leaves_nothing_closes_the_books_of_a_position():
    """3 shares 1:10 are a fraction of one: paid out. What the position earned is in that trade, by agent, and nothing
    of it is in the next one."""
    bars = make_bars(320, 2, 8)
    split = bars.split.copy()
    prices = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    split[200, 0] = 1e-7
    for grid in prices.values():
        grid[200:, 0] *= 1e7
    after = replace(bars, split=split, **prices, adjustment=np.cumprod(split, axis=0))
    journal = run_replay(after)
    closing = [t for cycle in journal.cycles for t in cycle.trades if t.trade_id.startswith("t-split")]
    assert len(closing) == 1
    shares = {
        row.agent_name: float(row.contribution)
        for cycle in journal.cycles
        for row in cycle.contributions
        if row.trade_id == closing[0].trade_id
    }
    whole = float(closing[0].pnl)
    assert sum(shares.values()) == pytest.approx(whole, abs=1e-6)
    assert abs(shares[REMAINDER]) < 0.05 * sum(abs(v) for v in shares.values()), "the agents' part is the agents'"
    state = run_state(after)
    for s in range(2):
        if state.position[LIVE, s] == 0.0:
            assert (state.pool[s] == 0.0).all()
            assert (state.holding[s] == 0.0).all()


def run_state(bars: Bars):
    """The step's state after a replay."""
    from agents.pipeline.saved_state import unpack_state
    from tests.unit.pipeline.test_step import AGENTS

    return unpack_state(run_replay(bars).cycles[-1].state, plan(Settings(), bars.symbols), AGENTS.names)[0]


def delisted(price: float, at: int = 200) -> Bars:
    """The first symbol trades until bar `at`, where it is taken off the market."""
    bars = make_bars(320, 3, 8)
    gone = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for grid in gone.values():
        grid[at:, 0] = np.nan
    delisting = np.full(bars.close.shape, np.nan)
    delisting[at, 0] = price
    return replace(bars, **gone, delisting=delisting)


@pytest.mark.parametrize("price", [0.0, 7.5, 61.25])
def test_a_delisting_closes_every_book_at_its_price(price):
    """Exact in the ledger, attributed to who held it, the same live and in replay; orders that worked are over."""
    bars = delisted(price)
    journal, live = run_replay(bars), run_live(bars, 0)
    before, after = joined(journal, "position")[199:201, 0]
    assert before != 0.0
    assert after == 0.0
    mark = bars.close[199, 0]
    trade = next(t for cycle in journal.cycles for t in cycle.trades if t.trade_id.startswith("t-delisting"))
    assert float(trade.exit_price) == price
    assert float(trade.quantity) == abs(before)
    equity = joined(journal, "equity")[:, LIVE]
    shares = joined(journal, "contribution")
    np.testing.assert_allclose(shares.sum(axis=1), np.diff(np.concatenate([[1e6], equity])), atol=1e-5)
    alone = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    kept = run_replay(replace(bars, **alone, delisting=np.full(bars.close.shape, np.nan)))
    loss = equity[200] - joined(kept, "equity")[200, LIVE]
    assert loss == pytest.approx(before * (price - mark), abs=1e-6)
    assert run_state(bars).position[:, 0].tolist() == [0.0] * len(run_state(bars).position)
    assert [t for c in live.cycles for t in c.trades] == [t for c in journal.cycles for t in c.trades]
    assert [a for c in live.cycles for a in c.actions] == [a for c in journal.cycles for a in c.actions]
    assert {k: s for k, (_, s, _) in live.orders.items()} == {k: s for k, (_, s, _) in journal.orders.items()}
    assert not [o for o, state, _ in journal.orders.values() if o.symbol == "S0" and state in ("intent", "acked")]
