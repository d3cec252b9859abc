"""What a desk in effect listens to: the earned weights among those who said something. Pure.

The mix leaves out who is silent, and who failed said nothing; so an agent's effective weight is its share of each
symbol's mix, averaged over the symbols on which anybody was heard. It is derived, never stored or traded with again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

WORTH_SAYING = 0.005
"""A smaller difference between earned and effective weight is not explained."""
STREAK = 3
"""From so many decisions on, silence is told with its length."""
MOST_COUNTED = 500
"""Further back nobody looks for an agent's last word (`v_effective_weights`)."""


class EffectiveWeight(NamedTuple):
    """One agent at the newest decision: its `earned` weight in force and the `effective` one, on how many of the
    `symbols` it `spoke`, how many of them were `stale` (there positions may only shrink, whoever speaks), its commonest
    reason where it was silent, how it failed if it did ("" else), and at how many decisions in a row, this one
    included, it has said nothing at all (at most MOST_COUNTED)."""

    agent_name: str
    earned: float
    effective: float
    symbols: int
    spoke: int
    stale: int
    silence: str
    failure: str
    silent_decisions: int

    @property
    def why(self) -> str:
        """Why the effective weight is not the earned one; "" where it is."""
        if abs(self.effective - self.earned) < WORTH_SAYING:
            return ""
        if self.failure:
            return f"failed: {self.failure}"
        if self.stale and self.stale == self.symbols:
            return "the bars of all symbols are stale: positions may only shrink"
        if self.effective > self.earned:
            return "others are silent: it has their part"
        if self.spoke < self.symbols:
            where = "" if self.spoke == 0 else f" on {self.symbols - self.spoke} of {self.symbols} symbols"
            reason = f" ({self.silence.removeprefix('abstains: ')})" if self.silence else ""
            more = self.silent_decisions >= MOST_COUNTED
            streak = f" for {self.silent_decisions}{' or more' if more else ''} decisions"
            return f"silent{where}{streak if self.silent_decisions >= STREAK else ''}{reason}"
        return "on some symbols others are silent too"


def heard_now(
    effective: Iterable[EffectiveWeight], newest: datetime | None, fresh_since: datetime
) -> list[EffectiveWeight]:
    """What the desk listens to at a moment after its newest decision: nobody, where its `newest` bar is older than what
    counts as fresh. Then nothing is decided, and the newest decision alone would say that all is well."""
    if newest is None or newest >= fresh_since:
        return list(effective)
    return [own._replace(effective=0.0, symbols=max(1, own.symbols), stale=max(1, own.symbols)) for own in effective]
