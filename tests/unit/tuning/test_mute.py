"""An agent that never says anything has no weight, in both planes; it is back at the floor when it speaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.core.meta_types import AgentDays, KeptBeliefs
from agents.core.settings import AgentsSettings, Settings
from agents.core.weight_sets import StandIn, in_force
from agents.tuning.mute import mute_agents
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history
from tests.market import START, make_bars, make_panel

AGENTS = ("TrendFollower", "MeanReversion", "Breakout", "OnChainAnalyst")


def days_of(signals: np.ndarray) -> AgentDays:
    """Days [D, A] of agents A, B, ... with so many opinions."""
    grid, count = np.zeros(signals.shape), signals.shape[1]
    date = (START + np.arange(len(signals)) * np.timedelta64(1, "D")).astype("datetime64[D]")
    return AgentDays(
        date=date,
        agents=tuple("ABCD"[:count]),
        returns=grid,
        signals=signals,
        hits=signals,
        calls=signals,
        trades=signals,
        pnl=grid,
        turnover=grid,
        correlation_sums=np.zeros((6, *grid.shape)),
        brier_sums=np.zeros((2, *grid.shape)),
        trade_shares=np.zeros((3, 0)),
    )


def past_of(days: int, seen: list[float]) -> KeptBeliefs:
    return KeptBeliefs(agents=("A", "B"), days=days, digest="", arrays={"seen": np.array(seen)})


@pytest.mark.parametrize(
    ("days", "spoke", "past", "mute"),
    [
        (314, (1, 0), None, ()),  # too early to tell
        (315, (1, 0), None, ("B",)),
        (400, (0, 0), None, ()),  # the data say nothing, not the agents
        (0, (1, 0), past_of(315, [5, 0]), ("B",)),  # the past tells at the first decision
        (10, (1, 0), past_of(400, [5, 7]), ()),  # B spoke in the past
        (315, (1, 0), past_of(400, [5, 7]), ("B",)),  # but not for 15 months
    ],
)
def test_who_is_mute(days, spoke, past, mute):
    assert mute_agents(days_of(np.tile(np.array(spoke), (days, 1))), past, 252.0) == mute


def test_one_word_in_15_months_is_enough():
    signals = np.tile([1, 0], (600, 1))
    signals[600 - 315, 1] = 1
    assert mute_agents(days_of(signals), None, 252.0) == ()
    assert mute_agents(days_of(np.vstack([signals, [[1, 0]]])), None, 252.0) == ("B",)


def test_a_mute_agent_holds_nothing_until_it_speaks_and_then_the_floor():
    bars, cap = make_bars(620, 2, 3), make_panel(620, 2, 3).exogenous["market_cap"]
    series = {"market_cap": cap, "realized_cap": cap * 0.8, "transfer_value": cap * 0.03}
    late = {name: np.where(np.arange(620)[:, None] < 200, np.nan, values) for name, values in series.items()}
    settings = Settings(agents=AgentsSettings(enabled=AGENTS))
    replayed = replay_history(history_of(replace(bars, exogenous=late)), ReplayRequest(settings=settings))
    first_word = int(np.argmax(replayed.days.signals[:, AGENTS.index("OnChainAnalyst")] > 0))
    assert 340 < first_word < 440
    held = [(decision.at, float(decision.weights["OnChainAnalyst"]), decision) for decision in replayed.decisions]
    word_at = replayed.run.time[first_word].astype("datetime64[us]").astype(object)
    quiet = [(w, d) for at, w, d in held if at.replace(tzinfo=None) < word_at and "seats" in d.evidence]
    assert quiet, "it was found mute"
    assert {w for w, _ in quiet} == {0.0}
    assert quiet[0][1].reason.startswith("OnChainAnalyst is mute")
    assert quiet[0][1].evidence["seats"]["mute"] == ["OnChainAnalyst"]
    assert all(sum(d.weights.values()) == 1 for *_, d in held)
    assert max(float(w) for _, d in quiet for w in d.weights.values()) <= 0.667, "a cap of two equal weights of three"
    back = next(d for at, w, d in held if w > 0.0 and at.replace(tzinfo=None) > word_at)
    assert "OnChainAnalyst speaks" in back.reason
    assert 0.04 <= float(back.weights["OnChainAnalyst"]) <= 0.11, "the floor, and at most one step of 5 %"
    assert held[-1][1] > 0.0

    published = replace(
        in_force(None, AGENTS, StandIn({}, 0.05), quiet[0][1].at), version=7, weights=quiet[0][1].weights
    )
    both = [in_force(published, AGENTS, StandIn({}, 0.05), quiet[0][1].at) for _ in range(2)]
    assert both[0].weights == both[1].weights == quiet[0][1].weights, "one function for both planes"
