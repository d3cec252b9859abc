"""Who is mute: an agent that has not had a single opinion on this universe has no weight, until it speaks."""

from __future__ import annotations

from agents.core.meta_types import AgentDays, KeptBeliefs
from agents.quant.scores import column_sums

WINDOW_YEARS = 1.25
"""Of days, the replayed past's with them: fewer do not tell a mute agent from one that warms up, which takes a year."""


def mute_agents(days: AgentDays, past: KeptBeliefs | None, per_year: float) -> tuple[str, ...]:
    """Those of `days` without one opinion in the last 15 months, nor, where there are fewer, in the `past` that was
    replayed before them. Nobody is where all are silent: then it is the data that say nothing."""
    window = round(WINDOW_YEARS * per_year)
    known = min(len(days.date), window)
    opinions = column_sums(days.signals[len(days.date) - known :])
    spoken = {name for name, count in zip(days.agents, opinions, strict=True) if count}
    if known < window and past is not None:
        known += past.days
        heard = {name for name, seen in zip(past.agents, past.arrays.get("seen", ()), strict=False) if seen > 0}
        spoken |= heard & set(days.agents)
    if known < window or not spoken:
        return ()
    return tuple(name for name in days.agents if name not in spoken)
