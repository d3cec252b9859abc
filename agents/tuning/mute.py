"""Who is mute: an agent that has not had a single opinion on this universe has no weight, until it speaks."""

from __future__ import annotations

from agents.core.meta_types import AgentDays, KeptBeliefs

WINDOW_YEARS = 1.25
"""Of days, the replayed past's with them: fewer do not tell a mute agent from one that warms up, which takes a year."""


def mute_agents(days: AgentDays, past: KeptBeliefs | None, per_year: float) -> tuple[str, ...]:
    """Those of `days` without one opinion in the last 15 months, nor, where there are fewer, in the `past` that was
    replayed before them. Nobody is where all are silent: then it is the data that say nothing."""
    window = round(WINDOW_YEARS * per_year)
    known = min(len(days.date), window)
    spoken = (days.signals[len(days.date) - known :] > 0).any(axis=0)
    if known < window and past is not None:
        known += past.days
        heard = {name for name, seen in zip(past.agents, past.arrays.get("seen", ()), strict=False) if seen > 0}
        spoken |= [name in heard for name in days.agents]
    if known < window or not spoken.any():
        return ()
    return tuple(name for name, speaks in zip(days.agents, spoken, strict=True) if not speaks)
