"""A desk with agents in shadow and the same desk without them: not a bit of what it decides differs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from agents.adapters.database.engine import weights_json
from agents.core.errors import SettingsError
from agents.core.settings import Settings, with_changes
from agents.core.types import as_datetime
from agents.core.weight_sets import StandIn, in_force
from agents.trading.registry import agent_names
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history
from tests.market import make_bars

BARS = make_bars(420, 3, 3, gaps=0.02, actions=True)
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
    return replay_history(history_of(BARS), ReplayRequest(settings=settings))


def test_a_replay_with_shadows_is_the_replay_without(watched):
    """Orders, fills, all books but the shadows' own, weights and every decision about them: the same bytes."""
    alone, beside = replayed(ALONE), replayed(watched)
    assert beside.run.agents == ("TechnicalAnalyst", "SentimentAnalyst", *DESK[1:], "ALoud")
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
    loud = beside.days.agents.index("ALoud")
    assert np.count_nonzero(beside.days.returns[:, loud]) > 300, "it is measured all the same"


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
