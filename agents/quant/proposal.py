"""What is asked when weights are to be decided, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from agents.core.types import Booleans, Floats
from agents.quant.belief_state import BeliefState
from agents.quant.limits import Limits, Method, Solver

Status = Literal["apply", "hold", "fallback"]

CAUSES = ("mean", "volatility", "correlation", "cap", "step")
"""What can move a weight, in the order in which a candidate is built up; the step's part is the rest: how far towards
the candidate the weights go now, from where they are."""


class AgentBelief(NamedTuple):
    """What is believed of one agent's skill, an annual Sharpe ratio above the average agent's: the mean, the bounds
    that hold it with 80 %, and how probable it is that the agent is better than the average one."""

    mean: float
    low: float
    high: float
    better: float

    def as_plain(self) -> dict[str, float]:
        """Numbers, fit for JSON."""
        mean, low, high, better = self
        return {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4), "better": round(better, 4)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """What is believed of the agents, in their order, and what it is worth to hold a proposal's weights instead of the
    anchor (the user's weights, else equal ones).

    `share_differing` is which share of the agents seems to differ from the average at all. `expected_gain` is a return
    a year, `active_risk` its deviation, `price` the annual Sharpe ratio that the tilt and its trades cost if all agents
    are equally good. `from_replay` is the share of the evidence that comes from replayed history.
    """

    agents: tuple[AgentBelief, ...]
    share_differing: float
    expected_gain: float
    active_risk: float
    price: float
    from_replay: float

    def as_plain(self) -> dict[str, object]:
        """Numbers, fit for JSON; "beliefs" has one entry for each agent, in their order."""
        names = ("share_differing", "expected_gain", "active_risk", "price", "from_replay")
        return {"beliefs": [agent.as_plain() for agent in self.agents]} | {n: round(getattr(self, n), 6) for n in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What to do about the weights. `weights` [A] sum to 1 and are those to be in force from now on: on "hold" and
    "fallback" the previous ones. `candidate` [A] is what the method would choose had it no guard and no step limit.

    `expected_sharpe_improvement` and `expected_return_improvement` are annual, of `weights` after the step over the
    previous ones and net of turnover, by what is believed; 0 where nothing changes. `evidence` holds plain numbers and
    short texts, fit for JSON (docs/mathematics.md tells each); `causes` splits each agent's change into the parts named
    in CAUSES. `beliefs` and the `state` they come from, which the next decision goes on from, are the adaptive
    method's; None for the others.
    """

    weights: Floats
    status: Status
    reason: str
    expected_sharpe_improvement: float
    expected_return_improvement: float
    candidate: Floats
    evidence: Mapping[str, object]
    causes: tuple[Mapping[str, float], ...] = field(default=())
    beliefs: Beliefs | None = None
    state: BeliefState | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationProblem:
    """The decision to be made about the weights of A agents, of which M can be measured.

    `start` [A] are the weights in force, brought inside the limits; `brought_in` says that this changed them, and
    `notes` why. `anchor` [A] are the weights to hold while nothing is known, `low` and `high` [A] the limits.
    `spoken` [A] marks those that have said enough (None: to be told by their books),
    `measurable` [A] the agents that a textbook method can measure, `returns` [T, M] are theirs, oldest first,
    NaN where an agent did not exist. `turnover_cost` is the cost of moving all of the book, as a fraction.
    """

    start: Floats
    brought_in: bool
    notes: tuple[str, ...]
    anchor: Floats
    low: Floats
    high: Floats
    spoken: Booleans | None
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
    def looks_at_means(self) -> bool:
        """Whether the method picks agents by their returns' means, which a guard must then doubt."""
        return self.method == "max_sharpe"
