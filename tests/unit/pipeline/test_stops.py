"""Stop-loss and trailing stop: the stated rule against brute force in plain Python, scenarios with numbers derived in
view, and the same stops in replay, live desk and paper broker."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.core.books import EQUAL, FIRST_SHADOW, HOLD
from agents.core.settings import Settings
from agents.core.types import Clamp, FillStatus, NoTrade
from agents.pipeline.desk import desk_of
from agents.pipeline.parameters import StopRules
from agents.pipeline.saved_state import unpack_state
from agents.pipeline.state import matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_rows
from tests.market import make_bars
from tests.unit.pipeline.test_step import AGENTS, joined, plan, run_live, run_replay

FREE = {
    "commission_bps": 0.0,
    "minimum_commission": 0.0,
    "half_spread_bps": 0.0,
    "impact": 0.0,
    "lot_size": 1.0,
    "buffer": 0.0,
    "minimum_trade_fraction": 0.0,
}
STOPS = Settings(risk={"stop_loss": 0.04, "trailing_stop": 0.05, "stop_wait_bars": 4})


class Asked:
    """A desk of one agent and one symbol, asked for `wanted` volatility targets at each of its bars."""

    def __init__(self, prices, rules, wanted, *, execution=None, volume=1e9, **bars):
        n = len(prices)
        columns = np.ascontiguousarray(
            np.array(prices, dtype=float).T
        )  # as all bars are: else it is compiled once more
        open_, high, low, close = columns[:, :, None]
        made = make_bars(n, 1, 1)
        self.bars = replace(
            made,
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=np.zeros((n, 1)) + np.reshape(volume, (-1, 1)),
            **{name: np.array(v, dtype=bool if name == "suspect" else float)[:, None] for name, v in bars.items()},
        )
        risk = {"symbol_cap": 10.0, "gross_cap": 10.0, "reduce_drawdown": 0.9, "halt_drawdown": 0.95}
        base = plan(Settings(execution={**FREE, **(execution or {})}, risk=risk), ("S0",)).parameters
        sizing = base.sizing._replace(target_volatility=0.01, instrument_multiplier_cap=1.0)
        self.parameters = base._replace(sizing=sizing, stops=StopRules(*map(float, rules)), initial_cash=100_000.0)
        self.state, self.out = new_state(1, 1, 100_000.0), new_outputs(n, 1, 1)
        forecast = np.array(wanted, dtype=float)[:, None, None]
        volatility = np.full((n, 1), 0.02)  # a forecast of 1 asks for half the equity
        self.inputs = matched_inputs(self.bars, volatility, forecast, np.ones((n, 1, 1)), np.ones(1))

    def run(self):
        run_rows(desk_of(self.state, self.parameters), self.inputs, self.out, 0, len(self.bars.time))
        return self.out


def flat(price):
    return [price] * 4


# rows: prices (open, high, low, close), what is asked at each close, rules (loss, trailing, wait), extras,
# and by bar what the stop closes: {bar: (price, units, which)}
SCENARIOS = {
    "touch": ([flat(100), flat(100), [100, 101, 94, 99]], [1, 1, 1], (0.05, 0, 1), {}, {2: (95.0, -500, "stop-loss")}),
    "not reached": ([flat(100), flat(100), [100, 101, 95.01, 99]], [1, 1, 1], (0.05, 0, 1), {}, {}),
    "gap through": (
        [flat(100), flat(100), [90, 99, 89, 98]],
        [1, 1, 1],
        (0.05, 0, 1),
        {},
        {2: (90.0, -500, "stop-loss")},
    ),
    "entered and stopped within the bar": (
        [flat(100), [100, 106, 94, 99]],
        [1, 1],
        (0.05, 0, 1),
        {},
        {1: (95.0, -500, "stop-loss")},
    ),
    "a short": (
        [flat(100), flat(100), [100, 106, 99, 99]],
        [-1, -1, -1],
        (0.05, 0, 1),
        {},
        {2: (105.0, 500, "stop-loss")},
    ),
    "a short, gap": (
        [flat(100), flat(100), [110, 111, 99, 99]],
        [-1, -1, -1],
        (0.05, 0, 1),
        {},
        {2: (110.0, 500, "stop-loss")},
    ),
    "trailing, up then down": (
        [flat(100), [100, 120, 100, 118], [118, 118, 107, 107]],
        [1, NoTrade, NoTrade],
        (0, 0.10, 1),
        {},
        {2: (108.0, -500, "trailing stop")},
    ),
    "the low comes before the high": (
        [flat(100), flat(100), [100, 130, 96, 120]],
        [1, NoTrade, NoTrade],
        (0, 0.05, 1),
        {},
        {},
    ),
    "a split between": (
        [flat(100), flat(100), flat(50), [50, 50, 47, 48]],
        [1, NoTrade, NoTrade, NoTrade],
        (0.05, 0, 1),
        {"split": [1, 1, 2, 1]},
        {3: (47.5, -1000, "stop-loss")},
    ),
    "a dividend is no loss": (
        [flat(100), flat(100), [94, 94, 92, 92], [92, 92, 88, 89]],
        [1, NoTrade, NoTrade, NoTrade],
        (0.05, 0, 1),
        {"dividend": [0, 0, 6, 0]},
        {3: (89.3, -500, "stop-loss")},
    ),
    "a suspect price": (
        [flat(100), flat(100), flat(60), flat(100)],
        [1, NoTrade, NoTrade, NoTrade],
        (0.05, 0, 1),
        {"suspect": [False, False, True, False]},
        {},
    ),
    "the venue is closed": (
        [flat(100), flat(100), flat(math.nan), [93, 94, 92, 93]],
        [1, NoTrade, NoTrade, NoTrade],
        (0.05, 0, 1),
        {},
        {3: (93.0, -500, "stop-loss")},
    ),
    "no volume is left": (
        [flat(100), flat(100), [100, 101, 90, 92], flat(92)],
        [1, NoTrade, NoTrade, NoTrade],
        (0.05, 0, 1),
        {"volume": [1e9, 1e9, 2000, 1e9]},
        {2: (95.0, -200, "stop-loss"), 3: (92.0, -300, "stop-loss")},
    ),
}


def asked_for(wanted):
    return [math.nan if one is NoTrade else one for one in wanted]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_stop(name):
    prices, wanted, rules, extras, expected = SCENARIOS[name]
    desk = Asked(prices, rules, asked_for(wanted), **extras)
    out = desk.run()
    found = {
        int(t): (out.stop_price[t, 0], out.stop_quantity[t, 0], str(FillStatus(out.stop_status[t, 0])))
        for t in np.flatnonzero(out.stop_quantity[:, 0])
    }
    assert {t: (round(p, 9), q, word) for t, (p, q, word) in found.items()} == expected
    moves = np.diff(np.concatenate([[100_000.0], out.equity[:, 0]]))
    np.testing.assert_allclose(out.contribution.sum(axis=1), moves, atol=1e-7)
    np.testing.assert_array_equal(out.equity[:, 0], out.equity[:, EQUAL])
    assert not np.any(desk.state.stops[HOLD : FIRST_SHADOW + 1]), "the benchmark holds, a shadow shows its agent"


def test_the_order_that_would_enlarge_a_position_beyond_its_stop_is_dropped():
    out = Asked([flat(100), flat(100), [90, 99, 89, 98]], (0.05, 0, 1), [1, 1.5, 1.5]).run()
    assert out.order[1, 0] == 250
    assert (out.fill_quantity[2, 0], out.fill_status[2, 0]) == (0.0, FillStatus.STOPPED)
    assert (out.stop_quantity[2, 0], out.stop_price[2, 0]) == (-500.0, 90.0)


def test_what_the_volume_leaves_is_closed_at_the_next_open_and_the_agent_loses_all_of_it():
    bars = [flat(100), flat(100), [100, 101, 90, 92], flat(91), flat(91)]
    desk = Asked(bars, (0.05, 0, 1), [1, 1, 1, 1, 1], volume=1e9)
    desk.inputs.volume[2] = 2000.0  # a tenth of it may be traded
    out = desk.run()
    assert out.stop_wanted[2, 0] == -500
    assert out.stop_quantity[2, 0] == -200
    assert (out.order[2, 0], Clamp.words_of(int(out.clamps[2, 0]))) == (-300.0, "stopped out")
    assert out.fill_quantity[3, 0] == 0.0
    assert (out.stop_quantity[3, 0], out.stop_price[3, 0]) == (-300.0, 91.0), "the open is beyond the stop"
    lost = 200 * 5 + 300 * 9
    np.testing.assert_allclose(out.contribution[:, 0].sum(), -lost, atol=1e-7)
    np.testing.assert_allclose((out.realised + out.stop_realised).sum(axis=(0, 1)), [-lost, 0.0], atol=1e-7)


@pytest.mark.parametrize("wait", [1, 3])
def test_a_symbol_waits_before_it_is_entered_again(wait):
    prices = [flat(100), flat(100), [100, 100, 94, 96], *[flat(96)] * 6]
    out = Asked(prices, (0.05, 0, wait), [1] * 9).run()
    waits = [NoTrade(code) is NoTrade.STOPPED for code in out.no_trade[:, 0]]
    assert waits == [2 <= t < 2 + wait for t in range(9)]
    assert np.flatnonzero(out.fill_quantity[:, 0]).tolist() == [1, 3 + wait]


def test_costs_of_a_stop_are_those_of_a_market_order():
    costs = {"commission_bps": 10.0, "half_spread_bps": 20.0, "impact": 0.5, "participation": 0.5}
    nothing = math.nan
    bars = [flat(100), flat(100), [100, 101, 90, 99]]
    desk = Asked(bars, (0.05, 0, 1), [1, nothing, nothing], execution=costs, volume=1e6)
    out = desk.run()
    units = out.position[1, 0]
    entry = out.fill_price[1, 0]
    level = 0.95 * entry
    moved = 0.5 * 0.02 / math.sqrt(1e6) * math.sqrt(units)
    price = level * (1 - 0.002 - moved)
    assert out.stop_price[2, 0] == pytest.approx(price, rel=1e-9)
    assert out.stop_fee[2, 0] == pytest.approx(0.001 * units * price, abs=1e-7)
    assert out.stop_spread[2, 0] == pytest.approx(units * level * 0.002)
    assert out.stop_impact[2, 0] == pytest.approx(units * level * moved)
    assert out.agent_cost[2, 0] == pytest.approx(out.stop_spread[2, 0] + out.stop_impact[2, 0] + out.stop_fee[2, 0])


# ---------------------------------------------------------------- brute force


def by_hand(bars, forecast, rules, participation):
    """The rule of `stops.py` in plain Python, for one symbol traded without costs: (position, cash) after each bar."""
    loss, trailing, wait_bars = rules
    cash, held, order, entry, best, wait, mark = 100_000.0, 0.0, 0.0, 0.0, 0.0, 0, math.nan
    result = []
    for t in range(len(bars.time)):
        o, h, lo, c, v = (getattr(bars, n)[t, 0] for n in ("open", "high", "low", "close", "volume"))
        if math.isnan(o):
            result.append((held, cash))
            continue
        room, was_stopped = math.floor(participation * v), False

        def level(held, entry, best):
            sign = 1 if held > 0 else -1
            found = []
            if loss:
                found.append(entry * (1 - sign * loss))
            if trailing:
                found.append(best * (1 - sign * trailing))
            return max(found) if held > 0 else min(found)

        if held and ((o <= level(held, entry, best)) if held > 0 else (o >= level(held, entry, best))):
            order = 0.0
        if order:
            traded = math.copysign(min(abs(order), room), order)
            after = held + traded
            if traded:
                if held * after <= 0:
                    entry = best = o
                elif held * traded > 0:
                    entry = (abs(held) * entry + abs(traded) * o) / (abs(held) + abs(traded))
                held, cash, room = after, cash - traded * o, room - abs(traded)
        if held:
            stop = level(held, entry, best)
            if (held > 0 and lo <= stop) or (held < 0 and h >= stop):
                was_stopped = True
                price = min(stop, o) if held > 0 else max(stop, o)
                units = min(abs(held), room)
                cash += math.copysign(units, held) * price
                held -= math.copysign(units, held)
        if held:
            best = max(best, h) if held > 0 else min(best, lo)
        mark, order = c, 0.0
        wait = wait_bars if was_stopped else wait
        equity = cash + held * mark
        if wait:
            order = -held
            wait -= 1 if held == 0 else 0
        elif math.isfinite(forecast[t]):
            weight = max(-1.0, min(1.0, forecast[t] * 0.5))
            goal = math.copysign(math.floor(abs(weight * equity / c) + 1e-9), weight)
            order = goal - held
        result.append((held, cash))
    return result


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    rules=st.tuples(st.sampled_from([0.0, 0.01, 0.03, 0.1]), st.sampled_from([0.0, 0.02, 0.06]), st.integers(1, 5)),
    gaps=st.sampled_from([0.0, 0.1]),
    thin=st.booleans(),
)
def test_stops_by_brute_force(seed, rules, gaps, thin):
    if rules[0] == rules[1] == 0.0:
        rules = (0.02, *rules[1:])
    rng = np.random.default_rng(seed)
    made = make_bars(120, 1, seed, gaps=gaps)
    prices = np.stack([getattr(made, name)[:, 0] for name in ("open", "high", "low", "close")], axis=1)
    forecast = np.where(rng.random(120) < 0.2, np.nan, np.round(rng.normal(0.5, 1.5, 120), 2))
    volume = made.volume[:, 0] / 2000 if thin else np.full(120, 1e9)
    desk = Asked(prices, rules, forecast, execution={"leverage": 10.0})
    desk.inputs.volume[:, 0] = volume
    out = desk.run()
    bars = replace(desk.bars, volume=volume[:, None])
    expected = by_hand(bars, np.clip(forecast, -2, 2), rules, 0.1)
    np.testing.assert_allclose(out.position[:, 0], [held for held, _ in expected], atol=1e-9)
    np.testing.assert_allclose(out.cash[:, 0], [cash for _, cash in expected], atol=1e-2)  # prices are whole 1e-8


# ---------------------------------------------------------------- the desk


@pytest.mark.parametrize(("gaps", "actions"), [(0.0, False), (0.03, True)])
def test_stops_live_bar_by_bar_equal_the_replay(gaps, actions):
    bars = make_bars(260, 3, 17, gaps=gaps, actions=actions)
    whole, live = run_replay(bars, STOPS), run_live(bars, 0, STOPS)
    stopped = [o for o, _, reason in whole.orders.values() if "stop" in reason and "reached at" in reason]
    assert len(stopped) > 10, "this market reaches stops"
    assert live.orders == whole.orders
    assert live.fills == whole.fills
    assert [t for c in live.cycles for t in c.trades] == [t for c in whole.cycles for t in c.trades]
    np.testing.assert_allclose(joined(live, "equity"), joined(whole, "equity"), rtol=1e-9)
    for name in ("no_trade", "clamps"):
        np.testing.assert_array_equal(joined(live, name), joined(whole, name))
    shares = {t.trade_id: t.pnl for c in whole.cycles for t in c.trades}
    for row in (r for c in whole.cycles for r in c.contributions):
        shares[row.trade_id] -= row.contribution
    assert set(shares.values()) == {0}
    moves = np.diff(np.concatenate([[1e6], joined(whole, "equity")[:, 0]]))
    np.testing.assert_allclose(joined(whole, "contribution").sum(axis=1), moves, atol=1e-5)


def test_a_restart_between_bars_forgets_no_stop():
    bars = make_bars(200, 3, 17)
    whole, parts = run_replay(bars, STOPS), run_replay(bars.rows(0, 131), STOPS)
    state, _ = unpack_state(parts.cycles[-1].state, plan(STOPS, bars.symbols), AGENTS.names)
    assert state.stops[0, :, 0].any(), "a position is held"
    run_replay(bars, STOPS, parts)
    assert parts.orders == whole.orders
    np.testing.assert_array_equal(joined(parts, "equity"), joined(whole, "equity"))
