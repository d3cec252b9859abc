"""How far our clock is from the exchange's: a desk that knows the time badly takes an open candle for a closed one."""

from __future__ import annotations

from agents.core.risk_settings import Limit
from agents.orchestrator.limit_edges import LimitEdges


class ClockDrift:
    """The limit `risk.limits.clock_drift`, in seconds; enforced, positions only shrink while it is reached."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._reached = False
        self.edges = LimitEdges("clock drift")

    def note(self, ahead_s: float) -> None:
        """What was measured: how far ours is ahead at least, whatever the answer took; negative where it is behind."""
        if self._limit.action == "off":
            return
        self._reached = abs(ahead_s) > self._limit.at
        side = "ahead of" if ahead_s > 0 else "behind"
        why = f"{abs(ahead_s):.1f} s {side} the exchange's clock; set ours: timedatectl set-ntp true"
        self.edges.tell(reached=self._reached, why=why)

    def only_shrink(self) -> bool:
        """Whether positions may only shrink now."""
        return self._reached and self._limit.action == "enforce"
