"""What a parity check finds: how many values differ, by kind, with examples, and where the money of fills went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

KINDS = ("signal", "weight", "risk", "order", "fill", "equity", "regime")
EXAMPLES_KEPT = 50


@dataclass(slots=True)
class Parity:
    """What was compared and what differed: counts by kind, the first examples of each, and slippage as [recorded,
    modelled] money."""

    decisions: int = 0
    skipped: int = 0
    """Decisions about weights that cannot be made again: by agents or settings that the desk does not have any more."""
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)
    slippage: dict[str, list[float]] = field(
        default_factory=lambda: {name: [0.0, 0.0] for name in ("delay", "spread", "impact", "fees")}
    )

    def differ(self, kind: str, at: datetime, subject: str, recorded: object, recomputed: object) -> None:
        """Note one difference."""
        self.counts[kind] += 1
        if self.counts[kind] <= EXAMPLES_KEPT // len(KINDS) + 1:
            self.examples.append(
                {
                    "kind": kind,
                    "time": at.isoformat(),
                    "subject": subject,
                    "recorded": _short(recorded),
                    "recomputed": _short(recomputed),
                }
            )

    def add_slippage(self, side: int, delay: float, spread: float, impact: float, fees: float) -> None:
        """Costs of one fill in money; `side` is 0 as recorded, 1 as modelled. An unknown delay counts as none."""
        costs = {"delay": delay if np.isfinite(delay) else 0.0, "spread": spread, "impact": impact, "fees": fees}
        for name, value in costs.items():
            self.slippage[name][side] += float(value)

    def as_plain(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "decisions": self.decisions,
            "skipped": self.skipped,
            "differences": sum(self.counts.values()),
            "counts": {kind: self.counts[kind] for kind in KINDS},
            "examples": self.examples,
            "slippage": {name: [round(v, 8) for v in pair] for name, pair in self.slippage.items()},
        }


def _short(value: object) -> object:
    if isinstance(value, (np.floating, float)):
        return float(f"{value:.12g}") if np.isfinite(value) else "none"
    return str(value)
