"""What a book's forecasts were worth before costs, by brute force; and that the zone follows it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.core.books import EQUAL, FIRST_SHADOW, HOLD, LIVE
from agents.core.settings import Settings
from agents.pipeline.parameters import LEAST_SHARPE, PRIOR_SHARPE, PRIOR_YEARS
from agents.pipeline.state import matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_bars
from agents.pipeline.worth import MEMORY_YEARS, PRIOR_BARS, risk_aversion
from agents.wiring.desk import parameters_of
from tests.market import make_bars

YEAR = 252.0


def stepped(seed: int, *, costs: float = 1.0, short: bool = True, bars: int = 120):
    """Two agents on three symbols, with gaps, actions, a dividend on the day of a split, a suspect bar, and a delisting
    of a symbol that comes back."""
    rng = np.random.default_rng(seed)
    world = make_bars(bars, 3, seed, gaps=0.05, actions=True)
    suspect = np.zeros(world.open.shape, dtype=bool)
    suspect[bars // 2, 0] = np.isfinite(world.open[bars // 2, 0])
    world = replace(world, suspect=suspect)
    world.split[bars // 3, 2], world.dividend[bars // 3, 2] = 2.0, 0.05 * np.nanmean(world.close[:, 2])
    world.delisting[bars * 3 // 4, 1] = 0.7 * np.nanmean(world.close[:, 1])
    away = slice(bars * 3 // 4, bars * 3 // 4 + 10)
    world.open[away, 1] = world.close[away, 1] = np.nan
    forecast = np.clip(rng.normal(0.0, 1.0, (bars, 3, 2)), -2.0, 2.0)
    forecast[rng.random(forecast.shape) < 0.2] = np.nan
    volatility = np.where(np.isfinite(world.close), 0.02, np.nan)
    inputs = matched_inputs(world, volatility, forecast, np.tile(np.eye(2), (bars, 1, 1)), np.full(2, 0.5))
    chosen = Settings(execution={"half_spread_bps": 2.0 * costs}, risk={"allow_short": short})
    parameters = parameters_of(chosen, world.symbols)
    state, out = new_state(2, 3, 1e6), new_outputs(bars, 2, 3)
    return world, inputs, parameters, state, out


def brute(world, raw, target, keep, *, short):
    """The three sums of a book whose raw weights were `raw` [n, S]."""
    wanted, followed, mark = np.zeros(3), np.zeros(3), np.full(3, np.nan)
    sums = np.zeros(3)
    for t in range(len(raw)):
        profit, asked = 0.0, False
        for s in range(3):
            opened, closed = world.open[t, s], world.close[t, s]
            gone = np.isfinite(world.delisting[t, s])
            split = world.split[t, s]
            if not gone and (not np.isfinite(opened) or world.suspect[t, s]):
                if np.isfinite(mark[s]):
                    mark[s] /= split
                continue
            before = mark[s] / split
            if gone:
                night, day = world.delisting[t, s] / before - 1.0, 0.0
            else:
                paid = world.dividend[t, s] / split
                night = (opened + paid) / before - 1.0 if np.isfinite(before) else 0.0
                day = closed / opened - 1.0
            profit += followed[s] * night + wanted[s] * day
            asked |= followed[s] != 0.0 or wanted[s] != 0.0
            followed[s] = wanted[s]
            if gone:
                wanted[s] = followed[s] = 0.0
            else:
                mark[s] = closed
        if asked:
            sums = keep * sums + np.array([profit, profit**2, 1.0])
        for s in range(3):
            if np.isfinite(raw[t, s]):
                wanted[s] = raw[t, s] / target if short or raw[t, s] > 0.0 else 0.0
    return sums


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), short=st.booleans())
def test_the_record_is_the_profit_of_the_whole_target_without_costs(seed, short):
    world, inputs, parameters, state, out = stepped(seed, short=short)
    run_bars(state, inputs, parameters, out)
    keep = 1.0 - 1.0 / (MEMORY_YEARS * YEAR)
    sums = brute(world, out.raw_weight, parameters.sizing.target_volatility, keep, short=short)
    np.testing.assert_allclose(state.worth[LIVE], sums, rtol=1e-9, atol=1e-12)
    assert sums[2] > 50.0
    np.testing.assert_allclose(state.worth[EQUAL], sums, rtol=1e-9, err_msg="the control has the desk's weights here")
    assert (state.worth[FIRST_SHADOW:, 2] > 50.0).all() and (state.worth[FIRST_SHADOW:, 1] > 0.0).all()
    assert not state.worth[HOLD].any(), "who only holds asks for nothing"


def test_costs_change_no_record():
    cheap, dear = (stepped(3, costs=costs) for costs in (0.0, 50.0))
    for _, inputs, parameters, state, out in (cheap, dear):
        run_bars(state, inputs, parameters, out)
    shadows = slice(FIRST_SHADOW, None)
    np.testing.assert_allclose(cheap[3].worth[shadows], dear[3].worth[shadows], rtol=1e-12)
    assert np.abs(cheap[4].turnover - dear[4].turnover)[:, shadows].max() > 0.0, "they traded otherwise"


def test_a_symbol_that_leaves_is_asked_for_nothing():
    """Its position only ends; what the forecasts would have it be is no opinion of the book."""
    _, inputs, parameters, state, out = stepped(3)
    leaving = np.zeros(inputs.open.shape, dtype=bool)
    leaving[:, 2] = True
    run_bars(state, inputs._replace(leaving=leaving), parameters, out)
    assert np.isfinite(out.raw_weight[-40:, 2]).any(), "the agents spoke of it"
    assert not state.wanted[:, 2].any()
    assert state.wanted[LIVE, :2].any()


@given(
    profit=st.floats(-50.0, 50.0),
    square=st.floats(0.0, 3.0),
    seen=st.floats(0.0, MEMORY_YEARS * YEAR),
)
def test_the_aversion_is_the_posterior_mean_over_the_volatility(profit, square, seen):
    sizing = parameters_of(Settings(), ("S0",)).sizing
    year = sizing.bars_per_year
    prior = PRIOR_BARS * max(0.0, 1.0 - seen / (MEMORY_YEARS * year))
    deviation = math.sqrt((prior + square * seen) / (prior + seen)) or 1.0
    lean = PRIOR_YEARS * year
    sharpe = (lean * PRIOR_SHARPE + profit / deviation * math.sqrt(year)) / (lean + seen)
    for least in (LEAST_SHARPE, PRIOR_SHARPE):
        found = risk_aversion(np.array([profit, square * seen, seen]), least, sizing)
        assert found == pytest.approx(max(least, sharpe) / math.sqrt(year) / deviation, rel=1e-9)
