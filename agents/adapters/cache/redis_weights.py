"""The copy of a desk's weights in Redis: versioned, announced, and left alone while Redis is away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agents.core.clock import Clock
from agents.core.errors import SettingsError
from agents.core.log import log_event
from agents.core.types import WeightSet
from agents.core.weight_sets import TEXT_LIMIT_BYTES, from_text, to_text

REDIS_TIMEOUT_S = 0.2
BREAKER_S = 5.0
VERSION_DIGITS = 19
Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


class RedisWeightCache:
    """The copy in Redis. After a failure it is left alone for BREAKER_S, so an outage costs one timeout in that time.

    `desk` tells it from other desks of the same server: its database and its name. SettingsError where the URL is none
    of a Redis server.
    """

    def __init__(self, url: str, desk: str, clock: Clock) -> None:
        self._clock = clock
        self._key = f"{desk}:weights"
        self._channel = f"{desk}:weights:announce"
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
        # At most so much of it: whoever put a gigabyte there does not make the desk read it.
        content: Any = self._guarded(lambda: self._client.getrange(self._key, 0, TEXT_LIMIT_BYTES))
        return from_text(content, self._key) if content else None

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
                client: Any = self._client  # redis-py leaves pubsub untyped
                self._subscription = client.pubsub(ignore_subscribe_messages=True)
                self._subscription.subscribe(self._channel)
            newest = None
            while (message := self._subscription.get_message(timeout=0.0)) is not None:
                data = message.get("data", b"")
                if isinstance(data, bytes) and data.isdigit() and len(data) <= VERSION_DIGITS:
                    newest = int(data)
            return newest

        return self._guarded(poll)

    @property
    def alive(self) -> bool:
        """False while the breaker is open: the last call failed less than BREAKER_S ago."""
        return self._clock.monotonic_s() >= self._closed_until_s

    def close(self) -> None:
        """Drop the connections."""
        if self._subscription is not None:
            self._subscription.close()
        self._client.close()

    def _guarded(self, call: Callable[[], Answer]) -> Answer | None:
        """What `call` answers; None where Redis failed now or less than BREAKER_S ago."""
        if not self.alive:
            return None
        try:
            return call()
        except Exception as error:  # anything may answer there, and nothing that it says may end the desk
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
