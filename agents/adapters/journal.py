"""The journal in PostgreSQL: a cycle is one transaction; natural keys make repeating it harmless."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from agents.adapters.database import copy_rows, driver_connection, transaction, weights_json
from agents.core.clock import require_utc
from agents.core.errors import DeskBusyError, JournalError, ServiceError
from agents.core.ports import Resumption
from agents.core.types import (
    CLAMPS,
    NO_TRADES,
    REMAINDER,
    RISK_STATES,
    CycleRecord,
    Floats,
    Order,
    OrderOutcome,
    Position,
    RiskState,
)

DESK_LOCK = 7710004
FINAL_STATES = ("partial", "filled", "expired", "rejected", "not_placed")
JOURNAL_TABLES = (
    "signals", "decision_details", "equity", "shadow_returns", "bar_contributions", "agent_work_log",
    "trade_attribution", "trades", "fills", "orders", "corporate_actions", "positions", "desk_state", "decisions",
    "risk_events", "paper_orders",
)  # fmt: skip


class PostgresJournal:
    """The journal of one desk. `hold_desk` must have succeeded before anything is recorded."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock: Connection | None = None

    def hold_desk(self) -> None:
        """Become the only trader of this database until `release`; DeskBusyError where another process is."""
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not connection.execute(text(f"SELECT pg_try_advisory_lock({DESK_LOCK})")).scalar():
            connection.close()
            raise DeskBusyError(
                "another quorum process trades this desk already; stop it first or use another database"
            )
        self._lock = connection

    def release(self) -> None:
        """Let another process trade this desk."""
        if self._lock is not None:
            self._lock.invalidate()
            self._lock.close()
            self._lock = None

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
        first, last = _moment(cycle.time[0]), _moment(cycle.time[-1])
        with transaction(self._engine) as connection:
            self._require_lock()
            newest = connection.execute(text("SELECT max(time) FROM decisions")).scalar()
            if newest is not None and newest >= first:
                if newest == last:
                    return  # recorded before: the answer to that COMMIT was lost
                raise JournalError(
                    f"decisions up to {newest} are recorded; a cycle of {first} to {last} does not follow"
                )
            _insert_decisions(connection, cycle)
            _insert_orders(connection, cycle)
            _record_outcomes(connection, cycle.outcomes, last)
            _insert_ledger(connection, cycle)
            _insert_series(connection, cycle)
            _insert_state(connection, cycle, last)

    def record_outcomes(self, at: datetime, outcomes: Iterable[OrderOutcome]) -> None:
        with transaction(self._engine) as connection:
            self._require_lock()
            _record_outcomes(connection, outcomes, at)

    def forecasts(self, agents: Sequence[str], symbols: Sequence[str], *, until: datetime, count: int) -> Floats:
        query = (
            "SELECT time, agent_name, symbol, strength * confidence FROM signals WHERE time <= %s AND NOT abstained"
            " AND time >= (SELECT min(time) FROM (SELECT time FROM decisions WHERE time <= %s ORDER BY time DESC LIMIT %s) d)"
        )
        with transaction(self._engine) as connection:
            times = connection.execute(
                text("SELECT time FROM decisions WHERE time <= :until ORDER BY time DESC LIMIT :count"),
                {"until": until, "count": count},
            ).scalars().all()  # fmt: skip
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
                {"final": list(FINAL_STATES)},
            ).all()
        return [
            (
                Order(
                    client_order_id=row.client_order_id, decision_time=row.decision_time, symbol=row.symbol,
                    side=row.side, quantity=row.quantity,
                ),
                str(row.state),
            )
            for row in rows
        ]  # fmt: skip

    def record_risk_event(
        self, at: datetime, *, before: RiskState, after: RiskState, reason: str, actor: str, applied: bool
    ) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                text("INSERT INTO risk_events (time, from_state, to_state, reason, actor, applied_at)"
                     " VALUES (:at, :before, :after, :reason, :actor, CASE WHEN :applied THEN now() END)"),
                {"at": at, "before": str(before), "after": str(after), "reason": reason, "actor": actor,
                 "applied": applied},
            )  # fmt: skip

    def pending_command(self) -> RiskState | None:
        with transaction(self._engine) as connection:
            wanted = connection.execute(
                text("SELECT to_state FROM risk_events WHERE applied_at IS NULL ORDER BY id DESC LIMIT 1")
            ).scalar()
        return RiskState(wanted) if wanted else None

    def mark_commands_obeyed(self, at: datetime) -> None:
        with transaction(self._engine) as connection:
            connection.execute(text("UPDATE risk_events SET applied_at = :at WHERE applied_at IS NULL"), {"at": at})

    def accept(self, orders: Sequence[Order]) -> None:
        """The paper venue keeps orders, in a transaction of its own."""
        if not orders:
            return
        with transaction(self._engine) as connection:
            connection.execute(
                text("INSERT INTO paper_orders (client_order_id, symbol, side, quantity) SELECT * FROM unnest("
                     "CAST(:ids AS text[]), CAST(:symbols AS text[]), CAST(:sides AS text[]), CAST(:quantities AS numeric[]))"
                     " ON CONFLICT DO NOTHING"),
                {"ids": [o.client_order_id for o in orders], "symbols": [o.symbol for o in orders],
                 "sides": [o.side for o in orders], "quantities": [o.quantity for o in orders]},
            )  # fmt: skip

    def has(self, client_order_id: str) -> bool:
        """Whether the paper venue knows an order."""
        with transaction(self._engine) as connection:
            found = connection.execute(
                text("SELECT 1 FROM paper_orders WHERE client_order_id = :id"), {"id": client_order_id}
            ).scalar()
        return found is not None

    def wipe(self) -> None:
        """Forget every decision of this desk (the bars stay); for a demo or replay database only, as its owner."""
        with transaction(self._engine) as connection:
            connection.execute(text(f"TRUNCATE {', '.join(JOURNAL_TABLES)}"))

    def _require_lock(self) -> None:
        if self._lock is None:
            raise JournalError("this process does not hold the desk")
        try:
            self._lock.execute(text("SELECT 1"))
        except Exception as error:
            self.release()
            raise ServiceError("the session that holds the desk was lost; nothing was recorded") from error


def _moment(time: np.datetime64) -> datetime:
    return datetime.fromisoformat(f"{time.astype('datetime64[us]')}+00:00")


def _moments(cycle: CycleRecord) -> list[datetime]:
    return [_moment(time) for time in cycle.time]


def _nullable(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _insert_decisions(connection: Connection, cycle: CycleRecord) -> None:
    ordered = np.count_nonzero(cycle.order_quantity, axis=1)
    rows = []
    for t, at in enumerate(_moments(cycle)):
        weights = cycle.weights[t]
        rows.append((
            at, weights.version, str(weights.level), weights_json(weights.weights),
            str(RISK_STATES[cycle.risk_state[t]]), float(cycle.equity[t, 0]), float(cycle.cash[t, 0]),
            int(ordered[t]), cycle.reason[t],
        ))  # fmt: skip
    columns = (
        "time",
        "weights_version",
        "weights_level",
        "weights",
        "risk_state",
        "equity",
        "cash",
        "orders",
        "reason",
    )
    copy_rows(connection, "decisions", columns, rows)


def _insert_orders(connection: Connection, cycle: CycleRecord) -> None:
    rows = [(o.client_order_id, o.decision_time, o.symbol, o.side, o.quantity, "intent", "") for o in cycle.orders]
    columns = ("client_order_id", "decision_time", "symbol", "side", "quantity", "state", "reason")
    copy_rows(connection, "orders", columns, rows)


def _record_outcomes(connection: Connection, outcomes: Iterable[OrderOutcome], at: datetime) -> None:
    outcomes = list(outcomes)
    if not outcomes:
        return
    fills = [fill for outcome in outcomes for fill in outcome.fills]
    if fills:
        connection.execute(
            text("INSERT INTO fills (fill_id, client_order_id, time, symbol, side, quantity, price, fee, spread_cost,"
                 " impact_cost) SELECT * FROM unnest(CAST(:fill_id AS text[]), CAST(:order_id AS text[]),"
                 " CAST(:time AS timestamptz[]), CAST(:symbol AS text[]), CAST(:side AS text[]),"
                 " CAST(:quantity AS numeric[]), CAST(:price AS numeric[]), CAST(:fee AS numeric[]),"
                 " CAST(:spread AS numeric[]), CAST(:impact AS numeric[])) ON CONFLICT (fill_id) DO NOTHING"),
            {"fill_id": [f.fill_id for f in fills], "order_id": [f.client_order_id for f in fills],
             "time": [f.time for f in fills], "symbol": [f.symbol for f in fills], "side": [f.side for f in fills],
             "quantity": [f.quantity for f in fills], "price": [f.price for f in fills], "fee": [f.fee for f in fills],
             "spread": [f.spread_cost for f in fills], "impact": [f.impact_cost for f in fills]},
        )  # fmt: skip
    # Of several answers about one order in this batch the last counts; final states never change again.
    newest = {outcome.client_order_id: outcome for outcome in outcomes}
    connection.execute(
        text("UPDATE orders SET state = n.state, reason = n.reason, updated_at = :at"
             " FROM unnest(CAST(:ids AS text[]), CAST(:states AS text[]), CAST(:reasons AS text[]))"
             " AS n(id, state, reason) WHERE client_order_id = n.id AND orders.state <> ALL(:final)"),
        {"at": at, "ids": list(newest), "states": [o.state for o in newest.values()],
         "reasons": [o.reason for o in newest.values()], "final": list(FINAL_STATES)},
    )  # fmt: skip


def _insert_ledger(connection: Connection, cycle: CycleRecord) -> None:
    actions = [(a.time, a.symbol, a.kind, a.ratio, a.quantity_change, a.cash) for a in cycle.actions]
    copy_rows(
        connection,
        "corporate_actions",
        ("time", "symbol", "kind", "ratio", "quantity_change", "cash"),
        actions,
    )
    copy_rows(
        connection, "trades",
        ("trade_id", "symbol", "opened_at", "closed_at", "side", "quantity", "entry_price", "exit_price", "fees", "pnl"),
        [(t.trade_id, t.symbol, t.opened_at, t.closed_at, t.side, t.quantity, t.entry_price, t.exit_price, t.fees, t.pnl)
         for t in cycle.trades],
    )  # fmt: skip
    copy_rows(
        connection, "trade_attribution", ("trade_id", "agent_name", "contribution"),
        [(c.trade_id, c.agent_name, c.contribution) for c in cycle.contributions],
    )  # fmt: skip
    connection.execute(text("DELETE FROM positions"))
    copy_rows(
        connection, "positions", ("symbol", "quantity", "cost", "carried", "opened_at"),
        [(s, p.quantity, p.cost, p.carried, p.opened_at) for s, p in cycle.positions.items()],
    )  # fmt: skip


def _insert_series(connection: Connection, cycle: CycleRecord) -> None:
    moments = _moments(cycle)
    copy_rows(
        connection, "signals",
        ("time", "agent_name", "symbol", "strength", "confidence", "abstained", "forecast", "reason"),
        _signal_rows(cycle, moments),
    )  # fmt: skip
    clamps = {bits: ", ".join(n for b, n in CLAMPS.items() if bits & b) for bits in set(cycle.clamps.ravel().tolist())}
    columns = [cycle.combined.tolist(), cycle.multiplier.tolist(), cycle.raw_weight.tolist(),
               cycle.target_weight.tolist(), cycle.clamps.tolist(), cycle.no_trade.tolist(),
               cycle.order_quantity.tolist(), cycle.position.tolist(), cycle.mark.tolist()]  # fmt: skip
    details = []
    for t, at in enumerate(moments):
        for s, symbol in enumerate(cycle.symbols):
            combined, multiplier, raw, target, bits, code, order, position, mark = (c[t][s] for c in columns)
            details.append((at, symbol, _nullable(combined), _nullable(multiplier), _nullable(raw), target,
                            clamps[bits], str(NO_TRADES[code]), order, position, _nullable(mark)))  # fmt: skip
    copy_rows(
        connection, "decision_details",
        ("time", "symbol", "combined", "multiplier", "raw_weight", "target_weight", "clamps", "no_trade",
         "order_quantity", "position", "mark"), details,
    )  # fmt: skip
    copy_rows(
        connection, "equity", ("time", "book", "equity", "cash", "turnover"),
        [(at, book, float(cycle.equity[t, b]), float(cycle.cash[t, b]), float(cycle.turnover[t, b]))
         for t, at in enumerate(moments) for b, book in enumerate(cycle.books)],
    )  # fmt: skip
    copy_rows(
        connection, "shadow_returns", ("time", "agent_name", "return", "hits", "calls"),
        [(at, name, float(cycle.shadow_return[t, a]), int(cycle.hits[t, a]), int(cycle.calls[t, a]))
         for t, at in enumerate(moments) for a, name in enumerate(cycle.agents)],
    )  # fmt: skip
    copy_rows(
        connection, "bar_contributions", ("time", "agent_name", "contribution"),
        [(at, name, float(cycle.contribution[t, k]))
         for t, at in enumerate(moments) for k, name in enumerate((*cycle.agents, REMAINDER))],
    )  # fmt: skip
    copy_rows(
        connection, "agent_work_log", ("time", "agent_name", "action", "duration_ms", "opinions", "ok", "detail"),
        [(e.time, e.agent_name, e.action, e.duration_ms, e.opinions, e.ok, e.detail) for e in cycle.work_log],
    )  # fmt: skip


def _signal_rows(cycle: CycleRecord, moments: list[datetime]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for a, name in enumerate(cycle.agents):
        signals = cycle.signals[a]
        strength, confidence = signals.strength.tolist(), signals.confidence.tolist()
        abstained, forecast = signals.abstained.tolist(), cycle.forecast[:, :, a].tolist()
        for t, at in enumerate(moments):
            for s, symbol in enumerate(cycle.symbols):
                silent = abstained[t][s]
                rows.append((at, name, symbol, strength[t][s], confidence[t][s], silent,
                             None if silent else forecast[t][s], cycle.reasons[a][t][s]))  # fmt: skip
    return rows


def _insert_state(connection: Connection, cycle: CycleRecord, last: datetime) -> None:
    connection.execute(
        text("INSERT INTO desk_state (id, time, state) VALUES (1, :time, :state)"
             " ON CONFLICT (id) DO UPDATE SET time = excluded.time, state = excluded.state"),
        {"time": last, "state": cycle.state},
    )  # fmt: skip
