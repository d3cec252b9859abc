"""How many orders left within the last minute: a loop gone wild must not reach the venue."""

from __future__ import annotations

import logging
from collections import deque

from agents.core.clock import Clock
from agents.core.log import log_event
from agents.core.risk_settings import Limit

logger = logging.getLogger(__name__)
WINDOW_S = 60.0


class OrderRate:
    """The limit `risk.limits.orders_per_minute`, told once when it is reached and once when it is over."""

    def __init__(self, limit: Limit, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._sent: deque[float] = deque()
        self._reached = False

    def room_for(self, count: int) -> int:
        """How many of `count` orders may leave now; they count as sent."""
        if self._limit.action == "off":
            return count
        now_s = self._clock.monotonic_s()
        while self._sent and self._sent[0] <= now_s - WINDOW_S:
            self._sent.popleft()
        free = max(0, int(self._limit.at) - len(self._sent))
        self._tell(count > free)
        room = min(count, free) if self._limit.action == "enforce" else count
        self._sent.extend([now_s] * room)
        return room

    def _tell(self, reached: bool) -> None:
        if reached and not self._reached:
            facts = {"kind": "order_rate", "subject": "orders", "limit": f"{self._limit.at:g} a minute"}
            log_event(logger, "ALARM", level=logging.ERROR, **facts)
        elif self._reached and not reached:
            log_event(logger, "alarm is over", kind="order_rate", subject="orders")
        self._reached = reached
