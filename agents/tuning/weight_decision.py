"""agent days -> a weight decision: apply, hold or fall back, each on record with its evidence and published at once.

Reads the shadow books' returns of whole days only, so that a decision never sees the day it is made on.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from agents.core.believed import named
from agents.core.later import Later
from agents.core.life_types import LifeChange
from agents.core.log import log_event
from agents.core.meta_ports import OptimizerDesk
from agents.core.meta_types import AgentDays, DecisionStatus, KeptBeliefs, WeightDecision
from agents.core.types import Floats, WeightSet
from agents.core.weight_sets import anchor_of, normalised
from agents.quant.allocation import Method, Proposal, propose
from agents.quant.scores import column_sums
from agents.tuning.decision_outcome import outcome_of
from agents.tuning.desk_beliefs import Known, kept_of, known_after, only_of, opinions
from agents.tuning.listened_to import Seating, Watched, before_of, for_all, limits_of, turn_of
from agents.tuning.mute import mute_agents
from agents.tuning.past_changes import days_in_year, score_past
from agents.tuning.tuning_pause import pause_of
from agents.tuning.tuning_settings import Tuning, tuning_digest

logger = logging.getLogger(__name__)
SEED = 20240118
LEAST_STEP = 0.001  # less than this of a day's step is nothing left of it


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
    return outcome_of(*decided(desk, tuning, at, decided_for, said))


def decided(
    desk: OptimizerDesk,
    tuning: Tuning,
    at: datetime,
    decided_for: datetime | None = None,
    said: LifeChange | None = None,
) -> tuple[WeightDecision, int | None, WeightSet]:
    """`decide_weights` for who wants no words: the decision, its version, and the weights in force before it."""
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
    return decision, version, whole.before


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
        anchor=_anchor(tuple(tuning.anchor.items()), days.agents),
        state=known.state if known else None,
    )
    if proposal.status != "apply" or left > LEAST_STEP:
        return proposal
    reason = f"one weight has moved by {moved:.1%} today; a day's step is {tuning.limits.step:.0%}"
    return replace(
        proposal, status="hold", reason=reason, expected_sharpe_improvement=0.0, expected_return_improvement=0.0
    )


@lru_cache(maxsize=16)
def _anchor(static: tuple[tuple[str, float], ...], agents: tuple[str, ...]) -> Floats:
    """The anchor [A] of `agents`, to be read only. Kept: every decision asks for the last one's."""
    anchor = np.array(list(anchor_of(dict(static), agents).values()))
    anchor.flags.writeable = False
    return anchor


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
    own, candidate, agents = proposal.evidence, proposal.candidate, days.agents

    def evidence() -> dict[str, Any]:
        rounded = dict(zip(agents, (round(float(w), 6) for w in candidate), strict=True))
        return {**named(own, agents), **spent, "tuning": tuning_digest(tuning), "candidate": rounded}

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
        evidence=Later(evidence),
    )


def _span_days(days: AgentDays, rows: int) -> int | None:
    return int((days.date[-1] - days.date[-rows]).astype("timedelta64[D]").astype(np.int64)) + 1 if rows else None


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


def inputs_hash(grounds: Grounds) -> str:
    """A digest of everything that the decision was computed from: the same inputs give the same decision."""
    days, before, tuning, moved_today = grounds.inputs[:4]
    digest = hashlib.sha256(grounds.known.digest.encode() if grounds.known else grounds.returns.tobytes())
    digest.update(_what_was(days.agents, tuple((n, float(w)) for n, w in before.weights.items()), tuning.text))
    if moved_today:
        digest.update(f"{moved_today:.6f}".encode())
    return digest.hexdigest()[:32]


@lru_cache(maxsize=16)
def _what_was(agents: tuple[str, ...], before: tuple[tuple[str, float], ...], tuning: str) -> bytes:
    """The part of a decision's inputs beside its days. Kept: most days it is yesterday's."""
    weights = sorted((name, f"{weight:.6f}") for name, weight in before)
    return f"({agents!r}, {weights!r}, {tuning}, {SEED})".encode()
