"""Formulas against published numbers and simulation; every gate calibrated on noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.quant.bootstrap import block_length
from agents.quant.evidence import (
    expected_best_sharpe,
    level_of_a_look,
    minimum_track_record,
    probabilistic_sharpe,
    required_t,
    sharpe_difference,
    sharpe_interval,
)
from agents.quant.same_skill import drifting_spread, inflation, lasting_spread

# Periods after which a per-period Sharpe ratio is shown with 95 % (formula of Bailey and Lopez de Prado, rounded up).
TRACK_RECORDS = [(0.05, 1085), (0.1, 273), (0.2, 70), (0.3, 32), (0.5, 13), (1.0, 5)]
SKEWED = [(0.05, 1142), (0.1, 303), (0.2, 87), (0.3, 45), (0.5, 22), (1.0, 11)]


@pytest.mark.parametrize(("sharpe", "periods"), TRACK_RECORDS)
def test_minimum_track_record_of_normal_returns(sharpe, periods):
    assert math.ceil(minimum_track_record(sharpe, 0.0, 0.0, 3.0, 0.95)) == pytest.approx(periods, abs=1)


@pytest.mark.parametrize(("sharpe", "periods"), SKEWED)
def test_minimum_track_record_of_skewed_returns(sharpe, periods):
    assert math.ceil(minimum_track_record(sharpe, 0.0, -1.0, 8.0, 0.95)) == pytest.approx(periods, abs=1)


def test_psr_at_the_minimum_track_record_is_the_confidence():
    length = minimum_track_record(0.2, 0.05, -0.5, 5.0, 0.95)
    assert probabilistic_sharpe(0.2, 0.05, length, -0.5, 5.0) == pytest.approx(0.95, abs=1e-12)


def test_ten_signals_need_an_absurd_ratio():
    """n = 10: a per-trade ratio of 0.59 is where PSR reaches 95 %."""
    assert probabilistic_sharpe(0.59, 0.0, 10, 0.0, 3.0) == pytest.approx(0.95, abs=0.003)


@pytest.mark.parametrize(("trials", "best"), [(2, 0.18), (5, 0.43), (10, 0.56), (50, 0.81)])
def test_best_of_skill_less_agents(trials, best):
    """With n = 10 the estimates' deviation is about 1 / sqrt(9); the published table of the best ratio by chance."""
    assert expected_best_sharpe(1.0 / 9.0, trials) == pytest.approx(best, abs=0.06)


def test_best_by_chance_matches_simulation():
    rng = np.random.default_rng(0)
    best = rng.standard_normal((20_000, 20)).max(axis=1).mean()
    assert expected_best_sharpe(1.0, 20) == pytest.approx(best, rel=0.02)


def test_deflated_sharpe_promotes_nobody_without_skill():
    """Best of 200 zero-skill agents: DSR at 95 % fires in at most 5 % of seeds (H06)."""
    rng = np.random.default_rng(3)
    fired = 0
    for _ in range(200):
        returns = rng.standard_normal((250, 200))
        ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
        benchmark = expected_best_sharpe(float(ratios.var(ddof=1)), 200)
        fired += probabilistic_sharpe(float(ratios.max()), benchmark, 250, 0.0, 3.0) >= 0.95
    assert fired <= 10


@pytest.mark.parametrize(
    "undefined", [(math.nan, 0.0, 50, 0.0, 3.0), (0.1, 0.0, 2, 0.0, 3.0), (1.0, 0.0, 50, 5.0, 1.0)]
)
def test_undefined_is_nan(undefined):
    assert math.isnan(probabilistic_sharpe(*undefined))


def test_a_ratio_below_its_benchmark_never_shows():
    assert math.isnan(minimum_track_record(0.1, 0.2, 0.0, 3.0, 0.95))


@pytest.mark.parametrize("memory", [0.0, 0.3])
def test_bootstrap_interval_covers_the_truth(memory):
    """90 % intervals of a true ratio of 0.05 hold it in 90 % of samples, with autocorrelation a little less."""
    rng = np.random.default_rng(7)
    held = 0
    for seed in range(300):
        noise = rng.standard_normal(500)
        for t in range(1, 500):
            noise[t] = memory * noise[t - 1] + math.sqrt(1 - memory**2) * noise[t]
        low, high = sharpe_interval(0.05 + noise, seed=seed)
        held += low <= 0.05 <= high
    assert 0.82 <= held / 300 <= 0.96


def test_interval_is_the_same_for_the_same_seed_and_undefined_when_short():
    returns = np.random.default_rng(1).standard_normal(100)
    assert sharpe_interval(returns, seed=4) == sharpe_interval(returns, seed=4)
    assert all(map(math.isnan, sharpe_interval(returns[:19], seed=4)))
    assert all(map(math.isnan, sharpe_interval(np.zeros(100), seed=4)))


def test_paired_difference_is_right_on_average_and_calibrated():
    """Two portfolios of the same merit: |t| beyond 1.96 in about 5 % of samples; the difference is that of the
    ratios."""
    rng = np.random.default_rng(5)
    beyond = 0
    for seed in range(400):
        both = rng.standard_normal((400, 2)) + 0.05
        test = sharpe_difference(both[:, 0], both[:, 1], np.full(400, 1 / 400), 252.0, seed=seed)
        ratios = both.mean(axis=0) / both.std(axis=0)
        assert test.difference == pytest.approx((ratios[0] - ratios[1]) * math.sqrt(252), abs=1e-9)
        beyond += abs(test.t) > 1.96
    assert 0.02 <= beyond / 400 <= 0.10


def test_the_same_portfolio_differs_by_nothing():
    returns = np.random.default_rng(0).standard_normal(300)
    test = sharpe_difference(2.0 * returns, returns, np.full(300, 1 / 300), 252.0, seed=0)
    assert test.t == 0.0


@pytest.mark.parametrize("agents", [2, 6, 12])
def test_spread_tests_are_uniform_on_noise(agents):
    """p < 0.05 in about 5 % of worlds of equal skill, for both statistics."""
    rng = np.random.default_rng(agents)
    lasting, drifting = [], []
    for _ in range(300):
        returns = (
            0.05 + math.sqrt(0.2) * rng.standard_normal((378, 1)) + math.sqrt(0.8) * rng.standard_normal((378, agents))
        )
        lasting.append(lasting_spread(returns, np.full(378, 1 / 378)))
        drifting.append(drifting_spread(returns, 126))
    assert 0.015 <= np.mean(np.array(lasting) < 0.05) <= 0.10
    assert 0.015 <= np.mean(np.array(drifting) < 0.05) <= 0.10


def test_spread_tests_see_what_each_is_for():
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((756, 6))
    star = noise + 0.25 * (np.arange(6) == 2)
    assert lasting_spread(star, np.full(756, 1 / 756)) < 1e-4
    turns = noise + 0.35 * np.where((np.arange(756) // 126 % 2 == 0)[:, None], 1, -1) * (np.arange(6) == 2)
    assert lasting_spread(turns, np.full(756, 1 / 756)) > 0.01
    assert drifting_spread(turns, 126) < 5e-3


def test_too_little_says_nothing():
    assert lasting_spread(np.random.default_rng(0).standard_normal((12, 6)), np.full(12, 1 / 12)) == 1.0
    assert drifting_spread(np.random.default_rng(0).standard_normal((200, 6)), 126) == 1.0


@given(st.floats(0.01, 0.5), st.floats(1.0, 500.0))
def test_levels_multiply_back(rate, tests):
    level = level_of_a_look(rate, tests)
    assert 1.0 - (1.0 - level) ** tests == pytest.approx(rate, rel=1e-6)
    assert required_t(rate, looks_per_year=tests, trials=1, periods=200.0) <= required_t(
        rate, looks_per_year=tests, trials=5, periods=200.0
    )


def test_inflation_of_an_autocorrelated_mean():
    """AR(1) with 0.3: the variance of the mean is (1 + 0.3) / (1 - 0.3) = 1.86 times larger; Bartlett's taper sees
    most of it."""
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((5000, 4))
    for t in range(1, 5000):
        noise[t] += 0.3 * noise[t - 1]
    assert 1.5 <= inflation(noise) <= 2.0
    assert 0.8 <= inflation(rng.standard_normal((5000, 4))) <= 1.2


def test_a_white_common_factor_does_not_hide_the_memory_of_what_agents_differ_in():
    """Seen: 1.1, since the agents' own autocorrelation was pooled, and the gate opened in 15 % of looks."""
    rng = np.random.default_rng(2)
    own = rng.standard_normal((5000, 6))
    for t in range(1, 5000):
        own[t] = 0.3 * own[t - 1] + math.sqrt(0.91) * own[t]
    assert 1.5 <= inflation(2.0 * rng.standard_normal((5000, 1)) + own) <= 2.0
    assert 0.8 <= inflation(own.cumsum(axis=0)[:, :1] + rng.standard_normal((5000, 6))) <= 1.2


def test_a_paired_difference_of_a_short_sample_is_no_more_certain_than_it_is():
    """Seen: 7.6 % of differences of nothing beyond 1.96 standard errors in 120 periods."""
    rng = np.random.default_rng(6)
    both = rng.standard_normal((1200, 120, 2)) + 0.05
    tests = [sharpe_difference(x[:, 0], x[:, 1], np.full(120, 1 / 120), 252.0, seed=k) for k, x in enumerate(both)]
    assert 0.03 <= np.mean([abs(test.t) > 1.96 for test in tests]) <= 0.065


def test_block_length_grows_with_the_sample():
    assert [block_length(n) for n in (1, 8, 252, 1000)] == [1, 3, 9, 15]
