"""agent days -> a weight decision: apply, hold or fall back, each on record with its evidence and published at once.

Reads the shadow books' returns of whole days only, so that a decision never sees the day it is made on.
"""

from __future__ import annotations

import hashlib
import logging
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from agents.core.log import log_event
from agents.core.meta_types import AgentDays, DecisionStatus, WeightDecision
from agents.core.ports import OptimizerDesk, PastChange
from agents.core.types import Floats, WeightSet
from agents.core.weight_sets import normalised
from agents.quant.allocation import Limits, Method, Proposal, Solver, propose
from agents.quant.returns import periods_per_year, sharpe_ratio

logger = logging.getLogger(__name__)
SEED = 20240118


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How weights are tuned: method, limits, days of history used at least and at most, cost of moving all of the book, and
    after how many days a change is scored."""

    method: Method = "adaptive"
    limits: Limits = field(default_factory=Limits)
    look_back_days: int = 30
    history_days: int = 2920
    turnover_cost: float = 0.0005
    score_after_days: int = 30
    solver: Solver = field(default="reference", repr=False)
    """Not part of a decision's inputs: the results do not depend on it."""


class WeightOptimizerAgent:
    """Proposes, lets the guard judge, publishes. One decision for each due time, however often it is run."""

    def __init__(self, desk: OptimizerDesk | None = None, tuning: Tuning | None = None) -> None:
        self._desk = desk
        self._tuning = tuning

    def execute(self, at: datetime | None = None, decided_for: datetime | None = None) -> dict[str, Any]:
        """Decide at `at` (default: now). Returns weights_updated, old_weights, new_weights, improvement (annual
        sharpe_improvement and return_improvement, expected and net of turnover), decision, reason, version, method."""
        if self._desk is None:
            from agents.meta.standalone import optimizer

            with optimizer() as ready:
                return ready.execute(at, decided_for)
        desk, tuning = self._desk, self._tuning or Tuning()
        at = at or desk.now()
        desk.refresh_days()
        days = desk.agent_days(until=at, whole_days_only=True)
        before = desk.weights_in_force(at)
        decision = decide(
            days, before, tuning, at=at, decided_for=decided_for, trials=desk.methods_tried(tuning.method)
        )
        version = desk.publish(decision)
        score_past(desk, days, tuning, at)
        log_event(logger, "weights decided", status=decision.status, version=version, reason=decision.reason)
        return outcome_of(decision, version, before)

    @property
    def tuning(self) -> Tuning:
        """How weights are tuned."""
        return self._tuning or Tuning()

    def try_method(self, method: Method, at: datetime | None = None) -> tuple[Proposal, WeightDecision]:
        """What `method` would propose now. Looking is a trial, and is recorded as one: later claims have to be stronger."""
        assert self._desk is not None
        tuning = self._tuning or Tuning()
        at = at or self._desk.now()
        self._desk.refresh_days()
        days = self._desk.agent_days(until=at, whole_days_only=True)
        before = self._desk.weights_in_force(at)
        trials = self._desk.methods_tried(method)
        chosen = Tuning(
            method=method, limits=tuning.limits, history_days=tuning.history_days, turnover_cost=tuning.turnover_cost
        )
        proposal = proposal_of(days, before, chosen, trials)
        decision = _decision(proposal, days, before, chosen, at=at, decided_for=None, trials=trials, status="trial")
        self._desk.publish(decision)
        return proposal, decision


def outcome_of(decision: WeightDecision, version: int | None, before: WeightSet) -> dict[str, Any]:
    """The decision as plain numbers and texts."""
    return {
        "weights_updated": decision.status == "apply",
        "old_weights": {name: float(w) for name, w in before.weights.items()},
        "new_weights": {name: float(w) for name, w in decision.weights.items()},
        "improvement": {
            "sharpe_improvement": decision.sharpe_improvement or 0.0,
            "return_improvement": decision.return_improvement or 0.0,
        },
        "decision": decision.status,
        "reason": decision.reason,
        "version": version,
        "method": decision.method,
        "causes": {name: dict(parts) for name, parts in decision.causes.items()},
        "evidence": dict(decision.evidence),
    }


# ---------------------------------------------------------------- pure


def decide(
    days: AgentDays, before: WeightSet, tuning: Tuning, *, at: datetime, decided_for: datetime | None, trials: int
) -> WeightDecision:
    """The decision for `at`. The first one on a desk has status "initial" where it changes nothing, so that from then on
    every weight has a version."""
    proposal = proposal_of(days, before, tuning, trials)
    status: DecisionStatus = proposal.status
    if before.version == 0 and proposal.status != "apply":
        status = "initial"
    return _decision(proposal, days, before, tuning, at=at, decided_for=decided_for, trials=trials, status=status)


def proposal_of(days: AgentDays, before: WeightSet, tuning: Tuning, trials: int) -> Proposal:
    """`propose` on the days of the history window."""
    returns = _window(days, tuning)
    previous = np.array([float(before.weights[name]) for name in days.agents])
    return propose(
        returns,
        previous,
        method=tuning.method,
        limits=tuning.limits,
        periods_per_year=_pace(days),
        turnover_cost=tuning.turnover_cost,
        trials=trials,
        seed=SEED,
        solver=tuning.solver,
    )


def _window(days: AgentDays, tuning: Tuning) -> Floats:
    """Returns of the last `history_days`; a day without any signal is a day without an opinion, not a return of 0."""
    if not len(days.date):
        return np.empty((0, len(days.agents)))
    first = int(
        np.searchsorted(
            days.date, days.date[-1] - np.timedelta64(max(tuning.history_days, tuning.look_back_days) - 1, "D")
        )
    )
    silent = (days.signals[first:] == 0) & (days.returns[first:] == 0.0)
    return np.where(silent, np.nan, days.returns[first:])


def _pace(days: AgentDays) -> float:
    pace = periods_per_year(days.date.astype("datetime64[us]"))
    return pace if math.isfinite(pace) and pace > 0 else 252.0


def _decision(
    proposal: Proposal,
    days: AgentDays,
    before: WeightSet,
    tuning: Tuning,
    *,
    at: datetime,
    decided_for: datetime | None,
    trials: int,
    status: DecisionStatus,
) -> WeightDecision:
    returns = _window(days, tuning)
    moved = status == "apply"
    raw = dict(zip(days.agents, (proposal.weights if moved else proposal.candidate), strict=True))
    changed = normalised({name: float(w) for name, w in raw.items()}, days.agents)
    weights = changed if status in ("apply", "trial") else dict(before.weights)
    return WeightDecision(
        at=at,
        decided_for=decided_for,
        weights=weights,
        previous=dict(before.weights),
        method=tuning.method,
        status=status,
        reason=proposal.reason,
        window_days=_span_days(days, len(returns)),
        sample_size=len(returns),
        trials=trials,
        inputs_hash=inputs_hash(returns, days, before, tuning),
        sharpe_improvement=proposal.expected_sharpe_improvement,
        return_improvement=proposal.expected_return_improvement,
        causes=_causes(proposal, days.agents, weights, before.weights) if moved else {},
        evidence={
            **proposal.evidence,
            "tuning": tuning_digest(tuning),
            "candidate": dict(zip(days.agents, (round(float(w), 6) for w in proposal.candidate), strict=True)),
        },
    )


def _span_days(days: AgentDays, rows: int) -> int | None:
    return int((days.date[-1] - days.date[-rows]) / np.timedelta64(1, "D")) + 1 if rows else None


def _causes(
    proposal: Proposal, agents: tuple[str, ...], weights: Mapping[str, Decimal], before: Mapping[str, Decimal]
) -> dict[str, dict[str, float]]:
    """The parts of each agent's change, which sum to the published change exactly (the guard's part takes the rounding)."""
    result = {}
    for name, parts in zip(agents, proposal.causes, strict=True):
        rounded = {key: round(value, 6) for key, value in parts.items()}
        rounded["guard"] = round(
            float(weights[name] - before[name]) - sum(v for k, v in rounded.items() if k != "guard"), 6
        )
        result[name] = rounded
    return result


def tuning_digest(tuning: Tuning) -> str:
    """Recognises the tuner's settings."""
    return hashlib.sha256(repr(tuning).encode()).hexdigest()[:12]


def inputs_hash(returns: Floats, days: AgentDays, before: WeightSet, tuning: Tuning) -> str:
    """A digest of everything that the decision was computed from: the same inputs give the same decision."""
    digest = hashlib.sha256((returns + 0.0).tobytes())  # + 0: a return of -0 is one of 0
    digest.update(
        repr((days.agents, sorted((n, f"{w:.6f}") for n, w in before.weights.items()), tuning, SEED)).encode()
    )
    return digest.hexdigest()[:32]


def score_past(desk: OptimizerDesk, days: AgentDays, tuning: Tuning, at: datetime) -> None:
    """Write what changes that are old enough have brought."""
    for change in desk.unscored_changes(before=at - timedelta(days=tuning.score_after_days)):
        desk.score_change(change.version, realised(days, change, tuning.score_after_days), at)


def realised(days: AgentDays, change: PastChange, after_days: int) -> float | None:
    """Annual Sharpe ratio of the new weights less that of the old ones over the `after_days` after a change, from the
    shadow books; None where it cannot be measured."""
    start = np.datetime64(change.at.date()) + np.timedelta64(1, "D")
    rows = (days.date >= start) & (days.date < start + np.timedelta64(after_days, "D"))
    returns = np.nan_to_num(days.returns[rows])
    figures = []
    for weights in (change.weights, change.previous):
        vector = np.array([float(weights.get(name, 0.0)) for name in days.agents])
        figures.append(sharpe_ratio(returns @ vector, _pace(days)))
    difference = figures[0] - figures[1]
    return difference if math.isfinite(difference) else None


if __name__ == "__main__":
    from agents.meta.standalone import run_one

    sys.exit(run_one("weight_optimizer"))
