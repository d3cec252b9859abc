"""The table of agents: adding one is one file beside this one, one line here, and its name in
`core.profiles.OURS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agents.core.ports import Agent
from agents.trading.base import YEAR_BARS
from agents.trading.breakout import Breakout
from agents.trading.low_volatility import LowVolatility
from agents.trading.market_hold import MarketHold
from agents.trading.mean_reversion import MeanReversion
from agents.trading.momentum import Momentum
from agents.trading.names import chosen_names
from agents.trading.onchain_analyst import OnChainAnalyst
from agents.trading.pullback import Pullback
from agents.trading.sentiment_analyst import SentimentAnalyst
from agents.trading.technical_analyst import TechnicalAnalyst
from agents.trading.trend_follower import TrendFollower

AGENTS: dict[str, Callable[..., Agent]] = {
    "TechnicalAnalyst": TechnicalAnalyst,
    "SentimentAnalyst": SentimentAnalyst,
    "TrendFollower": TrendFollower,
    "MeanReversion": MeanReversion,
    "Breakout": Breakout,
    "OnChainAnalyst": OnChainAnalyst,
    "Momentum": Momentum,
    "Pullback": Pullback,
    "LowVolatility": LowVolatility,
    "MarketHold": MarketHold,
}


def agent_names(enabled: Iterable[str], own: Iterable[str] = (), shadow: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of the agents that a desk asks (none enabled: all), those in `shadow` with them: ours in the table's
    order, then the user's `own` by name; SettingsError for a name that is unknown, or that both have."""
    return chosen_names(AGENTS, enabled, own, shadow)


def make_agent_of(name: str, year_bars: int = YEAR_BARS) -> Agent:
    """One agent of the table, on a desk whose year has so many bars; those whose look-backs are months need to know."""
    factory = AGENTS[name]
    return factory(year_bars) if getattr(factory, "in_months", False) else factory()


def make_agents(names: Iterable[str]) -> tuple[Agent, ...]:
    """The agents of the table of these names (none named: all), in its order; SettingsError for an unknown name."""
    return tuple(make_agent_of(name) for name in agent_names(names))
