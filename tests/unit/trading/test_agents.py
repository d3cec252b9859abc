"""Every agent keeps promise 2: no look-ahead, no dependence on where the data start, no scale; and answers in range."""

from __future__ import annotations

import textwrap
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.asking import checked
from agents.core.types import Panel, Signals
from agents.pipeline.market import panel_of
from agents.trading.base import TradingAgent
from agents.trading.registry import AGENTS
from agents.trading.sentiment_analyst import SentimentAnalyst
from tests.market import make_panel
from tests.real_history import demo_bars, etf_bars

CONTRIBUTING = Path(__file__).resolve().parents[3] / "CONTRIBUTING.md"


def printed_agent() -> type[TradingAgent]:
    """The agent that CONTRIBUTING.md prints: it keeps the same promises."""
    module: dict[str, Any] = {"__name__": "last_month"}
    code = CONTRIBUTING.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    exec(textwrap.dedent(code), module)
    return module["LastMonth"]


MODELS = {"LastMonth": printed_agent(), **AGENTS}
NAMES = sorted(MODELS)
WITH_A_SHORTER_WAY = sorted(name for name, model in AGENTS.items() if hasattr(model(), "newest_signals"))
WITH_PARAMETERS = sorted(name for name, model in AGENTS.items() if hasattr(model(), "parameters"))


def assert_same_row(whole, part, t: int, tolerance: float) -> None:
    assert (part.abstained[-1] == whole.abstained[t]).all()
    assert np.abs(part.strength[-1] - whole.strength[t]).max() <= tolerance
    assert np.abs(part.confidence[-1] - whole.confidence[t]).max() <= tolerance


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), gaps=st.sampled_from([0.0, 0.05, 0.4]), cut=st.integers(20, 399))
def test_a_prefix_gives_the_same_opinion(name, seed, gaps, cut):
    """f(data[:t])[-1] == f(data)[t], to the bit."""
    panel = make_panel(400, 3, seed, gaps=gaps)
    agent = MODELS[name]()
    assert_same_row(agent.signals(panel), agent.signals(panel.rows(0, cut)), cut - 1, 0.0)


@pytest.mark.parametrize("name", WITH_A_SHORTER_WAY)
@given(
    seed=st.integers(0, 10_000),
    gaps=st.sampled_from([0.0, 0.05, 0.4]),
    bars=st.one_of(st.integers(1, 120), st.integers(380, 460)),
    symbols=st.integers(1, 9),
)
def test_the_newest_bar_alone_gives_the_same_bits(name, seed, gaps, bars, symbols):
    """What a live desk asks for is the last row of what a replay computes: opinions, and the numbers of its reasons."""
    panel, agent = make_panel(bars, symbols, seed, gaps=gaps), AGENTS[name]()
    newest, whole = agent.newest_signals(panel), agent.signals(panel)
    for field in ("strength", "confidence", "abstained"):
        assert getattr(newest, field).tobytes() == getattr(whole, field)[-1:].tobytes()
    assert {key: values.tobytes() for key, values in newest.evidence.items()} == {
        key: values[-1:].tobytes() for key, values in whole.evidence.items()
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("poison", [np.nan, 1e12, 1e-12])
def test_poisoned_future_changes_nothing_before(name, poison):
    """Everything after t replaced by garbage leaves everything up to t as it was."""
    panel, cut = make_panel(500, 3, 11, gaps=0.05), 350
    changed = {}
    for field in ("open", "high", "low", "close", "volume"):
        array = getattr(panel, field).copy()
        array[cut:] = poison
        changed[field] = array
    exogenous = {
        key: np.vstack([series[:cut], np.full_like(series[cut:], poison)]) for key, series in panel.exogenous.items()
    }
    poisoned = replace(panel, **changed, exogenous=exogenous)
    before, after = MODELS[name]().signals(panel), MODELS[name]().signals(poisoned)
    assert np.array_equal(before.strength[:cut], after.strength[:cut])
    assert np.array_equal(before.abstained[:cut], after.abstained[:cut])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gaps", [0.0, 0.05, 0.5])
def test_the_start_of_the_data_does_not_matter(name, gaps):
    """f(data[t-bars_needed:t])[-1] == f(data)[t] to 1e-9: a restart changes nothing."""
    agent = MODELS[name]()
    panel = make_panel(agent.bars_needed + 300, 3, 5, gaps=gaps)
    whole = agent.signals(panel)
    for t in range(agent.bars_needed, len(panel.time), 37):
        assert_same_row(whole, agent.signals(panel.rows(t + 1 - agent.bars_needed, t + 1)), t, 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_long_gap_is_forgotten(name):
    """After 700 missing bars an agent answers as one that never saw what was before."""
    agent = MODELS[name]()
    panel = make_panel(agent.bars_needed + 1200, 2, 3)
    for field in ("open", "high", "low", "close", "volume"):
        getattr(panel, field)[300:1000, 0] = np.nan
    whole = agent.signals(panel)
    for t in (agent.bars_needed + 5, agent.bars_needed + 900, agent.bars_needed + 1100):
        assert_same_row(whole, agent.signals(panel.rows(t + 1 - agent.bars_needed, t + 1)), t, 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_prices_have_no_scale(name):
    """All prices of a symbol times one number: the same opinions."""
    panel = make_panel(400, 3, 21, gaps=0.05)
    scale = np.array([1000.0, 1.0, 0.01])
    scaled = replace(panel, **{f: getattr(panel, f) * scale for f in ("open", "high", "low", "close")})
    before, after = MODELS[name]().signals(panel), MODELS[name]().signals(scaled)
    assert np.array_equal(before.abstained, after.abstained)
    assert np.abs(before.strength - after.strength).max() < 1e-7


@pytest.mark.parametrize("name", NAMES)
def test_a_symbol_does_not_depend_on_the_order_of_symbols(name):
    panel = make_panel(400, 3, 8)
    order = [2, 0, 1]
    shuffled = Panel(
        time=panel.time,
        symbols=tuple(panel.symbols[k] for k in order),
        **{f: getattr(panel, f)[:, order] for f in ("open", "high", "low", "close", "volume")},
        exogenous={key: series[:, order] for key, series in panel.exogenous.items()},
    )
    before, after = MODELS[name]().signals(panel), MODELS[name]().signals(shuffled)
    assert np.abs(before.strength[:, order] - after.strength).max() < 1e-12


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 1000), bars=st.integers(1, 60), symbols=st.integers(1, 4))
def test_answers_are_in_range_on_any_panel(name, seed, bars, symbols):
    panel = make_panel(bars, symbols, seed, gaps=0.3)
    assert isinstance(checked(MODELS[name]().signals(panel), panel.close.shape), Signals)


@pytest.mark.parametrize("name", NAMES)
def test_constant_prices_and_empty_panels_are_survived(name):
    panel = make_panel(300, 2, 0)
    flat = replace(panel, **{f: np.full_like(panel.close, 7.0) for f in ("open", "high", "low", "close")}, exogenous={})
    assert isinstance(checked(MODELS[name]().signals(flat), flat.close.shape), Signals)
    empty = panel.rows(0, 0)
    assert MODELS[name]().signals(empty).strength.shape == (0, 2)


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_parameters_cannot_be_changed(name):
    parameters = AGENTS[name]().parameters
    with pytest.raises(FrozenInstanceError):
        setattr(parameters, fields(parameters)[0].name, 1)


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_has_the_protocol(name):
    agent = MODELS[name]()
    assert agent.name == name
    assert agent.bars_needed > 0
    panel = make_panel(1200, 4, 0)
    signals = agent.signals(panel)
    assert not signals.abstained[:, 0].all(), "this panel gives every agent something to say"
    spoken = np.nonzero(~signals.abstained[:, 0])[0][-1]
    for t in (0, int(spoken)):
        reason = agent.reason(panel, t, 0)
        assert reason
        assert "\n" not in reason


def test_onchain_abstains_without_series():
    panel = make_panel(400, 2, 0)
    series = dict(panel.exogenous)
    for key in ("market_cap", "realized_cap", "transfer_value"):
        series[key] = series[key].copy()
        series[key][:, 1] = np.nan
    signals = MODELS["OnChainAnalyst"]().signals(replace(panel, exogenous=series))
    assert signals.abstained[:, 1].all()
    assert not signals.abstained[:, 0].all()


def test_trend_follower_is_long_in_a_rise_and_short_in_a_fall():
    panel = make_panel(400, 2, 0)
    drift = np.exp(np.outer(np.arange(400), [0.004, -0.004]) + 0.002 * np.sin(np.arange(400))[:, None])
    trending = replace(panel, open=drift, high=drift * 1.001, low=drift * 0.999, close=drift, exogenous={})
    for name in ("TrendFollower", "Breakout"):
        strength = MODELS[name]().signals(trending).strength[-1]
        assert strength[0] > 0.1
        assert strength[1] < -0.1


def test_mean_reversion_sells_what_ran_up():
    """29 bars around 1, then +10 %: far above the mean, so short; the mirror image is long."""
    wiggle = 1.0 + 0.005 * (-1.0) ** np.arange(30)
    close = np.column_stack([np.append(wiggle, 1.1), np.append(wiggle, 0.9)])
    panel = replace(make_panel(31, 2, 0), open=close, high=close, low=close, close=close, exogenous={})
    strength = MODELS["MeanReversion"]().signals(panel).strength[-1]
    assert strength[0] < -0.5
    assert strength[1] > 0.5


def test_news_outweighs_mood_and_decays_by_half_in_a_half_life():
    """One glad text at bar 100: the tone stays, its weight halves every 3 bars (confidence = texts / 5)."""
    panel = make_panel(110, 1, 0)
    count, score = np.zeros((110, 1)), np.zeros((110, 1))
    count[100], score[100] = 4.0, 3.2
    signals = SentimentAnalyst().signals(replace(panel, exogenous={"news_count": count, "news_score": score}))
    assert signals.strength[100, 0] == pytest.approx(0.8)
    assert signals.confidence[100, 0] == pytest.approx(0.8)
    assert signals.strength[106, 0] == pytest.approx(0.8)
    assert signals.confidence[106, 0] == pytest.approx(0.2)


def test_external_fear_and_greed_is_taken_the_other_way_at_extremes():
    panel = make_panel(10, 3, 0)
    index = np.tile([90.0, 55.0, 10.0], (10, 1))
    signals = SentimentAnalyst().signals(replace(panel, exogenous={"fear_greed": index}))
    assert signals.strength[-1] == pytest.approx([-0.8, 0.0, 0.8])
    assert signals.abstained[-1].tolist() == [False, True, False]


@pytest.mark.parametrize("read", [demo_bars, etf_bars])
@pytest.mark.parametrize("name", NAMES)
def test_real_history_prefix_and_start(name, read):
    panel = panel_of(read())
    agent = MODELS[name]()
    whole = agent.signals(panel)
    for t in (100, 1500, 2200, len(panel.time) - 1):
        assert_same_row(whole, agent.signals(panel.rows(0, t + 1)), t, 0.0)
        assert_same_row(whole, agent.signals(panel.rows(max(0, t + 1 - agent.bars_needed), t + 1)), t, 1e-9)
