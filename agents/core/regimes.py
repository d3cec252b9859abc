"""The market's states by name: how much it moves, and where to.

A regime is one number: 3 x the place of its volatility in VOLATILITY + that of its trend in TREND. Names are stored:
none may be moved or reworded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

VOLATILITY = ("calm", "turbulent")
TREND = ("up", "sideways", "down")
REGIMES = tuple(f"{volatility} {trend}" for volatility in VOLATILITY for trend in TREND)
UNKNOWN = -1
"""Of a market of which too little is known; on record it is NULL."""
KINDS: dict[str, tuple[str, ...]] = {"volatility": VOLATILITY, "trend": TREND}
"""What a regime consists of, each with its states."""


def words_of(regime: int) -> str | None:
    """ "turbulent down"; None where it is not known."""
    return REGIMES[regime] if regime >= 0 else None


def number_of(words: str | None) -> int:
    """The number of a recorded regime; UNKNOWN for what is no regime of this version."""
    return REGIMES.index(words) if words in REGIMES else UNKNOWN


class AgentByRegime(NamedTuple):
    """One agent: by how much its skill is believed to differ from its own in each state (annual Sharpe ratio), by the
    state's name; and for each kind of regime how probable it is that the agent differs by it at all (`differs`), how
    much better than its opposite that foretells the days (`evidence`), and whether it is shown beyond chance, however
    often anybody looks (`shown`)."""

    agent: str
    shift: Mapping[str, float]
    differs: Mapping[str, float]
    evidence: Mapping[str, float]
    shown: Mapping[str, bool]


class ByRegime(NamedTuple):
    """Agents' skill by the market's regime: `now` is the newest one, None where it is not known; `days` counts those
    that began in each state; `share` is the share of agents that seems to differ at all, by kind. Without agents there
    are no days yet."""

    now: str | None
    days: Mapping[str, int]
    share: Mapping[str, float]
    agents: Sequence[AgentByRegime]

    def as_plain(self) -> dict[str, object]:
        """Fit for JSON."""
        return {**self._asdict(), "agents": [agent._asdict() for agent in self.agents]}
