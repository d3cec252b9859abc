"""What is asked when weights are to be decided, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from agents.core.types import Booleans, Floats
from agents.quant.limits import Limits, Method, Solver

Status = Literal["apply", "hold", "fallback"]

CAUSES = ("mean", "volatility", "correlation", "shrinkage", "cap", "guard")
"""What can move a weight, in the order in which a candidate is built up; the guard's part is the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What to do about the weights. `weights` [A] sum to 1 and are those to be in force from now on: on "hold" and
    "fallback" the previous ones. `candidate` [A] is what the method would choose had it no guard and no step limit.

    `expected_sharpe_improvement` and `expected_return_improvement` are annual, of `weights` after the step over the
    previous ones and net of turnover, by the shrunk estimates; 0 where nothing changes. `evidence` holds plain
    numbers and short texts, fit for JSON; `causes` splits each agent's change into the parts named in CAUSES.
    """

    weights: Floats
    status: Status
    reason: str
    expected_sharpe_improvement: float
    expected_return_improvement: float
    candidate: Floats
    evidence: Mapping[str, object]
    causes: tuple[Mapping[str, float], ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationProblem:
    """The decision to be made about the weights of A agents, of which M can be measured.

    `start` [A] are the weights in force, brought inside the limits; `brought_in` says that this changed them, and
    `notes` why. `measurable` [A] marks the agents that can be measured, `returns` [T, M] are theirs, oldest first,
    NaN where an agent did not exist. `turnover_cost` is the cost of moving all of the book, as a fraction.
    """

    start: Floats
    brought_in: bool
    notes: tuple[str, ...]
    measurable: Booleans
    returns: Floats
    method: Method
    limits: Limits
    periods_per_year: float
    turnover_cost: float
    trials: int
    seed: int
    solver: Solver

    @property
    def agents(self) -> int:
        """A, the number of all agents."""
        return len(self.start)

    @property
    def measured(self) -> int:
        """M, the number of agents that can be measured."""
        return int(self.measurable.sum())

    @property
    def equal_weights(self) -> Floats:
        """[A]; the bounds always let them in."""
        return np.full(self.agents, 1.0 / self.agents)

    @property
    def looks_at_means(self) -> bool:
        """Whether the method picks agents by their returns' means, which a guard must then doubt."""
        return self.method in ("adaptive", "max_sharpe")
