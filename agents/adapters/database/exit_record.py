"""What left while the database was away, put on record: a person's word, the orders and how they stand.

An exit is on record after the newest decision: the next one books its fills, from the account's list as always.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import psycopg
from sqlalchemy import Engine

from agents.adapters.database.bounded import BoundedConnection
from agents.adapters.database.chain_writes import outcome_links, read_on_record
from agents.adapters.database.engine import told_plainly
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.journal_writes import insert_rows, write_outcomes
from agents.adapters.database.locked_session import Driver
from agents.core.clock import require_utc
from agents.core.errors import DataError, ServiceError
from agents.core.exits import Exit, ExitBook, ExitWord
from agents.core.orders import Order, OrderOutcome, OrderState
from agents.core.types import FLATTENING

PATIENCE_S = 3.0
"""The database is away for a person's word where it is silent for so long."""
NEVER_LEFT = "the daemon ended before it was sent"
NOT_KNOWN = "sent while the database was away; the answer is not known"
_HALT = """
INSERT INTO risk_events (time, from_state, to_state, reason, actor)
SELECT %(at)s, coalesce((SELECT risk_state FROM v_health), 'active'), %(state)s, %(reason)s, 'person'
WHERE NOT EXISTS (SELECT FROM risk_events WHERE actor = 'person' AND time = %(at)s)
"""
_TOLD = """
INSERT INTO risk_events (time, from_state, to_state, reason, actor, applied_at)
SELECT %(at)s, now.state, now.state, %(reason)s, 'desk', clock_timestamp()
FROM (SELECT coalesce((SELECT risk_state FROM v_health), 'active') AS state) now
WHERE NOT EXISTS (SELECT FROM risk_events WHERE actor = 'desk' AND time = %(at)s)
"""
_EXIT = """
INSERT INTO orders (client_order_id, decision_time, symbol, side, quantity, kind, state, reason)
VALUES (%s, %s, %s, %s, %s, 'exit', 'intent', %s) ON CONFLICT (client_order_id) DO NOTHING
"""


class PostgresExits:
    """Of one desk, whose `journal` writes; `engine` opens sessions beside it."""

    def __init__(self, journal: PostgresJournal, engine: Engine) -> None:
        self._journal = journal
        self._engine = engine

    def order_halt(self, word: ExitWord) -> bool:
        fresh = self._engine.pool.recreate()  # no session of before: it may stand still
        try:
            with told_plainly(self._engine):
                session = fresh.connect()
                try:
                    driver = cast("BoundedConnection", session.driver_connection)
                    driver.patience_s = PATIENCE_S
                    _order_halt(driver, word)
                    driver.commit()
                finally:
                    session.invalidate()
        except (ServiceError, DataError, psycopg.Error):
            return False
        finally:
            fresh.dispose()
        return True

    def take_in(self, book: ExitBook, at: datetime) -> list[Order]:
        with self._journal.writer.transaction() as connection:
            row = connection.execute("SELECT coalesce(max(time), '1970-01-01Z') FROM decisions").fetchone()
            decided_at = require_utc(cast("tuple[Any, ...]", row)[0], "decided_at")
            for word in book.words:
                _order_halt(connection, word)
            orders = [replace(exit_.order, decision_time=decided_at) for exit_ in book.exits]
            for order, exit_ in zip(orders, book.exits, strict=True):
                values = (order.client_order_id, decided_at, order.symbol, order.side, order.quantity, exit_.reason)
                connection.execute(_EXIT, values)
            outcomes = [_outcome_of(exit_) for exit_ in book.exits]
            on_record = read_on_record(connection, outcomes)
            write_outcomes(connection, outcomes, at)
            insert_rows(connection, outcome_links(at, outcomes, on_record), large=False)
            if book.exits:
                connection.execute(_TOLD, {"at": book.begun_at, "reason": _words_of(book)})
        return orders


def _order_halt(connection: Driver, word: ExitWord) -> None:
    connection.execute(_HALT, {"at": word.at, "state": FLATTENING, "reason": word.reason})


def _outcome_of(exit_: Exit) -> OrderOutcome:
    state: OrderState = exit_.state
    reason = exit_.reason
    if state == "intent":
        state, reason = "not_placed", NEVER_LEFT
    elif state == "sending":
        state, reason = "unknown", NOT_KNOWN
    return OrderOutcome(client_order_id=exit_.order.client_order_id, state=state, reason=reason)


def _words_of(book: ExitBook) -> str:
    exits = (f"{e.order.side} {e.order.quantity:f} {e.order.symbol} {e.state}" for e in book.exits)
    return "while the database was away: " + ", ".join(exits)
