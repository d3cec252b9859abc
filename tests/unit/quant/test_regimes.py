"""The market's regime: known shapes, no look-ahead, no dependence on the start, no flicker."""

from __future__ import annotations

import numpy as np
import pytest

from agents.core.regimes import REGIMES, TREND, UNKNOWN, VOLATILITY, number_of, words_of
from agents.quant.regimes import HELD_BARS, REGIME_BARS, USUAL_BARS, regimes_of

BARS = 900


def prices(returns: np.ndarray) -> np.ndarray:
    return np.asarray(100.0 * np.cumprod(1.0 + returns, axis=0))


def noise(seed: int, bars: int = BARS, symbols: int = 3) -> np.ndarray:
    return np.asarray(0.01 * np.random.default_rng(seed).standard_normal((bars, symbols)))


def clean(symbols: int, drift: float) -> np.ndarray:
    """Returns that go up and down by 1 % in turn around a drift: no chance in it."""
    turns = np.where(np.arange(BARS) % 2 == 0, 0.01, -0.01)[:, None]
    return np.asarray(np.tile(turns, (1, symbols)) + drift)


@pytest.mark.parametrize(("drift", "trend"), [(0.004, "up"), (0.0, "sideways"), (-0.004, "down")])
def test_a_market_that_drifts_is_named_after_its_direction(drift: float, trend: str) -> None:
    """0.4 of a deviation a day over 60 days is a t-statistic of 0.4 x sqrt(60) / sqrt(1.16) = 2.9."""
    labels = regimes_of(prices(clean(2, drift)))
    assert {REGIMES[label] for label in labels[USUAL_BARS:]} == {f"calm {trend}"}


def test_a_market_that_moves_twice_as_much_is_turbulent_until_it_has_calmed_down() -> None:
    returns = clean(2, 0.0)
    returns[500:560] *= 2.0
    names = [REGIMES[label].split()[0] for label in regimes_of(prices(returns))[USUAL_BARS:]]
    first, last = names.index("turbulent") + USUAL_BARS, len(names) - names[::-1].index("turbulent") + USUAL_BARS - 1
    # 20 bars, of which k are doubled: sqrt(1 + 3 k / 20) passes 1.35 at k = 6, and 1.05 below k = 1; all over a year
    # of which some are doubled, too.
    assert 505 <= first <= 510
    assert 570 <= last <= 579
    assert set(names[first - USUAL_BARS : last - USUAL_BARS + 1]) == {"turbulent"}


def test_nothing_after_a_bar_changes_its_label() -> None:
    close = prices(noise(1))
    labels = regimes_of(close)
    for cut in (400, 555, 777):
        later = close.copy()
        later[cut:] = np.random.default_rng(2).uniform(1.0, 1e6, later[cut:].shape)
        assert np.array_equal(regimes_of(later)[:cut], labels[:cut])
        assert np.array_equal(regimes_of(close[:cut]), labels[:cut])


def test_a_label_hangs_on_its_own_window_only() -> None:
    returns = noise(3)
    returns[300:340] *= 2.5
    close = prices(returns)
    close[np.random.default_rng(4).random(close.shape) < 0.2] = np.nan
    labels = regimes_of(close)
    assert len(set(labels)) > 3
    for t in range(REGIME_BARS, BARS, 7):
        window = np.ascontiguousarray(close[t - REGIME_BARS + 1 : t + 1])
        assert regimes_of(window)[-1] == labels[t], t


def test_labels_do_not_flicker() -> None:
    """With one threshold for beginning and ending, noise around it would change the state every few bars."""
    changes = [np.count_nonzero(np.diff(regimes_of(prices(noise(seed)))[USUAL_BARS:])) for seed in range(20)]
    assert np.mean(changes) < (BARS - USUAL_BARS) / 30


def test_a_state_that_is_not_reached_anew_ends() -> None:
    returns = clean(1, 0.0)
    returns[400:430] += 0.01  # then the market stands still at a t-statistic between the thresholds
    labels = regimes_of(prices(returns))
    assert TREND[labels[429] % 3] == "up"
    assert TREND[labels[430 + HELD_BARS] % 3] == "sideways"


def test_a_symbol_without_bars_or_without_moves_says_nothing() -> None:
    close = prices(noise(5, symbols=2))
    beside = np.column_stack([close, np.full(BARS, np.nan), np.full(BARS, 7.0)])
    assert np.array_equal(regimes_of(beside), regimes_of(close))
    assert set(regimes_of(np.full((BARS, 2), np.nan))) == {UNKNOWN}
    assert set(regimes_of(close[:100])) == {UNKNOWN}


def test_a_wild_symbol_does_not_drown_a_quiet_one() -> None:
    """A coin that swings by 5 % and goes nowhere, beside a currency that rises: each counts in its own deviations."""
    quiet, wild = clean(1, 0.0) / 20.0 + 0.0004, 5.0 * clean(1, 0.0)
    labels = regimes_of(prices(np.column_stack([quiet, wild])))
    assert {REGIMES[label] for label in labels[USUAL_BARS:]} == {"calm up"}


def test_a_price_scale_changes_no_label() -> None:
    close = prices(noise(6))
    assert np.array_equal(regimes_of(close * np.array([2.0, 1024.0, 0.5])), regimes_of(close))


def test_every_number_has_its_words() -> None:
    for volatility, name in enumerate(VOLATILITY):
        for trend, way in enumerate(TREND):
            assert words_of(3 * volatility + trend) == f"{name} {way}"
            assert number_of(f"{name} {way}") == 3 * volatility + trend
    assert words_of(UNKNOWN) is None
    assert number_of("sunny") == number_of(None) == UNKNOWN
