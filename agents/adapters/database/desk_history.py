"""What a desk has on record, as arrays: for parity checks, and for replays of its own past under other settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import numpy as np
from sqlalchemy import Connection, Engine, text

from agents.adapters.database.cash_flows import flows_between
from agents.adapters.database.commands import command_of
from agents.adapters.database.engine import driver_connection, transaction
from agents.adapters.database.weight_rows import DECISION_COLUMNS, decision_of
from agents.core.orders import (
    CANCELLED,
    KEPT_BACK,
    KILLED,
    TOO_LATE,
    TOO_MANY,
    UNANSWERED,
    UNRECONCILED,
    UNRESOLVED,
)
from agents.core.recorded import CheckedState, Recorded, RecordedFill, RecordedSpan, RecordedWeights, WeightsTraded
from agents.core.types import Booleans, Fill, Floats

Cells = Sequence[tuple[Any, ...]]
Words = np.ndarray[Any, np.dtype[np.object_]]
NOT_FILLED = [CANCELLED, KEPT_BACK, KILLED, TOO_LATE, TOO_MANY, UNRECONCILED, UNRESOLVED, UNANSWERED]
THE_FIRST = datetime.fromisoformat("1900-01-01T00:00:00+00:00")
"""Before every decision."""
_SPAN = """
SELECT min(time) AS first, max(time) AS last, (array_agg(recorded_at ORDER BY time))[1] AS first_recorded_at,
       count(*) AS decisions, (array_agg(data_version ORDER BY time))[1] AS first_version
FROM decisions
"""
_DECISIONS = """
SELECT time, weights, risk_state, regime, equity, units, data_version FROM decisions
JOIN v_units u ON time > u.after AND time <= u.until WHERE time > :since ORDER BY time LIMIT :limit
"""
_SIGNALS = """
SELECT time, agent_name, symbol, strength, confidence, abstained, forecast FROM signals WHERE time > %s AND time <= %s
"""
_DETAILS = """
SELECT time, symbol, order_quantity, position, target_weight, mark, clamps, no_trade FROM decision_details
WHERE time > %s AND time <= %s
"""
_FAILURES = "SELECT time, agent_name FROM agent_work_log WHERE NOT ok AND time > %s AND time <= %s"
_FILLS = """
SELECT o.decision_time, f.fill_id, f.client_order_id, f.time, f.symbol, f.side, f.quantity, f.price, f.fee,
       f.spread_cost, f.impact_cost
FROM fills f JOIN orders o USING (client_order_id)
WHERE o.decision_time >= CAST(:since AS timestamptz) - interval '60 days' AND o.decision_time <= :until
ORDER BY f.time, f.symbol
"""
"""An order works until the next bar of its symbol, at most so long; a stop is its decision's that knows it."""
_COMMANDS = """
SELECT id, to_state, obeyed_at FROM (
    SELECT e.id, e.to_state, CASE WHEN e.obeyed_after IS NOT NULL
        THEN (SELECT min(d.time) FROM decisions d WHERE d.time > e.obeyed_after)
        ELSE coalesce(
            (SELECT min(d.time) FROM decisions d WHERE d.time <= e.applied_at AND d.recorded_at >= e.applied_at
                 AND d.recorded_at < e.applied_at + interval '1 hour'),
            (SELECT max(d.time) FROM decisions d WHERE d.time <= e.applied_at)) END AS obeyed_at
    FROM risk_events e WHERE e.actor = 'person' AND e.applied_at IS NOT NULL) c
WHERE obeyed_at > :since AND obeyed_at <= :until ORDER BY id
"""
"""A person's command counts from the decision after the one that it was obeyed after. On old records: from the first
recorded after it was seen, of bars closed then; on a simulated clock (no `recorded_at`) from the last of those bars."""
_TAKEN_BACK = """
SELECT symbol, settled_at FROM (
    SELECT o.symbol, (SELECT min(d.time) FROM decisions d WHERE d.time > o.decision_time) AS settled_at
    FROM orders o WHERE o.state IN ('cancelled', 'expired', 'not_placed') AND o.reason = ANY(:reasons)) t
WHERE settled_at > :since AND settled_at <= :until
"""
_WEIGHTS_THAT_DIFFER = """
SELECT d.time, w.version, d.weights::text AS traded, w.agent_weights::text AS published
FROM decisions d JOIN weight_history w ON w.version = d.weights_version
WHERE d.weights <> w.agent_weights AND d.time <= :until AND (CAST(:after AS timestamptz) IS NULL OR d.time > :after)
ORDER BY d.time
"""
_WEIGHT_DECISIONS = f"""
SELECT {DECISION_COLUMNS} FROM weight_history
WHERE decided_for IS NOT NULL AND inputs_hash IS NOT NULL AND timestamp <= :until
    AND (CAST(:after AS timestamptz) IS NULL OR timestamp > :after)
ORDER BY version
"""  # noqa: S608 - our own names
_RECORD_CHECK = """
INSERT INTO parity_checks (
    checked_at, checked_from, checked_to, decisions, differences, counts, examples, slippage, state)
VALUES (
    :at, :start, :end, :decisions, :differences, CAST(:counts AS jsonb), CAST(:examples AS jsonb),
    CAST(:slippage AS jsonb), :state)
ON CONFLICT (checked_to) DO NOTHING
"""

Item = TypeVar("Item")


class _Place(NamedTuple):
    """Where a row of a table belongs on the axes of `Recorded`."""

    time: Mapping[datetime, int]
    symbol: Mapping[str, int]
    agent: Mapping[str, int]


class DeskHistory:
    """Reads what one desk recorded, and keeps its parity checks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def span(self) -> RecordedSpan | None:
        """None for a desk that has not decided anything."""
        with transaction(self._engine) as connection:
            row = connection.execute(text(_SPAN)).one()
        return RecordedSpan(*row) if row.decisions else None

    def version_before(self, time: datetime) -> tuple[datetime, int] | None:
        """The last decision before `time` and its data version; None before the first."""
        query = "SELECT time, data_version FROM decisions WHERE time < :time ORDER BY time DESC LIMIT 1"
        with transaction(self._engine) as connection:
            row = connection.execute(text(query), {"time": time}).first()
        return None if row is None else (row.time, row.data_version)

    def agents(self) -> tuple[str, ...]:
        """Every agent that has ever had a weight."""
        query = "SELECT DISTINCT jsonb_object_keys(weights) FROM decisions"
        with transaction(self._engine) as connection:
            return tuple(connection.execute(text(query)).scalars())

    def symbols(self) -> tuple[str, ...]:
        """Every symbol that was ever decided on."""
        query = "SELECT DISTINCT symbol FROM decision_details"
        with transaction(self._engine) as connection:
            return tuple(sorted(connection.execute(text(query)).scalars()))

    def read(
        self, symbols: tuple[str, ...], agents: tuple[str, ...], after: datetime | None, limit: int
    ) -> Recorded | None:
        """At most `limit` decisions later than `after` (None: from the first), on these axes; None: there are none."""
        since = after or THE_FIRST
        with transaction(self._engine) as connection:
            decided = connection.execute(text(_DECISIONS), {"since": since, "limit": limit}).all()
            if not decided:
                return None
            bounds = since, decided[-1].time
            with driver_connection(connection).cursor(binary=True) as cursor:
                signals = cursor.execute(_SIGNALS, bounds).fetchall()
                details = cursor.execute(_DETAILS, bounds).fetchall()
                failures = cursor.execute(_FAILURES, bounds).fetchall()
            fills = _fills_between(connection, *bounds)
            span = {"since": since, "until": bounds[1]}
            commands = connection.execute(text(_COMMANDS), span).all()
            flows = flows_between(connection, since, bounds[1])
            taken_back = connection.execute(text(_TAKEN_BACK), span | {"reasons": NOT_FILLED}).all()
        place = _Place(
            {row.time: t for t, row in enumerate(decided)},
            {name: s for s, name in enumerate(symbols)},
            {name: a for a, name in enumerate(agents)},
        )
        return Recorded(
            time=np.array([row.time.replace(tzinfo=None) for row in decided], dtype="datetime64[us]"),
            symbols=symbols,
            agents=agents,
            **_signals(signals, place)._asdict(),
            **_details(details, place)._asdict(),
            weights=np.array([[float(row.weights.get(name, 0.0)) for name in agents] for row in decided]),
            on_desk=np.array([[name in row.weights for name in agents] for row in decided], dtype=bool),
            equity=np.array([row.equity for row in decided]),
            units=np.array([row.units for row in decided]),
            risk_state=tuple(row.risk_state for row in decided),
            regime=tuple(row.regime for row in decided),
            data_version=np.array([row.data_version for row in decided], dtype=np.int64),
            failed=_failed(failures, place),
            fills=fills,
            commands=_grouped((place.time[row.obeyed_at], command_of(row.id, row.to_state)) for row in commands),
            flows=_grouped((place.time[time], flow) for time, flow in flows),
            taken_back=_grouped(
                (place.time[row.settled_at], place.symbol[row.symbol]) for row in taken_back if row.symbol in symbols
            ),
        )

    def traded_weights_that_differ(self, after: datetime | None, until: datetime) -> list[WeightsTraded]:
        """Decisions that traded with other weights than those published under their version."""
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_WEIGHTS_THAT_DIFFER), {"after": after, "until": until})
            return [WeightsTraded(*row) for row in rows]

    def weight_decisions(self, after: datetime | None, until: datetime) -> list[RecordedWeights]:
        """The optimizer's scheduled decisions, with what they were computed from."""
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_WEIGHT_DECISIONS), {"after": after, "until": until})
            return [RecordedWeights(row.version, decision_of(row)) for row in rows]

    def last_check(self) -> CheckedState | None:
        """Where the newest parity check ended; None before the first one."""
        query = "SELECT checked_to, state FROM parity_checks ORDER BY checked_to DESC LIMIT 1"
        with transaction(self._engine) as connection:
            row = connection.execute(text(query)).first()
        return None if row is None else CheckedState(row.checked_to, bytes(row.state))

    def record_check(
        self, at: datetime, start: datetime, end: datetime, report: Mapping[str, Any], state: bytes
    ) -> None:
        """Keep the outcome of a check made at `at`, of the decisions from `start` to `end`; once for each `end`."""
        values = {"at": at, "start": start, "end": end, "state": state}
        counts = {name: report[name] for name in ("decisions", "differences")}
        texts = {name: json.dumps(report[name]) for name in ("counts", "examples", "slippage")}
        with transaction(self._engine) as connection:
            connection.execute(text(_RECORD_CHECK), {**values, **counts, **texts})


def _grouped(pairs: Iterable[tuple[int, Item]]) -> dict[int, tuple[Item, ...]]:
    found: dict[int, tuple[Item, ...]] = {}
    for t, item in pairs:
        found[t] = (*found.get(t, ()), item)
    return found


def _fills_between(connection: Connection, since: datetime, until: datetime) -> list[RecordedFill]:
    rows = connection.execute(text(_FILLS), {"since": since, "until": until})
    return [
        RecordedFill(
            row.decision_time,
            Fill(
                fill_id=row.fill_id,
                client_order_id=row.client_order_id,
                time=row.time,
                symbol=row.symbol,
                side=row.side,
                quantity=row.quantity,
                price=row.price,
                fee=row.fee,
                spread_cost=row.spread_cost,
                impact_cost=row.impact_cost,
            ),
        )
        for row in rows
    ]


class _SignalGrids(NamedTuple):
    strength: Floats
    confidence: Floats
    abstained: Booleans
    forecast: Floats


def _signals(rows: Cells, place: _Place) -> _SignalGrids:
    shape = (len(place.time), len(place.agent), len(place.symbol))
    grids = _SignalGrids(
        strength=np.zeros(shape),
        confidence=np.zeros(shape),
        abstained=np.ones(shape, dtype=bool),
        forecast=np.full((shape[0], shape[2], shape[1]), np.nan),
    )
    for time, agent, symbol, strength, confidence, abstained, forecast in rows:
        if agent in place.agent and symbol in place.symbol and time in place.time:
            t, a, s = place.time[time], place.agent[agent], place.symbol[symbol]
            grids.strength[t, a, s] = strength
            grids.confidence[t, a, s] = confidence
            grids.abstained[t, a, s] = abstained
            if forecast is not None:
                grids.forecast[t, s, a] = forecast
    return grids


class _DetailGrids(NamedTuple):
    order: Floats
    position: Floats
    target: Floats
    mark: Floats
    clamps: Words
    no_trade: Words


def _details(rows: Cells, place: _Place) -> _DetailGrids:
    shape = (len(place.time), len(place.symbol))
    numbers = (np.full(shape, np.nan) for _ in range(4))
    words = (np.full(shape, "", dtype=object) for _ in range(2))
    grids = _DetailGrids(*numbers, *words)
    for time, symbol, *values in rows:
        if symbol in place.symbol and time in place.time:
            cell = place.time[time], place.symbol[symbol]
            for grid, value in zip(grids, values, strict=True):
                grid[cell] = value
    return grids


def _failed(rows: Cells, place: _Place) -> Booleans:
    marks = np.zeros((len(place.time), len(place.agent)), dtype=bool)
    for time, agent in rows:
        if time in place.time and agent in place.agent:
            marks[place.time[time], place.agent[agent]] = True
    return marks
