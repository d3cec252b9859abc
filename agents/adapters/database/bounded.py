"""A session that never waits for ever: its calls end after a stated silence of the server, over any kind of socket.

A stopped backend cannot time itself out, the kernel acknowledges for it, and UNIX sockets know no keepalive; so the
client counts the silence. It is told once after SLOW_S; a session that is silent for its whole patience is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout

from agents.core.clock import SystemClock
from agents.core.log import log_event

logger = logging.getLogger(__name__)
CLOCK = SystemClock()
SLOW_S = 5.0
PATIENCE_S = 65.0
"""The server ends a statement after 60 s by itself; whoever is silent for longer is not well."""
PROBE_TIMEOUT_S = 2
INTERVAL_S = 0.1
"""So often a call that waits looks at the clock and for signals."""
Answer = TypeVar("Answer")


class NoAnswer(psycopg.OperationalError):
    """The server was silent for too long; what it was asked for may have happened."""


class BoundedConnection(psycopg.Connection[Any]):
    """A session whose calls raise NoAnswer, and close it, once the server is silent for `patience_s`; or already after
    `asks_after_s` (None: never) where a new session hears nothing either: then it is not this answer that is slow."""

    patience_s = PATIENCE_S
    asks_after_s: float | None = None

    def wait(self, gen: PQGen[Answer], interval: float = INTERVAL_S, timeout: float | None = None) -> Answer:
        """psycopg's way of waiting for the server, for every call; here with the silence counted."""
        try:
            return super().wait(self._while_it_answers(gen), interval, timeout)
        except NoAnswer:
            self.close()  # the answer may still come, and would be taken for the next call's
            raise

    def _while_it_answers(self, gen: PQGen[Answer]) -> Generator[Any, Any, Answer]:
        """`gen`, until nothing is heard for `patience_s`; every byte starts the count anew."""
        heard_s, told, asks_after_s = CLOCK.monotonic_s(), False, self.asks_after_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                silent_s = CLOCK.monotonic_s() - heard_s
                if ready:
                    heard_s = CLOCK.monotonic_s()
                elif silent_s >= self.patience_s:
                    raise NoAnswer(f"no answer within {self.patience_s:g} s (session {self.pgconn.backend_pid})")
                elif asks_after_s is not None and silent_s >= asks_after_s:
                    self._require_a_living_server(asks_after_s)
                    asks_after_s = None
                elif silent_s >= SLOW_S and not told:
                    told = True
                    self._tell()
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: Answer = end.value
            return answer

    def _require_a_living_server(self, waited_s: float) -> None:
        """NoAnswer where a new session hears nothing either."""
        try:
            psycopg.connect(self.info.dsn, password=self.info.password, connect_timeout=PROBE_TIMEOUT_S).close()
        except ConnectionTimeout:
            said = f"no answer within {waited_s:g} s, to a new session neither; see: quorum services status"
            raise NoAnswer(said) from None
        except psycopg.Error:
            return  # it answers

    def _tell(self) -> None:
        log_event(
            logger,
            "the database does not answer; waiting",
            level=logging.WARNING,
            database=self.info.dbname,
            session=self.pgconn.backend_pid,
            waited_s=SLOW_S,
            patience_s=self.patience_s,
        )
