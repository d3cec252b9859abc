"""Weights against dense grids, closed forms and a peer library; `propose` under every kind of bad luck."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.quant.allocation import Limits, propose
from agents.quant.bounded_weights import SolverError, project
from agents.quant.limits import bounds
from agents.quant.moments import estimate, oas_shrinkage
from agents.quant.portfolios import METHODS, hierarchical_risk_parity, max_sharpe, min_variance, risk_parity
from agents.quant.proposal import CAUSES

YEAR = 252


def make_returns(sharpe, periods=504, *, correlation=0.2, volatility=0.01, seed=0):
    """[T, A] normal returns with given true annual Sharpe ratios."""
    rng = np.random.default_rng(seed)
    agents = len(sharpe)
    noise = math.sqrt(correlation) * rng.standard_normal((periods, 1)) + math.sqrt(
        1 - correlation
    ) * rng.standard_normal((periods, agents))
    return volatility * (np.array(sharpe) / math.sqrt(YEAR) + noise)


def make_covariance(agents, seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((agents, agents + 3))
    return root @ root.T / (agents + 3) * 1e-4


def grid(agents, low, high, step=0.01):
    """Every weight vector on a grid within the bounds."""
    ticks = np.arange(low, high + 1e-9, step)
    for head in itertools.product(ticks, repeat=agents - 1):
        last = 1.0 - sum(head)
        if low - 1e-9 <= last <= high + 1e-9:
            yield np.array([*head, last])


# ---------------------------------------------------------------- methods


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("agents", "step"), [(2, 0.0005), (3, 0.005), (4, 0.02)])
def test_max_sharpe_is_never_beaten_on_a_dense_grid(agents, step, seed):
    rng = np.random.default_rng(seed)
    covariance, mean = make_covariance(agents, seed), rng.normal(2e-4, 5e-4, agents)
    low, high = np.full(agents, 0.05), np.full(agents, 0.60)
    points = np.array(list(grid(agents, 0.05, 0.60, step)))
    ratios = points @ mean / np.sqrt(np.einsum("ij,jk,ik->i", points, covariance, points))
    if (points @ mean).max() <= 0:
        with pytest.raises(SolverError):
            max_sharpe(mean, covariance, low, high)
        return
    weights = max_sharpe(mean, covariance, low, high)
    ours = weights @ mean / math.sqrt(weights @ covariance @ weights)
    assert ours >= ratios.max() - 1e-9
    # and the best grid point is near it: the optimum is no better than its neighbourhood allows
    assert ratios.max() >= ours - 0.02 * abs(ours) - 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_unbounded_optima_are_the_closed_forms(seed):
    """Maximum Sharpe: S^-1 mean scaled; minimum variance: S^-1 1 scaled; where both are inside the bounds."""
    covariance = make_covariance(4, seed) * 0.2 + np.diag([1e-4] * 4)
    mean = covariance @ np.random.default_rng(seed).uniform(0.5, 1.5, 4)
    tangency = np.linalg.solve(covariance, mean)
    wide = np.zeros(4), np.ones(4)
    assert np.allclose(max_sharpe(mean, covariance, *wide), tangency / tangency.sum(), atol=1e-9)
    least = np.linalg.solve(covariance, np.ones(4))
    assert (least > 0).all()
    assert np.allclose(min_variance(covariance, *wide), least / least.sum(), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_min_variance_is_never_beaten_on_a_dense_grid(seed):
    covariance = make_covariance(3, seed)
    points = np.array(list(grid(3, 0.05, 0.6, 0.005)))
    variances = np.einsum("ij,jk,ik->i", points, covariance, points)
    weights = min_variance(covariance, np.full(3, 0.05), np.full(3, 0.6))
    assert weights @ covariance @ weights <= variances.min() * (1 + 1e-9)


@given(st.integers(2, 12), st.integers(0, 10_000))
def test_risk_parity_contributes_equally(agents, seed):
    covariance = make_covariance(agents, seed)
    weights = risk_parity(covariance)
    risk = weights * (covariance @ weights)
    assert np.allclose(risk / risk.sum(), 1.0 / agents, atol=1e-9)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)


def test_risk_parity_of_two_agents_is_inverse_volatility():
    """For two agents the correlation cancels: w_1 s_1 = w_2 s_2."""
    covariance = np.array([[4e-4, 1e-4], [1e-4, 1e-4]])
    assert np.allclose(risk_parity(covariance), [1 / 3, 2 / 3], atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_peer_library_agrees(seed):
    """PyPortfolioOpt: maximum Sharpe, minimum variance and HRP on the same moments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from pypfopt import EfficientFrontier, HRPOpt
        from pypfopt.efficient_frontier import EfficientFrontier as Frontier

        agents = 8
        covariance = make_covariance(agents, seed)
        mean = np.random.default_rng(seed).normal(4e-4, 4e-4, agents)
        low, high = np.full(agents, 0.05), np.full(agents, 0.40)
        peer = Frontier(mean, covariance, weight_bounds=(0.05, 0.40))
        peer.max_sharpe(risk_free_rate=0.0)
        theirs = np.array(list(peer.clean_weights(cutoff=0, rounding=None).values()))
        theirs = project(theirs, low, high)  # it breaks its bounds by up to 1e-6
        ours = max_sharpe(mean, covariance, low, high)

        def ratio(w):
            return w @ mean / math.sqrt(w @ covariance @ w)

        assert ratio(ours) >= ratio(theirs) - 1e-6 * abs(ratio(theirs))
        assert np.allclose(ours, theirs, atol=2e-3)
        peer = EfficientFrontier(None, covariance, weight_bounds=(0.05, 0.40))
        peer.min_volatility()
        theirs = np.array(list(peer.clean_weights(cutoff=0, rounding=None).values()))
        assert np.allclose(min_variance(covariance, low, high), theirs, atol=2e-3)
        returns = make_returns([0.5] * agents, 400, seed=seed) * np.linspace(0.5, 2.0, agents)
        peer_hrp = HRPOpt(pd.DataFrame(returns))
        theirs = pd.Series(peer_hrp.optimize()).reindex(range(agents)).to_numpy()
    spread = np.cov(returns.T)
    volatility = np.sqrt(np.diag(spread))
    ours = hierarchical_risk_parity(spread / np.outer(volatility, volatility), volatility)
    assert np.allclose(ours, theirs, atol=1e-6)


@given(
    st.sampled_from(["max_sharpe", "min_variance"]),
    st.integers(2, 12),
    st.integers(0, 10_000),
    st.sampled_from([40, 300]),
)
@example("max_sharpe", 9, 78, 40)  # a bound that binds with next to no force
def test_the_direct_solver_agrees_with_the_reference(method, agents, seed, periods):
    """Within 1e-8 in every weight, so that a replay and the live desk decide the same."""
    low, high = np.full(agents, 0.05 if agents <= 10 else 0.02), np.full(agents, max(0.4, 1.0 / agents))
    rng = np.random.default_rng(seed)
    moments = estimate(make_returns(rng.uniform(-0.5, 3.0, agents), periods, seed=seed), math.inf)
    try:
        reference = METHODS[method](moments, low, high, "reference")
    except SolverError as error:
        with pytest.raises(type(error)):
            METHODS[method](moments, low, high, "direct")
        return
    assert np.allclose(METHODS[method](moments, low, high, "direct"), reference, rtol=0.0, atol=1e-8)


@given(
    st.sampled_from(sorted(METHODS)), st.integers(2, 10), st.integers(0, 1000), st.sampled_from(["reference", "direct"])
)
def test_every_method_keeps_its_bounds(method, agents, seed, solver):
    cap = max(0.4, 1.0 / agents)
    low, high = np.full(agents, 0.05), np.full(agents, cap)
    moments = estimate(make_returns(np.linspace(0.5, 2.5, agents), 300, seed=seed), math.inf)
    try:
        weights = METHODS[method](moments, low, high, solver)
    except SolverError:
        assert moments.mean.min() < 0
        return
    assert weights.sum() == pytest.approx(1.0, abs=1e-9)
    assert (weights >= low - 1e-9).all() and (weights <= high + 1e-9).all()


@given(st.lists(st.floats(-1, 2), min_size=2, max_size=8))
def test_projection_is_the_nearest_point(values):
    wanted, agents = np.array(values), len(values)
    low, high = np.full(agents, 0.02), np.full(agents, max(0.5, 1.0 / agents))
    nearest = project(wanted, low, high)
    assert nearest.sum() == pytest.approx(1.0, abs=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = project(rng.uniform(-1, 2, agents), low, high)
        assert np.sum((nearest - wanted) ** 2) <= np.sum((other - wanted) ** 2) + 1e-9


def test_bounds_that_cannot_hold_are_refused():
    with pytest.raises(SolverError, match="cannot hold"):
        project(np.ones(2) / 2, np.zeros(2), np.full(2, 0.4))
    with pytest.raises(SolverError, match="finite"):
        project(np.array([np.nan, 1.0]), np.zeros(2), np.ones(2))


# ---------------------------------------------------------------- moments


def test_oas_is_near_scikit_learns():
    """scikit-learn drops the terms in 2 / agents of the paper's formula, which matter little."""
    covariance = pytest.importorskip("sklearn.covariance")
    data = np.random.default_rng(1).standard_normal((60, 8)) @ np.random.default_rng(2).standard_normal((8, 8))
    data -= data.mean(axis=0)
    theirs = covariance.OAS(assume_centered=True).fit(data)
    assert oas_shrinkage(data.T @ data / 60, 60.0) == pytest.approx(theirs.shrinkage_, rel=0.08)


def test_equal_sample_moments_are_numpys():
    returns = make_returns([0.5, 1.0, 2.0], 250)
    moments = estimate(returns, math.inf)
    assert np.allclose(moments.mean, returns.mean(axis=0), rtol=1e-9)
    assert np.allclose(moments.volatility, returns.std(axis=0, ddof=1), rtol=1e-9)
    raw = np.corrcoef(returns.T)
    assert np.allclose(moments.correlation - np.eye(3), (1 - moments.shrinkage) * (raw - np.eye(3)), atol=1e-9)


def test_a_late_agent_is_not_filled_with_zeros():
    returns = make_returns([1.0, 1.0, 1.0], 400)
    returns[:300, 2] = np.nan
    moments = estimate(returns, math.inf)
    assert moments.mean[2] == pytest.approx(returns[300:, 2].mean())
    assert moments.volatility[2] == pytest.approx(returns[300:, 2].std(ddof=1), rel=1e-6)
    assert moments.sample[2] == pytest.approx(100)


# ---------------------------------------------------------------- propose


SKILLED = [5.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_a_clear_star_gains_weight_step_by_step():
    returns, weights = make_returns(SKILLED, 756, seed=3), np.full(6, 1 / 6)
    made = propose(returns, weights)
    assert made.status == "apply"
    assert made.weights[0] == pytest.approx(1 / 6 + 0.05)
    assert made.expected_sharpe_improvement > 0
    assert made.weights.sum() == pytest.approx(1.0, abs=1e-12)
    for _ in range(10):
        weights = propose(returns, weights).weights
    assert 0.3 < weights[0] <= 0.40 + 1e-9
    assert weights.min() >= 0.05 - 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_noise_changes_nothing_by_a_textbook_method(seed):
    made = propose(make_returns([0.5] * 6, 378, seed=seed), np.full(6, 1 / 6), method="max_sharpe")
    assert made.status == "hold"
    assert np.allclose(made.weights, 1 / 6, atol=1e-12)
    assert made.reason and made.expected_sharpe_improvement == 0.0


def test_noise_moves_weights_little_and_the_price_is_stated():
    made = [propose(make_returns([0.5] * 6, 378, seed=seed), np.full(6, 1 / 6)) for seed in range(20)]
    tilts = [float(np.max(np.abs(m.candidate - 1 / 6))) for m in made]
    assert np.median(tilts) < 0.09
    assert np.mean([m.beliefs.price for m in made]) < 0.02
    assert all((m.status == "apply") == (m.beliefs.active_risk > 1e-6) for m in made)


def test_a_tilt_that_lost_its_support_is_taken_back():
    returns = make_returns([0.5] * 6, 504, seed=1)
    returns[-126:, 0] -= 0.004
    tilted = np.array([0.40, 0.12, 0.12, 0.12, 0.12, 0.12])
    made = propose(returns, tilted)
    assert made.status == "apply"
    assert made.weights[0] < 0.40


def test_causes_sum_to_the_change():
    made = propose(make_returns(SKILLED, 756, seed=3), np.full(6, 1 / 6))
    assert made.status == "apply"
    for before, after, parts in zip(np.full(6, 1 / 6), made.weights, made.causes, strict=True):
        assert set(parts) == set(CAUSES)
        assert sum(parts.values()) == pytest.approx(after - before, abs=1e-12)


@given(st.permutations(range(5)), st.integers(0, 50))
def test_the_order_of_agents_does_not_matter(order, seed):
    returns = make_returns([4, 0, 1, -2, 0.5], 600, seed=seed) * np.array([1, 2, 0.5, 1, 3])
    previous = np.array([0.3, 0.2, 0.2, 0.15, 0.15])
    straight = propose(returns, previous)
    shuffled = propose(returns[:, order], previous[list(order)])
    assert shuffled.status == straight.status
    assert np.allclose(shuffled.weights, straight.weights[list(order)], atol=1e-9)


@given(
    st.sampled_from(["adaptive", *sorted(METHODS)]),
    st.integers(0, 8),
    st.integers(0, 120),
    st.integers(0, 10_000),
    st.sampled_from(["plain", "nan", "constant", "twin", "late", "negative", "huge"]),
)
def test_whatever_comes_weights_are_whole(method, agents, periods, seed, harm):
    """H01 to H05: no exception, finite weights within the bounds that sum to 1, a reason."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.01, (periods, agents))
    if harm == "nan" and returns.size:
        returns[rng.random(returns.shape) < 0.3] = np.nan
    if harm == "constant" and agents:
        returns[:, 0] = 0.001
    if harm == "twin" and agents > 1:
        returns[:, 1] = returns[:, 0]
    if harm == "late" and agents:
        returns[: periods // 2, -1] = np.nan
    if harm == "negative":
        returns -= 0.01
    if harm == "huge" and returns.size:
        returns[rng.integers(periods), rng.integers(agents)] = 1e6
    previous = rng.dirichlet(np.ones(agents)) if agents else np.zeros(0)
    made = propose(returns, previous, method=method)
    assert made.status in ("apply", "hold", "fallback")
    assert made.reason
    assert len(made.weights) == agents
    if agents:
        assert np.isfinite(made.weights).all()
        assert made.weights.sum() == pytest.approx(1.0, abs=1e-9)
        floor, cap, _ = bounds(agents, Limits())
        assert (made.weights >= floor - 1e-9).all() and (made.weights <= cap + 1e-9).all()


@pytest.mark.parametrize(("agents", "cap"), [(1, 1.0), (2, 0.95), (4, 0.5)])
def test_a_cap_that_cannot_hold_is_relaxed_and_said(agents, cap):
    made = propose(make_returns([1.0] * agents, 300), np.full(agents, 1.0 / agents))
    assert made.weights.max() <= cap + 1e-12
    assert "cap relaxed" in str(made.evidence["notes"])


@pytest.mark.parametrize(
    ("rows", "word"), [(0, "2 are needed"), (1, "2 are needed"), (9, "2 are needed"), (12, "30 are needed")]
)
def test_few_signals_change_nothing(rows, word):
    made = propose(make_returns(SKILLED, rows), np.full(6, 1 / 6))
    assert made.status in ("fallback", "hold")
    assert word in made.reason
    assert np.allclose(made.weights, 1 / 6)


def test_all_means_negative_never_means_everything_in_one():
    made = propose(make_returns([-3, -6, -6, -9, -6, -6], 756), np.full(6, 1 / 6), method="max_sharpe")
    assert made.status == "hold"
    assert "a person should look at the exposure" in made.reason
    assert np.allclose(made.weights, 1 / 6)


def test_previous_weights_outside_the_limits_are_brought_inside():
    made = propose(make_returns([0.5] * 4, 300), np.array([0.97, 0.01, 0.01, 0.01]))
    assert made.status == "apply"
    assert "brought inside" in made.reason + str(made.evidence["notes"])
    assert made.weights.max() <= 0.50 + 1e-9 and made.weights.min() >= 0.05 - 1e-9


@pytest.mark.parametrize("behaviour", ["raises", "infeasible", "inaccurate", "none", "nan"])
def test_a_broken_solver_leaves_the_weights(monkeypatch, behaviour):
    """H05: every failure of the solver has the same outcome."""
    import cvxpy

    def solve(problem, **_):
        if behaviour == "raises":
            raise cvxpy.SolverError("patched")
        status = {"infeasible": "infeasible", "inaccurate": "optimal_inaccurate"}.get(behaviour, "optimal")
        problem._status = status
        for variable in problem.variables():
            variable.save_value(
                None
                if behaviour == "none"
                else np.full(variable.shape, np.nan)
                if behaviour == "nan"
                else np.zeros(variable.shape)
            )

    monkeypatch.setattr(cvxpy.Problem, "solve", solve)
    made = propose(make_returns(SKILLED, 756, seed=3), np.full(6, 1 / 6), method="min_variance")
    assert made.status == "fallback"
    assert "previous weights kept" in made.reason
    assert np.allclose(made.weights, 1 / 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"returns": np.zeros(5)}, "must be"),
        ({"previous": np.ones(3) / 3}, "must be"),
        ({"returns": np.full((50, 6), np.inf)}, "infinite"),
        ({"method": "magic"}, "magic"),
        ({"periods_per_year": 0.0}, "positive"),
        ({"trials": 0}, "positive"),
    ],
)
def test_nonsense_is_refused_with_a_word(change, message):
    arguments = {"returns": make_returns([0.5] * 6, 100), "previous": np.full(6, 1 / 6)} | change
    with pytest.raises(ValueError, match=message):
        propose(arguments.pop("returns"), arguments.pop("previous"), **arguments)


def test_more_trials_ask_for_more_evidence():
    returns = make_returns([2.6, 0, 0, 0, 0, 0], 756, seed=5)
    equal = np.full(6, 1 / 6)
    made = [propose(returns, equal, method="max_sharpe", trials=n) for n in (1, 10, 100)]
    levels = [m.evidence["same_skill_level"] for m in made]
    assert levels[0] > levels[1] > levels[2]


def test_two_hundred_skill_less_agents_promote_nobody():
    """H06 at the guard: none of 20 desks of 200 agents without skill moves."""
    rules = {"limits": Limits(floor=0.0), "method": "max_sharpe"}
    moved = [propose(make_returns([0.0] * 40, 504, seed=s), np.full(40, 1 / 40), **rules).status for s in range(20)]
    assert moved.count("apply") <= 1


def test_a_star_that_dies_is_followed_and_left():
    """H07: never more than the step in a day; the weight rises while the star shines and comes back after it has
    died."""
    returns = make_returns([5.0, 0, 0, 0, 0, 0], 1100, seed=8)
    returns[650:, 0] -= 0.01 * 8.0 / math.sqrt(YEAR)  # from Sharpe 5 to -3
    weights, path = np.full(6, 1 / 6), []
    state = propose(returns[:300], weights).state
    for day in range(300, 1100):
        made = propose(returns[day : day + 1], weights, state=state)
        assert np.max(np.abs(made.weights - weights)) <= 0.05 + 1e-9
        weights, state = made.weights, made.state
        path.append((day, weights[0]))
    assert max(weight for day, weight in path if day < 650) > 0.30
    assert path[-1][1] < 0.20


def test_outliers_do_not_rule():
    """One absurd day of a mediocre agent is winsorised for estimation, and is worth a day as evidence."""
    returns = make_returns([0.5] * 6, 504, seed=2)
    before = propose(returns, np.full(6, 1 / 6))
    returns[400, 0] = 5.0
    after = propose(returns, np.full(6, 1 / 6))
    assert np.max(np.abs(after.candidate - before.candidate)) < 0.03
    assert propose(returns, np.full(6, 1 / 6), method="max_sharpe").status == "hold"
