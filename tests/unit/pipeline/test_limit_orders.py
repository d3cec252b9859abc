"""Limit orders and those that chase: the stated rule against brute force in plain Python, scenarios with numbers derived
in view, and the same orders in replay, live desk and paper broker."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.core.books import EQUAL, FIRST_SHADOW, HOLD, LIVE
from agents.core.settings import Settings
from agents.core.types import FillStatus, RiskState
from agents.pipeline.parameters import OrderRules
from agents.pipeline.saved_state import unpack_state
from tests.market import make_bars
from tests.unit.pipeline.test_step import AGENTS, joined, plan, run_live, run_replay
from tests.unit.pipeline.test_stops import Asked, flat

LIMIT, CHASE = OrderRules(1.0), OrderRules(0.25, True)
WIDE = {"half_spread_bps": 100.0, "buffer_by_cost": False}
"""The touch is 1 % from the close: 99 to buy, 101 to sell, where that was 100."""


class Resting(Asked):
    """As `Asked`, whose orders rest."""

    def __init__(self, prices, orders, wanted, *, stop=(0.0, 0.0), execution=None, **more: Any) -> None:
        super().__init__(prices, (*stop, 1), wanted, execution={**WIDE, **(execution or {})}, **more)
        self.parameters = self.parameters._replace(orders=orders)


def units(price):
    """What a forecast of 1 asks for, half the equity."""
    return math.floor(50_000 / price)


ONCE = [1, math.nan, math.nan, math.nan]
FILLED, PARTIAL, NOT_REACHED = FillStatus.FILLED, FillStatus.PARTIAL, FillStatus.NOT_REACHED
# prices (open, high, low, close), what is asked at each close, rules, extras; by bar (units, price, status)
SCENARIOS: dict[str, tuple[Any, ...]] = {
    "touched, not through": ([flat(100), [100, 101, 99, 100]], ONCE, LIMIT, {}, {1: (0, 0, NOT_REACHED)}),
    "through": ([flat(100), [100, 101, 98.99, 100]], ONCE, LIMIT, {}, {1: (500, 99, FILLED)}),
    "a sale, touched": ([flat(100), [100, 101, 99, 100]], [-1, math.nan], LIMIT, {}, {1: (0, 0, NOT_REACHED)}),
    "a sale, through": ([flat(100), [100, 101.01, 99, 100]], [-1, math.nan], LIMIT, {}, {1: (-500, 101, FILLED)}),
    "opens beyond it: the open and half a spread": (
        [flat(100), [97, 99, 96, 98]],
        ONCE,
        LIMIT,
        {},
        {1: (500, 97.97, FILLED)},
    ),
    "opens at it and does not trade through": (
        [flat(100), [99, 101, 99, 100]],
        ONCE,
        LIMIT,
        {},
        {1: (0, 0, NOT_REACHED)},
    ),
    "opens just beyond it: no worse than its price": (
        [flat(100), [98.5, 99, 96, 98]],
        ONCE,
        LIMIT,
        {},
        {1: (500, 99, FILLED)},
    ),
    "a share of the volume, the rest expires": (
        [flat(100), [100, 101, 98, 100], flat(100)],
        ONCE,
        LIMIT,
        {"volume": [1e9, 2000, 1e9]},
        {1: (200, 99, PARTIAL)},
    ),
    "what is still wanted is ordered at the next touch": (
        [flat(100), [104, 105, 103, 104], [104, 104, 102.95, 104]],
        [1, 1, math.nan],
        LIMIT,
        {},
        {1: (0, 0, NOT_REACHED), 2: (units(104), 102.96, FILLED)},
    ),
    "a chase rests, and half of the range is its own": (
        [flat(100), [100, 101, 97.99, 100]],
        ONCE,
        CHASE,
        {},
        {1: (500, 99, FILLED)},
    ),
    "a chase crosses half-way to the close, the root of a quarter": (
        [flat(100), [100, 104, 98.01, 104]],
        ONCE,
        CHASE,
        {},
        {1: (500, 102 * 1.01, FILLED)},
    ),
    "a chase rests for a quarter of the volume and crosses with the rest": (
        [flat(100), [100, 104, 97, 104]],
        ONCE,
        CHASE,
        {"volume": [1e9, 16_000]},
        {1: (500, (400 * 99 + 100 * 102 * 1.01) / 500, FILLED)},
    ),
    "a chase has no more than the bar's share of volume": (
        [flat(100), [100, 104, 97, 104]],
        ONCE,
        CHASE,
        {"volume": [1e9, 4000]},
        {1: (400, (100 * 99 + 300 * 102 * 1.01) / 400, PARTIAL)},
    ),
    "a split between moves the price": (
        [flat(100), [50, 51, 49.4, 50]],
        ONCE,
        LIMIT,
        {"split": [1, 2]},
        {1: (1000, 49.5, FILLED)},
    ),
    "a suspect price": (
        [flat(100), [60, 60, 60, 60], [100, 101, 98, 100]],
        ONCE,
        CHASE,
        {"suspect": [False, True, False]},
        {1: (0, 0, FillStatus.SUSPECT)},
    ),
    "no bar: it works on": (
        [flat(100), flat(math.nan), [100, 101, 98, 100]],
        ONCE,
        LIMIT,
        {},
        {2: (500, 99, FILLED)},
    ),
    "nothing was traded": (
        [flat(100), flat(98)],
        ONCE,
        CHASE,
        {"volume": [1e9, 0]},
        {1: (0, 0, FillStatus.NO_VOLUME)},
    ),
    "what is closed at its price pays for what is opened there": (
        [flat(100), [100, 101.01, 99, 100], [104, 105, 98.9, 100]],
        [-1, 2, math.nan],
        LIMIT,
        {"execution": {"leverage": 1.0}},
        {1: (-500, 101, FILLED), 2: (1005 + 500, 99, FILLED)},
    ),
    "not even one can be paid": (
        [flat(100), [100, 101, 98.99, 100]],
        ONCE,
        LIMIT,
        {"execution": {"leverage": 0.0005}},
        {1: (0, 0, FillStatus.NO_CASH)},
    ),
    "a stop beyond the limit: it was met before": (
        [flat(100), [100, 101, 98, 100], [100, 100, 94, 96]],
        [1, 1.5, math.nan],
        LIMIT,
        {"stop": (0.04, 0)},
        {1: (500, 99, FILLED), 2: (253, 99, FILLED), "stop": {2: (95.04, -753)}},
    ),
    "a stop before the limit takes the order away": (
        [flat(100), [100, 101, 98, 100], [100, 100, 94, 96]],
        [1, 1.5, math.nan],
        LIMIT,
        {"stop": (0, 0.015)},
        {1: (500, 99, FILLED), 2: (0, 0, FillStatus.STOPPED), "stop": {2: (101 * 0.985, -500)}},
    ),
    "a sale rests while its stop is reached": (
        [flat(100), [100, 101, 98, 100], [100, 104, 94, 96]],
        [1, -1, math.nan],
        LIMIT,
        {"stop": (0.04, 0)},
        {1: (500, 99, FILLED), 2: (0, 0, FillStatus.STOPPED), "stop": {2: (95.04, -500)}},
    ),
}


def orders_in(expected):
    return {t: row for t, row in expected.items() if t != "stop"}


def found_in(out):
    statuses = [FillStatus(code) for code in out.fill_status[:, 0]]
    return {t: (out.fill_quantity[t, 0], out.fill_price[t, 0], s) for t, s in enumerate(statuses) if s}


def shares_are_exact(out):
    """Agents' P&L is the desk's, and what their fills cost is spread, impact and fees."""
    moves = np.diff(np.concatenate([[100_000.0], out.equity[:, LIVE]]))
    np.testing.assert_allclose(out.contribution.sum(axis=1), moves, atol=1e-6)
    paid = out.fill_fee + out.fill_spread + out.fill_impact + out.stop_fee + out.stop_spread + out.stop_impact
    np.testing.assert_allclose(out.agent_cost.sum(axis=1), paid.sum(axis=1), atol=1e-4)


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_order_that_rests(name):
    prices, wanted, rules, extras, expected = SCENARIOS[name]
    desk = Resting(prices, rules, wanted[: len(prices)], **extras)
    out = desk.run()
    assert found_in(out) == {t: (q, pytest.approx(p), s) for t, (q, p, s) in orders_in(expected).items()}
    if "stop" in extras:
        stopped = {
            int(t): (out.stop_at[t, 0], out.stop_quantity[t, 0]) for t in np.flatnonzero(out.stop_quantity[:, 0])
        }
        assert stopped == {t: (pytest.approx(at), q) for t, (at, q) in expected["stop"].items()}
    shares_are_exact(out)
    np.testing.assert_array_equal(out.equity[:, LIVE], out.equity[:, EQUAL])


def test_a_desk_that_reduces_or_is_halted_does_not_wait_for_its_price():
    bars = [flat(100), [100, 101, 98, 100], flat(50), flat(50), flat(50)]
    desk = Resting(bars, LIMIT, [1, math.nan, 1, 1, 1])
    desk.parameters = desk.parameters._replace(
        limits=desk.parameters.limits._replace(reduce_drawdown=0.2, reducing_scale=0.001)
    )
    out = desk.run()
    assert RiskState(out.risk_state[2]) is RiskState.REDUCING
    assert (out.limit[0, 0], out.limit[2, 0]) == (99.0, 0.0)
    assert (out.fill_quantity[3, 0], out.fill_price[3, 0]) == (out.order[2, 0], 49.5)
    assert out.order[2, 0] < 0
    shares_are_exact(out)


@pytest.mark.parametrize(
    ("orders", "bar", "wanted", "status"),
    [
        (LIMIT, flat(110), 1, FillStatus.LOCKED),
        (CHASE, flat(110), 1, FillStatus.LOCKED),
        (OrderRules(), flat(110), 1, FillStatus.LOCKED),
        (CHASE, flat(110), -1, FillStatus.FILLED),
        (OrderRules(), flat(90), -1, FillStatus.LOCKED),
        (OrderRules(), flat(90), 1, FillStatus.FILLED),
        (OrderRules(), [110, 110, 109.9, 110], 1, FillStatus.FILLED),
        (OrderRules(), flat(109), 1, FillStatus.FILLED),
    ],
)
def test_a_market_that_is_locked_at_its_limit_fills_nothing_on_the_side_that_nobody_takes(orders, bar, wanted, status):
    desk = Resting([flat(100), bar], orders._replace(locked_move=0.095), [wanted, math.nan])
    assert FillStatus(desk.run().fill_status[1, 0]) is status
    shadow = desk.state.position[FIRST_SHADOW, 0]
    assert (shadow == 0.0) == (status is FillStatus.LOCKED), "nor that of an agent alone"


def test_a_stop_is_not_closed_in_a_locked_market_but_when_it_opens():
    bars = [flat(100), [100, 101, 98, 100], flat(90), [85, 88, 84, 86]]
    desk = Resting(bars, OrderRules(locked_move=0.095), [1, math.nan, math.nan, math.nan], stop=(0.04, 0))
    out = desk.run()
    assert (out.stop_quantity[2, 0], out.stop_at[2, 0]) == (0.0, 90.0)
    assert (out.stop_quantity[3, 0], out.stop_at[3, 0]) == (-500.0, 85.0)


def test_where_data_come_late_an_order_sees_the_close_of_a_bar_that_had_opened():
    """`tradable` puts the close in place of the open there: nothing within the bar is the order's."""
    for close, expected in ((100.0, 0.0), (98.0, 500.0)):
        desk = Resting([flat(100), [close, 103, 97, close]], LIMIT._replace(delayed=True), [1, math.nan])
        assert desk.run().fill_quantity[1, 0] == expected


# ---------------------------------------------------------------- brute force

HALF = 0.001


def by_hand(bars, forecast, orders, loss, participation):
    """The rules of `limit_orders.py` and `stops.py` in plain Python, of one symbol at half a spread of `HALF` and no
    other costs: (position, cash) after each bar."""
    cash, held, order, entry, waits, mark, result = 100_000.0, 0.0, 0.0, 0.0, 0, math.nan, []
    for t in range(len(bars.time)):
        o, h, lo, c, v = (getattr(bars, n)[t, 0] for n in ("open", "high", "low", "close", "volume"))
        if math.isnan(o):
            result.append((held, cash))
            continue
        room = math.floor(participation * v + 1e-9)
        sign = 1 if held > 0 else -1
        buying = 1 if order > 0 else -1
        limit = round(mark * (1 - buying * HALF), 8) if order else math.nan
        stop = entry * (1 - sign * loss) if held and loss else math.nan
        worst = lo if held > 0 else h
        if held and loss and order and (o - stop) * sign <= 0:
            order = 0.0
        on_the_way = order * held > 0 and (limit - stop) * sign > 0
        if held and loss and order and (worst - stop) * sign <= 0 and not on_the_way and not waits:
            order = 0.0
        if order:
            resting = crossing = 0.0
            if waits:
                crossing, price = min(abs(order), room), o * (1 + buying * HALF)
            elif (o - limit) * buying < 0:
                crossing, price = min(abs(order), room), o * (1 + buying * HALF)
                price = min(price, limit) if buying > 0 else max(price, limit)
            else:
                far = lo if buying > 0 else h
                mine = room
                if orders.crosses:
                    far = o - orders.passive**0.5 * (o - far)
                    mine = math.floor(orders.passive * room + 1e-9)
                if (far - limit) * buying < 0:
                    resting = min(abs(order), mine)
                price = (o + orders.passive**0.5 * (c - o)) * (1 + buying * HALF)
                if orders.crosses:
                    crossing = min(abs(order), room) - resting
            filled = resting + crossing
            if filled:
                mean = (resting * limit + crossing * price) / filled
                traded = buying * filled
                after = held + traded
                if held * after <= 0:
                    entry = mean
                elif held * traded > 0:
                    entry = (abs(held) * entry + filled * mean) / (abs(held) + filled)
                held, cash, room = after, cash - traded * mean, room - filled
        if held and loss:
            sign = 1 if held > 0 else -1
            stop, worst = entry * (1 - sign * loss), lo if held > 0 else h
            if (worst - stop) * sign <= 0 or (o - stop) * sign <= 0:
                waits = 1
                at = min(stop, o) if held > 0 else max(stop, o)
                closed = min(abs(held), room)
                cash += sign * closed * at * (1 - sign * HALF)
                held -= sign * closed
        mark, order = c, 0.0
        equity = cash + held * mark
        if waits:
            order = -held
            waits -= held == 0
        elif math.isfinite(forecast[t]):
            weight = max(-1.0, min(1.0, forecast[t] * 0.5))
            order = math.copysign(math.floor(abs(weight * equity / c) + 1e-9), weight) - held
        result.append((held, cash))
    return result


@settings(max_examples=80)
@given(
    seed=st.integers(0, 10_000),
    orders=st.sampled_from([LIMIT, CHASE, OrderRules(0.5, True), OrderRules(0.9, True)]),
    loss=st.sampled_from([0.0, 0.005, 0.03]),
    gaps=st.sampled_from([0.0, 0.1]),
    thin=st.booleans(),
)
def test_orders_that_rest_by_brute_force(seed, orders, loss, gaps, thin):
    rng = np.random.default_rng(seed)
    made = make_bars(120, 1, seed, gaps=gaps)
    prices = np.stack([getattr(made, name)[:, 0] for name in ("open", "high", "low", "close")], axis=1)
    forecast = np.where(rng.random(120) < 0.2, np.nan, np.round(rng.normal(0.5, 1.5, 120), 2))
    volume = made.volume[:, 0] / 2000 if thin else np.full(120, 1e9)
    costs = {"leverage": 20.0, "half_spread_bps": HALF * 1e4}
    desk = Resting(prices, orders, forecast, stop=(loss, 0), execution=costs)
    desk.inputs.volume[:, 0] = volume
    out = desk.run()
    expected = by_hand(replace(desk.bars, volume=volume[:, None]), np.clip(forecast, -2, 2), orders, loss, 0.1)
    np.testing.assert_allclose(out.position[:, 0], [held for held, _ in expected], atol=1e-9)
    np.testing.assert_allclose(out.cash[:, 0], [cash for _, cash in expected], atol=1e-2)  # prices are whole 1e-8
    shares_are_exact(out)
    assert not np.any(desk.state.stops[HOLD : FIRST_SHADOW + 1])


@pytest.mark.parametrize("orders", [LIMIT, CHASE])
def test_what_is_bought_can_be_paid(orders):
    """A rising bar makes the crossing dearer than the open: cash stays above nothing all the same."""
    costs = {"half_spread_bps": 5.0, "commission_bps": 10.0, "minimum_commission": 1.0, "impact": 0.5}
    paid_partly = 0
    for seed in range(8):
        made = make_bars(150, 1, seed)
        prices = np.stack([getattr(made, name)[:, 0] for name in ("open", "high", "low", "close")], axis=1)
        rng = np.random.default_rng(seed)
        desk = Resting(prices, orders, np.round(np.abs(rng.normal(2.0, 1.0, 150)), 1), execution=costs)
        out = desk.run()
        assert out.cash[:, 0].min() > -1e-6
        shares_are_exact(out)
        paid_partly += np.count_nonzero(out.fill_status == FillStatus.PAID_PARTLY)
    assert paid_partly > 10


# ---------------------------------------------------------------- the desk

DESKS = {
    "limit": Settings(execution={"order_type": "limit"}),
    "chase": Settings(execution={"order_type": "chase", "passive_share": 0.3}),
    "chase with stops": Settings(
        execution={"order_type": "chase"}, risk={"stop_loss": 0.04, "trailing_stop": 0.05, "stop_wait_bars": 4}
    ),
}


@pytest.mark.parametrize("name", DESKS)
@pytest.mark.parametrize(("gaps", "actions"), [(0.0, False), (0.03, True)])
def test_live_bar_by_bar_equals_the_replay(name, gaps, actions):
    bars = make_bars(240, 3, 17, gaps=gaps, actions=actions)
    whole, live = run_replay(bars, DESKS[name]), run_live(bars, 0, DESKS[name])
    assert live.orders == whole.orders
    assert live.fills == whole.fills
    reasons = [reason for _, _, reason in whole.orders.values()]
    assert any("did not trade through" in reason for reason in reasons) == (name == "limit")
    assert [t for c in live.cycles for t in c.trades] == [t for c in whole.cycles for t in c.trades]
    for field in ("position", "order_quantity", "no_trade", "clamps"):
        np.testing.assert_array_equal(joined(live, field), joined(whole, field), field)
    for field in ("equity", "cash", "contribution", "agent_cost"):  # a signal may differ by 1e-9, an order by nothing
        np.testing.assert_allclose(joined(live, field), joined(whole, field), rtol=1e-9, atol=1e-7, err_msg=field)
    shares = {t.trade_id: t.pnl for c in whole.cycles for t in c.trades}
    for row in (r for c in whole.cycles for r in c.contributions):
        shares[row.trade_id] -= row.contribution
    assert set(shares.values()) == {0}


def test_a_restart_between_bars_changes_nothing():
    bars = make_bars(160, 3, 17, gaps=0.05)
    whole, parts = run_replay(bars, DESKS["limit"]), run_replay(bars.rows(0, 101), DESKS["limit"])
    state, _ = unpack_state(parts.cycles[-1].state, plan(DESKS["limit"], bars.symbols), AGENTS.names)
    assert state.pending[LIVE].any(), "an order rests"
    run_replay(bars, DESKS["limit"], parts)
    assert parts.orders == whole.orders
    np.testing.assert_array_equal(joined(parts, "equity"), joined(whole, "equity"))
