"""Agent days and the regimes that they began in -> skill by regime, in words that say no more than is known."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from agents.core.meta_types import AgentDays
from agents.core.regimes import KINDS, REGIMES, AgentByRegime, ByRegime
from agents.reports.regime_section import regime_lines, regime_sentence
from agents.tuning.by_regime import by_regime

DAYS = 1500


def agent_days(returns: np.ndarray) -> AgentDays:
    """Days of 2001 and later, on each of which every agent speaks; else nothing but the returns matters."""
    days, agents = returns.shape
    empty: dict[str, Any] = {
        field.name: np.zeros((days, agents)) for field in fields(AgentDays) if field.name not in ("date", "agents")
    }
    date = np.datetime64("2001-01-01") + np.arange(days).astype("timedelta64[D]")
    return AgentDays(
        **empty
        | {
            "date": date,
            "agents": ("A", "B", "C")[:agents],
            "returns": returns,
            "signals": np.ones((days, agents), np.int64),
        }
    )


def market(seed: int) -> tuple[np.ndarray, dict[str, str], np.ndarray]:
    """Returns of three agents that earn nothing, and a regime for each day but the first hundred."""
    rng = np.random.default_rng(seed)
    regime = np.cumsum(rng.random(DAYS) < 1 / 40) % len(REGIMES)
    date = np.datetime64("2001-01-01") + np.arange(DAYS).astype("timedelta64[D]")
    began = {str(day): REGIMES[k] for day, k in zip(date[100:], regime[100:], strict=True)}
    return 0.01 * rng.standard_normal((DAYS, 3)), began, regime


def test_a_day_counts_for_the_states_that_it_began_in() -> None:
    returns, began, regime = market(1)
    found = by_regime(agent_days(returns), began, "calm up")
    known = regime[100:]
    assert found.days["calm"] == np.count_nonzero(known < 3)
    assert found.days["down"] == np.count_nonzero(known % 3 == 2)
    assert sum(found.days[state] for state in KINDS["trend"]) == DAYS - 100
    assert [one.agent for one in found.agents] == ["A", "B", "C"]
    assert not any(sure for one in found.agents for sure in one.shown.values())


def test_a_mute_agent_is_left_out_and_changes_nothing_of_the_others() -> None:
    """Seen: OnChainAnalyst, which never spoke, stood in the table with a skill of 0.0 and the greatest doubt of all."""
    returns, began, _ = market(2)
    two = by_regime(agent_days(returns[:, :2]), began, None)
    days = agent_days(np.column_stack([returns[:, :2], np.zeros(DAYS)]))
    days.signals[:, 2] = 0
    assert by_regime(days, began, None) == two
    days.signals[:] = 0
    assert not by_regime(days, began, None).agents


def test_an_agent_that_lives_on_turbulence_is_named_by_volatility_only() -> None:
    returns, began, regime = market(12)
    returns[:, 1] += 0.01 * np.where(regime >= 3, 0.16, -0.16)
    found = by_regime(agent_days(returns), began, None)
    assert [(one.agent, kind) for one in found.agents for kind, sure in one.shown.items() if sure] == [
        ("B", "volatility")
    ]
    second = found.agents[1]
    assert second.shift["turbulent"] > 1.0 > -1.0 > second.shift["calm"]
    assert "Not by chance: B by volatility." in regime_sentence(found)
    assert second.differs["volatility"] > 0.95 > 0.3 > second.differs["trend"]
    assert regime_lines(found)[1].turbulent == f"+{second.shift['turbulent']:.1f}"


def test_an_agent_without_a_result_is_left_out() -> None:
    returns, began, _ = market(4)
    returns[:, 1] = np.nan
    returns[150:, 2] = np.nan
    found = by_regime(agent_days(returns), began, None)
    assert [one.agent for one in found.agents] == ["A", "C"]
    returns[100:, 2] = np.nan
    assert [one.agent for one in by_regime(agent_days(returns), began, None).agents] == ["A"]


def test_without_known_days_there_is_nothing_to_say() -> None:
    returns, _, _ = market(3)
    found = by_regime(agent_days(returns), {}, "calm down")
    assert found == ByRegime("calm down", {}, {}, ())
    assert regime_sentence(found) == regime_sentence(None) == ""
    assert regime_lines(None) == []


def test_the_sentence_says_what_is_not_known() -> None:
    states = {state: 0.0 for states in KINDS.values() for state in states}
    nobody = AgentByRegime("A", states, {"volatility": 0.1, "trend": 0.1}, {}, {"volatility": False, "trend": False})
    days = {"calm": 1200, "turbulent": 300, "up": 700, "sideways": 800, "down": 0}
    words = regime_sentence(ByRegime("turbulent up", days, {"volatility": 0.1, "trend": 0.2}, [nobody]))
    assert words == (
        "The market is turbulent up. Days that began 1,200 calm, 300 turbulent; 700 up, 800 sideways. Nothing shows yet"
        " that any agent's skill differs by regime. Believed of the agents: 10 % by volatility and 20 % by trend differ."
        " No weight follows from it."
    )
    assert regime_lines(ByRegime(None, days, {}, [nobody]))[0].calm == "0.0"
