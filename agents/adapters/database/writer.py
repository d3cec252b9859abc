"""The one session of a desk that may write: it holds the desk's lock, and what is decided is written on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Engine

from agents.adapters.database.engine import AWAY, told_plainly, transaction
from agents.adapters.database.locked_session import Driver, LockedSession
from agents.core.errors import DeskBusyError, JournalError

DESK_LOCK = 7710004


class DeskWriter:
    """The session that holds the desk's lock and does all the writing.

    When the session is lost, so is the right to write; both are taken up again together or not at all.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._held = False
        self._locked = LockedSession(engine, DESK_LOCK)

    def hold(self) -> None:
        """Become the only trader of this database until `release`; DeskBusyError where another process is."""
        with transaction(self.engine):
            pass  # an unreachable server is one clear error
        self._connection()
        self._held = True

    def release(self) -> None:
        """Let another process trade this desk."""
        self._held = False
        self._locked.drop()

    @contextmanager
    def transaction(self, *, durable: bool = True, pipelined: bool = False) -> Iterator[Driver]:
        """One transaction on the session; JournalError where the desk is not held, ServiceError where it breaks.

        Not `durable`: the server may lose it when it crashes in the next moments (never out of order). That is enough
        where a lost write is only asked about again: a broker's answer about an order whose intent is durable.
        `pipelined`: nothing is waited for but answers that are fetched, and the COMMIT; a COPY has no place in it.
        """
        if not self._held:
            raise JournalError("this process does not hold the desk")
        begun = _pipelined if pipelined else Driver.transaction
        with self.session() as connection, begun(connection):
            if not durable:
                connection.execute("SET LOCAL synchronous_commit = off")
            yield connection

    @contextmanager
    def session(self) -> Iterator[Driver]:
        """The session outside any transaction, for a read; ServiceError where it breaks, and then it is given up."""
        with told_plainly(self.engine):
            try:
                yield self._connection()
            except AWAY:
                self._locked.drop()
                raise

    def _connection(self) -> Driver:
        """The session's connection, made anew where it was lost; DeskBusyError where another process took the desk."""
        if not self._locked.take():
            raise DeskBusyError(
                "another quorum process trades this desk already; stop it first or use another database"
            )
        return self._locked.driver


@contextmanager
def _pipelined(connection: Driver) -> Iterator[None]:
    """A transaction whose statements, BEGIN and COMMIT among them, are sent without waiting for each other.

    After a statement that fails the server passes over all that follow, COMMIT too, so the transaction is ended here.
    """
    failed: BaseException | None = None
    try:
        with connection.pipeline():
            try:
                connection.execute("BEGIN")
                yield
                connection.execute("COMMIT")
            except BaseException as error:  # raised below: what ends a broken pipeline would only say that it is broken
                failed = error
    except psycopg.Error as error:
        failed = failed or error
    if failed is not None:
        if not connection.closed:
            connection.rollback()
        raise failed
