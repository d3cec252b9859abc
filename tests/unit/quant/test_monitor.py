"""The bet against tuning: fair where tuning does no harm, won where it does, and never known before its week is over."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.quant.monitor import ALARM_AT, LEAST_WEEKS, STAKES, TOLERATED_RATIO, fortunes, watch

DAY = np.datetime64("2024-01-01", "D")  # a Monday


def working_days(weeks):
    return np.array([DAY + np.timedelta64(7 * week + day, "D") for week in range(weeks) for day in range(5)])


def weekly(ratio, weeks, rng):
    """Sums of weeks whose annual information ratio is `ratio`."""
    return 0.01 * (ratio / math.sqrt(52.0) + rng.standard_normal(weeks))


def share_of_alarms(ratio, lives, weeks, seed):
    rng = np.random.default_rng(seed)
    return float(np.mean([(fortunes(weekly(ratio, weeks, rng)) >= ALARM_AT).any() for _ in range(lives)]))


def test_a_desk_that_is_as_far_behind_as_is_tolerated_is_falsely_stopped_in_one_life_of_twenty_at_most():
    """Ten years, looked at every week, at the edge of what is tolerated: 5 % and two standard errors of 300 lives."""
    assert share_of_alarms(-TOLERATED_RATIO, 300, 520, 1) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 300)


def test_a_desk_that_is_level_with_its_anchor_is_hardly_ever_stopped():
    """Without any difference in truth the tolerance is on its side."""
    assert share_of_alarms(0.0, 300, 520, 2) <= 0.02


def test_a_desk_that_loses_against_its_anchor_is_stopped():
    """Information ratio -2.5 for four years: nearly always; an honest tuner with +1: never."""
    assert share_of_alarms(-2.5, 100, 208, 3) >= 0.9
    assert share_of_alarms(1.0, 100, 520, 4) == 0.0


def test_the_fortune_of_three_weeks_is_what_the_formula_says():
    """After weeks of +1 and -1 by turns, whose deviation is 1, one of -1 is a score of -1 plus what is tolerated."""
    before = np.array([1.0, -1.0] * (LEAST_WEEKS // 2))
    score = -1.0 + 0.25 / math.sqrt(52.0)
    assert fortunes(np.append(before, -1.0))[-1] == pytest.approx(np.mean(1.0 - 0.9 * STAKES * score))
    assert (fortunes(before) == 1.0).all()


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(1e-6, 1e3), st.integers(1, 80))
def test_a_fortune_does_not_know_the_future_nor_the_scale_and_is_never_lost_whole(seed, scale, weeks):
    sums = np.random.default_rng(seed).standard_t(2.0, 80)
    path = fortunes(sums)
    np.testing.assert_array_equal(fortunes(sums[:weeks]), path[:weeks])
    np.testing.assert_allclose(fortunes(sums * scale), path, rtol=1e-9)
    assert (path > 0.0).all()


def test_only_whole_weeks_in_which_the_books_differ_are_staked_on():
    """A Friday is taken in when the next Monday has come; weeks at the anchor are none."""
    date = working_days(30)
    rng = np.random.default_rng(5)
    anchor = 0.01 * rng.standard_normal(len(date))
    live = anchor - 0.002 + 0.003 * rng.standard_normal(len(date))
    live[50:75] = anchor[50:75]
    seen = watch(date, live, anchor)
    assert len(seen.fortune) == 30 - 5 - 1
    assert seen.day[-1] == date[-6]
    np.testing.assert_array_equal(watch(date[:-3], live[:-3], anchor[:-3]).fortune, seen.fortune)


def test_the_day_of_the_alarm_is_the_end_of_the_first_week_that_reaches_it():
    date = working_days(60)
    live = np.where(np.arange(300) % 2 == 0, -0.004, 0.001)
    seen = watch(date, live, np.zeros(300))
    week = int(np.flatnonzero(seen.fortune >= ALARM_AT)[0])
    assert seen.alarm == date[5 * week + 4]
    assert watch(date, -live, np.zeros(300)).alarm is None
    assert watch(date[:0], live[:0], live[:0]).alarm is None
