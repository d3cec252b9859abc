"""What a desk has on record, as arrays: signals, weights, decisions, fills; for parity checks and for what-if replays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from agents.adapters.database.engine import driver_connection, row_dicts, transaction
from agents.core.meta_types import Recorded
from agents.core.types import Booleans, Signals

Row = dict[str, Any]
_COMMANDS = """
SELECT to_state, obeyed_at FROM (
    SELECT e.id, e.to_state, coalesce(
        (SELECT min(d.time) FROM decisions d WHERE d.time <= e.applied_at AND d.recorded_at >= e.applied_at
             AND d.recorded_at < e.applied_at + interval '1 hour'),
        (SELECT max(d.time) FROM decisions d WHERE d.time <= e.applied_at)) AS obeyed_at
    FROM risk_events e WHERE e.actor = 'person' AND e.applied_at IS NOT NULL) c
WHERE obeyed_at > :since AND obeyed_at <= :until ORDER BY id
"""
"""A person's command was obeyed by the first decision recorded after it was seen, of the bars that were closed then; on a simulated
clock, which `recorded_at` does not follow, by the last of those bars."""


class DeskHistory:
    """Reads what one desk recorded, and keeps its parity checks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def span(self) -> tuple[datetime, datetime, datetime, int] | None:
        """(first decision, last decision, when the first was recorded, how many); None for a desk without any."""
        with transaction(self._engine) as connection:
            row = connection.execute(
                text("SELECT min(time), max(time), (array_agg(recorded_at ORDER BY time))[1], count(*) FROM decisions")
            ).one()
        return None if not row[3] else (row[0], row[1], row[2], int(row[3]))

    def agents(self) -> tuple[str, ...]:
        """Every agent that has ever had a weight."""
        query = "SELECT DISTINCT jsonb_object_keys(weights) FROM decisions"
        with transaction(self._engine) as connection:
            return tuple(connection.execute(text(query)).scalars())

    def symbols(self) -> tuple[str, ...]:
        """Every symbol that was ever decided on."""
        with transaction(self._engine) as connection:
            return tuple(
                connection.execute(text("SELECT DISTINCT symbol FROM decision_details ORDER BY symbol")).scalars()
            )

    def traded_weights_that_differ(
        self, after: datetime | None, until: datetime
    ) -> list[tuple[datetime, int, str, str]]:
        """(time, version, weights traded with, weights published) of decisions where these are not the same."""
        query = (
            "SELECT d.time, w.version, d.weights::text AS traded, w.agent_weights::text AS published FROM decisions d"
            " JOIN weight_history w ON w.version = d.weights_version WHERE d.weights <> w.agent_weights"
            " AND d.time <= :until AND (CAST(:after AS timestamptz) IS NULL OR d.time > :after) ORDER BY d.time"
        )
        with transaction(self._engine) as connection:
            return [
                (r["time"], r["version"], r["traded"], r["published"])
                for r in row_dicts(connection, query, after=after, until=until)
            ]

    def read(self, symbols: tuple[str, ...], agents: tuple[str, ...], after: datetime | None, limit: int) -> Recorded:
        """At most `limit` decisions later than `after`, on these axes."""
        since = after or datetime.fromisoformat("1900-01-01T00:00:00+00:00")
        with transaction(self._engine) as connection:
            decided = row_dicts(
                connection,
                "SELECT time, weights, risk_state, equity, recorded_at FROM decisions WHERE time > :since ORDER BY time LIMIT :n",
                since=since,
                n=limit,
            )
            if not decided:
                return _empty(symbols, agents)
            bounds = (since, decided[-1]["time"])
            with driver_connection(connection).cursor(binary=True) as cursor:
                said = cursor.execute(
                    "SELECT time, agent_name, symbol, strength, confidence, abstained, forecast FROM signals WHERE time > %s AND time <= %s",
                    bounds,
                ).fetchall()
                details = cursor.execute(
                    "SELECT time, symbol, order_quantity, position, target_weight, clamps, no_trade FROM decision_details"
                    " WHERE time > %s AND time <= %s",
                    bounds,
                ).fetchall()
                failed = cursor.execute(
                    "SELECT time, agent_name FROM agent_work_log WHERE NOT ok AND time > %s AND time <= %s", bounds
                ).fetchall()
            fills = row_dicts(
                connection,
                "SELECT f.*, o.decision_time, o.quantity AS ordered FROM fills f JOIN orders o USING (client_order_id)"
                " WHERE o.decision_time >= :before AND o.decision_time < :until ORDER BY f.time, f.symbol",
                before=_before(connection, since),
                until=bounds[1],
            )
            commands = row_dicts(connection, _COMMANDS, since=bounds[0], until=bounds[1])
        place = {row["time"]: t for t, row in enumerate(decided)}
        return Recorded(
            time=np.array([row["time"].replace(tzinfo=None) for row in decided], dtype="datetime64[us]"),
            symbols=symbols,
            agents=agents,
            **_signals(said, place, symbols, agents),
            **_details(details, place, symbols),
            weights=np.array([[float(row["weights"].get(name, 0.0)) for name in agents] for row in decided]),
            equity=np.array([row["equity"] for row in decided]),
            risk_state=tuple(row["risk_state"] for row in decided),
            failed=_marks(failed, place, agents),
            fills=fills,
            commands=[(place[row["obeyed_at"]], row["to_state"]) for row in commands],
        )

    def last_check(self) -> tuple[datetime, bytes] | None:
        """(last decision that was checked, the recomputed state after it); None before the first check."""
        with transaction(self._engine) as connection:
            row = connection.execute(
                text("SELECT checked_to, state FROM parity_checks ORDER BY checked_to DESC LIMIT 1")
            ).first()
        return None if row is None else (row.checked_to, bytes(row.state))

    def record_check(
        self, at: datetime, start: datetime, end: datetime, report: Mapping[str, Any], state: bytes
    ) -> None:
        """Keep a check's outcome, once for each last decision."""
        with transaction(self._engine) as connection:
            connection.execute(
                text(
                    "INSERT INTO parity_checks (checked_at, checked_from, checked_to, decisions, differences, counts, examples, slippage,"
                    " state) VALUES (:at, :start, :end, :decisions, :differences, CAST(:counts AS jsonb), CAST(:examples AS jsonb),"
                    " CAST(:slippage AS jsonb), :state) ON CONFLICT (checked_to) DO NOTHING"
                ),
                {
                    "at": at,
                    "start": start,
                    "end": end,
                    "decisions": report["decisions"],
                    "differences": report["differences"],
                    "counts": json.dumps(report["counts"]),
                    "examples": json.dumps(report["examples"]),
                    "slippage": json.dumps(report["slippage"]),
                    "state": state,
                },
            )

    def weight_decisions(self, after: datetime | None, until: datetime) -> list[Row]:
        """Rows of the optimizer's scheduled runs, with what they were computed from."""
        with transaction(self._engine) as connection:
            return row_dicts(
                connection,
                "SELECT version, timestamp, decided_for, agent_weights, previous_weights, method, status, reason, trials,"
                " inputs_hash, evidence"
                " FROM weight_history WHERE decided_for IS NOT NULL AND timestamp <= :until AND (CAST(:after AS timestamptz) IS NULL"
                " OR timestamp > :after) ORDER BY version",
                after=after,
                until=until,
            )


def _before(connection: Any, since: datetime) -> datetime:
    """The decision before the first one that is read: its orders were filled at the first."""
    found = connection.execute(text("SELECT max(time) FROM decisions WHERE time <= :since"), {"since": since}).scalar()
    return found if isinstance(found, datetime) else since


def _signals(
    said: Sequence[tuple[Any, ...]], place: Mapping[datetime, int], symbols: tuple[str, ...], agents: tuple[str, ...]
) -> Any:
    shape = (len(place), len(agents), len(symbols))
    strength, confidence, abstained = np.zeros(shape), np.zeros(shape), np.ones(shape, dtype=bool)
    forecast = np.full((shape[0], shape[2], shape[1]), np.nan)
    column = {name: s for s, name in enumerate(symbols)}
    row_of = {name: a for a, name in enumerate(agents)}
    for time, agent, symbol, size, sure, silent, scaled in said:
        if agent in row_of and symbol in column and time in place:
            t, a, s = place[time], row_of[agent], column[symbol]
            strength[t, a, s], confidence[t, a, s], abstained[t, a, s] = size, sure, silent
            if scaled is not None:
                forecast[t, s, a] = scaled
    return {"strength": strength, "confidence": confidence, "abstained": abstained, "forecast": forecast}


def _details(rows: Sequence[tuple[Any, ...]], place: Mapping[datetime, int], symbols: tuple[str, ...]) -> Any:
    shape = (len(place), len(symbols))
    numbers = {name: np.full(shape, np.nan) for name in ("order", "position", "target")}
    words = {name: np.full(shape, "", dtype=object) for name in ("clamps", "no_trade")}
    column = {name: s for s, name in enumerate(symbols)}
    for time, symbol, *values in rows:
        if symbol in column and time in place:
            cell = place[time], column[symbol]
            for name, value in zip((*numbers, *words), values, strict=True):
                (numbers if name in numbers else words)[name][cell] = value
    return numbers | words


def _marks(rows: Sequence[tuple[Any, ...]], place: Mapping[datetime, int], agents: tuple[str, ...]) -> Booleans:
    marks = np.zeros((len(place), len(agents)), dtype=bool)
    for time, name in rows:
        if time in place and name in agents:
            marks[place[time], agents.index(name)] = True
    return marks


def _empty(symbols: tuple[str, ...], agents: tuple[str, ...]) -> Recorded:
    nothing = np.empty((0, len(symbols)))
    words = np.empty((0, len(symbols)), dtype=object)
    signals = np.empty((0, len(agents), len(symbols)))
    return Recorded(
        time=np.empty(0, dtype="datetime64[us]"),
        symbols=symbols,
        agents=agents,
        strength=signals,
        confidence=signals,
        abstained=signals.astype(bool),
        forecast=np.empty((0, len(symbols), len(agents))),
        weights=np.empty((0, len(agents))),
        order=nothing,
        position=nothing,
        target=nothing,
        clamps=words,
        no_trade=words,
        equity=np.empty(0),
        risk_state=(),
        failed=np.empty((0, len(agents)), dtype=bool),
        fills=(),
        commands=(),
    )


def signals_of(recorded: Recorded) -> list[Signals]:
    """What each agent said."""
    return [
        Signals(
            strength=recorded.strength[:, a], confidence=recorded.confidence[:, a], abstained=recorded.abstained[:, a]
        )
        for a in range(len(recorded.agents))
    ]
