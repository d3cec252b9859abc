"""The belief filter against brute force and closed forms: one agent, one period at a time, in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.quant.belief_state import LEVELS, PRIOR, SHARE_PRIOR, SHARES, BeliefState
from agents.quant.belief_worlds import correlate
from agents.quant.beliefs import (
    BeliefsError,
    advance_all,
    better_than_average,
    chances_of_levels,
    chances_of_shares,
    chances_where_agents_differ,
    for_agents,
    from_bytes,
    from_replay,
    interval,
    no_beliefs,
    pace_of,
    to_bytes,
)
from agents.quant.target import Views, target_of

YEAR = 252.0
PACE = pace_of(YEAR)


def draw(agents, periods, seed=0, skills=None, correlation=0.2):
    rng = np.random.default_rng(seed)
    noise = math.sqrt(correlation) * rng.standard_normal((periods, 1))
    noise = noise + math.sqrt(1 - correlation) * rng.standard_normal((periods, agents))
    return 0.01 * (noise + np.array(skills if skills is not None else [0.0] * agents) / math.sqrt(YEAR))


def same_bits(a, b):
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


class BruteForce:
    """The same filter written down once more: lists of what was seen, sums over all of it at each period."""

    def __init__(self, agents, trust=1.0):
        self.n, self.trust = agents, trust
        self.returns = [[] for _ in range(agents)]  # clipped, oldest first
        self.contrasts = [[] for _ in range(agents)]
        self.rows = []  # scores, a row for each period
        self.standard = []  # standardised contrasts, a row for each period
        self.products = [[] for _ in range(10)]  # of each lag: a mean product or None for each period
        self.chance = [[PRIOR[:, q].copy() for q in range(4)] for _ in range(agents)]
        self.logs = [[[] for _ in range(4)] for _ in range(agents)]
        self.belief = [0.0] * agents
        self.doubt = [0.0] * agents

    @staticmethod
    def fading(values, half_life, prior=0.0, prior_weight=0.0):
        """(sum of values x 0.5^(age / half-life), the same of ones)"""
        ages = range(len(values) - 1, -1, -1)
        total = sum(v * 0.5 ** (age / half_life) for v, age in zip(values, ages, strict=True))
        weight = sum(0.5 ** (age / half_life) for age in ages)
        old = 0.5 ** (len(values) / half_life)
        return total + prior * old, weight + prior_weight * old

    def deviation(self, a):
        total, weight = self.fading([r * r for r in self.returns[a]], 126.0)
        return math.sqrt(total / weight) if total > 0 else 0.0

    def take(self, row):
        scores = []
        for a, r in enumerate(row):
            if math.isnan(r):
                scores.append(math.nan)
                continue
            before = self.deviation(a) if self.returns[a] else 0.0
            self.returns[a].append(min(6 * before, max(-6 * before, r)) if before > 0 else r)
            now = self.deviation(a)
            scores.append(min(4.0, max(-4.0, self.returns[a][-1] / now)) if now > 0 else 0.0)
        self.rows.append(scores)
        there = [a for a in range(self.n) if not math.isnan(scores[a])]
        if len(there) < 2:
            return
        common = sum(scores[a] - self.belief[a] / math.sqrt(YEAR) for a in there) / len(there)
        variance = {}
        for a in there:
            self.contrasts[a].append(scores[a] - common)
            total, weight = self.fading([y * y for y in self.contrasts[a]], 126.0, 16.0, 20.0)
            variance[a] = total / weight
        inflation = self.inflate(there, variance)
        for a in there:
            self.learn(a, self.contrasts[a][-1], variance[a] * inflation)
        weights = self.shares()
        for a in there:
            mean = sum(weights[q] * float(self.chance[a][q] @ LEVELS) for q in range(4))
            self.belief[a] += (mean - self.belief[a]) / 10

    def inflate(self, there, variance):
        new = [math.nan] * self.n
        for a in there:
            new[a] = self.contrasts[a][-1] / math.sqrt(variance[a])
        factor = 1.0
        for lag in range(10):
            pairs = []
            if len(self.standard) > lag:
                old = self.standard[-1 - lag]
                pairs = [new[a] * old[a] for a in there if not math.isnan(old[a])]
            self.products[lag].append(sum(pairs) / len(pairs) if pairs else None)
            seen = self.products[lag]
            total = self.fading([p or 0.0 for p in seen], 126.0)[0]
            ages = range(len(seen) - 1, -1, -1)
            weight = sum(0.5 ** (g / 126.0) for p, g in zip(seen, ages, strict=True) if p is not None)
            weight += 250.0 * 0.5 ** (len(seen) / 126.0)
            factor += 2 * (1 - (lag + 1) / 11) * total / weight
        self.standard.append(new)
        return min(3.0, max(1.0, factor))

    def learn(self, a, y, variance):
        levels = LEVELS / math.sqrt(YEAR)
        likelihood = np.exp(self.trust * (y * levels - levels**2 / 2) / variance)
        held = np.mean([self.chance[a][q] @ likelihood for q in range(4)])
        self.doubt[a] = max(0.0, 0.5 ** (1 / 69) * self.doubt[a] + math.log(PRIOR[:, 2] @ likelihood / held))
        redraw = min(0.1, (1 + 4 * (math.exp(self.doubt[a]) - 1)) / 700)
        for q in range(4):
            raw = self.chance[a][q] * likelihood
            total = raw.sum()
            self.chance[a][q] = (1 - redraw) * raw / total + PRIOR[:, q] * redraw
            self.logs[a][q].append(math.log(total))

    def shares(self):
        born = [next((t for t, row in enumerate(self.rows) if not math.isnan(row[a])), None) for a in range(self.n)]
        known = [a for a in range(self.n) if born[a] is not None]
        filled = np.nan_to_num(np.array(self.rows))
        raw, weights = np.eye(len(known)), np.zeros((len(known), len(known)))
        for i, a in enumerate(known):
            for j, b in enumerate(known):
                rows = filled[max(born[a], born[b]) :]
                fade = 0.5 ** (np.arange(len(rows))[::-1] / 252.0)
                weights[i, j] = fade.sum()
                scale = (fade @ rows[:, a] ** 2) * (fade @ rows[:, b] ** 2)
                if i != j:
                    raw[i, j] = (fade * rows[:, a]) @ rows[:, b] / math.sqrt(scale) if scale > 0 else 0.0
        off = ~np.eye(len(known), dtype=bool)
        matrix = np.where(off, (weights * raw + 60 * raw[off].mean()) / (weights + 60), 1.0)
        centre = np.eye(len(known)) - 1 / len(known)
        x = centre @ matrix @ centre
        squares = np.sum(x**2)
        kappa = np.trace(x) ** 2 / (squares * len(known)) if squares > 1e-12 else 0.0
        logs = [
            math.log(SHARE_PRIOR[q]) + kappa * sum(self.fading(self.logs[a][q], 756.0)[0] for a in range(self.n))
            for q in range(4)
        ]
        raw_shares = np.exp(np.array(logs) - max(logs))
        return raw_shares / raw_shares.sum()


@pytest.mark.parametrize(
    ("agents", "trust", "harm"),
    [(2, 1.0, ""), (3, 0.5, ""), (4, 1.0, "holes"), (5, 1.0, "late"), (3, 1.0, "spike"), (20, 1.0, "")],
)
def test_the_filter_is_what_brute_force_computes(agents, trust, harm):
    returns = draw(agents, 60, seed=agents, skills=np.linspace(-3, 4, agents))
    if harm == "holes":
        returns[np.random.default_rng(1).random(returns.shape) < 0.4] = np.nan
    if harm == "late":
        returns[:25, 1:3] = np.nan
    if harm == "spike":
        returns[30, 0] = 3.0
    slow, state = BruteForce(agents, trust), no_beliefs(agents)
    for row in returns:
        slow.take(row)
        state = advance_all(state, row[None], pace_of(YEAR, trust))
        assert np.allclose(state.belief, slow.belief, rtol=1e-9, atol=1e-11)
    for a in range(agents):
        assert np.allclose(state.chance[a], np.array(slow.chance[a]).T, rtol=1e-8, atol=1e-13)
    assert np.allclose(chances_of_shares(state), slow.shares(), rtol=1e-9)


def test_from_scratch_is_one_period_after_the_other_to_the_last_bit():
    returns = draw(7, 300, seed=3)
    returns[np.random.default_rng(1).random(returns.shape) < 0.2] = np.nan
    state = no_beliefs(7)
    for row in returns:
        state = advance_all(state, row[None], PACE)
    assert same_bits(state, advance_all(no_beliefs(7), returns, PACE))
    middle = from_bytes(to_bytes(advance_all(no_beliefs(7), returns[:111], PACE)))
    assert same_bits(state, advance_all(middle, returns[111:], PACE))


def test_advancing_leaves_the_given_state_alone():
    before = advance_all(no_beliefs(3), draw(3, 40), PACE)
    kept = from_bytes(to_bytes(before))
    advance_all(before, np.array([[0.01, -0.02, 0.03]]), PACE)
    assert same_bits(before, kept)


@given(st.permutations(range(5)), st.integers(0, 30))
@settings(max_examples=15)
def test_the_order_of_agents_does_not_matter(order, seed):
    returns = draw(5, 120, seed=seed, skills=[3, 0, -2, 1, 0])
    returns[:50, 2] = np.nan
    straight = advance_all(no_beliefs(5), returns, PACE)
    turned = advance_all(no_beliefs(5), returns[:, order], PACE)
    assert np.allclose(turned.belief, straight.belief[list(order)], rtol=1e-9, atol=1e-12)
    assert np.allclose(chances_of_levels(turned), chances_of_levels(straight)[list(order)], atol=1e-12)


def test_the_scale_of_returns_does_not_matter():
    returns = draw(4, 200, seed=5)
    plain = advance_all(no_beliefs(4), returns, PACE)
    scaled = advance_all(no_beliefs(4), returns * np.array([1.0, 1024.0, 2.0**-20, 4.0]), PACE)
    assert np.array_equal(scaled.belief, plain.belief)
    odd = advance_all(no_beliefs(4), returns * np.array([1.0, 1e5, 3e-4, 7.0]), PACE)
    assert np.allclose(odd.belief, plain.belief, rtol=1e-9, atol=1e-12)


def test_without_an_opinion_nothing_is_learnt_of_an_agent():
    state = advance_all(no_beliefs(4), draw(4, 100, seed=2, skills=[3, 0, 0, 0]), PACE)
    silent = draw(4, 30, seed=9)
    silent[:, 0] = np.nan
    later = advance_all(state, silent, PACE)
    for name in ("seen", "square", "weight", "contrast_square", "contrast_weight", "chance", "fit", "belief"):
        assert np.array_equal(getattr(later, name)[0], getattr(state, name)[0])
        assert not np.array_equal(getattr(later, name)[1], getattr(state, name)[1])
    assert same_bits(advance_all(state, np.full((1, 4), np.nan), PACE), state), "a day on which nobody speaks is no day"


def test_an_agent_that_is_not_there_yet_changes_nothing_for_the_others():
    """Joining starts at the prior: the state of the rest is, to the bit, that of a desk which never knew of it."""
    returns = draw(4, 150, seed=4)
    with_two = np.column_stack([returns, np.full((150, 2), np.nan)])
    names = ("a", "b", "c", "d")
    joined = for_agents(advance_all(no_beliefs(4), returns, PACE), names, (*names, "x", "y"))
    assert same_bits(joined, advance_all(no_beliefs(6), with_two, PACE))


def test_who_leaves_is_dropped_and_the_rest_is_unchanged():
    state = advance_all(no_beliefs(4), draw(4, 150, seed=4), PACE)
    left = for_agents(state, ("a", "b", "c", "d"), ("c", "new", "a"))
    for name in ("seen", "square", "contrast_square", "lagged", "chance", "fit", "belief"):
        kept, whole, fresh = (getattr(s, name) for s in (left, state, no_beliefs(1)))
        assert np.array_equal(kept[0], whole[2]) and np.array_equal(kept[2], whole[0])
        assert np.array_equal(kept[1], fresh[0], equal_nan=True)
    assert np.array_equal(left.together[np.ix_([0, 2], [0, 2])], state.together[np.ix_([2, 0], [2, 0])])
    assert np.array_equal(left.clock, state.clock) and np.array_equal(left.lag_product, state.lag_product)
    back = for_agents(left, ("c", "new", "a"), ("a", "c"))
    assert np.array_equal(back.belief, state.belief[[0, 2]])


def test_twins_count_once():
    """Six agents and five copies of one of them: how many agents seem to differ is learnt no faster."""
    returns = draw(6, 400, seed=8, skills=[3, 0, 0, 0, 0, 0], correlation=0.0)
    copies = np.column_stack([returns] + [returns[:, :1]] * 5)
    alone, twins = (advance_all(no_beliefs(r.shape[1]), r, PACE) for r in (returns, copies))
    counted = np.ptp(np.log(chances_of_shares(twins) / SHARE_PRIOR)) / np.ptp(twins.fit.sum(axis=0))
    usual = np.ptp(np.log(chances_of_shares(alone) / SHARE_PRIOR)) / np.ptp(alone.fit.sum(axis=0))
    assert usual == pytest.approx(5 / 6, abs=0.03), "six that move apart: one direction is lost with their mean"
    # Centred, six copies are one direction of six times the weight: tr^2 / |X|^2 of 11 is between 2 and 6 of 11.
    assert 2 / 11 < counted < 6 / 11


def test_with_a_wide_prior_and_no_forgetting_the_mean_is_kalmans():
    """Kalman's limit: a single world, a grid wide against the posterior, no redraw: the posterior of a level under a
    normal prior of variance 1 is Bayes' closed form; here the prior is Laplace's, so the data must outweigh it."""
    rng = np.random.default_rng(3)
    y = rng.standard_normal(4000) + 0.1
    root = math.sqrt(YEAR)
    chance = np.full(len(LEVELS), 1 / len(LEVELS))
    for value in y:
        levels = LEVELS / root
        chance = chance * np.exp(value * levels - levels**2 / 2)
        chance /= chance.sum()
    assert chance @ LEVELS == pytest.approx(y.mean() * root, abs=0.02)
    state = no_beliefs(2)
    state.fit[:] = 0.0
    still = pace_of(YEAR)._replace(redraw=0.0, variance=1.0)
    scores = np.column_stack([y, -y]) * 0.01
    state = advance_all(state, scores, still)
    centre = y.mean() / math.sqrt((y**2).mean()) * root
    free = state.chance[0, :, 3] @ LEVELS
    assert free == pytest.approx(centre, abs=0.25), "two opposite agents: each differs from their mean by its own score"


def test_skill_is_found_and_its_death_is_noticed():
    before, after = [], []
    for seed in range(12):
        alive = advance_all(no_beliefs(6), draw(6, 500, seed=seed, skills=[4, 0, 0, 0, 0, 0]), PACE)
        dead = advance_all(alive, draw(6, 250, seed=seed + 50, skills=[-2, 0, 0, 0, 0, 0]), PACE)
        before.append((alive.belief[0], better_than_average(chances_of_levels(alive))[0]))
        after.append(dead.belief[0])
        assert max(alive.belief[1:]) < 1.0
    assert np.median(before, axis=0)[0] > 1.5 and np.median(before, axis=0)[1] > 0.9
    assert np.median(after) < 0.0


def test_equal_skill_is_mostly_believed_to_be_equal():
    shares = [
        float(chances_of_shares(advance_all(no_beliefs(6), draw(6, 900, seed=s), PACE)) @ (1 - SHARES))
        for s in range(20)
    ]
    assert np.median(shares) < 0.25 < float(SHARE_PRIOR @ (1 - SHARES)) + 0.05


def test_intervals_hold_so_much_of_the_chance():
    chances = chances_of_levels(advance_all(no_beliefs(3), draw(3, 300, seed=1, skills=[2, 0, -1]), PACE))
    bounds = interval(chances, 0.8)
    edges = np.append(LEVELS - 0.15, LEVELS[-1] + 0.15)
    for row, (low, high) in zip(chances, bounds, strict=True):
        held = np.interp([low, high], edges, np.append(0.0, np.cumsum(row)))
        assert held[1] - held[0] == pytest.approx(0.8)
    nothing = chances_of_levels(no_beliefs(1))
    assert better_than_average(nothing) == pytest.approx(0.5)
    assert interval(nothing, 0.8).sum() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("day", [1, 30, 300])
def test_the_80_percent_that_are_shown_hold_80_percent_of_the_truths(day):
    """Over worlds of all kinds. Seen: bounds of the whole belief, mostly "it is ordinary", held 18 % of them on day 1,
    22 % on day 30, 41 % on day 300."""
    rng, held = np.random.default_rng(9), []
    for seed in range(40):
        drawn = rng.normal(0.5, 1.5, 6)
        for skills in (np.zeros(6), np.array([2.5, 0.3, 0.3, 0.3, 0.3, 0.3]), np.linspace(-1.0, 2.0, 6), drawn):
            state = advance_all(no_beliefs(6), draw(6, day, seed=seed, skills=skills), PACE)
            low, high = interval(chances_where_agents_differ(state), 0.8).T
            truth = skills - skills.mean()
            held.append(((low <= truth) & (truth <= high)).mean())
    assert 0.74 < np.mean(held) < 0.88


def test_half_the_trust_is_half_the_evidence():
    """With half the trust a period moves the odds of two levels by the root of what it would."""
    before = advance_all(no_beliefs(3), draw(3, 50), PACE)
    row = np.array([0.02, -0.01, 0.0])

    def odds(trust):
        after = advance_all(before, row[None], pace_of(YEAR, trust)._replace(redraw=0.0))
        return np.log(after.chance[0, 20, 3] / after.chance[0, 12, 3])

    start = np.log(before.chance[0, 20, 3] / before.chance[0, 12, 3])
    assert odds(0.5) - start == pytest.approx((odds(1.0) - start) / 2, rel=1e-6)
    assert odds(0.0) == pytest.approx(start, abs=1e-12)


def test_replayed_evidence_is_outweighed_by_as_many_days():
    state = advance_all(no_beliefs(2), draw(2, 400), pace_of(YEAR, 0.5, replayed=True))
    assert from_replay(state) == 1.0
    days = 0
    while from_replay(state) >= 0.5:
        state = advance_all(state, draw(2, 1, seed=days), PACE)
        days += 1
    assert 80 < days < 200  # 400 days, half believed, of which a part has faded like the beliefs themselves
    assert from_replay(no_beliefs(2)) == 0.0


@pytest.mark.parametrize("packed", [b"", b"nonsense", b"PK\x03\x04" + b"0" * 50])
def test_what_are_no_stored_beliefs_is_refused(packed):
    with pytest.raises(BeliefsError):
        from_bytes(packed)


def test_beliefs_of_another_shape_are_refused():
    state = no_beliefs(3)._replace(belief=np.zeros(4))
    with pytest.raises(BeliefsError, match="fit"):
        from_bytes(to_bytes(state))


@given(
    st.integers(1, 6), st.integers(0, 10_000), st.sampled_from(["flat", "twins", "huge", "rare", "tiny", "opposite"])
)
@settings(max_examples=40)
def test_whatever_comes_beliefs_are_finite(agents, seed, harm):
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.01, (150, agents))
    if harm == "flat":
        returns[:, 0] = 0.0
    if harm == "twins":
        returns[:] = returns[:, :1]
    if harm == "huge":
        returns[rng.integers(150), rng.integers(agents)] = 1e12
    if harm == "rare":
        returns[rng.random(returns.shape) < 0.95] = np.nan
    if harm == "tiny":
        returns *= 1e-150
    if harm == "opposite" and agents > 1:
        returns[:, 1] = -returns[:, 0]
    state = advance_all(no_beliefs(agents), returns, PACE)
    assert np.isfinite(state.belief).all() and (np.abs(state.belief) <= 3.6).all()
    assert np.allclose(state.chance.sum(axis=1), 1.0)
    correlation = np.empty((agents, agents))
    correlate(state, correlation)
    assert np.isfinite(correlation).all()
    assert isinstance(state, BeliefState)


def test_small_beliefs_are_not_acted_upon_and_the_others_by_what_exceeds_them():
    """Between 0.05 and -0.05 the target is the anchor; the tilt is in proportion to the rest of the belief."""
    anchor, correlation = np.array([0.3, 0.3, 0.4]), np.eye(3)

    def tilt(*skill):
        views = Views(np.array(skill), np.full(3, 0.1), correlation)
        return target_of(views, anchor, np.zeros(3), np.ones(3)) - anchor

    assert np.abs(tilt(0.05, -0.05, 0.03)).max() < 1e-12
    np.testing.assert_allclose(tilt(0.15, -0.15, 0.0), 2.0 * tilt(0.10, -0.10, 0.05), atol=1e-12)
