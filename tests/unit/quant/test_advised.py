"""What is advised about a strategy that trades elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from agents.quant.advised import LEAST_DAYS, advised, in_common, mix_of

YEAR = 252.0
DATES = np.datetime64("2001-01-01") + np.arange(1500)


def worlds(sharpe, days=1500, seed=1):
    """A desk without skill, and a strategy with an annual Sharpe ratio of its own, independent of it."""
    rng = np.random.default_rng(seed)
    desk, own = rng.normal(0.0, 0.01, (2, days))
    own += sharpe * 0.01 / np.sqrt(YEAR) - own.mean()
    return desk - desk.mean(), own


def test_a_good_strategy_is_advised_more_than_knowing_nothing_gives_it_a_bad_one_less():
    weights = [advised(*worlds(sharpe), agents=4, days_per_year=YEAR).weight for sharpe in (-2.0, 0.0, 2.0)]
    assert weights[0] < weights[1] < weights[2]
    assert weights[0] < 0.2 < weights[2] and weights[1] == pytest.approx(0.2, abs=0.02)


def test_what_it_adds_is_what_it_earns_beyond_its_share_of_the_desk():
    desk = worlds(0.0)[0]
    same = advised(desk, desk * 3.0, agents=4, days_per_year=YEAR)
    assert abs(same.adds.ratio) < 0.5  # a copy adds nothing, whatever its size
    assert advised(desk, worlds(2.0)[1], agents=4, days_per_year=YEAR).adds.belief > 0.95


def test_few_days_or_no_movement_advise_nothing():
    desk, own = worlds(1.0)
    assert advised(desk[: LEAST_DAYS - 1], own[: LEAST_DAYS - 1], agents=4, days_per_year=YEAR) is None
    assert advised(desk, np.zeros(len(desk)), agents=4, days_per_year=YEAR) is None


def test_only_days_that_both_have_are_compared():
    desk = np.where(np.arange(1500) % 5 == 0, np.nan, 0.01)
    own_dates, own = DATES[3:9], np.array([0.1, np.nan, 0.3, 0.4, 0.5, 0.6])
    here, there = in_common(DATES, desk, own_dates, own)
    assert there.tolist() == [0.1, 0.4, 0.5, 0.6] and here.tolist() == [0.01] * 4


def test_the_desk_is_its_agents_at_their_weights_and_who_says_nothing_holds_nothing():
    returns = np.array([[0.1, 0.2], [np.nan, 0.2], [np.nan, np.nan]])
    mix = mix_of(returns, np.array([3.0, 1.0]))
    assert mix[:2] == pytest.approx([0.125, 0.05]) and np.isnan(mix[2])
