"""The best of many: calibrated on noise, with power, and against cases that can be seen through."""

from __future__ import annotations

import numpy as np
import pytest

from agents.quant.evidence import PairedTest, claim_of
from agents.quant.selection import overfitting, select

PACE = 252.0


def settings_like(base: np.ndarray, count: int, rng: np.random.Generator, *, own: float = 0.6) -> np.ndarray:
    """Returns [T, N] of settings without merit: correlated with `base` and with each other, with fat tails."""
    common = base[:, None]
    noise = rng.standard_t(4, (len(base), count)) * base.std() / np.sqrt(2.0)
    return (1.0 - own) * common + own * noise


@pytest.mark.slow
def test_two_hundred_settings_on_noise_yield_none():
    """At 5 %, of 120 searches about 6 may accept one; 14 would be a broken gate (binomial, p < 0.002), and 0 a dead
    one."""
    rng = np.random.default_rng(5)
    accepted = 0
    for seed in range(120):
        base = rng.normal(0.0, 0.01, 400)
        selection = select(settings_like(base, 200, rng), base, PACE, tried_before=0, seed=seed)
        accepted += selection.p < 0.05
    assert accepted <= 13
    naive = sum(  # what a single test of the chosen one would have said
        select(settings_like(base, 200, rng), base, PACE, tried_before=0, seed=seed).t > 1.645
        for seed, base in enumerate(rng.normal(0.0, 0.01, (20, 400)))
    )
    assert naive >= 18, "the best of 200 nearly always looks significant by itself"


def test_a_truly_better_setting_is_found():
    rng = np.random.default_rng(6)
    base = rng.normal(0.0, 0.01, 2000)
    returns = settings_like(base, 50, rng)
    returns[:, 17] += 0.0018
    selection = select(returns, base, PACE, tried_before=0, seed=1)
    assert selection.best == 17
    assert selection.p < 0.05
    assert selection.gain > 1.5
    again = select(returns, base, PACE, tried_before=5000, seed=1)
    assert again.p > selection.p, "settings tried before on this history weaken the claim"


def test_the_base_itself_is_never_better_than_itself():
    base = np.random.default_rng(7).normal(0.0, 0.01, 300)
    selection = select(np.column_stack([base, base]), base, PACE, tried_before=0, seed=1)
    assert (selection.p, selection.t, selection.gain) == (1.0, 0.0, 0.0)


def test_overfitting_by_cases():
    rng = np.random.default_rng(8)
    noise = rng.normal(0.0, 0.01, (800, 30))
    assert 0.3 < overfitting(noise) < 0.75, "among equals the past says nothing"
    skilled = noise + np.linspace(-0.003, 0.003, 30)
    assert overfitting(skilled) < 0.05
    assert np.isnan(overfitting(noise[:, :1]))
    turned = noise.copy()
    turned[:400, 3] += 0.01
    turned[400:, 3] -= 0.01
    turned[:400, 4] -= 0.01
    turned[400:, 4] += 0.01
    assert overfitting(turned[:, 3:5]) > 0.4


def test_refusals():
    with pytest.raises(ValueError, match="60 days"):
        select(np.zeros((50, 3)), np.zeros(50), PACE, tried_before=0, seed=0)


@pytest.mark.parametrize(
    ("difference", "t", "low", "high", "trials", "shown", "words"),
    [
        (0.12, 0.9, -0.05, 0.31, 1, False, "added 0.12 Sharpe [-0.05, 0.31]: not shown"),
        (0.5, 2.5, 0.2, 0.8, 1, True, "added 0.50 Sharpe [0.20, 0.80]: shown"),
        (0.5, 2.5, 0.2, 0.8, 200, False, "added 0.50 Sharpe [0.20, 0.80]: not shown after 200 settings tried"),
        (-0.4, -2.5, -0.7, -0.1, 1, True, "cost 0.40 Sharpe (difference -0.40 [-0.70, -0.10]): shown"),
        (0.0, 0.0, 0.0, 0.0, 1, False, "changed nothing"),
    ],
)
def test_claims_in_plain_words(difference, t, low, high, trials, shown, words):
    claim = claim_of(PairedTest(difference=difference, low=low, high=high, t=t, periods=1000.0), trials, 0.05)
    assert (claim.shown, claim.words) == (shown, words)
