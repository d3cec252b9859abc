"""The drawdown that reduces a desk, and how that ends: against plain Python, as scenarios, and live against replay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.books import LIVE
from agents.core.settings import Settings
from agents.core.types import RiskState
from agents.orchestrator.risk_changes import drawdown_words
from agents.pipeline.commands import obey
from agents.pipeline.desk import desk_of
from agents.pipeline.highs import begun_highs, drawdown_from, note_high, recent_high
from agents.pipeline.parameters import MONTHS_KEPT
from agents.pipeline.risk import RECOVERY, next_risk_state
from agents.pipeline.state import State, matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_rows
from tests.market import make_bars
from tests.unit.pipeline.test_step import joined, plan, run_live, run_replay

ACTIVE, REDUCING, HALTED = RiskState


def plain_high(months: list[int], equity: list[float], began: float, window: int) -> float:
    """The definition: the largest of those in the last `window` months, what it began with in the first one's."""
    seen = [(months[0], began), *zip(months, equity, strict=True)]
    return max(value for month, value in seen if window == 0 or month > months[-1] - window)


@given(
    steps=st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 1, 2, 5, 11, 12, 13, 40]), st.floats(-50, 300)), max_size=40),
    window=st.integers(0, 12),
    first=st.integers(0, 700),
)
def test_the_recent_high_by_brute_force(steps, window, first):
    highs, months, equity, peak = begun_highs(np.array([100.0]))[0], [], [], 100.0
    assert recent_high(highs, window, peak) == 100.0
    for gap, value in steps:
        months.append((months[-1] if months else first) + gap)
        equity.append(value)
        peak = max(peak, value)
        note_high(highs, months[-1], value)
        high = recent_high(highs, window, peak)
        assert high == plain_high(months, equity, 100.0, window)
        assert value <= high <= peak
        longer = recent_high(highs, min(MONTHS_KEPT, window + 1) if window else 0, peak)
        assert high <= longer, "a longer memory never finds less drawdown"


@given(
    before=st.sampled_from([ACTIVE, REDUCING, HALTED]),
    share=st.floats(0.0, 1.0, exclude_max=True),
    recent=st.floats(0.0, 1.0),
)
def test_who_is_near_the_peak_need_not_know_the_recent_high(before, share, recent):
    """The step does not look for it there: a recent high is no higher than the peak, so it could change nothing."""
    limits = plan(Settings(), ("A",)).parameters.limits
    drawdown = share * RECOVERY * limits.reduce_drawdown
    known = next_risk_state(before, drawdown, recent * drawdown, limits)
    assert known == next_risk_state(before, drawdown, drawdown, limits)


def test_a_high_that_is_no_money_is_a_whole_drawdown():
    assert drawdown_from(100.0, 80.0) == pytest.approx(0.2)
    assert drawdown_from(-5.0, -5.0) == drawdown_from(0.0, -1.0) == 1.0


SCENARIOS = [
    # window, equity month by month, states: it fell to 75 and stays; the high of 100 leaves with its month
    (12, [100, *[75] * 13], [ACTIVE, *[REDUCING] * 11, ACTIVE, ACTIVE]),
    (3, [100, *[75] * 4], [ACTIVE, REDUCING, REDUCING, ACTIVE, ACTIVE]),
    # as it was: for ever
    (0, [100, *[75] * 40], [ACTIVE, *[REDUCING] * 40]),
    # back with equity before that: above 84 of 100
    (12, [100, 79, 83, 85, 81, 79], [ACTIVE, REDUCING, REDUCING, ACTIVE, ACTIVE, REDUCING]),
    # a slow loss is not forgotten by what halts: 65 of 100, 20 months later
    (3, [100, *np.linspace(99, 66, 19), 64, 64], [*[ACTIVE] * 20, HALTED, HALTED]),
]


@pytest.mark.parametrize(("window", "equity", "states"), SCENARIOS)
def test_how_a_reduced_desk_comes_back(window, equity, states):
    """Seen: a desk in cash that is a quarter below its peak was reduced for good."""
    base = plan(Settings(risk={"reduce_months": window}), ("S0",))
    n, state, bars = len(equity), new_state(1, 1, 100.0), make_bars(len(equity), 1, 1)
    none = np.full((n, 1), np.nan)
    inputs = matched_inputs(bars, none, none[:, :, None], np.ones((n, 1, 1)), np.ones(1))
    inputs = inputs._replace(month=np.arange(n) + 400)
    out = new_outputs(n, 1, 1)
    for t in range(n):
        state.cash[:] = equity[t]
        run_rows(desk_of(state, base.parameters), inputs, out, t, t + 1)
    assert out.risk_state.tolist() == states


def fallen(months: int = 3) -> State:
    state = new_state(2, 1, 100.0)
    for b in range(len(state.cash)):
        for k in range(months):
            note_high(state.highs[b], 500 + k, 100.0 - 10.0 * k)
    state.equity[:] = 100.0 - 10.0 * (months - 1)
    return state


def test_a_resume_measures_from_here():
    state = fallen()
    state.risk_state[LIVE] = HALTED
    obey(state, ACTIVE)
    note_high(state.highs[LIVE], 503, 70.0)
    assert recent_high(state.highs[LIVE], 12, state.peak[LIVE]) == 80.0


def test_what_is_logged_names_both_drawdowns():
    limits, state = plan(Settings(), ("S0",)).parameters.limits, fallen()
    assert drawdown_words(state, limits) == "drawdown 20.0%"
    for k in range(3, 14):
        note_high(state.highs[LIVE], 500 + k, 80.0)
    assert drawdown_words(state, limits) == "drawdown 20.0%, 0.0% of 12 months"


def test_live_equals_replay_while_a_desk_is_reduced_and_comes_back():
    bars = make_bars(330, 2, 6)
    given_ = {"reduce_drawdown": 0.01, "halt_drawdown": 0.9, "reduce_months": 2}
    whole, live = run_replay(bars, Settings(risk=given_)), run_live(bars, 0, Settings(risk=given_))
    states = joined(whole, "risk_state")
    assert (np.diff(states) > 0).sum() >= 2, "it is reduced more than once"
    assert (np.diff(states) < 0).sum() >= 2, "and comes back"
    np.testing.assert_array_equal(joined(live, "risk_state"), states)
    assert [o for c in live.cycles for o in c.orders] == [o for c in whole.cycles for o in c.orders]
    forever = joined(run_replay(bars, Settings(risk=given_ | {"reduce_months": 0})), "risk_state")
    assert (states <= forever).mean() > 0.9
    assert (states == REDUCING).sum() < (forever == REDUCING).sum()
