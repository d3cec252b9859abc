"""Figures of merit by hand, and against quantstats where the definitions agree."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.quant.scores import (
    calmar_ratio,
    capital_drawdown,
    pooled_correlation,
    shape_of,
    sharpe_ratio,
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
    found = wins_and_losses(returns)
    assert found.profit_factor == pytest.approx(2.0)
    assert found.expectancy == pytest.approx(0.03 / 5)
    assert (found.average_win, found.average_loss) == (pytest.approx(0.02), pytest.approx(0.015))
    assert found.payoff_ratio == pytest.approx(4.0 / 3.0)
    assert (found.longest_wins, found.longest_losses) == (2, 1)


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


def test_no_loss_has_no_profit_factor():
    found = wins_and_losses(np.full(30, 0.01))
    assert math.isnan(found.profit_factor) and math.isnan(found.payoff_ratio)
    assert found.longest_wins == 30


@given(st.lists(st.booleans(), max_size=60))
def test_longest_run_by_brute_force(marks):
    best = run = 0
    for mark in marks:
        run = run + 1 if mark else 0
        best = max(best, run)
    found = wins_and_losses(np.where(np.array(marks, dtype=bool), 0.01, -0.01))
    assert found.longest_wins == best
    assert wins_and_losses(-np.where(np.array(marks, dtype=bool), 0.01, -0.01)).longest_losses == best


def test_pooled_correlation_is_pearsons():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(200)
    y = 0.4 * x + rng.standard_normal(200)
    sums = np.array([200, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])
    assert pooled_correlation(sums) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    assert math.isnan(pooled_correlation(np.array([19.0, 0, 0, 1, 1, 1])))
    assert math.isnan(pooled_correlation(np.array([50.0, 50, 0, 50, 1, 0])))
