"""Weights in the database (the truth) and their versioned copy in Redis."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, text

from agents.adapters.database.engine import lock_versions, transaction, weights_json
from agents.core.clock import Clock, require_utc
from agents.core.errors import InvalidWeightsError, SettingsError
from agents.core.log import log_event
from agents.core.types import WeightSet, WeightsLevel
from agents.core.weight_sets import from_text, to_text

REDIS_TIMEOUT_S = 0.2
BREAKER_S = 5.0

logger = logging.getLogger(__name__)


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
                    "INSERT INTO weight_history (version, timestamp, agent_weights, previous_weights, method, status, reason)"
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


class RedisWeightCache:
    """The copy in Redis. After a failure it is left alone for BREAKER_S, so an outage costs one timeout in that time."""

    def __init__(self, url: str, desk: str, clock: Clock) -> None:
        self._clock = clock
        self._key = f"quorum:{desk}:weights"
        self._channel = f"quorum:{desk}:weights:announce"
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise SettingsError("REDIS_URL is not of the form redis://host:port/0 or unix:///path/to.sock")
        self._client: redis.Redis = redis.Redis.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            health_check_interval=0,
        )
        self._subscription: Any = None
        self._closed_until_s = 0.0

    def read(self) -> WeightSet | None:
        content = self._guarded(lambda: self._client.get(self._key))
        return None if content is None else from_text(content, self._key)

    def write(self, weights: WeightSet) -> bool:
        def put() -> bool:
            pipeline = self._client.pipeline(transaction=True)
            pipeline.set(self._key, to_text(weights, self._key))
            pipeline.publish(self._channel, str(weights.version))
            pipeline.execute()
            return True

        return bool(self._guarded(put))

    def forget(self) -> None:
        """Remove the copy; for a desk that starts anew."""
        self._guarded(lambda: self._client.delete(self._key))

    def announced(self) -> int | None:
        def poll() -> int | None:
            if self._subscription is None:
                self._subscription = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py
                self._subscription.subscribe(self._channel)
            newest = None
            while (message := self._subscription.get_message(timeout=0.0)) is not None:
                data = message.get("data", b"")
                if isinstance(data, bytes) and data.isdigit():
                    newest = int(data)
            return newest

        return self._guarded(poll)  # type: ignore[no-any-return]  # _guarded passes on what poll returns

    @property
    def alive(self) -> bool:
        """False while the breaker is open: the last call failed less than BREAKER_S ago."""
        return self._clock.monotonic_s() >= self._closed_until_s

    def close(self) -> None:
        """Drop the connections."""
        if self._subscription is not None:
            self._subscription.close()
        self._client.close()

    def _guarded(self, call: Any) -> Any:
        if not self.alive:
            return None
        try:
            return call()
        except (redis.RedisError, OSError, UnicodeDecodeError) as error:
            log_event(
                logger,
                "redis is out of order; weights come from the database",
                level=logging.WARNING,
                error=type(error).__name__,
            )
            self._closed_until_s = self._clock.monotonic_s() + BREAKER_S
            if self._subscription is not None:
                self._subscription.close()
                self._subscription = None
            return None
