"""The bet against tuning (`quant/monitor`) on a desk's own days: when it is won, back to the anchor and wait.

Live is taken as the weights in force on each day times the agents' own books, the anchor as its weights times the same:
a pure function of the stored days and of the decisions on record, so that live and replay agree and a restart changes
nothing. What follows is on record, too: a row of method "monitor" pauses, one of method "resume", a person's, goes on,
and the bet begins anew from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from agents.core.meta_ports import OptimizerDesk
from agents.core.meta_types import AgentDays, WeightDecision
from agents.core.weight_sets import anchor_of, normalised, vector_of
from agents.core.weights_over_time import WeightsOverTime, utc_day
from agents.quant.monitor import ALARM_AT, Watch, both_mixed, watch

PAUSED, WAITING, RESUMED = "monitor", "paused", "resume"
"""The methods of the rows that pause tuning, that wait meanwhile, and that let it go on."""


def pause_of(
    desk: OptimizerDesk, days: AgentDays, before: Mapping[str, Decimal], static: Mapping[str, float], at: datetime
) -> WeightDecision | None:
    """The decision of a desk whose tuning is paused, or has to stop now; None where it may go on. The settings'
    `static` weights say where its anchor is.

    The bet is looked at once in a week, at the first decision in it: in between nothing is added to it.
    """
    record = desk.tuning_record()
    if record.paused_at is not None:
        return waiting(before, record.paused_at, at)
    if not len(days.date) or (record.decided_at is not None and _week(record.decided_at) == _week(at)):
        return None
    anchor = normalised(anchor_of(static, days.agents), days.agents)
    seen = seen_by_the_bet(days, desk.weights_over_time(), anchor, record.resumed_at)
    return None if seen.alarm is None else stopped(before, anchor, seen, at)


def seen_by_the_bet(
    days: AgentDays,
    changes: WeightsOverTime,
    anchor: Mapping[str, Decimal],
    since: datetime | None,
) -> Watch:
    """The bet on whole `days` after `since`. `changes` are the weights that came into force, oldest first; weights
    count from the day after they were decided, the anchor before any."""
    start = 0 if since is None else int(np.searchsorted(days.date, utc_day(since), side="right"))
    date, returns = days.date[start:], days.returns[start:]
    held = changes.held(date, days.agents, anchor)
    return watch(date, *both_mixed(held, vector_of(anchor, days.agents), returns))


def stopped(before: Mapping[str, Decimal], anchor: Mapping[str, Decimal], seen: Watch, at: datetime) -> WeightDecision:
    """Back to the anchor at once, whatever the step."""
    reason = (
        f"tuning is paused: over {len(seen.fortune)} weeks its weights have earned less than the anchor's, and a"
        f" bet on that has grown {seen.fortune.max():.0f}-fold (by chance: in one of {ALARM_AT:.0f} desks' lives)."
        " The anchor's weights are in force; when the cause is known: quorum weights resume --reason ..."
    )
    evidence = {
        "fortune": round(float(seen.fortune.max()), 4),
        "weeks": len(seen.fortune),
        "reached": str(seen.alarm),
    }
    held = _held(before, PAUSED, reason, at)
    return replace(held, weights=dict(anchor), status="revert", evidence=evidence)


def waiting(before: Mapping[str, Decimal], since: datetime, at: datetime) -> WeightDecision:
    """Nothing moves until a person says so."""
    reason = f"tuning is paused since {since:%Y-%m-%d}; a person resumes it: quorum weights resume --reason"
    return _held(before, WAITING, reason, at)


def resumed(before: Mapping[str, Decimal], reason: str, at: datetime) -> WeightDecision:
    """A person lets tuning go on from the weights in force."""
    return _held(before, RESUMED, f"a person lets tuning go on: {reason}", at)


def _held(weights: Mapping[str, Decimal], method: str, reason: str, at: datetime) -> WeightDecision:
    """Weights stay as they are."""
    return WeightDecision(
        at=at,
        decided_for=None,
        weights=dict(weights),
        previous=dict(weights),
        method=method,
        status="hold",
        reason=reason,
    )


def _week(at: datetime) -> int:
    return (at.astimezone(UTC).date().toordinal() - 1) // 7
