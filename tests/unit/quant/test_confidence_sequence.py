"""Intervals that hold at every look: on noise that is looked at every day, and where there is something to see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents.quant.confidence_sequence import FIRST_LOOK, LEVEL, sharpe_sequence
from agents.quant.evidence import sharpe_interval

LIVES, DAYS = 150, 600


def ever_below(kind: str, rng: np.random.Generator) -> bool:
    """Whether, in one life without skill that is looked at every tenth day, the upper end was ever below 0."""
    noise = rng.standard_t(4, DAYS) if kind == "fat" else rng.normal(size=DAYS)
    if kind == "persistent":
        for t in range(1, DAYS):
            noise[t] += 0.2 * noise[t - 1]
    return any(sharpe_sequence(noise[:t])[1] < 0.0 for t in range(FIRST_LOOK, DAYS + 1, 3))


@pytest.mark.parametrize("kind", ["normal", "fat", "persistent"])
def test_noise_is_called_a_loser_in_few_lives_however_often_one_looks(kind):
    rng = np.random.default_rng(7)
    wrong = sum(ever_below(kind, rng) for _ in range(LIVES)) / LIVES
    assert wrong <= LEVEL + 2.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / LIVES)


def test_an_interval_of_one_look_errs_at_some_look_in_many_lives():
    """Seen: the report called an agent a loser, "not by chance", by an interval that holds for one look only."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(40):
        noise = rng.normal(size=DAYS)
        wrong += any(sharpe_interval(noise[:t], seed=1)[1] < 0.0 for t in range(FIRST_LOOK, DAYS + 1, 20))
    assert wrong / 40 > 0.12


def test_a_true_loser_is_named_within_years():
    """An annual Sharpe ratio of -2, ten years: named in most lives."""
    rng = np.random.default_rng(8)
    named = sum(sharpe_sequence(rng.normal(-2.0 / 252**0.5, 1.0, 1500))[1] < 0.0 for _ in range(50))
    assert named >= 40


def test_few_days_and_still_ones_tell_nothing():
    assert all(map(math.isnan, sharpe_sequence(np.ones(FIRST_LOOK - 1))))
    assert all(map(math.isnan, sharpe_sequence(np.zeros(500))))
    low, high = sharpe_sequence(np.random.default_rng(1).normal(0.1, 1.0, 500))
    assert low < 0.1 < high
