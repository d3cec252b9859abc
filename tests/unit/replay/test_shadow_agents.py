"""A desk with agents in shadow and the same desk without them: not a bit of what it decides differs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from agents.adapters.database.engine import weights_json
from agents.core.errors import SettingsError
from agents.core.settings import Settings, with_changes
from agents.core.types import Signals, as_datetime
from agents.core.weight_sets import StandIn, in_force
from agents.trading.registry import agent_names
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history
from tests import hostile_agents
from tests.market import make_bars

BARS = make_bars(520, 3, 3, gaps=0.02, actions=True)
DESK = ("TechnicalAnalyst", "TrendFollower", "MeanReversion", "Breakout")
ALONE = with_changes(Settings(), {"agents.enabled": list(DESK), "tuning.floor": 0.0})
LOUD = """
import numpy as np
from agents.trading.base import TradingAgent, pack_signals

class Loud(TradingAgent):
    name = "Loud"
    bars_needed = 180

    def signals(self, panel):
        full = np.ones(panel.close.shape)
        return pack_signals(panel, -full, full, {})

    def explain(self, evidence, strength):
        return "loud"
"""


@pytest.fixture
def watched(tmp_path):
    """ALONE, and beside it in shadow an agent of its own file with a longer memory than any other, and one of ours."""
    (tmp_path / "loud.py").write_text(LOUD)
    changes = {
        "agents.own": {"ALoud": f"{tmp_path}/loud.py:Loud"},
        "agents.shadow": ["ALoud", "SentimentAnalyst"],
        "agents.isolation": "none",
    }
    return with_changes(ALONE, changes)


def replayed(settings):
    """From the hundredth bar on: what is before it is the past that the desk begins with."""
    return replay_history(history_of(BARS, as_datetime(BARS.time[100])), ReplayRequest(settings=settings))


def held_alike(alone, beside):
    """Orders, fills, all books but the shadows' own, weights and every decision about them: the same bytes."""
    for field in dataclasses.fields(alone.run.fills):
        one, other = (getattr(r.run.fills, field.name) for r in (alone, beside))
        np.testing.assert_array_equal(one, other, err_msg=field.name)
    books = [beside.run.books.index(name) for name in alone.run.books]
    assert alone.run.equity.tobytes() == np.ascontiguousarray(beside.run.equity[:, books]).tobytes()
    places = [beside.run.agents.index(name) for name in DESK]
    shadows = [k for k in range(len(beside.run.agents)) if k not in places]
    assert alone.run.weights.tobytes() == np.ascontiguousarray(beside.run.weights[:, places]).tobytes()
    assert not beside.run.weights[:, shadows].any(), "weight exactly 0"
    assert [weights_json(d.weights) for d in alone.decisions] == [weights_json(d.weights) for d in beside.decisions]
    plain = [[dataclasses.replace(d, evidence={}, trials=None) for d in r.decisions] for r in (alone, beside)]
    assert plain[0] == plain[1]
    assert alone.decisions[-1].inputs_hash == beside.decisions[-1].inputs_hash
    assert alone.realised == beside.realised


@pytest.fixture(scope="module")
def alone():
    return replayed(ALONE)


def test_a_replay_with_shadows_is_the_replay_without(alone, watched):
    beside = replayed(watched)
    assert beside.run.agents == ("TechnicalAnalyst", "SentimentAnalyst", *DESK[1:], "ALoud")
    held_alike(alone, beside)
    loud = beside.days.agents.index("ALoud")
    assert np.count_nonzero(beside.days.returns[:, loud]) > 300, "it is measured all the same"


@pytest.mark.parametrize(
    ("way", "isolation"),
    [
        ("raises", "none"),
        ("sleeps", "foreign"),
        ("exits", "foreign"),
        ("crashes", "foreign"),
        ("ignores_signals_and_holds_the_lock", "foreign"),
        ("CannotBeMade", "foreign"),
    ],
)
def test_however_a_shadow_fails_the_replay_is_the_one_without(alone, way, isolation):
    """It says nothing, and nothing else is heard of it; `test_foreign_agents.py` does the same bar by bar, live."""
    changes = {
        "agents.own": {"AFails": f"{hostile_agents.__file__}:{way}"},
        "agents.shadow": ["AFails"],
        "agents.isolation": isolation,
        "agents.timeout_s": 0.1,  # a whole history has twenty times as long
    }
    beside = replayed(with_changes(ALONE, changes))
    assert beside.run.agents[-1] == "AFails"
    held_alike(alone, beside)
    assert not np.nan_to_num(beside.days.returns[:, -1]).any()


def test_names_that_are_shadows_and_trade_are_refused_in_one_line():
    for changes, words in (
        ({"agents.enabled": ["Breakout"], "agents.shadow": ["Breakout"]}, "'Breakout' is in enabled and in shadow"),
        ({"agents.static_weights": {"Breakout": 1.0}, "agents.shadow": ["Breakout"]}, "is in shadow, where its weight"),
    ):
        with pytest.raises(SettingsError, match=words) as told:
            with_changes(Settings(), changes)
        assert "\n" not in str(told.value)
    with pytest.raises(SettingsError, match=r"agents\.shadow: no agent is named 'Brekout'; known are Tech"):
        agent_names([], [], ["Brekout"])
    with pytest.raises(SettingsError, match="nobody is left to trade"):
        agent_names([], [], agent_names([]))
    assert "Breakout" in agent_names([], [], ["Breakout"])


def test_a_shadow_has_no_weight_until_one_is_published():
    at = as_datetime(BARS.time[0])
    nobody = in_force(None, ("A", "B", "S"), StandIn({}, 0.05, ("S",)), at)
    assert list(nobody.weights) == ["A", "B"]
    published = dataclasses.replace(nobody, version=3)
    assert in_force(published, ("A", "B", "S"), StandIn({}, 0.05, ("S",)), at) is published
    hired = dataclasses.replace(published, weights={**published.weights, "S": published.weights["A"] * 0})
    assert in_force(hired, ("A", "B", "S"), StandIn({}, 0.05, ("S",)), at) is hired
    left = in_force(published, ("B", "S"), StandIn({}, 0.05, ("S",)), at)
    assert {name: float(w) for name, w in left.weights.items()} == {"B": 1.0}


def knowing(names, who, share=0.5):
    """SignalSource: `who` knows the next return of every symbol in a `share` of cases, the others guess."""

    def speak(bars):
        rng = np.random.default_rng(7)
        moves = np.sign(np.nan_to_num(np.diff(bars.close * bars.adjustment, axis=0, append=np.nan)))
        there = np.isfinite(bars.close)
        said = []
        for name in names:
            guess = rng.choice([-1.0, 1.0], size=bars.close.shape)
            strength = np.where(rng.random(bars.close.shape) < share, moves, guess) if name == who else guess
            said.append(Signals(strength=strength * there, confidence=there * 1.0, abstained=~there))
        return said

    return speak


def test_a_shadow_that_adds_is_hired_at_the_floor_then_tuned_and_those_who_stay_keep_their_proportions():
    """In a replay, by the same jobs as live; the tuner's own decisions do not see the one on probation. It turns round
    each day, which its record before costs shows to be worth them."""
    bars = make_bars(700, 3, 3)
    settings = with_changes(ALONE, {"agents.shadow": ["SentimentAnalyst"], "tuning.floor": 0.05})
    names = agent_names(settings.agents.enabled, (), settings.agents.shadow)
    request = ReplayRequest(settings=settings, optimizer_only=True)
    replay = replay_history(history_of(bars), request, signal_source=knowing(names, "SentimentAnalyst", 0.3))
    told = [(d, d.evidence["life"]["SentimentAnalyst"]) for d in replay.decisions]
    states = [figures["state"] for _, figures in told]
    hired, full = states.index("probation"), states.index("full")
    assert states == ["shadow"] * hired + ["probation"] * (full - hired) + ["full"] * (len(states) - full)
    assert hired > 60 and (told[full][0].at - told[hired][0].at).days >= 30
    joining = told[hired][0]
    assert joining.status == "apply" and "SentimentAnalyst: shadow -> probation" in joining.reason
    assert "SentimentAnalyst" not in told[hired - 1][0].weights
    assert all(float(d.weights["SentimentAnalyst"]) == 0.05 for d, _ in told[hired:full])
    for d, _ in told[hired:]:
        assert sum(d.weights.values()) == 1
    before, after = joining.previous, joining.weights
    if joining.causes and not any(
        abs(v) > 1e-5 for c in joining.causes.values() for k, v in c.items() if k != "agents"
    ):
        ratios = [float(after[name]) / float(before[name]) for name in DESK]
        np.testing.assert_allclose(ratios, 0.95, atol=1e-4)
    for name, parts in joining.causes.items():
        assert sum(parts.values()) == pytest.approx(float(after[name]) - float(before.get(name, 0)), abs=1e-5)
    assert max(d.weights["SentimentAnalyst"] for d, _ in told[full:]) > after["SentimentAnalyst"], "then it is tuned"
    assert told[hired][1]["evidence"] >= 20.0
    waiting = told[hired - 5][1]
    assert waiting["needed"] == 20.0 and 0 < waiting["days_to_go"] < 600
