"""Agents from the literature against closed forms: what each says of a market that was made to be one thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.core.types import Panel
from agents.trading.low_volatility import LowVolatility
from agents.trading.market_hold import MarketHold
from agents.trading.momentum import Momentum
from agents.trading.pullback import Pullback
from agents.trading.registry import AGENTS, make_agent_of
from agents.trading.technical_analyst import TechnicalAnalyst
from tests.market import make_panel


def panel_with(close: np.ndarray) -> Panel:
    """A panel of these closes [T, S], with bars of a thousandth around them."""
    panel = make_panel(len(close), close.shape[1], 0)
    return replace(panel, open=close, high=close * 1.001, low=close * 0.999, close=close, exogenous={})


def drifting(bars: int, drifts: list[float], noise: float = 0.01, seed: int = 3) -> np.ndarray:
    """Prices with these drifts of a bar, whose noise comes back: each column ends where its drift leads."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, noise, (bars, len(drifts)))
    return np.exp(np.outer(np.arange(bars), drifts) + moves)


def test_momentum_is_the_return_of_a_year_without_its_last_month():
    close = drifting(300, [0.002, 0.0, -0.002], noise=1e-4)
    close[279:, 2] *= 10.0  # within the last month (21 bars): it must not be looked at
    signals = Momentum().signals(panel_with(close))
    assert signals.strength[-1, 0] == pytest.approx(1.0), "a rise of many deviations, the best of three"
    assert abs(signals.strength[-1, 1]) < 0.5, "the middle of the cross-section"
    assert signals.strength[-1, 2] < -0.5, "the jump of the last month is not counted, but as volatility"
    change = np.log(close[299 - 21, 0] / close[299 - 252, 0])
    assert signals.evidence["change"][-1, 0] == pytest.approx(change)
    assert signals.abstained[:252].all()
    assert not signals.abstained[252:].any()


def test_momentum_looks_back_in_months_of_the_desks_own_bars():
    hourly = make_agent_of("Momentum", 1764)
    assert hourly.bars_needed == 1764 + 12
    minutes = make_agent_of("Momentum", 98_280)
    assert minutes.bars_needed == 1
    assert minutes.signals(make_panel(50, 3, 0)).abstained.all()
    assert "longer than the 10,000" in minutes.reason(make_panel(50, 3, 0), 49, 0)


def test_alone_momentum_speaks_and_low_volatility_abstains_and_says_why():
    panel = panel_with(drifting(300, [0.002]))
    momentum = Momentum()
    assert momentum.signals(panel).strength[-1, 0] > 0.5
    assert momentum.reason(panel, 299, 0).endswith("no peers")
    assert LowVolatility().signals(panel).abstained.all()
    assert "fewer than three symbols" in LowVolatility().reason(panel, 299, 0)


def test_low_volatility_ranks_the_calm_above_the_wild():
    rng = np.random.default_rng(0)
    close = np.exp(np.cumsum(rng.normal(0.0, 1.0, (400, 4)) * [0.04, 0.01, 0.02, 0.03], axis=0))
    assert LowVolatility().signals(panel_with(close)).strength[-1] == pytest.approx([-1.0, 1.0, 1 / 3, -1 / 3])


def test_pullback_buys_a_dip_in_a_rise_only():
    trend = np.exp(np.outer(np.arange(300), [0.003, -0.003, 0.003]))
    trend[297:, :2] *= np.array([0.99, 0.98, 0.97])[:, None]
    signals = Pullback().signals(panel_with(trend))
    assert signals.strength[-1, 0] == pytest.approx(1.0), "three falls in a row above the mean of 200 bars"
    assert signals.abstained[-1].tolist() == [False, True, True], "a fall below the mean, and a rise without a dip"
    assert (signals.strength >= 0.0).all()


def test_market_hold_is_always_long_by_its_usual_conviction():
    panel = make_panel(30, 2, 0, gaps=0.3)
    signals = MarketHold().signals(panel)
    assert (signals.abstained == ~np.isfinite(panel.close)).all()
    assert set((signals.strength * signals.confidence)[~signals.abstained]) == {0.35}


@pytest.mark.parametrize("drift", [0.004, -0.004])
def test_technical_votes_do_not_cancel_in_a_trend(drift):
    """A steady trend is overbought (or oversold) all the time; still the analyst goes with it. With the four votes
    averaged as equals, strength was the other way: -0.36 in the rise."""
    close = np.exp(np.cumsum(np.random.default_rng(1).normal(drift, 0.008, (400, 5)), axis=0))
    signals = TechnicalAnalyst().signals(panel_with(close))
    strength = signals.strength[120:] * np.sign(drift)
    assert strength.mean() > 0.25
    assert (strength > 0.0).mean() > 0.8


def test_a_strong_trend_is_never_outvoted_and_a_range_is_faded():
    turn = np.exp(0.05 * np.sin(np.arange(400) / 1.5))[:, None]
    panel = panel_with(turn)
    strength = TechnicalAnalyst().signals(panel).strength[100:, 0]
    assert np.corrcoef(strength, np.log(turn[100:, 0]))[0, 1] < -0.5, "in a range it fades extremes"


def test_ichimoku_looks_at_the_cloud_of_26_bars_ago():
    """A rise of 1 % a bar, then prices stand: the cloud of bar t is that of bars up to t - 26."""
    level = np.minimum(np.arange(200.0), 120.0)[:, None]
    close = np.exp(0.01 * level)
    evidence = TechnicalAnalyst().signals(panel_with(close)).evidence["cloud"]
    assert (evidence[80:120, 0] > 0.0).all()
    assert evidence[150, 0] > evidence[198, 0] or np.isnan(evidence[198, 0])


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_every_agent_names_its_source_and_what_is_known(name):
    words = AGENTS[name].__doc__ or ""
    assert "What is known" in words
    assert any(mark in words for mark in ("Source", "source"))
