"""The table of agents: adding one is one file beside this one and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agents.core.errors import SettingsError
from agents.core.ports import Agent
from agents.trading.breakout import Breakout
from agents.trading.mean_reversion import MeanReversion
from agents.trading.onchain_analyst import OnChainAnalyst
from agents.trading.sentiment_analyst import SentimentAnalyst
from agents.trading.technical_analyst import TechnicalAnalyst
from agents.trading.trend_follower import TrendFollower

AGENTS: dict[str, Callable[[], Agent]] = {
    "TechnicalAnalyst": TechnicalAnalyst,
    "SentimentAnalyst": SentimentAnalyst,
    "TrendFollower": TrendFollower,
    "MeanReversion": MeanReversion,
    "Breakout": Breakout,
    "OnChainAnalyst": OnChainAnalyst,
}


def agent_names(enabled: Iterable[str], own: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of a desk's agents (none named: all): ours in the table's order, then the user's `own` by name;
    SettingsError for a name that is unknown, or that both have."""
    known = (*AGENTS, *sorted(own))
    wanted = set(enabled) or set(known)
    for name in sorted(set(own) & set(AGENTS)):
        raise SettingsError(f"agents.own.{name}: an agent that comes with Quorum has this name; choose another")
    for name in sorted(wanted - set(known)):
        raise SettingsError(f"agents.enabled: no agent is named '{name}'; known are {', '.join(known)}")
    return tuple(name for name in known if name in wanted)


def make_agents(names: Iterable[str]) -> tuple[Agent, ...]:
    """The agents of the table of these names (none named: all), in its order; SettingsError for an unknown name."""
    return tuple(AGENTS[name]() for name in agent_names(names))
