"""Indicators against the published definitions, computed here another way (pandas, plain loops)."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.quant import indicators, ranks
from agents.quant.indicators import (
    bollinger_percent_b,
    changes,
    ewma,
    forgetting_bars,
    moving_average_gap,
    rsi,
    trend_crossover,
)
from agents.quant.momentum import last_known
from agents.quant.ranks import percentile_rank
from agents.quant.returns import annual_return, max_drawdown, periods_per_year, sharpe_ratio
from agents.quant.windows import rolling_extreme, rolling_mean, rolling_mean_std, root_mean_square
from tests.market import make_prices


def with_holes(seed: int) -> np.ndarray:
    values = make_prices(200, 2, seed)
    values[np.random.default_rng(seed).random(values.shape) < 0.1] = np.nan
    return values


@given(seed=st.integers(0, 500), span=st.floats(1.5, 80))
def test_ewma_is_pandas_adjusted_mean_with_time_decay(seed, span):
    values = with_holes(seed)
    expected = pd.DataFrame(values).ewm(span=span, adjust=True, ignore_na=False).mean().to_numpy().copy()
    expected[np.isnan(values)] = np.nan
    np.testing.assert_allclose(ewma(values, span), expected, rtol=1e-10)


def test_ewma_forgets_within_its_declared_bars():
    values = make_prices(700, 1, 0)
    changed = values.copy()
    changed[: 700 - forgetting_bars(26)] *= 100.0
    assert abs(ewma(values, 26.0)[-1] / ewma(changed, 26.0)[-1] - 1.0)[0] < 1e-10


@given(seed=st.integers(0, 500), window=st.integers(2, 50))
@example(seed=13, window=3)
def test_rolling_windows_are_those_taken_one_by_one(seed, window):
    """Pandas keeps running sums, and says 1e-6 where a window holds one price, whose deviation is 0."""
    values = with_holes(seed)
    minimum = max(1, window // 2)
    padded = np.vstack([np.full((window - 1, values.shape[1]), np.nan), values])
    each = np.ma.masked_invalid(np.lib.stride_tricks.sliding_window_view(padded, window, axis=0))
    few = each.count(axis=-1) < minimum

    def expected(figure):
        return np.where(few, np.nan, figure.filled(np.nan))

    mean, deviation = rolling_mean_std(values, window, minimum)
    np.testing.assert_allclose(mean, expected(each.mean(axis=-1)), rtol=1e-12)
    np.testing.assert_allclose(deviation, expected(each.std(axis=-1)), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(rolling_mean(values, window, minimum), mean)
    square = expected((each**2).mean(axis=-1))
    np.testing.assert_allclose(root_mean_square(values, window, minimum), np.sqrt(square), rtol=1e-13)
    np.testing.assert_array_equal(rolling_extreme(values, window, minimum, 1.0), expected(each.max(axis=-1)))
    np.testing.assert_array_equal(rolling_extreme(values, window, minimum, -1.0), expected(each.min(axis=-1)))


@pytest.mark.parametrize("gap", [None, 5, 8, 9])
def test_a_price_that_stands_still_has_no_deviation(gap):
    """After a jump within a block of ten bars or between two, whatever else is missing: 0 exactly, and the mean is the
    price."""
    values = np.full((60, 3), 7.3)
    values[:13] = 1e9 / 3.0
    values[17:, 1] = 1e-9 / 3.0
    values[:20, 2] = 1e9 / 3.0
    if gap is not None:
        values[[gap, 10 + gap, 20]] = np.nan
    mean, deviation = rolling_mean_std(values, 10, 3)
    for t in range(60):
        for s in range(3):
            window = values[max(0, t - 9) : t + 1, s]
            seen = window[np.isfinite(window)]
            if len(seen) >= 3 and (seen == seen[0]).all():
                assert (mean[t, s], deviation[t, s]) == (seen[0], 0.0)


KERNELS = {
    "ewma": lambda x: ewma(x, 9.0),
    "gap": lambda x: moving_average_gap(x, 5.0, 9.0),
    "square": lambda x: root_mean_square(x, 20, 10),
    "mean": lambda x: rolling_mean_std(x, 20, 10)[0],
    "deviation": lambda x: rolling_mean_std(x, 20, 10)[1],
    "highest": lambda x: rolling_extreme(x, 9, 4, 1.0),
    "lowest": lambda x: rolling_extreme(x, 55, 27, -1.0),
    "changes": changes,
    "rsi": lambda x: rsi(x, 14),
    "rank": lambda x: percentile_rank(x, 60, 30),
    "last": last_known,
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_symbol_alone_has_the_bits_that_it_has_among_others(name):
    """Several symbols are computed in one instruction; what is left over is computed alone."""
    values = make_prices(300, 13, 4)
    values[np.random.default_rng(4).random(values.shape) < 0.1] = np.nan
    values[40:140, 3] = np.nan
    values[:, 5] = make_prices(300, 1, 5)[:, 0]  # without a gap, and counted only for the others' sake
    values[:150, 7], values[150:, 8] = values[:150, 5], values[150:, 5]
    together = KERNELS[name](values)
    for s in range(values.shape[1]):
        np.testing.assert_array_equal(together[:, [s]], KERNELS[name](values[:, [s]].copy()))


@pytest.mark.parametrize("symbols", [1, 3])
def test_rows_taken_in_other_strips_give_the_same_bits(monkeypatch, symbols):
    """Figures carry over from strip to strip, and the newest rows alone are those of the whole."""
    values = make_prices(400, symbols, 6)
    values[np.random.default_rng(6).random(values.shape) < 0.1] = np.nan
    values[100:170, 0] = np.nan
    whole = ewma(values, 9.0), moving_average_gap(values, 5.0, 9.0), rsi(values, 5)
    for strip in (64, 1):
        monkeypatch.setattr(indicators, "STRIP", strip)
        for first in (0, 170, 399):
            rows = ewma(values, 9.0, first), moving_average_gap(values, 5.0, 9.0, first), rsi(values, 5, first)
            for figure, expected in zip(rows, whole, strict=True):
                np.testing.assert_array_equal(figure, expected[first:])


def test_changes_bridge_short_gaps_only():
    values = np.array([[1.0], [np.nan], [4.0], *[[np.nan]] * 10, [9.0]])
    result = changes(values)[:, 0]
    assert np.isnan(result[[0, 1]]).all()
    assert result[2] == 3.0
    assert np.isnan(result[13]), "eleven bars without a price: no bar's return"


def test_rsi_by_wilders_recursion():
    """Wilder: average = (previous * 13 + now) / 14, from the first change on; the same as his for long series."""
    close = make_prices(600, 1, 4)
    moves = np.diff(np.log(close[:, 0]))
    gain = loss = 0.0
    for move in moves:
        gain = (gain * 13 + max(move, 0.0)) / 14
        loss = (loss * 13 + max(-move, 0.0)) / 14
    assert rsi(close, 14)[-1, 0] == pytest.approx(100 - 100 / (1 + gain / loss), abs=1e-9)


def test_rsi_edges():
    rising, flat = np.exp(np.arange(60) * 0.01)[:, None], np.full((60, 1), 3.0)
    assert rsi(rising, 14)[-1, 0] == pytest.approx(100.0)
    assert rsi(1 / rising, 14)[-1, 0] == pytest.approx(0.0)
    assert rsi(flat, 14)[-1, 0] == 50.0


def test_trend_crossover_by_its_definition():
    close = make_prices(300, 2, 5)
    close[50:55, 1] = np.nan
    logs = np.log(close)
    volatility = np.full(close.shape, 0.02)
    x, response = trend_crossover(logs, volatility, 8.0, 32.0)
    expected = (ewma(logs, 8.0) - ewma(logs, 32.0)) / (0.02 * np.sqrt(24.0))
    np.testing.assert_allclose(x, expected, atol=1e-10)
    np.testing.assert_allclose(
        response, expected * np.exp(-(expected**2) / 4) / (np.sqrt(2) * np.exp(-0.5)), atol=1e-10
    )
    assert np.nanmax(np.abs(response)) <= 1.0


def test_percent_b_is_one_at_the_upper_band():
    """Window 10 0 10 0 ... 10: mean m, population deviation d; a close of m + 2d would be %B 1."""
    close = np.array([[10.0 if k % 2 else 9.0] for k in range(20)])
    mean, deviation = close.mean(), close.std()
    expected = (close[-1, 0] - (mean - 2 * deviation)) / (4 * deviation)
    assert bollinger_percent_b(close, 20, 2.0)[-1, 0] == pytest.approx(expected)
    assert np.isnan(bollinger_percent_b(np.full((20, 1), 5.0), 20, 2.0)[-1, 0])


def test_percentile_rank_counts_ties_half():
    values = np.array([[1.0], [2.0], [2.0], [3.0], [2.0]])
    # below 2: one value; equal: three (itself included) at one half each -> 2.5 of 5
    assert percentile_rank(values, 5, 1)[-1, 0] == pytest.approx(0.5)


@given(
    st.lists(st.sampled_from([1.0, 2.0, 2.5, 3.0, 7.0, np.nan]), min_size=1, max_size=60),
    st.integers(1, 12),
    st.integers(1, 6),
    st.sampled_from([0, 3, 32]),
)
def test_windows_that_are_kept_answer_as_windows_that_are_looked_through(column, window, minimum, few):
    """To the bit, with ties, gaps and values that come again just when they leave; ranks by counting, by comparing, and
    by comparing after counting was given up."""
    values = np.array(column)[:, None]
    with mock.patch.object(ranks, "FEW", few):
        rank, high = percentile_rank(values, window, minimum), rolling_extreme(values, window, minimum, 1.0)
    low = rolling_extreme(values, window, minimum, -1.0)
    for t, value in enumerate(column):
        seen = [v for v in column[max(0, t - window + 1) : t + 1] if np.isfinite(v)]
        enough = len(seen) >= minimum
        assert high[t, 0] == max(seen) if enough else np.isnan(high[t, 0])
        assert low[t, 0] == min(seen) if enough else np.isnan(low[t, 0])
        if enough and np.isfinite(value):
            assert rank[t, 0] == sum(0.5 * (v <= value) + 0.5 * (v < value) for v in seen) / len(seen)
        else:
            assert np.isnan(rank[t, 0])


def test_scores_by_hand():
    """Returns +1 % and -1 % by turns: mean 0; equity 100 -> 110 -> 99: drawdown 10 %."""
    assert max_drawdown(np.array([100.0, 110.0, 99.0, 120.0])) == pytest.approx(0.1)
    assert sharpe_ratio(np.array([0.01, -0.01] * 20), 252) == pytest.approx(0.0)
    returns = np.array([0.02, 0.0] * 20)
    assert sharpe_ratio(returns, 100) == pytest.approx(0.01 / returns.std(ddof=1) * 10)
    assert np.isnan(sharpe_ratio(np.array([0.01] * 40), 252)), "no movement: undefined, not infinite"
    assert np.isnan(sharpe_ratio(np.array([0.01] * 5), 252)), "too short"
    assert annual_return(np.array([100.0, 121.0]), 0.5) == pytest.approx(0.1)


def test_periods_per_year_follows_the_bars():
    days = np.datetime64("2020-01-01", "us") + np.arange(1000) * np.timedelta64(1, "D")
    assert periods_per_year(days) == pytest.approx(365.25)
    sessions = days[[d.astype(object).weekday() < 5 for d in days]]
    assert periods_per_year(sessions) == pytest.approx(365.25 * 5 / 7, rel=0.01)
