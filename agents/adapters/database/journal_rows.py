"""A cycle as rows of the journal's tables, in the order in which foreign keys want them; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from agents.adapters.database.engine import weights_json
from agents.core.types import REMAINDER, Clamp, CycleRecord, NoTrade, RiskState, as_datetime

Row = tuple[object, ...]


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
            )
        )
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
    orders = [(o.client_order_id, o.decision_time, o.symbol, o.side, o.quantity, "intent", "") for o in cycle.orders]
    order_columns = ("client_order_id", "decision_time", "symbol", "side", "quantity", "state", "reason")
    return [TableRows("decisions", columns, decisions), TableRows("orders", order_columns, orders)]


def ledger_rows(cycle: CycleRecord) -> list[TableRows]:
    """What the fills made: actions, trades, contributions, and the open positions (which replace the former)."""
    return [
        TableRows(
            "corporate_actions",
            ("time", "symbol", "kind", "ratio", "quantity_change", "cash"),
            [(a.time, a.symbol, a.kind, a.ratio, a.quantity_change, a.cash) for a in cycle.actions],
        ),
        TableRows(
            "trades",
            (
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
            ),
            [
                (
                    t.trade_id,
                    t.symbol,
                    t.opened_at,
                    t.closed_at,
                    t.side,
                    t.quantity,
                    t.entry_price,
                    t.exit_price,
                    t.fees,
                    t.pnl,
                )
                for t in cycle.trades
            ],
        ),
        TableRows(
            "trade_attribution",
            ("trade_id", "agent_name", "contribution"),
            [(c.trade_id, c.agent_name, c.contribution) for c in cycle.contributions],
        ),
        TableRows(
            "positions",
            ("symbol", "quantity", "cost", "carried", "opened_at"),
            [(s, p.quantity, p.cost, p.carried, p.opened_at) for s, p in cycle.positions.items()],
        ),
    ]


def series_rows(cycle: CycleRecord) -> list[TableRows]:
    """Signals with their reasons, details of every symbol, equity of every book, shadows, contributions, work log."""
    moments = [as_datetime(time) for time in cycle.time]
    return [
        TableRows(
            "signals",
            ("time", "agent_name", "symbol", "strength", "confidence", "abstained", "forecast", "reason"),
            _signals(cycle, moments),
        ),
        TableRows(
            "decision_details",
            (
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
            ),
            _details(cycle, moments),
        ),
        TableRows(
            "equity",
            ("time", "book", "equity", "cash", "turnover"),
            [
                (at, book, float(cycle.equity[t, b]), float(cycle.cash[t, b]), float(cycle.turnover[t, b]))
                for t, at in enumerate(moments)
                for b, book in enumerate(cycle.books)
            ],
        ),
        TableRows(
            "shadow_returns",
            ("time", "agent_name", "return", "hits", "calls"),
            [
                (at, name, float(cycle.shadow_return[t, a]), int(cycle.hits[t, a]), int(cycle.calls[t, a]))
                for t, at in enumerate(moments)
                for a, name in enumerate(cycle.agents)
            ],
        ),
        TableRows(
            "bar_contributions",
            ("time", "agent_name", "contribution"),
            [
                (at, name, float(cycle.contribution[t, k]))
                for t, at in enumerate(moments)
                for k, name in enumerate((*cycle.agents, REMAINDER))
            ],
        ),
        TableRows(
            "agent_work_log",
            ("time", "agent_name", "action", "duration_ms", "opinions", "ok", "detail"),
            [(e.time, e.agent_name, e.action, e.duration_ms, e.opinions, e.ok, e.detail) for e in cycle.work_log],
        ),
    ]


def _signals(cycle: CycleRecord, moments: Sequence[datetime]) -> list[Row]:
    rows: list[Row] = []
    for a, name in enumerate(cycle.agents):
        signals = cycle.signals[a]
        strength, confidence = signals.strength.tolist(), signals.confidence.tolist()
        abstained, forecast = signals.abstained.tolist(), cycle.forecast[:, :, a].tolist()
        for t, at in enumerate(moments):
            for s, symbol in enumerate(cycle.symbols):
                silent = abstained[t][s]
                said = None if silent else forecast[t][s]
                rows.append((at, name, symbol, strength[t][s], confidence[t][s], silent, said, cycle.reasons[a][t][s]))
    return rows


def _details(cycle: CycleRecord, moments: Sequence[datetime]) -> list[Row]:
    clamps = {bits: Clamp.words_of(bits) for bits in set(cycle.clamps.ravel().tolist())}
    columns = [
        values.tolist()
        for values in (
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
    ]
    rows: list[Row] = []
    for t, at in enumerate(moments):
        for s, symbol in enumerate(cycle.symbols):
            combined, multiplier, raw, target, bits, code, order, position, mark = (c[t][s] for c in columns)
            rows.append(
                (
                    at,
                    symbol,
                    _nullable(combined),
                    _nullable(multiplier),
                    _nullable(raw),
                    target,
                    clamps[bits],
                    str(NoTrade(code)),
                    order,
                    position,
                    _nullable(mark),
                )
            )
    return rows


def _nullable(value: float) -> float | None:
    return value if np.isfinite(value) else None
