"""Beliefs about agents as words, the same on console, mail and page. Pure."""

from __future__ import annotations

from agents.core.believed import AgentView, Believed
from agents.reports.formatting import number, percent

FROM_REPLAY = "from replay"
"""The mark of what replayed history says until as many live days outweigh it."""
LEAST_SKILL = 0.05
"""Less than this above or below the average reads as average."""
NO_DIFFERENCE = 0.035
"""A chance this close to one half tells nothing."""
LEAST_RISK = 0.0005
"""Weights this close to the anchor's are the anchor's."""
_HOW_MANY = ((0.15, "Hardly any of the agents seem to differ"), (0.4, "Few agents seem to differ"))
_MANY = "Many agents seem to differ"


def mark(belief: Believed) -> str:
    """ " (from replay)" while that outweighs live days."""
    return f" ({FROM_REPLAY})" if belief.replayed else ""


def skill(view: AgentView) -> str:
    """ "+0.6", an annual Sharpe ratio above the average agent."""
    return number(view.mean, 1, sign=abs(view.mean) >= LEAST_SKILL)


def bounds(view: AgentView) -> str:
    """ "0.0 to 1.3", which hold the skill with 80 %."""
    return f"{number(view.low, 1)} to {number(view.high, 1)}"


def believed_of(view: AgentView) -> str:
    """ "believed +0.6 Sharpe above the average agent (80 %: 0.0 to 1.3; better than average with 84 %)"."""
    if abs(view.mean) < LEAST_SKILL:
        what = "believed as good as the average agent"
    elif view.mean > 0.0:
        what = f"believed {skill(view)} Sharpe above the average agent"
    else:
        what = f"believed {number(-view.mean, 1)} Sharpe below the average agent"
    return f"{what} (80 %: {bounds(view)}; better than average with {percent(view.better, 0)})"


def moved(before: float | None, after: float) -> str:
    """ "20 -> 25 %", or "25 %" where nothing moved."""
    if before is None or abs(after - before) < LEAST_RISK:
        return percent(after, 0)
    digits = 0 if number(100 * before, 0) != number(100 * after, 0) else 1
    return f"{number(100 * before, digits)} -> {percent(after, digits)}"


def agent_sentence(name: str, before: float | None, after: float, view: AgentView) -> str:
    """What an agent's weight did, and what is believed of it."""
    return f"{name} {moved(before, after)}: {believed_of(view)}."


def whole_sentence(belief: Believed) -> str:
    """How many agents differ, what the weights in force are expected to bring over the anchor, and at which price."""
    share = belief.share_differing
    if all(abs(view.better - 0.5) < NO_DIFFERENCE for view in belief.agents.values()):
        differ = f"Nothing tells the agents apart yet{mark(belief)}."
    else:
        many = next((words for most, words in _HOW_MANY if share < most), _MANY)
        differ = f"{many} ({percent(share, 0)}){mark(belief)}."
    if belief.active_risk < LEAST_RISK:
        return f"{differ} The weights are the anchor's: nothing is staked on any of this."
    return (
        f"{differ} Expected {percent(belief.expected_gain, sign=True)} a year over the anchor's weights, active risk"
        f" {percent(belief.active_risk)}, price if this is luck {number(belief.price)} Sharpe."
    )
