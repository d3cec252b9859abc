"""The journal in PostgreSQL: a cycle is one transaction; natural keys make repeating it harmless."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime

import numpy as np
from sqlalchemy import Engine, Table, text
from sqlalchemy.dialects import postgresql

from agents.adapters.database.engine import driver_connection, transaction
from agents.adapters.database.journal_rows import TableRows, decision_rows, ledger_rows, series_rows
from agents.adapters.database.tables import metadata
from agents.adapters.database.writer import DeskWriter, Driver
from agents.core.clock import require_utc
from agents.core.errors import JournalError
from agents.core.ports import Resumption
from agents.core.types import (
    FINAL_ORDER_STATES,
    CycleRecord,
    Floats,
    Order,
    OrderOutcome,
    Position,
    RiskState,
    as_datetime,
)

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's is untyped
PIPELINE_ROWS = 2000
"""Up to this many rows a cycle is sent as one pipeline of INSERTs, above it by COPY."""
JOURNAL_TABLES = (
    "signals",
    "decision_details",
    "equity",
    "shadow_returns",
    "bar_contributions",
    "agent_work_log",
    "trade_attribution",
    "trades",
    "fills",
    "orders",
    "corporate_actions",
    "positions",
    "desk_state",
    "decisions",
    "risk_events",
    "paper_orders",
)
META_TABLES = (
    "weight_history",
    "agent_days",
    "agent_performance",
    "project_reports",
    "outbox",
    "improvement_suggestions",
    "alarms",
    "job_runs",
    "system_metrics",
    "strategy_variants",
    "ml_models",
)


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

    def release(self) -> None:
        """Let another process trade this desk."""
        self.writer.release()

    def last(self) -> Resumption | None:
        with transaction(self._engine) as connection:
            row = connection.execute(text("SELECT time, state FROM desk_state")).first()
            if row is None:
                return None
            positions = {
                p.symbol: Position(quantity=p.quantity, cost=p.cost, carried=p.carried, opened_at=p.opened_at)
                for p in connection.execute(text("SELECT * FROM positions"))
            }
        return Resumption(time=require_utc(row.time, "time"), state=bytes(row.state), positions=positions)

    def record(self, cycle: CycleRecord) -> None:
        first, last = as_datetime(cycle.time[0]), as_datetime(cycle.time[-1])
        before, after = decision_rows(cycle), [*ledger_rows(cycle), *series_rows(cycle)]
        large = sum(len(part.rows) for part in (*before, *after)) > PIPELINE_ROWS
        with self.writer.transaction() as connection:
            row = connection.execute("SELECT max(time) FROM decisions").fetchone()
            newest = row[0] if row else None
            if newest is not None and newest >= first:
                if newest == last:
                    _require_same(connection, cycle.state, newest)
                    return  # recorded before: the answer to that COMMIT was lost
                raise JournalError(f"decisions up to {newest} are recorded; {first} to {last} does not follow")
            with nullcontext() if large else connection.pipeline():
                for part in before:
                    _insert(connection, part, large=large)
                _record_outcomes(connection, cycle.outcomes, last)
                connection.execute("DELETE FROM positions")
                for part in after:
                    _insert(connection, part, large=large)
                connection.execute(
                    "INSERT INTO desk_state (id, time, state) VALUES (1, %s, %s)"
                    " ON CONFLICT (id) DO UPDATE SET time = excluded.time, state = excluded.state",
                    (last, cycle.state),
                )

    def record_outcomes(self, at: datetime, outcomes: Iterable[OrderOutcome]) -> None:
        with self.writer.transaction(durable=False) as connection:
            _record_outcomes(connection, outcomes, at)

    def forecasts(self, agents: Sequence[str], symbols: Sequence[str], *, until: datetime, count: int) -> Floats:
        query = (
            "SELECT time, agent_name, symbol, strength * confidence FROM signals WHERE time <= %s AND NOT abstained"
            " AND time >= (SELECT min(time) FROM (SELECT time FROM decisions WHERE time <= %s ORDER BY time DESC LIMIT %s) d)"
        )
        with transaction(self._engine) as connection:
            times = (
                connection.execute(
                    text("SELECT time FROM decisions WHERE time <= :until ORDER BY time DESC LIMIT :count"),
                    {"until": until, "count": count},
                )
                .scalars()
                .all()
            )
            with driver_connection(connection).cursor(binary=True) as cursor:
                rows = cursor.execute(query, (until, until, count)).fetchall()
        place = {time: t for t, time in enumerate(reversed(times))}
        result = np.full((len(times), len(agents), len(symbols)), np.nan)
        agent_at = {name: a for a, name in enumerate(agents)}
        symbol_at = {name: s for s, name in enumerate(symbols)}
        for time, agent, symbol, value in rows:
            if agent in agent_at and symbol in symbol_at:
                result[place[time], agent_at[agent], symbol_at[symbol]] = value
        return result

    def open_orders(self) -> list[tuple[Order, str]]:
        with transaction(self._engine) as connection:
            rows = connection.execute(
                text("SELECT * FROM orders WHERE state <> ALL(:final) ORDER BY decision_time, symbol"),
                {"final": list(FINAL_ORDER_STATES)},
            ).all()
        return [
            (
                Order(
                    client_order_id=row.client_order_id,
                    decision_time=row.decision_time,
                    symbol=row.symbol,
                    side=row.side,
                    quantity=row.quantity,
                ),
                str(row.state),
            )
            for row in rows
        ]

    def record_risk_event(
        self, at: datetime, *, before: RiskState, after: RiskState, reason: str, actor: str, applied: bool
    ) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                text(
                    "INSERT INTO risk_events (time, from_state, to_state, reason, actor, applied_at)"
                    " VALUES (:at, :before, :after, :reason, :actor, CASE WHEN :applied THEN now() END)"
                ),
                {
                    "at": at,
                    "before": str(before),
                    "after": str(after),
                    "reason": reason,
                    "actor": actor,
                    "applied": applied,
                },
            )

    def pending_command(self) -> RiskState | None:
        query = "SELECT to_state FROM risk_events WHERE applied_at IS NULL ORDER BY id DESC LIMIT 1"
        with self.writer.session() as connection:
            row = connection.execute(query).fetchone()
        return RiskState.of(row[0]) if row else None

    def mark_commands_obeyed(self, at: datetime) -> None:
        with transaction(self._engine) as connection:
            connection.execute(text("UPDATE risk_events SET applied_at = :at WHERE applied_at IS NULL"), {"at": at})

    def wipe(self) -> None:
        """Forget every decision of this desk and all that was learnt from them (the bars stay); for a demo or replay
        database only, as its owner."""
        with transaction(self._engine) as connection:
            connection.execute(text(f"TRUNCATE {', '.join((*JOURNAL_TABLES, *META_TABLES))} RESTART IDENTITY"))


def _require_same(connection: Driver, state: bytes, newest: datetime) -> None:
    """A decision that is on record is the one to go on from; who decided differently the second time has to take it up again."""
    row = connection.execute("SELECT state FROM desk_state").fetchone()
    if row is None or bytes(row[0]) != state:
        raise JournalError(
            f"the decision at {newest} is on record with other numbers; start again to take the desk up from there"
        )


def _insert(connection: Driver, part: TableRows, *, large: bool) -> None:
    """By COPY where there is much, else one INSERT, which fits into a pipeline with the others."""
    if not part.rows:
        return
    names = ", ".join(f'"{column}"' for column in part.columns)
    if large:
        with connection.cursor() as cursor, cursor.copy(f"COPY {part.table} ({names}) FROM STDIN") as copy:
            for row in part.rows:
                copy.write_row(row)
        return
    table = metadata.tables[part.table]
    arrays = ", ".join(f"%s::{_array_type(table, column)}[]" for column in part.columns)
    values = [list(column) for column in zip(*part.rows, strict=True)]
    connection.execute(f"INSERT INTO {part.table} ({names}) SELECT * FROM unnest({arrays})", values)  # noqa: S608 - our own names


def _array_type(table: Table, column: str) -> str:
    return str(table.c[column].type.compile(DIALECT))


def _record_outcomes(connection: Driver, outcomes: Iterable[OrderOutcome], at: datetime) -> None:
    outcomes = list(outcomes)
    if not outcomes:
        return
    fills = [fill for outcome in outcomes for fill in outcome.fills]
    if fills:
        connection.execute(
            "INSERT INTO fills (fill_id, client_order_id, time, symbol, side, quantity, price, fee, spread_cost, impact_cost)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::numeric[],"
            " %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[]) ON CONFLICT (fill_id) DO NOTHING",
            [
                [getattr(fill, name) for fill in fills]
                for name in (
                    "fill_id",
                    "client_order_id",
                    "time",
                    "symbol",
                    "side",
                    "quantity",
                    "price",
                    "fee",
                    "spread_cost",
                    "impact_cost",
                )
            ],
        )
    # Of several answers about one order in this batch the last counts; final states never change again.
    newest = {outcome.client_order_id: outcome for outcome in outcomes}
    connection.execute(
        "UPDATE orders SET state = n.state, reason = n.reason, updated_at = %s"
        " FROM unnest(%s::text[], %s::text[], %s::text[]) AS n(id, state, reason)"
        " WHERE client_order_id = n.id AND orders.state <> ALL(%s)",
        (
            at,
            list(newest),
            [o.state for o in newest.values()],
            [o.reason for o in newest.values()],
            list(FINAL_ORDER_STATES),
        ),
    )
