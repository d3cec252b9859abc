"""Agents' skill by the market's regime in words, the same on console, mail and page. Pure."""

from __future__ import annotations

from agents.core.regimes import KINDS, AgentByRegime, ByRegime
from agents.reports.content import RegimeLine
from agents.reports.formatting import number, percent

LEAST_SHIFT = 0.05
"""A smaller difference reads as none."""


def regime_sentence(found: ByRegime | None) -> str:
    """The market's regime, how long each was seen, and whether any agent differs by it; "" where no day began in a
    known one."""
    if found is None or not found.agents:
        return ""
    days = "; ".join(
        ", ".join(f"{found.days[state]:,} {state}" for state in states if found.days[state])
        for states in KINDS.values()
    )
    now = f"The market is {found.now}. " if found.now else ""
    shown = [f"{one.agent} by {kind}" for one in found.agents for kind, sure in one.shown.items() if sure]
    verdict = (
        f"Not by chance: {', '.join(shown)}."
        if shown
        else "Nothing shows yet that any agent's skill differs by regime."
    )
    seem = " and ".join(f"{percent(share, 0)} by {kind}" for kind, share in found.share.items())
    return f"{now}Days that began {days}. {verdict} Believed of the agents: {seem} differ. No weight follows from it."


def regime_lines(found: ByRegime | None) -> list[RegimeLine]:
    """For each agent by how much its skill is believed to differ from its own in each state."""
    return [] if found is None else [_line(one) for one in found.agents]


def _line(one: AgentByRegime) -> RegimeLine:
    shift = {state: number(value, 1, sign=abs(value) >= LEAST_SHIFT) for state, value in one.shift.items()}
    return RegimeLine(
        agent=one.agent,
        by_volatility=percent(one.differs["volatility"], 0),
        by_trend=percent(one.differs["trend"], 0),
        **shift,
    )
