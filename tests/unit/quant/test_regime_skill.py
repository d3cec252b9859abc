"""Skill by regime: what is there is found, what is not is not said, and the pooling is Bayes' rule."""

from __future__ import annotations

import numpy as np
import pytest

from agents.quant.regime_skill import BOUND, PULL, _how_many, _log_odds, _shifts, contrasts, regime_skill

YEAR, DAYS, AGENTS = 252.0, 2000, 6


def spells(rng: np.random.Generator, states: int, days: int = DAYS, mean: float = 60.0) -> np.ndarray:
    return np.asarray(np.cumsum(rng.random(days) < 1.0 / mean) % states)


def earned(rng: np.random.Generator, skill: np.ndarray) -> np.ndarray:
    """[T, A] returns of 1 % a day, of these annual Sharpe ratios."""
    return np.asarray(0.01 * (skill / np.sqrt(YEAR) + rng.standard_normal(skill.shape)))


def test_an_agent_that_is_good_in_one_regime_only_is_found() -> None:
    rng = np.random.default_rng(1)
    state = spells(rng, 2)
    skill = np.full((DAYS, AGENTS), 0.5)
    skill[:, 2] += np.where(state == 1, 3.0, -3.0)
    found = regime_skill(earned(rng, skill), state, 2, YEAR)
    assert found.evidence[2] > found.proof == AGENTS / 0.05
    assert found.differs[2] > 0.999
    assert (np.delete(found.evidence, 2) < found.proof).all()  # the average that they are held against moves a little
    assert found.shift[2, 1] > 1.5
    assert found.shift[2, 0] < -1.5
    assert found.low[2, 1] < 3.0 < found.high[2, 1] + 1.0  # shrunk towards its own mean, with a deviation of 1
    np.testing.assert_allclose((found.shift * found.days).sum(axis=1), 0.0, atol=1e-9)


def test_of_agents_that_are_the_same_in_every_regime_nothing_is_said() -> None:
    """60 desks, two kinds of regime, looked at on 10 days each: in at most 1 of 20 anything may be said."""
    said, differ = 0, []
    for seed in range(60):
        rng = np.random.default_rng([5, seed])
        returns = earned(rng, np.tile(np.linspace(-1.0, 2.0, AGENTS), (DAYS, 1)))
        state = spells(rng, 3)
        looks = [regime_skill(returns[:t], state[:t], 3, YEAR, 2) for t in range(200, DAYS + 1, 200)]
        said += any((look.evidence >= look.proof).any() for look in looks)
        differ.append(looks[-1].differs.mean())
    assert said <= 3
    assert np.mean(differ) < 0.15


def test_skill_that_wanders_is_no_skill_by_regime() -> None:
    """Days of one spell share what skill was then: with errors of independent days half of these desks would differ."""
    said, common, days = 0, 0.0, 2000
    for seed in range(30):
        rng = np.random.default_rng([6, seed])
        state = spells(rng, 2, days, 250.0)
        each = rng.normal(0.0, 4.0, (days // 125 + 1, AGENTS))  # drawn anew every half year
        returns = earned(rng, each[np.arange(days) // 125])
        found = regime_skill(returns, state, 2, YEAR)
        said += bool((found.evidence >= found.proof).any())
        common += found.differs.mean() / 30
    assert said <= 2
    assert common < 0.35


def test_what_a_regime_does_to_all_agents_drops_out() -> None:
    rng = np.random.default_rng(2)
    state, skill = spells(rng, 2), np.full((DAYS, AGENTS), 0.5)
    returns = earned(rng, skill)
    crash = returns - 0.01 * 4.0 / np.sqrt(YEAR) * state[:, None]
    for found in (regime_skill(returns, state, 2, YEAR), regime_skill(crash, state, 2, YEAR)):
        assert np.abs(found.shift).max() < 0.3
        assert (found.evidence < found.proof).all()


def test_unknown_days_and_few_spells_say_nothing() -> None:
    rng = np.random.default_rng(3)
    returns, state = earned(rng, np.zeros((DAYS, AGENTS))), np.zeros(DAYS, dtype=np.int64)
    state[: DAYS // 2] = -1
    state[-50:] = 1
    found = regime_skill(returns, state, 2, YEAR)
    assert found.days.tolist() == [[DAYS // 2 - 50, 50]] * AGENTS
    assert not found.shift.any()
    assert (found.evidence == 1.0).all()
    alone = regime_skill(returns[:, :1], spells(rng, 2), 2, YEAR)
    assert not alone.days.any()
    assert np.isfinite(alone.shift).all()


def test_an_agent_that_was_not_there_changes_nothing_of_the_others() -> None:
    rng = np.random.default_rng(4)
    returns, state = earned(rng, np.zeros((DAYS, AGENTS))), spells(rng, 3)
    beside = np.column_stack([returns, np.full(DAYS, np.nan)])
    np.testing.assert_array_equal(contrasts(beside)[:, :AGENTS], contrasts(returns))
    found = regime_skill(beside, state, 3, YEAR)
    assert found.differs[-1] < 0.25  # what is believed of an agent of which nothing is known
    assert not found.shift[-1].any()
    np.testing.assert_allclose(found.evidence[:-1], regime_skill(returns, state, 3, YEAR).evidence, rtol=1e-9)


def test_contrasts_are_in_own_deviations_and_sum_to_nothing() -> None:
    rng = np.random.default_rng(7)
    returns = rng.standard_normal((300, 4)) * [0.01, 0.05, 0.002, 1.0]
    y = contrasts(returns)
    np.testing.assert_allclose(y.sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(contrasts(returns * [1.0, 3.0, 0.1, 20.0]), y, atol=1e-9)
    assert 0.6 < y[100:].var() < 0.9  # of four independent ones: 3 / 4


def test_the_odds_and_shifts_are_those_of_bayes_rule() -> None:
    """By brute force: the means given the agent's own level m (flat) and its three skills around it."""
    mean, error = np.array([[1.3, -0.4, 0.2]]), np.array([[0.6, 0.5, 0.9]])
    m = np.linspace(-12.0, 12.0, 4801)[:, None]
    e = np.linspace(-7.0, 7.0, 2801)[None, :]
    prior = np.exp(-0.5 * (e / PULL) ** 2) / PULL
    step = e[0, 1] - e[0, 0]
    each = [np.exp(-0.5 * ((y - m - e) / s) ** 2) for y, s in zip(mean[0], error[0], strict=True)]
    whole = np.array([(one * prior).sum(axis=1) * step / np.sqrt(2.0 * np.pi) for one in each])
    differs = whole.prod(axis=0).sum()
    same = np.prod([np.exp(-0.5 * ((y - m[:, 0]) / s) ** 2) for y, s in zip(mean[0], error[0], strict=True)], axis=0)
    assert _log_odds(mean, error)[0] == pytest.approx(np.log(differs / same.sum()), abs=1e-6)
    shift, deviation = _shifts(mean, error)
    for k in range(3):
        others = np.prod(np.delete(whole, k, axis=0), axis=0)[:, None]
        chance = each[k] * prior * others
        chance /= chance.sum()
        expected = (chance * e).sum()
        assert shift[0, k] == pytest.approx(expected, abs=1e-6)
        assert deviation[0, k] == pytest.approx(np.sqrt((chance * e**2).sum() - expected**2), abs=1e-6)


def test_how_many_differ_is_learnt_from_all_and_copies_count_once() -> None:
    rng = np.random.default_rng(8)
    y = rng.standard_normal((500, 4))
    y -= y.mean(axis=1, keepdims=True)
    few, _ = _how_many(np.full(4, -2.0), y)
    many, differs = _how_many(np.full(4, 4.0), y)
    assert few < 0.12
    assert many > 0.4
    assert (differs > 0.9).all()
    copies = np.repeat(y[:, :1], 3, axis=1)
    copied, _ = _how_many(np.full(4, 1.0), np.column_stack([copies, -3.0 * y[:, 0]]))
    apart, _ = _how_many(np.full(4, 1.0), y)
    assert copied < apart
    assert pytest.approx(1.2816) == BOUND
