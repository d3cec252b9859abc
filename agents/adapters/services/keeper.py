"""Whoever keeps the embedded servers up: a dead one is started again, one that stands still is ended first.

There is one keeper at a time. Under systemd it is the unit of `quorum services run`; where nobody supervises, each
daemon looks now and then, and whichever comes first does it.
"""

from __future__ import annotations

import logging

import psycopg

from agents.adapters.services.embedded import EmbeddedServices
from agents.core.clock import Clock
from agents.core.errors import ServiceError
from agents.core.log import log_event

logger = logging.getLogger(__name__)
LOOK_S = 2.0
"""So often it is looked whether the processes are there; that costs two small files."""
ASK_S = 15.0
"""So often they are asked for an answer."""
FROZEN_S = 60.0
"""A server that has processes and answers nobody for so long stands still."""


class ServerKeeper:
    """Keeps one user's servers up, as far as that is its business: `look` as often as you like."""

    def __init__(self, services: EmbeddedServices, clock: Clock, *, frozen_s: float = FROZEN_S) -> None:
        self._services = services
        self._clock = clock
        self._frozen_s = frozen_s
        self._next_look_s = self._next_ask_s = 0.0
        self._silent_since_s: dict[str, float] = {}

    def look(self) -> None:
        """Start what is dead, unless another process keeps the servers up or a person stopped them; ServiceError
        where that is impossible now."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_S
        with self._services.supervising() as ours:
            if ours:
                self.mend()

    def mend(self) -> None:
        """As `look`, for the process that has the supervision, at every call."""
        services = self._services
        if services.stopped_by_hand:
            return
        self._end_frozen()
        postgres, redis = services.postgres.pid() is None, services.redis.pid() is None
        if not (postgres or redis):
            return
        dead = " and ".join(name for name, is_dead in (("PostgreSQL", postgres), ("Redis", redis)) if is_dead)
        log_event(logger, "a server is not there; starting it", level=logging.WARNING, server=dead)
        services.start(lambda line: log_event(logger, line), postgres=postgres, redis=redis)
        log_event(logger, "the servers run again")

    def _end_frozen(self) -> None:
        """A server that stands still is killed, so that it can be started; it recovers as after a power cut."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_ask_s:
            return
        self._next_ask_s = now_s + min(ASK_S, self._frozen_s / 4.0)
        for name, server in (("PostgreSQL", self._services.postgres), ("Redis", self._services.redis)):
            if server.pid() is None or self._answers(name):
                self._silent_since_s.pop(name, None)
            elif now_s - self._silent_since_s.setdefault(name, now_s) >= self._frozen_s:
                log_event(logger, "a server stands still; ending it", level=logging.ERROR, server=name)
                server.kill()
                self._silent_since_s.pop(name)

    def _answers(self, name: str) -> bool:
        """Any answer, also a refusal, is a sign of life."""
        services = self._services
        try:
            if name == "Redis":
                services.redis.version()
            else:
                services.postgres.connect("postgres").close()
        except psycopg.OperationalError as error:
            return "timeout" not in str(error)
        except ServiceError:
            return False
        return True
