"""agent days -> a weight decision: apply, hold or fall back, each on record with its evidence and published at once.

Reads the shadow books' returns of whole days only, so that a decision never sees the day it is made on.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from agents.core.believed import named
from agents.core.life_types import LifeChange
from agents.core.log import log_event
from agents.core.meta_ports import OptimizerDesk
from agents.core.meta_types import AgentDays, DecisionStatus, KeptBeliefs, WeightDecision
from agents.core.types import Floats, WeightSet
from agents.core.weight_sets import anchor_of, normalised
from agents.quant.allocation import Limits, Method, Proposal, Solver, propose
from agents.quant.scores import column_sums
from agents.tuning.agent_life import LifeRules
from agents.tuning.decision_outcome import outcome_of
from agents.tuning.desk_beliefs import FILTER_VERSION, Known, kept_of, known_after, only_of, opinions
from agents.tuning.listened_to import Seating, Watched, before_of, for_all, limits_of, turn_of
from agents.tuning.mute import mute_agents
from agents.tuning.past_changes import days_in_year, score_past
from agents.tuning.tuning_pause import pause_of

logger = logging.getLogger(__name__)
SEED = 20240118
LEAST_STEP = 0.001  # less than this of a day's step is nothing left of it


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How weights are tuned: method, limits, days of history that a textbook method uses at least and at most, cost of
    moving all of the book, after how many days a change is scored, days a year, the weights to hold while nothing is
    known (none: equal ones), and how far the replayed past is believed."""

    method: Method = "adaptive"
    limits: Limits = field(default_factory=Limits)
    look_back_days: int = 30
    history_days: int = 2920
    turnover_cost: float = 0.0005
    score_after_days: int = 30
    days_per_year: float = 252.0
    anchor: Mapping[str, float] = field(default_factory=dict)
    history_trust: float = 0.5
    life: LifeRules = field(default_factory=LifeRules)
    solver: Solver = field(default="reference", repr=False)
    """Not part of a decision's inputs: the results do not depend on it."""

    @cached_property
    def text(self) -> str:
        """What tells one tuning from another."""
        return repr(self)


class DecisionInputs(NamedTuple):
    """What a decision about weights is computed from; `moved_today` is the largest move of one weight on this UTC day
    before it, which leaves so much less of the day's step. `past` is what was believed before the first day, `kept`
    what was believed after some of the `days`: it saves time and changes nothing."""

    days: AgentDays
    before: WeightSet
    tuning: Tuning
    moved_today: float = 0.0
    past: KeptBeliefs | None = None
    kept: KeptBeliefs | None = None

    def watched(self) -> Watched:
        tuning = self.tuning
        mute = mute_agents(self.days, self.past, tuning.days_per_year)
        return Watched(self.days, tuning.days_per_year, tuning.limits, tuning.life, tuning.anchor, mute)


class Grounds(NamedTuple):
    """Inputs with what follows from them: the returns [T, A] that the method looks at, and what is believed (None by a
    textbook method)."""

    inputs: DecisionInputs
    returns: Floats
    known: Known | None


class Occasion(NamedTuple):
    """When a decision is made, for which due time of the job (None: for a person), and after how many methods tried."""

    at: datetime
    decided_for: datetime | None
    trials: int


def decide_weights(
    desk: OptimizerDesk,
    tuning: Tuning,
    at: datetime,
    decided_for: datetime | None = None,
    said: LifeChange | None = None,
) -> dict[str, Any]:
    """Let agents come and go, after what a person `said` of one; propose or wait (paused); publish; score the past.

    Returns weights_updated, old_weights, new_weights, improvement (sharpe_improvement and return_improvement, expected
    and net of turnover, in the `units` beside them), decision, reason, version and method.
    """
    whole = read_inputs(desk, tuning, at)
    turn = turn_of(desk, whole.watched(), at, said, paused=desk.tuning_record().paused_at is not None)
    grounds = grounds_of(seated(whole, turn.seating))
    paused = pause_of(desk, grounds.inputs.days, grounds.inputs.before.weights, tuning.anchor, at)
    if paused is None:
        decision = decide_on(grounds, Occasion(at, decided_for, desk.methods_tried(tuning.method)))
    else:
        decision = replace(paused, decided_for=decided_for)
    decision = for_all(decision, whole.before.weights, turn)
    version = desk.publish(decision, turn.changes)
    _keep(desk, grounds, at)
    score_past(desk, whole.days, tuning.score_after_days, at)
    log_event(logger, "weights decided", status=decision.status, version=version, reason=decision.reason)
    return outcome_of(decision, version, whole.before)


def try_method(desk: OptimizerDesk, tuning: Tuning, method: Method, at: datetime) -> tuple[Proposal, WeightDecision]:
    """What `method` would propose at `at`. It is recorded as a trial: later claims have to be stronger."""
    whole = read_inputs(desk, replace(tuning, method=method), at)
    turn = turn_of(desk, whole.watched(), at, paused=True)
    grounds = grounds_of(seated(whole, turn.seating))
    occasion = Occasion(at, None, desk.methods_tried(method))
    proposal = proposal_of(grounds, occasion.trials)
    decision = for_all(_decision(proposal, grounds, occasion, "trial"), whole.before.weights, turn)
    desk.publish(decision)
    return proposal, decision


def read_inputs(desk: OptimizerDesk, tuning: Tuning, at: datetime) -> DecisionInputs:
    """Whole days up to `at` of every agent, brought up to date, and the weights in force."""
    desk.refresh_days()
    days, before = desk.agent_days(until=at, whole_days_only=True), desk.weights_in_force(at)
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    past, kept = desk.kept_beliefs("past"), desk.kept_beliefs("now")
    return DecisionInputs(days, before, tuning, round(desk.moved_since(midnight), 6), past, kept)


def _keep(desk: OptimizerDesk, grounds: Grounds, at: datetime) -> None:
    """Keep what is believed now, where that is news."""
    known, kept = grounds.known, grounds.inputs.kept
    if known is not None and (kept is None or kept.digest != known.digest):
        desk.keep_beliefs("now", kept_of(known, grounds.inputs.days.agents), at)


def seated(whole: DecisionInputs, seating: Seating) -> DecisionInputs:
    """What a decision about the tuned agents is computed from: as if there were no others."""
    limits = limits_of(whole.tuning.limits, seating)
    return whole._replace(
        days=only_of(whole.days, seating.tuned),
        before=before_of(whole.before, seating, limits, whole.tuning.anchor),
        tuning=whole.tuning if limits is whole.tuning.limits else replace(whole.tuning, limits=limits),
    )


# ---------------------------------------------------------------- pure


def grounds_of(inputs: DecisionInputs) -> Grounds:
    """What is believed after the inputs' days, or the window of them that a textbook method looks at."""
    days, tuning = inputs.days, inputs.tuning
    if tuning.method != "adaptive":
        return Grounds(inputs, _window(days, tuning), None)
    known = known_after(days, past=inputs.past, kept=inputs.kept, days_per_year=tuning.days_per_year)
    return Grounds(inputs, np.empty((0, len(days.agents))), known)


def decide(inputs: DecisionInputs, occasion: Occasion) -> WeightDecision:
    """The decision on an occasion, from its inputs alone."""
    return decide_on(grounds_of(inputs), occasion)


def decide_on(grounds: Grounds, occasion: Occasion) -> WeightDecision:
    """The decision on an occasion. The first one on a desk has status "initial" where it changes nothing, so that from
    then on every weight has a version."""
    proposal = proposal_of(grounds, occasion.trials)
    status: DecisionStatus = proposal.status
    if grounds.inputs.before.version == 0 and proposal.status != "apply":
        status = "initial"
    return _decision(proposal, grounds, occasion, status)


def proposal_of(grounds: Grounds, trials: int) -> Proposal:
    """`propose` on what is known, within what is left of the day's step."""
    days, before, tuning, moved = grounds.inputs[:4]
    known, left = grounds.known, tuning.limits.step - moved
    proposal = propose(
        grounds.returns,
        np.array([float(before.weights[name]) for name in days.agents]),
        method=tuning.method,
        limits=replace(tuning.limits, step=left) if moved and left > LEAST_STEP else tuning.limits,
        periods_per_year=tuning.days_per_year if known else days_in_year(days),
        turnover_cost=tuning.turnover_cost,
        trials=trials,
        seed=SEED,
        solver=tuning.solver,
        signals=column_sums(days.signals[_first_day(days, tuning) :]),
        anchor=np.array(list(anchor_of(tuning.anchor, days.agents).values())),
        state=known.state if known else None,
    )
    if proposal.status != "apply" or left > LEAST_STEP:
        return proposal
    reason = f"one weight has moved by {moved:.1%} today; a day's step is {tuning.limits.step:.0%}"
    return replace(
        proposal, status="hold", reason=reason, expected_sharpe_improvement=0.0, expected_return_improvement=0.0
    )


def _window(days: AgentDays, tuning: Tuning) -> Floats:
    """Returns of the last `history_days`."""
    return opinions(days)[_first_day(days, tuning) :]


def _first_day(days: AgentDays, tuning: Tuning) -> int:
    """The place of the first of the last `history_days`; the adaptive method looks at all days."""
    if tuning.method == "adaptive" or not len(days.date):
        return 0
    length = max(tuning.history_days, tuning.look_back_days)
    return int(np.searchsorted(days.date, days.date[-1] - np.timedelta64(length - 1, "D")))


def _decision(proposal: Proposal, grounds: Grounds, occasion: Occasion, status: DecisionStatus) -> WeightDecision:
    days, before, tuning, moved_today = grounds.inputs[:4]
    rows = grounds.known.days if grounds.known else len(grounds.returns)
    spent = {"moved_today": moved_today} if moved_today else {}
    moved = status == "apply"
    raw = dict(zip(days.agents, (proposal.weights if moved else proposal.candidate), strict=True))
    weights = dict(before.weights)
    if status in ("apply", "trial"):
        weights = normalised({name: float(w) for name, w in raw.items()}, days.agents)
    candidate = dict(zip(days.agents, (round(float(w), 6) for w in proposal.candidate), strict=True))
    return WeightDecision(
        at=occasion.at,
        decided_for=occasion.decided_for,
        weights=weights,
        previous=dict(before.weights),
        method=tuning.method,
        status=status,
        reason=proposal.reason,
        window_days=_span_days(days, rows),
        sample_size=rows,
        trials=occasion.trials,
        inputs_hash=inputs_hash(grounds),
        sharpe_improvement=proposal.expected_sharpe_improvement,
        return_improvement=proposal.expected_return_improvement,
        causes=_causes(proposal, days.agents, weights, before.weights) if moved else {},
        evidence={
            **named(proposal.evidence, days.agents),
            **spent,
            "tuning": tuning_digest(tuning),
            "candidate": candidate,
        },
    )


def _span_days(days: AgentDays, rows: int) -> int | None:
    return int((days.date[-1] - days.date[-rows]) / np.timedelta64(1, "D")) + 1 if rows else None


def _causes(
    proposal: Proposal, agents: tuple[str, ...], weights: Mapping[str, Decimal], before: Mapping[str, Decimal]
) -> dict[str, dict[str, float]]:
    """The parts of each agent's change. They sum to the published change: the step's part takes the rounding."""
    result = {}
    for name, parts in zip(agents, proposal.causes, strict=True):
        rounded = {key: round(value, 6) for key, value in parts.items()}
        rounded["step"] = round(
            float(weights[name] - before[name]) - sum(v for k, v in rounded.items() if k != "step"), 6
        )
        result[name] = rounded
    return result


def tuning_digest(tuning: Tuning) -> str:
    """Recognises the tuner's settings and the filter's arithmetic."""
    return hashlib.sha256(f"({FILTER_VERSION}, {tuning.text})".encode()).hexdigest()[:12]


def inputs_hash(grounds: Grounds) -> str:
    """A digest of everything that the decision was computed from: the same inputs give the same decision."""
    days, before, tuning, moved_today = grounds.inputs[:4]
    digest = hashlib.sha256(grounds.known.digest.encode() if grounds.known else grounds.returns.tobytes())
    weights = sorted((n, f"{w:.6f}") for n, w in before.weights.items())
    digest.update(f"({days.agents!r}, {weights!r}, {tuning.text}, {SEED})".encode())
    if moved_today:
        digest.update(f"{moved_today:.6f}".encode())
    return digest.hexdigest()[:32]
