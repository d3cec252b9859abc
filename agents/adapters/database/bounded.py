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

from agents.core.clock import SystemClock
from agents.core.log import log_event

logger = logging.getLogger(__name__)
CLOCK = SystemClock()
SLOW_S = 5.0
PATIENCE_S = 65.0
"""The server ends a statement after 60 s by itself; whoever is silent for longer is not well."""
INTERVAL_S = 0.1
"""So often a call that waits looks at the clock and for signals."""
Answer = TypeVar("Answer")


class NoAnswer(psycopg.OperationalError):
    """The server was silent for too long; what it was asked for may have happened."""


class BoundedConnection(psycopg.Connection[Any]):
    """A session whose calls raise NoAnswer, and close it, once the server is silent for `patience_s`."""

    patience_s = PATIENCE_S

    def wait(self, gen: PQGen[Answer], interval: float = INTERVAL_S, timeout: float | None = None) -> Answer:
        """psycopg's way of waiting for the server, for every call; here with the silence counted."""
        try:
            return super().wait(self._while_it_answers(gen), interval, timeout)
        except NoAnswer:
            self.close()  # the answer may still come, and would be taken for the next call's
            raise

    def _while_it_answers(self, gen: PQGen[Answer]) -> Generator[Any, Any, Answer]:
        """`gen`, until nothing is heard for `patience_s`; every byte starts the count anew."""
        heard_s, told = CLOCK.monotonic_s(), False
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                now_s = CLOCK.monotonic_s()
                if ready:
                    heard_s = now_s
                elif now_s - heard_s >= self.patience_s:
                    raise NoAnswer(f"no answer within {self.patience_s:g} s (session {self.pgconn.backend_pid})")
                elif now_s - heard_s >= SLOW_S and not told:
                    told = True
                    self._tell()
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: Answer = end.value
            return answer

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
