"""A person's commands in the table risk_events: waiting until they are obeyed, each by its number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Cursor

from agents.adapters.database.locked_session import Driver
from agents.core.ports import Command
from agents.core.types import FLATTENING, state_of_order

_PENDING = "SELECT id, to_state FROM risk_events WHERE actor = 'person' AND applied_at IS NULL ORDER BY id"
_OBEYED_SINCE = "SELECT id, to_state FROM risk_events WHERE actor = 'person' AND obeyed_after = %s ORDER BY id"
_OBEY = "UPDATE risk_events SET applied_at = now(), obeyed_after = %s WHERE id = ANY(%s) AND applied_at IS NULL"


def command_of(number: int, words: str) -> Command:
    """A row of the table."""
    return Command(number, state_of_order(words), flatten=words == FLATTENING)


def read_pending(connection: Driver) -> list[Command]:
    """Those that nobody obeyed yet, oldest first."""
    return pending_in(ask_pending(connection))


def ask_pending(connection: Driver) -> Cursor[Any]:
    """The question alone: in a pipeline its answer comes with those of the next ones, in one trip."""
    return connection.execute(_PENDING)


def pending_in(answer: Cursor[Any]) -> list[Command]:
    """The answer to `ask_pending`."""
    return [command_of(*row) for row in answer.fetchall()]


def read_obeyed_since(connection: Driver, decision: datetime) -> list[Command]:
    """Those that were obeyed between the decision at this time and the next one, oldest first."""
    return [command_of(*row) for row in connection.execute(_OBEYED_SINCE, (decision,)).fetchall()]


def mark_obeyed(connection: Driver, commands: Sequence[Command], after: datetime) -> None:
    """These and no others, after the decision at `after`. Part of the caller's transaction."""
    connection.execute(_OBEY, (after, [command.id for command in commands]))
