"""Figures of merit by hand, and against quantstats where the definitions agree."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.quant.compiled import compiled
from agents.quant.returns import mean_and_variance, sharpe_ratio
from agents.quant.scores import (
    calmar_ratio,
    capital_drawdown,
    pooled_correlation,
    shape_of,
    sortino_ratio,
    wins_and_losses,
)


@pytest.fixture(scope="module")
def stats():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("quantstats.stats")


@pytest.mark.parametrize("seed", range(5))
def test_quantstats_agrees(stats, seed):
    """Sharpe, Sortino, profit factor, payoff, win and loss averages, runs."""
    import pandas as pd

    returns = np.random.default_rng(seed).normal(3e-4, 0.01, 400)
    series = pd.Series(returns, index=pd.date_range("2020-01-01", periods=400))
    ours = wins_and_losses(returns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert sharpe_ratio(returns, 252.0) == pytest.approx(stats.sharpe(series, periods=252), rel=1e-9)
        assert sortino_ratio(returns, 252.0) == pytest.approx(stats.sortino(series, periods=252), rel=1e-9)
        assert ours.profit_factor == pytest.approx(stats.profit_factor(series), rel=1e-9)
        assert ours.payoff_ratio == pytest.approx(stats.payoff_ratio(series), rel=1e-9)
        assert ours.average_win == pytest.approx(stats.avg_win(series), rel=1e-9)
        assert -ours.average_loss == pytest.approx(stats.avg_loss(series), rel=1e-9)
        assert ours.longest_wins == stats.consecutive_wins(series)
        assert ours.longest_losses == stats.consecutive_losses(series)
        _, skew, kurtosis = shape_of(returns)
        assert skew == pytest.approx(stats.skew(series), rel=0.02, abs=0.01)
        assert kurtosis - 3.0 == pytest.approx(stats.kurtosis(series), rel=0.2, abs=0.05)


def test_by_hand():
    """+2, -1, 0, +1, +3, -2 percent: gains 6, losses 3; the run of wins +1 +3 (the flat day ends nothing)."""
    returns = np.array([0.02, -0.01, 0.0, 0.01, 0.03, -0.02])
    figures = wins_and_losses(returns)
    assert figures.profit_factor == pytest.approx(2.0)
    assert figures.expectancy == pytest.approx(0.03 / 5)
    assert (figures.average_win, figures.average_loss) == (pytest.approx(0.02), pytest.approx(0.015))
    assert figures.payoff_ratio == pytest.approx(4.0 / 3.0)
    assert (figures.longest_wins, figures.longest_losses) == (2, 1)


def test_drawdown_of_constant_capital_by_hand():
    """Curve 0, 2, 1, 1, 2, 5, 3 percent: deepest fall 2, longest stay below a peak two periods (after +2: 1, 1)."""
    returns = np.array([0.02, -0.01, 0.0, 0.01, 0.03, -0.02])
    assert capital_drawdown(returns) == (pytest.approx(0.02), 2)
    assert capital_drawdown(np.array([]))[1] == 0


def test_calmar_is_the_annual_mean_over_the_deepest_fall():
    returns = np.tile([0.01, -0.005], 20)
    assert calmar_ratio(returns, 252.0) == pytest.approx(0.0025 * 252 / 0.005)


@pytest.mark.parametrize("returns", [np.zeros(50), np.full(5, 0.01), np.array([])])
def test_undefined_is_nan_never_zero(returns):
    assert math.isnan(sharpe_ratio(returns, 252.0))
    assert math.isnan(sortino_ratio(returns, 252.0))
    assert math.isnan(calmar_ratio(returns, 252.0))
    assert math.isnan(wins_and_losses(returns).profit_factor)


@compiled
def compiled_sharpe_ratio(returns, periods):
    """The same definition as a plain loop, in the order of a compiled sum."""
    total = 0.0
    for value in returns:
        total += value
    mean = total / len(returns)
    squares = 0.0
    for value in returns:
        squares += (value - mean) * (value - mean)
    variance = squares / (len(returns) - 1.0)
    ratio = mean / math.sqrt(variance) * math.sqrt(periods) if math.sqrt(variance) > 1e-15 else math.nan
    return mean, variance, ratio


@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(20, 3000),
    scale=st.sampled_from([0.0, 1e-200, 1e-8, 0.01, 1.0, 1e160]),
    periods=st.floats(1.0, 1e6),
    step=st.sampled_from([-1, 1, 2]),
)
def test_numpy_gives_the_bits_of_a_compiled_loop(seed, length, scale, periods, step):
    """Also for views that run backwards or skip values, as columns of a table do."""
    rng = np.random.default_rng(seed)
    returns = (rng.standard_normal(length * abs(step)) * scale * (rng.random(length * abs(step)) < 0.9))[::step]
    expected = compiled_sharpe_ratio(returns, periods)
    by_numpy = (*mean_and_variance(returns), sharpe_ratio(returns, periods))
    assert np.array(by_numpy).tobytes() == np.array(expected).tobytes()


@given(
    st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e308]), min_size=20, max_size=30)
)
def test_numpy_gives_what_a_compiled_loop_gives_of_strange_values(values):
    returns = np.array(values)
    by_numpy = (*mean_and_variance(returns), sharpe_ratio(returns, 252.0))
    np.testing.assert_array_equal(by_numpy, compiled_sharpe_ratio(returns, 252.0))


def test_simple_figures_need_no_compiler():
    """A command that shows them would wait for a second."""
    code = "import sys, agents.quant.returns; print([m for m in ('numba', 'scipy', 'cvxpy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_no_loss_has_no_profit_factor():
    figures = wins_and_losses(np.full(30, 0.01))
    assert math.isnan(figures.profit_factor) and math.isnan(figures.payoff_ratio)
    assert figures.longest_wins == 30


@given(st.lists(st.booleans(), max_size=60))
def test_longest_run_by_brute_force(marks):
    best = run = 0
    for mark in marks:
        run = run + 1 if mark else 0
        best = max(best, run)
    figures = wins_and_losses(np.where(np.array(marks, dtype=bool), 0.01, -0.01))
    assert figures.longest_wins == best
    assert wins_and_losses(-np.where(np.array(marks, dtype=bool), 0.01, -0.01)).longest_losses == best


def test_pooled_correlation_is_pearsons():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(200)
    y = 0.4 * x + rng.standard_normal(200)
    sums = np.array([200, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])
    assert pooled_correlation(sums) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert math.isnan(pooled_correlation(np.array([19.0, 0, 0, 1, 1, 1])))
    assert math.isnan(pooled_correlation(np.array([50.0, 50, 0, 50, 1, 0])))
