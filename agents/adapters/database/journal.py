"""The journal in PostgreSQL: a cycle is one transaction; natural keys make repeating it harmless."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Engine, text

from agents.adapters.database.cash_flows import mark_taken, read_since, read_waiting
from agents.adapters.database.chain_store import seal_unchained
from agents.adapters.database.chain_writes import cycle_links, outcome_links, read_on_record
from agents.adapters.database.commands import ask_pending, mark_obeyed, pending_in, read_obeyed_since, read_pending
from agents.adapters.database.engine import driver_connection, transaction
from agents.adapters.database.journal_rows import decision_rows, ledger_rows, series_rows
from agents.adapters.database.journal_writes import insert_rows, must_be_durable, write_outcomes, write_state
from agents.adapters.database.locked_session import Driver
from agents.adapters.database.writer import DeskWriter
from agents.core.cash_flows import CashFlow, TakenFlow
from agents.core.clock import require_utc
from agents.core.errors import JournalError
from agents.core.killpoint import killpoint
from agents.core.log import log_event
from agents.core.ports import Command, Resumption, RiskEvent
from agents.core.types import (
    FINAL_ORDER_STATES,
    FLATTENING,
    CycleRecord,
    Floats,
    Order,
    OrderOutcome,
    OrderState,
    Position,
    WarmUp,
    as_datetime,
)

logger = logging.getLogger(__name__)
BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
"""After this stands what was obeyed by a desk's first decision."""
PIPELINE_ROWS = 2000
"""Up to this many rows a cycle is sent as one pipeline of INSERTs, above it by COPY."""
_NEWEST_DECISIONS = "SELECT time FROM decisions WHERE time <= :until ORDER BY time DESC LIMIT :count"
_FORECASTS = """
SELECT time, agent_name, symbol, strength * confidence FROM signals
WHERE time <= %s AND NOT abstained AND time >= (
    SELECT min(time) FROM (SELECT time FROM decisions WHERE time <= %s ORDER BY time DESC LIMIT %s) d)
"""
_OPEN_ORDERS = """
SELECT client_order_id, decision_time, symbol, side, quantity, coalesce(kind, 'market') AS kind, limit_price, state
FROM orders WHERE state <> ALL(:final) ORDER BY decision_time, symbol, kind
"""
_RISK_EVENT = """
INSERT INTO risk_events (time, from_state, to_state, reason, actor, applied_at)
VALUES (:at, :before, :after, :reason, :actor, CASE WHEN :applied THEN now() END)
"""

_LAST = """
SELECT s.time, s.state, coalesce(d.data_version, 0) AS data_version
FROM desk_state s LEFT JOIN decisions d ON d.time = s.time
"""


class PostgresJournal:
    """The journal of one desk. `hold_desk` must have succeeded before anything is recorded.

    `writer` is the session that holds the desk; whatever else is part of trading writes on it too.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.writer = DeskWriter(engine)

    def hold_desk(self) -> None:
        """Become the only trader of this database until `release`; DeskBusyError where another process is."""
        self.writer.hold()
        with self.writer.transaction() as connection:
            sealed = seal_unchained(connection)
        if sealed:
            log_event(logger, "decisions that had no link in the chain are sealed as they are", decisions=sealed)

    def release(self) -> None:
        """Let another process trade this desk."""
        self.writer.release()

    def last(self) -> Resumption | None:
        with transaction(self._engine) as connection:
            row = connection.execute(text(_LAST)).first()
            if row is None:
                return None
            positions = {
                p.symbol: Position(quantity=p.quantity, cost=p.cost, carried=p.carried, opened_at=p.opened_at)
                for p in connection.execute(text("SELECT symbol, quantity, cost, carried, opened_at FROM positions"))
            }
        time = require_utc(row.time, "time")
        return Resumption(time=time, state=bytes(row.state), positions=positions, data_version=row.data_version)

    def record(self, cycle: CycleRecord, obeyed: Sequence[Command] | None = None) -> bool:
        first, last = as_datetime(cycle.time[0]), as_datetime(cycle.time[-1])
        before, after = decision_rows(cycle), [*ledger_rows(cycle), *series_rows(cycle)]
        large = sum(len(part.rows) for part in (*before, *after)) > PIPELINE_ROWS
        with self.writer.transaction(pipelined=not large) as connection:
            waiting = None if obeyed is None else ask_pending(connection)
            on_record = read_on_record(connection, cycle.outcomes)
            newest = on_record.newest
            if newest is not None and newest >= first:
                if newest == last:
                    _require_same(connection, cycle.state, newest)
                    return True  # recorded before: the answer to that COMMIT was lost
                raise JournalError(f"decisions up to {newest} are recorded; {first} to {last} does not follow")
            if waiting is not None and pending_in(waiting) != list(obeyed or ()):
                return False
            if obeyed:
                mark_obeyed(connection, obeyed, newest or BEFORE_ALL)
            for part in before:
                insert_rows(connection, part, large=large)
            write_outcomes(connection, cycle.outcomes, last)
            killpoint("fill.before_attribution")
            connection.execute("DELETE FROM positions")  # the rows after this hold all that are open
            for part in after:
                insert_rows(connection, part, large=large)
            write_state(connection, last, cycle.state, cycle.warm_up)
            # The links are made while the server is busy with the rows.
            insert_rows(connection, cycle_links(cycle, (*before, *after), on_record), large=large)
        return True

    def record_outcomes(self, at: datetime, outcomes: Iterable[OrderOutcome]) -> None:
        outcomes = list(outcomes)
        with self.writer.transaction(durable=must_be_durable(outcomes), pipelined=True) as connection:
            linked = any(outcome.fills or outcome.state in FINAL_ORDER_STATES for outcome in outcomes)
            on_record = read_on_record(connection, outcomes) if linked else None
            write_outcomes(connection, outcomes, at)
            if on_record is not None:
                insert_rows(connection, outcome_links(at, outcomes, on_record), large=False)

    def forecasts(self, agents: Sequence[str], symbols: Sequence[str], *, until: datetime, count: int) -> Floats:
        with transaction(self._engine) as connection:
            newest_first = connection.execute(text(_NEWEST_DECISIONS), {"until": until, "count": count})
            times = newest_first.scalars().all()
            with driver_connection(connection).cursor(binary=True) as cursor:
                rows = cursor.execute(_FORECASTS, (until, until, count)).fetchall()
        place = {time: t for t, time in enumerate(reversed(times))}
        result = np.full((len(times), len(agents), len(symbols)), np.nan)
        agent_at = {name: a for a, name in enumerate(agents)}
        symbol_at = {name: s for s, name in enumerate(symbols)}
        for time, agent, symbol, value in rows:
            if agent in agent_at and symbol in symbol_at:
                result[place[time], agent_at[agent], symbol_at[symbol]] = value
        missing = count - len(result)
        kept = self.warm_up() if missing > 0 else None
        return result if kept is None else np.concatenate([kept.on(agents, symbols)[-missing:], result])

    def warm_up(self) -> WarmUp | None:
        """Opinions from before the first decision; None for a desk that began before they were kept."""
        with transaction(self._engine) as connection:
            packed = connection.execute(text("SELECT warm_up FROM desk_state")).scalar()
        return None if packed is None else WarmUp.unpack(bytes(packed))

    def open_orders(self) -> list[tuple[Order, OrderState]]:
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_OPEN_ORDERS), {"final": list(FINAL_ORDER_STATES)}).all()
        return [
            (
                Order(
                    client_order_id=row.client_order_id,
                    decision_time=row.decision_time,
                    symbol=row.symbol,
                    side=row.side,
                    quantity=row.quantity,
                    kind=row.kind,
                    limit_price=row.limit_price,
                ),
                row.state,
            )
            for row in rows
        ]

    def record_risk_event(self, event: RiskEvent) -> None:
        values = {
            "at": event.at,
            "before": str(event.before),
            "after": FLATTENING if event.flatten else str(event.after),
            "reason": event.reason,
            "actor": event.actor,
            "applied": event.applied,
        }
        with transaction(self._engine) as connection:
            connection.execute(text(_RISK_EVENT), values)

    def pending_commands(self) -> list[Command]:
        with self.writer.session() as connection:
            return read_pending(connection)

    def obey(self, commands: Sequence[Command], *, after: datetime) -> None:
        with self.writer.transaction() as connection:
            mark_obeyed(connection, commands, after)

    def obeyed_since(self, decision: datetime) -> list[Command]:
        with self.writer.session() as connection:
            return read_obeyed_since(connection, decision)

    def waiting_flows(self, decision: datetime) -> list[CashFlow]:
        with self.writer.session() as connection:
            return read_waiting(connection, decision)

    def take_flows(self, taken: Sequence[TakenFlow], *, after: datetime, at: datetime) -> None:
        with self.writer.transaction() as connection:
            mark_taken(connection, taken, after, at)

    def flows_since(self, decision: datetime) -> list[CashFlow]:
        with self.writer.session() as connection:
            return read_since(connection, decision)


def _require_same(connection: Driver, state: bytes, newest: datetime) -> None:
    """JournalError where the decision on record is another one: then the desk has to be taken up from there again."""
    row = connection.execute("SELECT state FROM desk_state").fetchone()
    if row is None or bytes(row[0]) != state:
        raise JournalError(
            f"the decision at {newest} is on record with other numbers; start again to take the desk up from there"
        )
