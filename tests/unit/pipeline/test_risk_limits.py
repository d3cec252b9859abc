"""The limits that are off, warn or enforce: against plain Python, as scenarios, and live against replay."""

from __future__ import annotations

import logging
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.core.clock import SimulatedClock
from agents.core.errors import SettingsError
from agents.core.risk_settings import Limit
from agents.core.settings import Settings, load_settings
from agents.core.types import Clamp, RiskLimit, RiskState
from agents.orchestrator.order_rate import OrderRate
from agents.pipeline.bar import MarketAtClose, Targets
from agents.pipeline.breakers import note_trades, sizes_reached
from agents.pipeline.commands import obey
from agents.pipeline.desk import desk_of
from agents.pipeline.parameters import RiskLimits, Threshold
from agents.pipeline.risk import apply_limits
from agents.pipeline.state import matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_rows
from tests.market import make_bars
from tests.unit.pipeline.test_pipeline import LIMITS
from tests.unit.pipeline.test_step import T0, joined, plan, run_live, run_replay

ACTIVE, REDUCING, HALTED = RiskState
GROUPS = np.array([0, 0, 1, -1])


def plain(weight, current, limits: RiskLimits, scale: float) -> np.ndarray:
    """The definitions, one after the other."""
    result = []
    for w, c in zip(weight, current, strict=True):
        held = abs(c) if w * c > 0 else 0.0
        most = held + limits.order_size.at if limits.order_size.enforced else np.inf
        result.append(np.sign(w) * min(abs(w), most))
    result = np.array(result)
    if limits.group.enforced:
        for group in (0, 1):
            mine = group == GROUPS
            total = np.abs(result[mine]).sum()
            if total > limits.group.at * scale:
                result[mine] *= limits.group.at * scale / total
    return result


@given(
    weight=arrays(np.float64, 4, elements=st.floats(-3, 3).map(lambda v: round(v, 6))),
    current=arrays(np.float64, 4, elements=st.floats(-1.5, 1.5).map(lambda v: round(v, 6))),
    group=st.tuples(st.floats(0, 2), st.booleans()),
    size=st.tuples(st.floats(0, 2), st.booleans()),
    state=st.sampled_from([ACTIVE, REDUCING]),
)
def test_group_and_order_size_by_brute_force(weight, current, group, size, state):
    """They only shrink, twice is once, each change is named; what is not enforced changes nothing and is told."""
    limits = LIMITS._replace(groups=GROUPS, group=Threshold(*group), order_size=Threshold(*size), gross_cap=1e9)
    limits = limits._replace(symbol_cap=1e9)
    market = MarketAtClose(np.ones(4), np.ones(4, bool), np.zeros(4, bool), np.zeros(4, bool))
    once = Targets(np.zeros(4), weight.copy(), current, np.zeros(4, np.int64), np.zeros(4, np.int64))
    apply_limits(once, market, state, limits)
    scale = 0.5 if state == REDUCING else 1.0
    np.testing.assert_allclose(once.weight, plain(weight, current, limits, scale), rtol=1e-9, atol=1e-12)
    assert (np.abs(once.weight) <= np.abs(weight)).all()
    assert (once.clamps[once.weight != weight] != 0).all()
    named = Clamp.GROUP_CAP | Clamp.ORDER_SIZE | Clamp.REDUCING
    assert not (once.clamps & ~named).any()
    again = once.weight.copy()
    twice = once._replace(weight=again, clamps=np.zeros(4, np.int64))
    apply_limits(twice, market, state, limits)
    np.testing.assert_array_equal(again, once.weight)
    told = sizes_reached(once, limits)
    if not size[1]:
        grown = np.abs(once.weight) - np.where(once.weight * current > 0, np.abs(current), 0)
        assert bool(told & RiskLimit.ORDER_SIZE) == (grown > size[0] * (1 + 1e-12)).any()
    elif not group[1]:
        assert (
            bool(told & RiskLimit.ORDER_SIZE)
            == (~np.isclose(plain(weight, current, limits, 1.0), weight, rtol=1e-9, atol=1e-12)).any()
        )


def test_a_closing_order_is_never_too_large():
    """A position of 90 % is sold whole, and turned round no further than the limit."""
    limits = LIMITS._replace(order_size=Threshold(0.1, True))
    market = MarketAtClose(np.ones(3), np.ones(3, bool), np.zeros(3, bool), np.zeros(3, bool))
    targets = Targets(
        np.zeros(3), np.array([0.0, -0.5, 1.2]), np.full(3, 0.9), np.zeros(3, np.int64), np.zeros(3, np.int64)
    )
    apply_limits(targets, market, ACTIVE, limits)
    np.testing.assert_allclose(targets.weight, [0.0, -0.1, 1.0])


BREAKERS = [
    # risk.limits, equity at each close (one a day but where days says otherwise), states
    ({"daily_loss": {"at": 0.05, "action": "enforce"}}, [100, 96, 91.3, 86, 90], [0, 0, 0, 2, 2]),
    ({"daily_loss": {"at": 0.05, "action": "warn"}}, [100, 96, 91.3, 86, 90], [0, 0, 0, 0, 0]),
    ({"daily_loss": {"at": 0.05, "action": "off"}}, [100, 96, 91.3, 86, 90], [0, 0, 0, 0, 0]),
]


def days_through(limits: dict, equity: list[float], days: list[int]):
    base = plan(Settings(risk={"limits": limits, "reduce_drawdown": 0.9, "halt_drawdown": 0.95}), ("S0",))
    n, state, bars = len(equity), new_state(1, 1, 100.0), make_bars(len(equity), 1, 1)
    none = np.full((n, 1), np.nan)
    inputs = matched_inputs(bars, none, none[:, :, None], np.ones((n, 1, 1)), np.ones(1))
    inputs = inputs._replace(day=np.array(days))
    out, reached = new_outputs(n, 1, 1), []
    for t in range(n):
        state.cash[:] = equity[t]
        run_rows(desk_of(state, base.parameters), inputs, out, t, t + 1)
        reached.append(int(state.reached[0]))
    return out.risk_state.tolist(), reached, state


@pytest.mark.parametrize(("limits", "equity", "states"), BREAKERS)
def test_a_day_that_loses_too_much(limits, equity, states):
    found, reached, _ = days_through(limits, equity, list(range(len(equity))))
    assert found == states
    is_off = limits["daily_loss"]["action"] == "off"
    assert reached == [0, 0, 0, 0 if is_off else RiskLimit.DAILY_LOSS, 0]


def test_a_days_loss_adds_up_over_its_bars_and_ends_with_the_day():
    equity, days = [100, 98, 96, 94.9, 94.9, 94.9], [1, 1, 1, 1, 2, 2]
    _, reached, _ = days_through({"daily_loss": {"at": 0.05, "action": "warn"}}, equity, days)
    assert reached == [0, 0, 0, RiskLimit.DAILY_LOSS, 0, 0]


def test_a_resume_counts_the_day_and_the_losses_from_here():
    _, _, state = days_through({"daily_loss": {"at": 0.05, "action": "enforce"}}, [100, 90], [1, 1])
    state.today[2] = 7
    assert state.risk_state[0] == HALTED
    obey(state, ACTIVE)
    assert state.today[1:].tolist() == [90.0, 0.0]


@given(st.lists(st.lists(st.sampled_from([-5.0, 0.0, 3.0]), min_size=2, max_size=2), max_size=30))
def test_losing_trades_in_a_row_by_brute_force(bars):
    today, trades = np.zeros(3), []
    for bar in bars:
        note_trades(today, np.array([[value, 0.0] for value in bar]))
        trades += [value for value in bar if value]
    run = 0
    while run < len(trades) and trades[-1 - run] < 0:
        run += 1
    assert today[2] == run


def test_live_equals_replay_under_all_limits_and_each_edge_is_on_record_once():
    bars = make_bars(300, 3, 12)
    limits = {
        "group": {"at": 0.25, "action": "enforce"},
        "order_size": {"at": 0.05, "action": "enforce"},
        "daily_loss": {"at": 0.004, "action": "warn"},
        "consecutive_losses": {"at": 4, "action": "warn"},
    }
    given_ = Settings(risk={"groups": {"two": ["S0", "S2"]}, "limits": limits})
    whole, live = run_replay(bars, given_), run_live(bars, 0, given_)
    assert [o for c in live.cycles for o in c.orders] == [o for c in whole.cycles for o in c.orders]
    clamps = joined(whole, "clamps")
    np.testing.assert_array_equal(joined(live, "clamps"), clamps)
    for bit in (Clamp.GROUP_CAP, Clamp.ORDER_SIZE):
        assert (clamps & bit).any(), "this market reaches them"
    target = np.abs(joined(whole, "target_weight"))
    assert target[:, [0, 2]].sum(axis=1).max() <= 0.25 + 1e-9
    edges = [event.reason for event in live.risk_events if event.actor == "desk" and event.reason.startswith("limit")]
    for limit in RiskLimit:
        mine = [reason.split(":")[0] for reason in edges if reason.endswith(str(limit))]
        assert mine, f"{limit} is reached"
        assert all(first != second for first, second in pairwise(["limit over", *mine])), "reached, over, reached"


def test_losses_in_a_row_halt_where_that_is_enforced():
    limits = {"consecutive_losses": {"at": 4, "action": "enforce"}}
    live = run_live(make_bars(300, 3, 12), 0, Settings(risk={"limits": limits}))
    states = joined(live, "risk_state")
    assert states[-1] == HALTED
    halted = [event for event in live.risk_events if event.after is HALTED and event.before is not HALTED]
    assert [event.reason for event in halted] == ["consecutive losses"]


@pytest.mark.parametrize(("action", "left"), [("off", [3, 3, 3]), ("warn", [3, 3, 3]), ("enforce", [3, 2, 0])])
def test_orders_within_a_minute(action, left, caplog):
    caplog.set_level(logging.INFO)
    clock = SimulatedClock(T0)
    rate = OrderRate(Limit(at=5, action=action), clock)
    assert [rate.room_for(3) for _ in range(3)] == left
    told = [record.getMessage() for record in caplog.records]
    assert told == ([] if action == "off" else ["ALARM"])
    clock.sleep_s(61.0)
    assert rate.room_for(3) == 3
    assert caplog.records[-1:] == [] or caplog.records[-1].getMessage() == "alarm is over"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[risk.groups]\na = ['X']\nb = ['X']", "'X' is in a and in b; a symbol has one group"),
        ("[risk.limits]\ndaily_loss = { at = 0.05, action = 'halt' }", "risk.limits.daily_loss.action"),
        ("[risk.limits]\ndaily_loss = 0.05", "risk.limits.daily_loss"),
        ("[risk.limits]\ndayly_loss = { at = 0.05, action = 'off' }", "did you mean daily_loss"),
    ],
)
def test_wrong_limits_are_refused_with_their_key(tmp_path, text, message):
    (tmp_path / "quorum.toml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_settings(tmp_path / "quorum.toml")


def test_of_a_limit_that_is_set_in_part_the_rest_is_the_default(monkeypatch):
    monkeypatch.setenv("QUORUM_RISK__LIMITS__DAILY_LOSS__ACTION", "enforce")
    limits = load_settings().risk.limits
    assert limits.daily_loss == Limit(at=0.05, action="enforce")
    assert limits.group == Limit(at=0.5, action="enforce")
