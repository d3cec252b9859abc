"""The desk's record, opened for writing: by the one process that trades, or for a person who orders a risk state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import ProgrammingError

from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.reader import DeskReader
from agents.adapters.services.exit_letter import ExitLetterFile
from agents.adapters.services.folder import StateFolder
from agents.adapters.services.kill_file import KillFile
from agents.adapters.services.spool_file import SpoolFile
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError
from agents.core.ports import RiskEvent
from agents.core.settings import Settings
from agents.core.types import RiskState
from agents.wiring.connections import Connections


@contextmanager
def desk_journal(connections: Connections) -> Iterator[PostgresJournal]:
    """The journal, held by this process alone; DeskBusyError where another one trades the desk."""
    journal = PostgresJournal(connections.trader)
    journal.hold_desk()
    try:
        yield journal
    finally:
        journal.release()


def kill_file_of(settings: Settings) -> KillFile:
    """The file that stops the desk of these settings; by default all desks of the state folder."""
    return KillFile(StateFolder(settings.state_dir).root / settings.risk.kill_file)


def exit_files(settings: Settings, database: str) -> tuple[ExitLetterFile, SpoolFile]:
    """Where a person's word waits that needs no database, and what was done about it: beside the kill file, for the
    desk of this database."""
    folder = kill_file_of(settings).path.parent / "exits"
    name = re.sub(r"[^A-Za-z0-9_]", "_", database)
    return ExitLetterFile(folder / f"{name}.json"), SpoolFile(folder / f"{name}.spool")


def order_risk_state(connections: Connections, state: RiskState, reason: str, *, flatten: bool = False) -> RiskState:
    """A person's halt, or resume, obeyed by a running desk within one poll; returns the state until then.

    ServiceError where the database holds no desk. Its schema may be an older one.
    """
    try:
        before = DeskReader(connections.trader).risk_state() or RiskState.ACTIVE
    except ProgrammingError:
        raise ServiceError(
            f"database {connections.trader.url.database!r} holds no desk yet; run: quorum trade"
        ) from None
    at = SystemClock().now()
    event = RiskEvent(at=at, before=before, after=state, reason=reason, actor="person", applied=False, flatten=flatten)
    PostgresJournal(connections.trader).record_risk_event(event)
    return before
