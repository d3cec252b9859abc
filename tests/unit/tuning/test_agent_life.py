"""Coming and going: every transition of the table both ways, the price of trying many agents, and what the weights do."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from agents.core.life_types import LifeChange, lives_of
from agents.core.settings import Settings
from agents.quant.adding import Adding, adding, adding_of_each, mixes_without
from agents.tuning.agent_life import (
    PERSONS,
    RULES,
    LifeRules,
    bets_to_go,
    changes_due,
    hurdle,
    persons_change,
)
from agents.wiring.job_settings import tuning_of

ROOT = Path(__file__).resolve().parents[3]
START = datetime(2024, 1, 1, tzinfo=UTC)
LEVELS = LifeRules()
UNSEEN = Adding(log_evidence=0.0, bets=0, ratio=0.0, low=-1.0, high=1.0, belief=0.5, periods=0)


def day(n):
    return START + timedelta(days=n)


def came(name, after, n=0, before="candidate", listed="shadow", actor="settings"):
    evidence = {"listed": listed}
    return LifeChange(
        at=day(n), agent=name, before=before, after=after, reason="a test", actor=actor, evidence=evidence
    )


def seen(log_evidence=0.0, belief=0.5):
    return UNSEEN._replace(log_evidence=log_evidence, belief=belief, bets=40)


OTHERS = [came(name, "full", listed="enabled") for name in ("P", "Q")]
LISTED = {"P": "enabled", "Q": "enabled"}
SHADOW, PROBATION = [came("X", "shadow")], [came("X", "shadow"), came("X", "probation", 5, "shadow", actor="tuner")]
FULL = [came("X", "full", listed="enabled")]
DECAYING = [*FULL, came("X", "decaying", 10, "full", "enabled", "tuner")]
RETIRED = [*DECAYING, came("X", "retired", 100, "decaying", "enabled", "tuner")]
DISMISSED = [*FULL, came("X", "retired", 10, "full", "enabled", "ada")]
PROMOTED = [*RETIRED, came("X", "probation", 200, "retired", "enabled", "ada")]
GONE = [*FULL, came("X", "retired", 10, "full", "none")]
ENOUGH, FOUR_TIMES = math.log(20.0) + 1e-9, math.log(80.0) + 1e-9
CASES = [
    # past, where the settings name it, what it adds, day -> state, actor (None: nothing happens)
    ([], "enabled", None, 1, ("full", "settings")),
    ([], "shadow", None, 1, ("shadow", "settings")),
    (SHADOW, "shadow", seen(), 500, None),
    (SHADOW, "shadow", seen(ENOUGH - 0.01), 500, None),
    (SHADOW, "shadow", seen(ENOUGH), 500, ("probation", "tuner")),
    (SHADOW, "enabled", seen(), 1, ("full", "settings")),
    (SHADOW, "none", seen(), 1, ("retired", "settings")),
    (PROBATION, "shadow", seen(ENOUGH), 500, None),
    (PROBATION, "shadow", seen(FOUR_TIMES), 34, None),
    (PROBATION, "shadow", seen(FOUR_TIMES), 35, ("full", "tuner")),
    (PROBATION, "shadow", seen(0.01), 500, None),
    (PROBATION, "shadow", seen(-0.01), 500, ("shadow", "tuner")),
    (PROBATION, "enabled", seen(), 6, ("full", "settings")),
    (PROMOTED, "shadow", seen(), 201, ("shadow", "settings")),
    (PROBATION, "none", seen(), 6, ("retired", "settings")),
    (FULL, "enabled", seen(belief=0.06), 500, None),
    (FULL, "enabled", seen(belief=0.049), 500, ("decaying", "tuner")),
    (FULL, "enabled", None, 500, None),
    (FULL, "shadow", seen(), 500, ("shadow", "settings")),
    (FULL, "none", seen(), 500, ("retired", "settings")),
    (DECAYING, "enabled", seen(belief=0.10), 99, None),
    (DECAYING, "enabled", seen(belief=0.151), 99, ("full", "tuner")),
    (DECAYING, "enabled", seen(belief=0.151), 500, ("full", "tuner")),
    (DECAYING, "enabled", seen(belief=0.10), 100, ("retired", "tuner")),
    (DECAYING, "shadow", seen(), 11, ("shadow", "settings")),
    (DECAYING, "none", seen(), 11, ("retired", "settings")),
    (RETIRED, "enabled", seen(belief=0.50), 500, None),
    (RETIRED, "enabled", seen(belief=0.51), 500, ("full", "tuner")),
    (RETIRED, "none", seen(belief=0.9), 500, None),
    (DISMISSED, "enabled", seen(belief=0.9), 500, None),
    (RETIRED, "none", None, 500, None),
    (RETIRED, "shadow", seen(), 500, ("shadow", "settings")),
    (GONE, "enabled", None, 20, ("full", "settings")),
    (GONE, "shadow", None, 20, ("shadow", "settings")),
    (GONE, "none", None, 20, None),
    (GONE, "none", seen(belief=0.9), 20, None),
]


@pytest.mark.parametrize(("past", "where", "adds", "n", "wanted"), CASES)
def test_each_transition_of_the_table(past, where, adds, n, wanted):
    lives = lives_of([*OTHERS, *past])
    listed = LISTED if where == "none" else {**LISTED, "X": where}
    changes = changes_due(lives, listed, {} if adds is None else {"X": adds}, day(n), LEVELS)
    assert [(c.agent, c.after, c.actor) for c in changes] == ([] if wanted is None else [("X", *wanted)])
    if changes:  # and nothing more follows from it on the same day
        again = lives_of([*OTHERS, *past, *changes])
        assert not changes_due(again, listed, {"X": adds or UNSEEN}, day(n), LEVELS)


def test_every_rule_is_among_the_cases_and_in_the_docs():
    done = set()
    for past, where, adds, n, wanted in CASES:
        if wanted:
            change = changes_due(
                lives_of([*OTHERS, *past]),
                LISTED if where == "none" else {**LISTED, "X": where},
                {} if adds is None else {"X": adds},
                day(n),
                LEVELS,
            )[0]
            done.add((change.before, change.after, change.reason))
    table = (ROOT / "docs" / "coming-and-going.md").read_text()
    for rule in RULES:
        assert rule.words(LEVELS) in table, rule.when
        for source in rule.sources:
            assert (source, rule.after, rule.words(LEVELS)) in done, (source, rule)
            assert f"| {source} | {rule.after} | {rule.who} | {rule.words(LEVELS)} |" in table, (source, rule)
    for action, steps in PERSONS.items():
        for before, after in steps.items():
            assert f"| {before} | {after} | a person | `quorum agent {action}` |" in table


def test_the_two_levels_that_a_user_may_set_do_what_they_say():
    rules = tuning_of(Settings(agents={"life": {"false_hires": 0.02, "retire_after_days": 30}})).life
    assert rules == replace(LEVELS, false_hires=0.02, retire_after_days=30) and tuning_of(Settings()).life == LEVELS
    assert hurdle(lives_of(SHADOW)["X"], rules) == pytest.approx(100.0), "five times as hard to be hired by chance"
    listed, belief = {**LISTED, "X": "enabled"}, {"X": seen(belief=0.1)}
    assert not changes_due(lives_of([*OTHERS, *DECAYING]), listed, belief, day(39), rules)
    gone = changes_due(lives_of([*OTHERS, *DECAYING]), listed, belief, day(40), rules)
    assert [(c.after, c.reason) for c in gone] == [("retired", "it was decaying for 30 days")]
    for life in ({"false_hires": 0.0}, {"false_hires": 0.6}, {"retire_after_days": 0}):
        with pytest.raises(ValidationError):
            Settings(agents={"life": life})


def test_nobody_is_retired_where_one_would_be_left():
    past = [OTHERS[0], *DECAYING]
    assert not changes_due(lives_of(past), {"P": "enabled", "X": "enabled"}, {"X": seen(belief=0.1)}, day(500), LEVELS)


def test_a_person_may_promote_and_retire_and_nothing_else():
    for action, steps in PERSONS.items():
        for past, state in ((SHADOW, "shadow"), (PROBATION, "probation"), (FULL, "full"), (RETIRED, "retired")):
            life = lives_of(past)["X"]
            change = persons_change(life, action, ("because", "ada"), ("shadow", LEVELS), day(600))
            assert (change.after if change else None) == steps.get(state)
            assert change is None or (change.actor, change.reason) == ("ada", "because")
    assert persons_change(None, "promote", ("because", "ada"), ("shadow", LEVELS), day(1)) is None


# ---------------------------------------------------------------- the price of many tries


def test_the_hurdles_of_all_that_ever_come_spend_the_stated_chance_once():
    """Whoever comes when, in whatever batches: the bounds 1 / hurdle sum to at most false_hires."""
    rng = np.random.default_rng(5)
    for _ in range(50):
        past, n = [], 0
        while n < 300:
            batch = int(rng.integers(1, 60))
            past += [came(f"A{n + k}", "shadow", n) for k in range(batch)]
            n += batch
        spent = sum(1.0 / hurdle(life, LEVELS) for life in lives_of(past).values())
        assert 0.9 * LEVELS.false_hires < spent < LEVELS.false_hires
    alone = lives_of(SHADOW)["X"]
    assert hurdle(alone, LEVELS) == pytest.approx(20.0)
    together = lives_of([came(f"A{k}", "shadow") for k in range(200)])["A7"]
    assert hurdle(together, LEVELS) == pytest.approx(2010.0)
    back = lives_of([*PROBATION, came("X", "shadow", 50, "probation", actor="tuner")])["X"]
    assert hurdle(back, LEVELS) == pytest.approx(60.0), "coming back is another try"
    assert back.watched_since == day(50)


def own_and_mix(rng, periods, ratio, share=0.5):
    mix = 0.01 * rng.standard_normal(periods) + 0.01 / math.sqrt(252)
    return share * mix + 0.01 * (rng.standard_normal(periods) + ratio / math.sqrt(252)), mix


def evidence_by_week(own, mix):
    counted = np.ones(len(own), dtype=bool)
    return max(adding(own[:n], mix[:n], counted[:n], 252.0).log_evidence for n in range(100, len(own) + 1, 20))


def test_noise_is_hired_at_no_more_than_the_stated_rate():
    """200 agents that add nothing, over three years, looked at all the time: the whole family is hired in at most one
    of ten desks. 400 agents' best evidence over 756 days; where each has the hurdle of one alone, at most 1 in 20."""
    rng = np.random.default_rng(20241)
    best = np.array([evidence_by_week(*own_and_mix(rng, 756, 0.0)) for _ in range(400)])
    assert (best >= math.log(20.0)).mean() < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)
    assert (best < math.log(2010.0)).all(), "200 that come together"


def test_what_adds_is_hired_in_time():
    rng = np.random.default_rng(20242)
    counted = np.ones(1000, dtype=bool)
    there = [adding(*own_and_mix(rng, 1000, 3.0), counted, 252.0).log_evidence > math.log(20.0) for _ in range(20)]
    assert sum(there) >= 19


def test_a_clone_of_the_mix_adds_nothing_and_a_crash_costs_the_fortune():
    rng = np.random.default_rng(3)
    own, mix = own_and_mix(rng, 700, 0.0)
    counted = np.ones(700, dtype=bool)
    assert adding(mix.copy(), mix, counted, 252.0).log_evidence == pytest.approx(0.0, abs=0.05)
    own[:] = 0.001 + 0.0001 * rng.standard_normal(700)
    rich = adding(own, mix, counted, 252.0).log_evidence
    own[-3] = -0.1
    assert adding(own, mix, counted, 252.0).log_evidence < rich - 2.5
    assert 0.49 < adding(np.full(700, np.nan), mix, counted, 252.0).belief < 0.51


def test_the_mix_is_that_of_the_others():
    returns = np.array([[0.01, 0.02, np.nan], [0.03, np.nan, 0.01]])
    weights = np.array([[0.5, 0.3, 0.2], [0.5, 0.5, 0.0]])
    mixes = mixes_without(returns, weights)
    np.testing.assert_allclose(mixes[:, 0], [0.3 * 0.02 / 0.5, 0.0], atol=1e-15)
    np.testing.assert_allclose(mixes[:, 2], [(0.005 + 0.006) / 0.8, 0.015])
    assert np.isnan(mixes_without(returns, np.array([[1.0, 0.0, 0.0]] * 2))[:, 0]).all()
    assert np.isnan(mixes_without(returns, np.array([[0.0, 0.7, 0.3]] * 2))[:, 1:]).sum() == 0


def test_what_all_add_is_what_each_adds_from_where_it_is_looked_at():
    rng = np.random.default_rng(5)
    returns = np.where(rng.random((900, 3)) < 0.1, np.nan, 0.01 * rng.standard_normal((900, 3)))
    weights, mixes = np.tile([0.5, 0.3, 0.2], (900, 1)), mixes_without(returns, np.tile([0.5, 0.3, 0.2], (900, 1)))
    looked_at, counted = np.array([0, 100, 700]), np.array([300, 900, 800])
    for a, adds in enumerate(adding_of_each(returns, weights, looked_at, counted, 252.0)):
        rows = slice(looked_at[a], None)
        alone = adding(returns[rows, a].copy(), mixes[rows, a].copy(), np.arange(900)[rows] >= counted[a], 252.0)
        assert adds == alone
        assert (adds.bets > 0) == (counted[a] < 900)


@pytest.mark.parametrize("days", [300, 700, 1200])
def test_what_is_believed_does_not_hang_on_which_days_are_evidence(days):
    """What nobody asks of the days before is not computed."""
    rng = np.random.default_rng(6)
    returns, weights = 0.01 * rng.standard_normal((days, 3)), np.full((days, 3), 1.0 / 3.0)
    first = np.zeros(3, dtype=np.int64)
    every, late, none = (
        adding_of_each(returns, weights, first, first + counted, 252.0) for counted in (0, days - 50, days)
    )
    assert [a[2:] for a in every] == [a[2:] for a in late] == [a[2:] for a in none]
    assert {a.periods for a in none} == {min(days - 40, 504)}
    assert [{a.bets for a in of_each} for of_each in (every, late, none)] == [{(days - 40) // 5}, {10}, {0}]


def test_what_is_still_to_show_and_about_when():
    assert bets_to_go(math.log(4.0), 20, 16.0) == pytest.approx(20.0)
    assert bets_to_go(-0.1, 20, 16.0) is None
    assert bets_to_go(math.log(20.0), 20, 16.0) == 0.0
    assert replace(LEVELS, false_hires=0.2).false_hires == 0.2
