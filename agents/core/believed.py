"""What a decision about weights believed of the agents, as its evidence tells: the one belief that weights, scorecards,
recommendations and reports speak of. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from agents.core.meta_types import WeightDecision

BY_AGENT = ("beliefs", "anchor", "floor", "cap")
"""Entries of an evidence that a proposal gives as lists in the agents' order, and a record by their names."""
MOSTLY_REPLAYED = 0.5
"""A larger share of the evidence than this from replayed history: live days do not outweigh it yet."""
WORSE_THAN_AVERAGE = 0.25
"""An agent that is better than the average one with less than this chance is believed to be worse."""


class AgentView(NamedTuple):
    """What is believed of one agent, in annual Sharpe ratios above the average agent: the mean, the bounds that hold it
    with 80 %, and how probable it is that the agent is better than the average one."""

    mean: float
    low: float
    high: float
    better: float


class PastBeliefs(NamedTuple):
    """What was believed of the agents at `at`, by a decision about the weights."""

    at: datetime
    agents: Mapping[str, AgentView]


class Believed(NamedTuple):
    """The beliefs of one decision by agent, `share_differing` of whom seem to differ from the average; what its weights
    are expected to bring over the anchor's (a return a year), the deviation of that (`active_risk`) and the Sharpe
    ratio that it costs if it is luck (`price`); and the share of the evidence that comes from replayed history."""

    agents: Mapping[str, AgentView]
    anchor: Mapping[str, float]
    share_differing: float
    expected_gain: float
    active_risk: float
    price: float
    from_replay: float

    @property
    def replayed(self) -> bool:
        """Whether live days do not outweigh yet what was replayed."""
        return self.from_replay > MOSTLY_REPLAYED


def named(evidence: Mapping[str, object], agents: Sequence[str]) -> dict[str, Any]:
    """A proposal's evidence with what it lists in the agents' order by their names."""
    lists = {key: value for key, value in evidence.items() if key in BY_AGENT and isinstance(value, list)}
    return {**evidence} | {key: dict(zip(agents, value, strict=True)) for key, value in lists.items()}


def believed(evidence: Mapping[str, Any]) -> Believed | None:
    """The beliefs in a recorded evidence; None where its method has none."""
    views = evidence.get("beliefs")
    if not isinstance(views, Mapping) or not views:
        return None
    return Believed(
        agents=views_in(views),
        anchor={name: float(weight) for name, weight in evidence["anchor"].items()},
        **{field: float(evidence[field]) for field in Believed._fields[2:]},
    )


def views_in(beliefs: Mapping[str, Mapping[str, Any]]) -> dict[str, AgentView]:
    """The entry "beliefs" of a recorded evidence."""
    return {name: AgentView(*(float(view[field]) for field in AgentView._fields)) for name, view in beliefs.items()}


def newest_belief(decisions: Iterable[WeightDecision]) -> Believed | None:
    """That of the newest of decisions, newest first, that has one: a pause of tuning has none of its own. A trial of
    another method is no decision."""
    views = (believed(decision.evidence) for decision in decisions if decision.status != "trial")
    return next((view for view in views if view is not None), None)
