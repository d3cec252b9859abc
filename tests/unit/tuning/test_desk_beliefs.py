"""What is kept from day to day is what a computation from scratch gives, whatever happens between the days."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from agents.core.meta_types import AgentDays, KeptBeliefs
from agents.quant.beliefs import from_replay, no_beliefs
from agents.tuning.desk_beliefs import FILTER_VERSION, kept_of, known_after, past_beliefs

PACE = 252.0


def days_of(returns, names, *, signals=None):
    shape = returns.shape
    ones = np.ones(shape, dtype=np.int64)
    return AgentDays(
        date=np.datetime64("2024-01-01") + np.arange(shape[0]),
        agents=tuple(names),
        returns=returns,
        signals=ones if signals is None else signals,
        hits=ones,
        calls=ones,
        trades=ones,
        pnl=returns,
        turnover=np.abs(returns),
        correlation_sums=np.ones((6, *shape)),
        brier_sums=np.ones((2, *shape)),
        trade_shares=np.empty((3, 0)),
    )


def first(days, count):
    rows = {n: getattr(days, n)[:count] for n in ("date", "returns", "signals", "hits", "calls", "trades", "pnl")}
    return replace(days, **rows)


@pytest.fixture
def days():
    return days_of(np.random.default_rng(0).normal(0, 0.01, (120, 3)), "abc")


def scratch(days, past=None):
    return known_after(days, past=past, kept=None, days_per_year=PACE)


def same(a, b):
    return a.digest == b.digest and all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(a.state, b.state, strict=True)
    )


@pytest.fixture(params=["at hand", "stored"])
def keep(request):
    """What is known is kept as the process has it that made it, or as another one reads it."""

    def kept(known, agents):
        made = kept_of(known, agents)
        return made if request.param == "at hand" else replace(made, at_hand=None)

    return kept


def test_days_taken_in_one_by_one_after_a_pause_or_at_once_are_the_same(days, keep):
    kept = None
    for count in (1, 2, 3, 50, 51, 51, 120):
        known = known_after(first(days, count), past=None, kept=kept, days_per_year=PACE)
        assert same(known, scratch(first(days, count)))
        kept = keep(known, days.agents)


def test_going_on_again_from_what_is_kept_is_the_same(days, keep):
    """As a job does that is tried once more: what is kept is not used up."""
    kept = keep(scratch(first(days, 100)), days.agents)
    for _ in range(2):
        assert same(known_after(days, past=None, kept=kept, days_per_year=PACE), scratch(days))


def test_only_new_days_are_computed(days, monkeypatch, keep):
    kept = keep(scratch(first(days, 119)), days.agents)
    taken = []
    monkeypatch.setattr(
        "agents.tuning.desk_beliefs.advance_all", lambda state, returns, _: taken.append(len(returns)) or state
    )
    known_after(days, past=None, kept=kept, days_per_year=PACE)
    assert taken == [1]


@pytest.mark.parametrize("harm", ["corrected", "fewer", "other agents", "other order", "other pace", "damaged"])
def test_what_does_not_fit_is_computed_from_scratch(days, harm, keep):
    kept, now, pace = keep(scratch(days), days.agents), days, PACE
    if harm == "corrected":
        now = replace(days, returns=np.where(np.arange(120)[:, None] == 5, 0.03, days.returns))
    if harm == "fewer":
        now = first(days, 80)
    if harm == "other agents":
        now = replace(days, agents=("a", "b", "z"))
    if harm == "other order":
        now = replace(days, agents=("b", "a", "c"))
    if harm == "other pace":
        pace = 365.0
    if harm == "damaged":
        kept = replace(kept, arrays={"belief": np.zeros(3)})
    known = known_after(now, past=None, kept=kept, days_per_year=pace)
    assert same(known, known_after(now, past=None, kept=None, days_per_year=pace))


def test_an_agent_that_joins_starts_at_the_prior_and_changes_nothing_before(days):
    wider = days_of(np.column_stack([days.returns, np.full(120, np.nan)]), "abcd")
    assert np.array_equal(scratch(wider).state.belief[:3], scratch(days).state.belief)
    assert scratch(wider).state.belief[3] == 0.0


def test_a_day_without_signals_is_no_opinion(days):
    signals, returns = np.ones((120, 3), dtype=np.int64), days.returns.copy()
    signals[10:20, 1], returns[10:20, 1] = 0, 0.0
    silent = scratch(days_of(returns, "abc", signals=signals))
    returns[10:20, 1] = np.nan
    assert np.array_equal(silent.state.belief, scratch(days_of(returns, "abc")).state.belief)
    assert silent.state.seen[1] == 110


@pytest.mark.parametrize(("trust", "least", "most"), [(0.0, 0.0, 0.0), (0.5, 0.3, 0.36), (1.0, 0.47, 0.53)])
def test_a_past_is_from_replay_however_far_it_is_believed(days, trust, least, most):
    """60 days of a past and 60 lived ones. Seen: a past that was believed whole was not marked at all."""
    past = past_beliefs(first(days, 60), days_per_year=PACE, trust=trust)
    assert from_replay(scratch(first(days, 0), past).state) == (1.0 if trust else 0.0)
    later = replace(days, returns=days.returns[60:], signals=days.signals[60:], date=days.date[60:])
    assert least <= from_replay(scratch(later, past).state) <= most


def test_the_past_is_discounted_named_and_followed(days, keep):
    past = past_beliefs(first(days, 60), days_per_year=PACE, trust=0.5)
    later = replace(days, returns=days.returns[60:], signals=days.signals[60:], date=days.date[60:])
    known = scratch(later, past)
    assert 0.0 < from_replay(known.state) < 1.0
    assert not same(known, scratch(later)), "the past counts"
    none = past_beliefs(first(days, 60), days_per_year=PACE, trust=0.0)
    assert np.allclose(scratch(first(days, 0), none).state.belief, 0.0)
    kept = keep(scratch(later, past), days.agents)
    assert same(known_after(later, past=none, kept=kept, days_per_year=PACE), scratch(later, none)), "another past"


def test_agents_that_the_past_did_not_know_start_at_the_prior(days):
    past = past_beliefs(days, days_per_year=PACE, trust=0.5)
    now = days_of(np.empty((0, 2)), ("b", "new"))
    state = scratch(now, past).state
    assert state.belief[0] == from_arrays_belief(past)[1] and state.belief[1] == 0.0


def from_arrays_belief(kept: KeptBeliefs):
    return kept.arrays["belief"]


REFERENCE = {1: "0ae82c37731127c1", 2: "078e5cc6729f7e9d"}
"""Of each version of the filter: a digest of what it makes of one history, to eight decimals."""


def test_another_arithmetic_is_another_version():
    """Beliefs are kept from day to day: were the filter or one of its constants to change under the same version, kept
    ones of the old arithmetic would be taken for the new one's. Whoever changes it raises FILTER_VERSION, and adds the
    new digest."""
    rng = np.random.default_rng(11)
    returns = rng.normal([0.003, 0.0, 0.0, 0.0, -0.002], 0.01, (500, 5))
    returns[300:, 0] -= 0.006  # a star that dies,
    returns[:120, 1] = np.nan  # one that is late,
    returns[rng.random(500) < 0.6, 2] = np.nan  # one that is often silent,
    returns[200, 3] = 0.5  # an outlier,
    returns[:, 4] = 0.6 * returns[:, 3] + 0.8 * returns[:, 4]  # and two alike
    names = tuple("abcde")
    past = past_beliefs(days_of(returns[:150], names), days_per_year=PACE, trust=0.5)
    state = scratch(days_of(returns[150:], names), past).state
    digest = hashlib.sha256()
    for values in state:
        digest.update((np.round(values, 8) + 0.0).tobytes())
    assert REFERENCE.get(FILTER_VERSION) == digest.hexdigest()[:16]


def test_nothing_is_believed_before_the_first_day():
    known = scratch(days_of(np.empty((0, 2)), "ab"))
    assert all(np.array_equal(x, y, equal_nan=True) for x, y in zip(known.state, no_beliefs(2), strict=True))
