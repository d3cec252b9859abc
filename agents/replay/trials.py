"""A trial is one setting replayed on a history; what a search concludes from many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.core.types import Floats, Times
from agents.quant.measures import SEED, plain
from agents.quant.selection import Selection, select

ACCEPT_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class TrialReturns:
    """Daily returns [D] of a replay's live book, and of the control that keeps the first weights."""

    date: Times
    live: Floats
    first: Floats
    per_year: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting that was tried: its place in the search, what it changes, the mean Sharpe ratio of the periods
    (annual) and each one, and the daily returns of them all."""

    place: int
    changes: Mapping[str, Any]
    settings_hash: str
    objective: float
    sharpes: Sequence[float]
    returns: Floats
    per_year: float


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a search shows: the trials, best first; the settings in use; how the best compares, and how many settings
    were tried on this history before."""

    trials: tuple[Trial, ...]
    base: Trial
    best: Trial
    selection: Selection
    tried_before: int

    @property
    def accepted(self) -> bool:
        """Whether the best setting is more than luck."""
        return self.selection.p < ACCEPT_LEVEL and self.best.objective > self.base.objective

    @property
    def verdict(self) -> str:
        """In a sentence."""
        s = self.selection
        words = (
            f"{'accepted' if self.accepted else 'no setting is accepted'}:"
            f" Sharpe {s.gain:+.2f} over the settings in use, {s.t:.1f} standard errors;"
            f" the best of {len(self.trials):,} without merit would look as good with probability {s.p:.2g}"
        )
        before = f" ({self.tried_before:,} more were tried on this history before)" if self.tried_before > 0 else ""
        return words + before

    def as_plain(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        document: dict[str, Any] = plain(
            {
                "tried": len(self.trials),
                "tried_before": self.tried_before,
                "base": {"objective": self.base.objective, "sharpes": list(self.base.sharpes)},
                "best": {
                    "changes": dict(self.best.changes),
                    "objective": self.best.objective,
                    "sharpes": list(self.best.sharpes),
                },
                "gain": self.selection.gain,
                "t": self.selection.t,
                "p": self.selection.p,
                "overfitting": self.selection.overfitting,
                "accepted": self.accepted,
                "verdict": self.verdict,
                "trials": [
                    {"place": t.place, "objective": t.objective, "sharpes": list(t.sharpes), "changes": dict(t.changes)}
                    for t in self.trials
                ],
            }
        )
        return document


def conclude(trials: Sequence[Trial], base: Trial, tried_before: int) -> Conclusion:
    """The best of `trials` (one or more) against the settings in use, by White's reality check."""
    matrix = np.column_stack([trial.returns for trial in trials])
    selection = select(matrix, base.returns, base.per_year, tried_before=tried_before, seed=SEED)
    ranked = tuple(sorted(trials, key=lambda trial: (-trial.objective, trial.place)))
    return Conclusion(ranked, base, trials[selection.best], selection, tried_before)
