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


def make_agents(names: Iterable[str]) -> tuple[Agent, ...]:
    """The agents of these names (none named: all), in the table's order; SettingsError for an unknown name."""
    wanted = set(names) or set(AGENTS)
    for name in sorted(wanted - set(AGENTS)):
        raise SettingsError(f"agents.enabled: no agent is named '{name}'; known are {', '.join(AGENTS)}")
    return tuple(factory() for name, factory in AGENTS.items() if name in wanted)
