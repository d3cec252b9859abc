"""Weight sets: what is usable, the cache's text, and the fall from Redis to equal, never backwards in version."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.errors import InvalidWeightsError, ServiceError
from agents.core.types import WeightSet, WeightsLevel
from agents.core.weight_sets import StandIn, fitted, from_text, in_force, normalised, require_usable, to_text
from agents.orchestrator.weights_in_force import DeskWeights
from tests.twins import MemoryWeightStore

T0 = datetime(2024, 1, 1, tzinfo=UTC)
AGENTS = ("A", "B", "C")
GOOD = {"A": D("0.5"), "B": D("0.3"), "C": D("0.2")}


def weight_set(weights=None, **changes) -> WeightSet:
    base = WeightSet(
        version=3, weights=weights or GOOD, created_at=T0, valid_until=None, level=WeightsLevel.DATABASE, reason="x"
    )
    return replace(base, **changes)


BAD = [
    {"A": D("NaN"), "B": D("0.5"), "C": D("0.5")},
    {"A": D("Infinity"), "B": D("0.5"), "C": D("0.5")},
    {"A": D("-0.2"), "B": D("0.7"), "C": D("0.5")},
    {"A": D("0.7"), "B": D("0.5"), "C": D("0.5")},
    {"A": D("0.5"), "B": D("0.5")},
    {"A": D("0.5"), "B": D("0.3"), "C": D("0.1"), "X": D("0.1")},
    {"A": D("1e-400"), "B": D("0.5"), "C": D("0.4")},
]


@pytest.mark.parametrize("weights", BAD)
def test_unusable_weights_are_refused_whole(weights):
    with pytest.raises(InvalidWeightsError):
        require_usable(weight_set(weights), AGENTS, T0)


def test_expired_weights_are_refused():
    with pytest.raises(InvalidWeightsError, match="valid until"):
        require_usable(weight_set(valid_until=T0), AGENTS, T0)


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=3).filter(lambda v: sum(v) > 1e-3))
def test_normalised_weights_sum_to_exactly_one(raw):
    weights = normalised(dict(zip(AGENTS, raw, strict=True)), AGENTS)
    assert sum(weights.values()) == 1
    assert all(w >= 0 for w in weights.values())
    assert all(abs(float(w) - r / sum(raw)) < 2e-6 for w, r in zip(weights.values(), raw, strict=True))


@pytest.mark.parametrize("raw", [{}, {"A": 0.0}, {"A": -1.0, "B": 3.0}, {"A": float("nan")}, {"A": float("inf")}])
def test_nothing_to_share_is_refused(raw):
    with pytest.raises(InvalidWeightsError):
        normalised(raw, AGENTS)


def test_text_carries_key_version_and_checksum():
    text = to_text(weight_set(valid_until=T0 + timedelta(days=1)), "k")
    back = from_text(text, "k")
    assert (back.version, back.weights, back.level) == (3, GOOD, WeightsLevel.REDIS)
    with pytest.raises(InvalidWeightsError, match="another key"):
        from_text(text, "other")
    body = json.loads(text)
    body["weights"]["A"] = "0.9"
    with pytest.raises(InvalidWeightsError, match="checksum"):
        from_text(json.dumps(body), "k")


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_rubbish_in_the_cache_is_refused_not_raised(text):
    with pytest.raises(InvalidWeightsError):
        from_text(text, "k")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "1",
        '{"a": NaN}',
        '{"sha256": "x"}',
        "x" * 200_000,
        b"\xff\xfe",
        "[" * 5000,
        '{"key": Infinity}',
    ],
)
def test_known_rubbish(text):
    with pytest.raises(InvalidWeightsError):
        from_text(text, "k")


class Desk:
    """A desk's weights over twins."""

    def __init__(self, static=None):
        self.store, self.cache = MemoryWeightStore(), MemoryWeightCache()
        self.weights = DeskWeights(AGENTS, self.store, self.cache, StandIn(static or {}, 0.05), 3600.0)

    def publish(self, **weights):
        return self.store.publish({k: D(str(v)) for k, v in weights.items()}, at=T0, method="m", reason="r")


def test_levels_from_equal_to_redis():
    assert Desk().weights.current(T0).level is WeightsLevel.EQUAL
    desk = Desk({"A": 2.0, "B": 1.0, "C": 1.0})
    assert desk.weights.current(T0).level is WeightsLevel.STATIC
    assert desk.weights.current(T0).weights["A"] == D("0.5")
    desk.publish(A=0.5, B=0.3, C=0.2)
    later = T0 + timedelta(hours=2)
    assert desk.weights.current(later).level is WeightsLevel.DATABASE, "first from the database, which fills the cache"
    assert desk.weights.current(later + timedelta(hours=2)).level is WeightsLevel.REDIS
    assert desk.weights.current(later + timedelta(hours=2)).version == 1


def test_an_hour_passes_or_an_announcement_comes():
    desk = Desk()
    desk.publish(A=0.5, B=0.3, C=0.2)
    desk.weights.current(T0)
    desk.publish(A=0.2, B=0.3, C=0.5)
    assert desk.weights.current(T0 + timedelta(minutes=59)).version == 1
    assert desk.weights.current(T0 + timedelta(minutes=61)).version == 2
    third = desk.publish(A=0.3, B=0.3, C=0.4)
    desk.cache.write(third)
    assert desk.weights.current(T0 + timedelta(minutes=62)).version == 3


def test_losing_redis_changes_the_level_only():
    desk = Desk()
    desk.cache.write(desk.publish(A=0.5, B=0.3, C=0.2))
    before = desk.weights.current(T0)
    desk.cache.alive = False
    after = desk.weights.current(T0 + timedelta(minutes=1))
    assert (before.level, after.level) == (WeightsLevel.REDIS, WeightsLevel.DATABASE)
    assert before.weights == after.weights
    desk.cache.alive = True
    assert desk.weights.current(T0 + timedelta(minutes=2)).level is WeightsLevel.REDIS


def test_an_old_copy_never_wins_over_the_database():
    desk = Desk()
    old = desk.publish(A=0.5, B=0.3, C=0.2)
    new = desk.publish(A=0.2, B=0.3, C=0.5)
    desk.cache.write(old)
    current = desk.weights.current(T0)
    assert current.version == new.version
    assert desk.cache.copy.version == new.version, "the copy is repaired"


def test_a_version_that_the_database_lacks_is_refused():
    """A wiped or restored database: what Redis still holds was never decided here."""
    desk = Desk()
    ghost = replace(desk.publish(A=0.5, B=0.3, C=0.2), version=99)
    desk.cache.write(ghost)
    assert desk.weights.current(T0).version == 1
    assert desk.cache.copy.version == 1, "the copy is repaired"
    empty = Desk()
    empty.cache.write(ghost)
    assert empty.weights.current(T0).level is WeightsLevel.EQUAL


def test_a_copy_with_other_weights_for_the_same_version_is_not_used():
    desk = Desk()
    desk.cache.write(replace(desk.publish(A=0.5, B=0.3, C=0.2), weights={"A": D(1), "B": D(0), "C": D(0)}))
    assert desk.weights.current(T0).weights["A"] == D("0.5")


def test_both_down_keeps_what_was_known_else_falls_to_static():
    desk = Desk({"A": 1.0})
    desk.publish(A=0.5, B=0.3, C=0.2)
    known = desk.weights.current(T0)

    def gone():
        raise ServiceError("gone")

    desk.store.newest = gone
    desk.cache.alive = False
    assert desk.weights.current(T0 + timedelta(hours=3)).weights == known.weights
    fresh = Desk({"A": 1.0})
    fresh.store.newest = gone
    fresh.cache.alive = False
    assert fresh.weights.current(T0).level is WeightsLevel.STATIC


def test_bad_rows_in_the_database_fall_through():
    desk = Desk()
    desk.publish(A=0.9, B=0.9, C=0.9)
    assert desk.weights.current(T0).level is WeightsLevel.EQUAL


@given(st.lists(st.integers(1, 9), min_size=2, max_size=7), st.integers(0, 10_000))
def test_noise_of_a_solver_does_not_change_published_weights(shares, seed):
    """Ties above all: two agents with the same weight must not change places by the last bits of a float."""
    names = [f"A{k}" for k in range(len(shares))]
    noise = 1.0 + 1e-13 * np.random.default_rng(seed).standard_normal(len(shares))
    plain = normalised(dict(zip(names, map(float, shares), strict=True)), names)
    assert normalised({n: s * e for n, s, e in zip(names, shares, noise, strict=True)}, names) == plain
    assert sum(plain.values()) == 1


# ---------------------------------------------------------------- other agents than the set was made for

PUBLISHED = {"A": D("0.30"), "B": D("0.26"), "C": D("0.19"), "D": D("0.25")}
CHANGES = [
    # one joins: 5 % for it, 95 % for the others as before
    (("A", "B", "C", "D", "E"), {"A": 0.285, "B": 0.247, "C": 0.1805, "D": 0.2375, "E": 0.05}),
    # one leaves: 0.30 : 0.26 : 0.25
    (("A", "B", "D"), {"A": 0.30 / 0.81, "B": 0.26 / 0.81, "D": 0.25 / 0.81}),
    # one leaves, two join
    (("A", "B", "D", "X", "Y"), {"A": 0.27 / 0.81, "B": 0.234 / 0.81, "D": 0.225 / 0.81, "X": 0.05, "Y": 0.05}),
    (("D", "C", "B", "A"), {name: float(w) for name, w in PUBLISHED.items()}),
]


@pytest.mark.parametrize(("agents", "expected"), CHANGES)
def test_those_who_stay_keep_their_proportions(agents, expected):
    """In both planes: 30/26/19/25 became equal in the trading plane, while the meta plane kept them."""
    desk = Desk()
    desk.weights = DeskWeights(agents, desk.store, desk.cache, StandIn({}, 0.05), 3600.0)
    published = desk.store.publish(PUBLISHED, at=T0, method="m", reason="r")
    for cached in (False, True):
        if cached:
            desk.cache.write(published)
        traded = desk.weights.current(T0 + timedelta(hours=5 * cached))
        tuned = in_force(desk.store.newest(), agents, StandIn({}, 0.05), T0)
        assert traded.weights == tuned.weights
        assert sum(traded.weights.values()) == 1
        assert {name: float(w) for name, w in traded.weights.items()} == pytest.approx(expected, abs=2e-6)
        assert traded.level is (WeightsLevel.REDIS if cached else WeightsLevel.DATABASE)
    assert desk.cache.copy.weights == PUBLISHED, "what was published stays what it is"


def test_a_crowd_of_new_agents_gets_at_most_equal_shares():
    agents = (*(f"N{k}" for k in range(49)), "A")
    found = fitted(weight_set(), agents, 0.05, T0).weights
    assert float(found["N7"]) == pytest.approx(1 / 50)
    assert float(found["A"]) == pytest.approx(1 / 50)


def test_none_of_the_old_agents_is_left():
    with pytest.raises(InvalidWeightsError):
        fitted(weight_set(), ("X", "Y"), 0.05, T0)
    assert in_force(weight_set(), ("X", "Y"), StandIn({"X": 3.0, "Y": 1.0}, 0.05), T0).weights["X"] == D("0.75")


@pytest.mark.parametrize("weights", BAD[:4])
def test_an_unsound_set_is_not_fitted(weights):
    with pytest.raises(InvalidWeightsError):
        fitted(weight_set(weights), ("A", "B", "N"), 0.05, T0)


def test_a_newer_version_is_taken_at_once_also_by_other_agents():
    desk = Desk()
    desk.weights = DeskWeights((*AGENTS, "N"), desk.store, desk.cache, StandIn({}, 0.05), 3600.0)
    desk.cache.write(desk.publish(A=0.5, B=0.3, C=0.2))
    assert desk.weights.current(T0).version == 0
    desk.cache.write(desk.publish(A=0.2, B=0.3, C=0.4, N=0.1))
    assert desk.weights.current(T0 + timedelta(minutes=1)).version == 2
