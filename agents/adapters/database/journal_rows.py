"""A cycle as rows of the journal's tables, in the order in which foreign keys want them; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

import numpy as np

from agents.adapters.database.engine import weights_json
from agents.core.regimes import words_of
from agents.core.types import REMAINDER, Clamp, CycleRecord, NoTrade, RiskState, as_datetime

Row = tuple[object, ...]
_DECISION_COLUMNS = (
    "time",
    "weights_version",
    "weights_level",
    "weights",
    "risk_state",
    "equity",
    "cash",
    "orders",
    "reason",
    "data_version",
    "regime",
)
_ORDER_COLUMNS = (
    "client_order_id",
    "decision_time",
    "symbol",
    "side",
    "quantity",
    "kind",
    "limit_price",
    "state",
    "reason",
)
_ACTION_COLUMNS = ("time", "symbol", "kind", "ratio", "quantity_change", "cash")
_TRADE_COLUMNS = (
    "trade_id",
    "symbol",
    "opened_at",
    "closed_at",
    "side",
    "quantity",
    "entry_price",
    "exit_price",
    "fees",
    "pnl",
)
_SIGNAL_COLUMNS = ("time", "agent_name", "symbol", "strength", "confidence", "abstained", "forecast", "reason")
_DETAIL_COLUMNS = (
    "time",
    "symbol",
    "combined",
    "multiplier",
    "raw_weight",
    "target_weight",
    "clamps",
    "no_trade",
    "order_quantity",
    "position",
    "mark",
)
_WORK_COLUMNS = ("time", "agent_name", "action", "duration_ms", "opinions", "ok", "detail")


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows for one table."""

    table: str
    columns: tuple[str, ...]
    rows: Sequence[Row]


def decision_rows(cycle: CycleRecord) -> list[TableRows]:
    """Decisions and their orders, which are intents until a broker has answered."""
    ordered = np.count_nonzero(cycle.order_quantity, axis=1)
    decisions: list[Row] = []
    for t, time in enumerate(cycle.time):
        weights = cycle.weights[t]
        decisions.append(
            (
                as_datetime(time),
                weights.version,
                str(weights.level),
                weights_json(weights.weights),
                str(RiskState(cycle.risk_state[t])),
                float(cycle.equity[t, 0]),
                float(cycle.cash[t, 0]),
                int(ordered[t]),
                cycle.reason[t],
                cycle.data_version,
                words_of(int(cycle.regime[t])),
            )
        )
    orders = [
        (o.client_order_id, o.decision_time, o.symbol, o.side, o.quantity, o.kind, o.limit_price, "intent", "")
        for o in cycle.orders
    ]
    return [TableRows("decisions", _DECISION_COLUMNS, decisions), TableRows("orders", _ORDER_COLUMNS, orders)]


def ledger_rows(cycle: CycleRecord) -> list[TableRows]:
    """What the fills made: actions, trades, contributions, and the open positions (which replace the former)."""
    positions: list[Row] = [
        (symbol, p.quantity, p.cost, p.carried, p.opened_at) for symbol, p in cycle.positions.items()
    ]
    return [
        _of_records("corporate_actions", _ACTION_COLUMNS, cycle.actions),
        _of_records("trades", _TRADE_COLUMNS, cycle.trades),
        _of_records("trade_attribution", ("trade_id", "agent_name", "contribution"), cycle.contributions),
        TableRows("positions", ("symbol", "quantity", "cost", "carried", "opened_at"), positions),
    ]


def series_rows(cycle: CycleRecord) -> list[TableRows]:
    """Signals with their reasons, details of every symbol, equity of every book, shadows, contributions, work log."""
    moments = [as_datetime(time) for time in cycle.time]
    return [
        TableRows("signals", _SIGNAL_COLUMNS, _signals(cycle, moments)),
        TableRows("decision_details", _DETAIL_COLUMNS, _details(cycle, moments)),
        TableRows("equity", ("time", "book", "equity", "cash", "turnover"), _equity(cycle, moments)),
        TableRows("shadow_returns", ("time", "agent_name", "return", "hits", "calls"), _shadows(cycle, moments)),
        TableRows("bar_contributions", ("time", "agent_name", "contribution", "cost"), _contributions(cycle, moments)),
        _of_records("agent_work_log", _WORK_COLUMNS, cycle.work_log),
    ]


def _of_records(table: str, columns: tuple[str, ...], records: Sequence[object]) -> TableRows:
    """Rows of records whose fields are named like the columns."""
    values = attrgetter(*columns)
    return TableRows(table, columns, [values(record) for record in records])


def _signals(cycle: CycleRecord, moments: Sequence[datetime]) -> list[Row]:
    rows: list[Row] = []
    for a, name in enumerate(cycle.agents):
        signals = cycle.signals[a]
        strength, confidence = signals.strength.tolist(), signals.confidence.tolist()
        abstained, forecast = signals.abstained.tolist(), cycle.forecast[:, :, a].tolist()
        for t, at in enumerate(moments):
            for s, symbol in enumerate(cycle.symbols):
                silent = abstained[t][s]
                opinion = (strength[t][s], confidence[t][s], silent, None if silent else forecast[t][s])
                rows.append((at, name, symbol, *opinion, cycle.reasons[a][t][s]))
    return rows


def _details(cycle: CycleRecord, moments: Sequence[datetime]) -> list[Row]:
    clamps = {bits: Clamp.words_of(bits) for bits in set(cycle.clamps.ravel().tolist())}
    grids = (
        cycle.combined,
        cycle.multiplier,
        cycle.raw_weight,
        cycle.target_weight,
        cycle.clamps,
        cycle.no_trade,
        cycle.order_quantity,
        cycle.position,
        cycle.mark,
    )
    columns = [grid.tolist() for grid in grids]
    rows: list[Row] = []
    for t, at in enumerate(moments):
        for s, symbol in enumerate(cycle.symbols):
            combined, multiplier, raw, target, bits, code, order, position, mark = (c[t][s] for c in columns)
            opinion = (_nullable(combined), _nullable(multiplier), _nullable(raw))
            reasons = (clamps[bits], str(NoTrade(code)))
            rows.append((at, symbol, *opinion, target, *reasons, order, position, _nullable(mark)))
    return rows


def _equity(cycle: CycleRecord, moments: Sequence[datetime]) -> list[Row]:
    return [
        (at, book, float(cycle.equity[t, b]), float(cycle.cash[t, b]), float(cycle.turnover[t, b]))
        for t, at in enumerate(moments)
        for b, book in enumerate(cycle.books)
    ]


def _shadows(cycle: CycleRecord, moments: Sequence[datetime]) -> list[Row]:
    return [
        (at, name, float(cycle.shadow_return[t, a]), int(cycle.hits[t, a]), int(cycle.calls[t, a]))
        for t, at in enumerate(moments)
        for a, name in enumerate(cycle.agents)
    ]


def _contributions(cycle: CycleRecord, moments: Sequence[datetime]) -> list[Row]:
    return [
        (at, name, float(cycle.contribution[t, k]), float(cycle.agent_cost[t, k]))
        for t, at in enumerate(moments)
        for k, name in enumerate((*cycle.agents, REMAINDER))
    ]


def _nullable(value: float) -> float | None:
    return value if math.isfinite(value) else None
