"""The weights of a desk in the database, which is the truth about them; `adapters/cache` keeps a copy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation

from sqlalchemy import Engine, text

from agents.adapters.database.engine import lock_versions, transaction, weights_json
from agents.core.clock import require_utc
from agents.core.errors import InvalidWeightsError
from agents.core.types import WeightSet, WeightsLevel


class PostgresWeightStore:
    """The table weight_history; only rows that were applied count as published."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def newest(self) -> WeightSet | None:
        with transaction(self._engine) as connection:
            row = connection.execute(
                text(
                    "SELECT version, timestamp, agent_weights, valid_until, reason FROM weight_history"
                    " WHERE status IN ('apply', 'revert', 'initial') ORDER BY version DESC LIMIT 1"
                )
            ).first()
        if row is None:
            return None
        try:
            weights = {str(name): Decimal(str(weight)) for name, weight in row.agent_weights.items()}
        except (InvalidOperation, AttributeError):
            raise InvalidWeightsError(f"weight_history version {row.version} holds no weights") from None
        return WeightSet(
            version=row.version,
            weights=weights,
            created_at=require_utc(row.timestamp, "timestamp"),
            valid_until=row.valid_until,
            level=WeightsLevel.DATABASE,
            reason=row.reason,
        )

    def publish(self, weights: Mapping[str, Decimal], *, at: datetime, method: str, reason: str) -> WeightSet:
        previous = self.newest()
        with transaction(self._engine) as connection:
            lock_versions(connection)
            version = connection.execute(
                text(
                    "INSERT INTO weight_history"
                    " (version, timestamp, agent_weights, previous_weights, method, status, reason)"
                    " SELECT coalesce(max(version), 0) + 1, CAST(:at AS timestamptz), CAST(:weights AS jsonb),"
                    " CAST(:previous AS jsonb), :method, :status, :reason FROM weight_history RETURNING version"
                ),
                {
                    "at": at,
                    "weights": weights_json(weights),
                    "previous": weights_json(previous.weights) if previous else None,
                    "method": method,
                    "status": "apply" if previous else "initial",
                    "reason": reason,
                },
            ).scalar_one()
        return WeightSet(
            version=version,
            weights=dict(weights),
            created_at=at,
            valid_until=None,
            level=WeightsLevel.DATABASE,
            reason=reason,
        )
