"""Which weights were in force on which day: what was decided counts from the day after, an anchor before any."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from agents.core.arrays import Floats, Times


class WeightsOverTime(NamedTuple):
    """The weights that came into force, oldest first: the UTC days [C] on which they were decided, and the weights
    [C, A] of `agents`, 0 for those that a set does not name."""

    decided: Times
    agents: tuple[str, ...]
    weights: Floats

    @classmethod
    def of(cls, changes: Iterable[tuple[datetime, Mapping[str, Decimal]]]) -> WeightsOverTime:
        """From (when it was decided, the weights), oldest first."""
        known = list(changes)
        agents = tuple(dict.fromkeys(name for _, weights in known for name in weights))
        rows = [[float(weights.get(name, 0)) for name in agents] for _, weights in known]
        decided = np.array([utc_day(at) for at, _ in known], dtype="datetime64[D]")
        return cls(decided, agents, np.array(rows).reshape(len(known), len(agents)))

    def then(self, at: datetime, weights: Mapping[str, Decimal]) -> WeightsOverTime:
        """With one set more, which names the same agents as those before, or fewer."""
        if not self.agents:
            return WeightsOverTime.of([(at, weights)])
        row = np.array([[float(weights.get(name, 0)) for name in self.agents]])
        return self._replace(decided=np.append(self.decided, utc_day(at)), weights=np.append(self.weights, row, axis=0))

    def held(self, date: Times, agents: Sequence[str], anchor: Mapping[str, float | Decimal]) -> Floats:
        """The weights [D, A] of `agents` on each day [D], `anchor` before the first change."""
        sets = np.zeros((len(self.decided) + 1, len(agents)))
        sets[0] = [float(anchor.get(name, 0)) for name in agents]
        if tuple(agents) == self.agents:
            sets[1:] = self.weights
        else:
            known = {name: k for k, name in enumerate(self.agents)}
            for a, name in enumerate(agents):
                if name in known:
                    sets[1:, a] = self.weights[:, known[name]]
        return sets.take(np.searchsorted(self.decided, date, side="left"), axis=0)


def utc_day(at: datetime) -> np.datetime64:
    """The UTC day that a time lies in."""
    return np.datetime64(math.floor(at.timestamp()) // 86_400, "D")
