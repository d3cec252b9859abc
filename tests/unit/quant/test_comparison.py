"""One book against another: closed forms, and days on which there is nothing to judge."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents.core.books import CONTROLS, FIRST_SHADOW
from agents.quant.comparison import against_book, mean_interval, weights_differ
from agents.quant.measures import by_day, value_added


def test_a_book_that_is_half_of_another_and_a_steady_gain():
    rng = np.random.default_rng(1)
    other = rng.normal(0.0004, 0.01, 2000)
    mine = 0.5 * other + 0.0002
    figures = against_book(mine, other, 252.0)
    assert figures.beta == pytest.approx(0.5)
    assert figures.excess_return == pytest.approx((mine - other).mean() * 252.0)
    assert figures.information_ratio == pytest.approx((mine - other).mean() / (mine - other).std(ddof=1) * 252**0.5)
    assert figures.low < figures.excess_return < figures.high


def test_what_is_not_defined_is_nan():
    few = against_book(np.zeros(10), np.zeros(10), 252.0)
    assert math.isnan(few.beta) and math.isnan(few.excess_return)
    still = against_book(np.zeros(100), np.zeros(100), 252.0)
    assert math.isnan(still.beta) and math.isnan(still.information_ratio)
    assert still.excess_return == still.low == still.high == 0.0


def test_the_interval_of_a_mean_holds_it_nine_times_in_ten():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(300):
        low, high = mean_interval(rng.standard_t(4, 250) * 0.01, seed=1)
        hits += low <= 0.0 <= high
    assert 0.84 <= hits / 300 <= 0.95


def test_rounded_weights_are_the_same():
    weights = np.array([[0.166667] * 6, [0.2, 0.16, 0.16, 0.16, 0.16, 0.16], [1.0] * 6])
    assert weights_differ(weights, np.ones(6)).tolist() == [False, True, False]


def made_daily(days: int):
    """A live book that beats the equal one by a hair every day, as lots and minimum fees do, and has its weights."""
    rng = np.random.default_rng(3)
    moves = rng.normal(0.0003, 0.01, days)
    books = np.tile(moves[:, None], (1, FIRST_SHADOW))
    books[:, 1:] -= 2e-5
    time = np.datetime64("2020-01-01", "us") + np.arange(days) * np.timedelta64(1, "D")
    return by_day(time, 1e6 * np.cumprod(1.0 + books, axis=0), 1e6)


def test_nothing_is_claimed_of_days_on_which_the_weights_were_the_same():
    """Seen: an hourly desk whose weights never changed, "shown: it added value"."""
    daily = made_daily(400)
    before = value_added(daily)
    assert before["equal"].shown, "what a test of all days takes for tuning"
    never = dict.fromkeys(("equal", "first"), np.zeros(400, dtype=bool))
    after = value_added(daily, judged=never)
    assert after["equal"].words == after["first"].words == "nothing to judge yet"
    assert not after["equal"].shown
    some = np.arange(400) >= 300
    assert math.isfinite(value_added(daily, judged={"equal": some})["equal"].difference)
    assert set(after) == set(CONTROLS)
    assert after["hold"].words.startswith("ahead by")
