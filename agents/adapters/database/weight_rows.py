"""A row of weight_history as a decision about weights."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from agents.core.meta_types import WeightDecision

DECISION_COLUMNS = (
    "version, timestamp, decided_for, agent_weights, previous_weights, method, status, reason, window_days,"
    " sample_size, trials, inputs_hash, sharpe_improvement, return_improvement, causes, evidence"
)


def decision_of(row: Row[Any]) -> WeightDecision:
    """The decision in a row of DECISION_COLUMNS."""
    return WeightDecision(
        at=row.timestamp,
        decided_for=row.decided_for,
        weights=exact_weights(row.agent_weights),
        previous=None if row.previous_weights is None else exact_weights(row.previous_weights),
        method=row.method,
        status=row.status,
        reason=row.reason,
        window_days=row.window_days,
        sample_size=row.sample_size,
        trials=row.trials,
        inputs_hash=row.inputs_hash,
        sharpe_improvement=row.sharpe_improvement,
        return_improvement=row.return_improvement,
        causes=row.causes or {},
        evidence=row.evidence or {},
    )


def exact_weights(weights: Mapping[str, object]) -> dict[str, Decimal]:
    """The numbers of a JSON object as they are written there."""
    return {str(name): Decimal(str(weight)) for name, weight in weights.items()}
