"""The database -> facts of the desk. One query for each section, and a function that makes its records."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, text

from agents.adapters.database.engine import Row, row_dicts
from agents.adapters.database.heartbeats import read_heartbeats
from agents.adapters.database.weight_rows import DECISION_COLUMNS, decision_of
from agents.core.believed import PastBeliefs, views_in
from agents.core.book_curves import BookCurve, CapitalFlow
from agents.core.effective import EffectiveWeight
from agents.core.facts import (
    AgentWork,
    AppliedWeights,
    ClosedTrades,
    DeskFacts,
    FillCosts,
    FillTotals,
    HeldPosition,
    NewestDecision,
    ParityCheck,
    ParityDifference,
    Period,
    RecordedDecision,
    RecordedRiskEvent,
    ScoredChanges,
    SystemState,
    Task,
    Trading,
    TunerTotals,
)
from agents.core.meta_types import Alarm, JobRun, OpenAlarm, Scorecard
from agents.core.types import Trade, WeightsLevel, state_of_order
from agents.core.value_added import AgentValueAdded, CostsOfPeriod, OlderRules, ProfitPart, SlippageOfKind

Read = Callable[[str], list[Row]]
"""The rows of one section of `_QUERIES`."""

ROWS = {"trades": 500, "jobs": 60, "history": 40, "beliefs": 120}
"""At most so many rows of each are read for one report."""
RECENT_DECISIONS = 7

_QUERIES = {
    "curves": """
        SELECT book, array_agg((extract(epoch FROM day) / 86400)::int ORDER BY day) AS days,
               array_agg(equity ORDER BY day) AS equity, array_agg(units ORDER BY day) AS units
        FROM (SELECT book, time_bucket('1 day', time) AS day, last(unit_value, time) AS equity,
                     last(units, time) AS units FROM v_unit_values
              WHERE (book NOT LIKE '%:%' OR book LIKE 'control:%') AND time <= :at GROUP BY 1, 2) d GROUP BY book""",
    "capital": """
        SELECT (SELECT min(d.time) FROM decisions d WHERE d.time > f.obeyed_after) AS time, f.amount::float8 AS amount
        FROM cash_flows f WHERE f.refused IS NULL AND f.kind IN ('deposit', 'withdrawal', 'ramp')
            AND EXISTS (SELECT 1 FROM decisions d WHERE d.time > f.obeyed_after AND d.time <= :at) ORDER BY f.id""",
    "newest": """
        SELECT d.time, d.equity, d.cash, coalesce(
            (SELECT e.to_state FROM risk_events e WHERE e.actor = 'person' AND e.applied_at IS NOT NULL
                AND e.time <= :at AND e.obeyed_after = d.time ORDER BY e.id DESC LIMIT 1),
            d.risk_state) AS risk_state, d.weights_level
        FROM decisions d WHERE d.time <= :at ORDER BY d.time DESC LIMIT 1""",
    "value_added": "SELECT * FROM v_agent_value_added",
    "older_rules": """
        SELECT count(DISTINCT date) AS days, max(date) AS until FROM agent_days WHERE rules < 2 AND date <= :at""",
    "by_agent": """
        SELECT agent_name AS name, trades, gross, costs, net FROM v_pnl_by_agent
        ORDER BY agent_name = 'remainder', net DESC, agent_name""",
    "by_symbol": """
        SELECT symbol AS name, trades, gross + funding AS gross, fees + spread + impact AS costs, net
        FROM v_pnl_by_symbol ORDER BY net DESC, symbol""",
    "by_side": """
        SELECT side AS name, trades, gross, fees + spread + impact AS costs, net FROM v_pnl_by_side ORDER BY side""",
    "yearly_costs": """SELECT period, fees, spread, impact, funding, percent_of_equity_a_year, turnover_a_year
        FROM v_costs ORDER BY period""",
    "slippage": """
        SELECT kind, orders, filled, slippage_bps, fees_bps, missed_bps, shortfall_bps, median_bps, doubted
        FROM v_slippage ORDER BY kind DESC""",
    "positions": """
        SELECT symbol, quantity, average_entry_price, mark, value, unrealised_pnl
        FROM v_positions ORDER BY abs(value) DESC NULLS LAST""",
    "trades": """
        SELECT trade_id, symbol, side, quantity, opened_at, closed_at, entry_price, exit_price, fees, pnl
        FROM trades WHERE closed_at > :start AND closed_at <= :at ORDER BY closed_at DESC, trade_id LIMIT :trades""",
    "trade_totals": """
        SELECT count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS won, coalesce(sum(pnl), 0) AS pnl,
               min(pnl) AS worst, max(pnl) AS best FROM trades WHERE closed_at > :start AND closed_at <= :at""",
    "fills": """
        SELECT count(*) AS fills, coalesce(sum(f.quantity * f.price), 0) AS notional, coalesce(sum(f.fee), 0) AS fees,
               coalesce(sum(f.spread_cost), 0) AS spread, coalesce(sum(f.impact_cost), 0) AS impact,
               coalesce(sum(CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END
                            * (f.price - (CASE f.side WHEN 'buy' THEN 1 ELSE -1 END)
                               * (f.spread_cost + f.impact_cost) / f.quantity - (d.mark / s.ratio)::numeric)), 0)
                   AS delay
        FROM fills f JOIN orders o USING (client_order_id)
        JOIN decision_details d ON d.time = o.decision_time AND d.symbol = f.symbol
        CROSS JOIN LATERAL (
            SELECT coalesce(exp(sum(ln(m.value))), 1) AS ratio FROM market_actions m
            WHERE m.symbol = f.symbol AND m.kind = 'split' AND m.time > o.decision_time AND m.time <= coalesce(
                (SELECT min(b.time) FROM bars b WHERE b.symbol = f.symbol AND b.time > f.time), f.time)) s
        WHERE f.time > :start AND f.time <= :at""",
    "orders": """
        SELECT state, count(*) AS orders FROM orders
        WHERE decision_time > :start AND decision_time <= :at GROUP BY state""",
    "decisions": """
        SELECT count(*) AS decisions, coalesce(sum(orders), 0) AS orders FROM decisions
        WHERE time > :start AND time <= :at""",
    "no_trade": """
        SELECT no_trade AS reason, count(*) AS times FROM decision_details
        WHERE time > :start AND time <= :at AND no_trade <> '' GROUP BY 1 ORDER BY 2 DESC LIMIT 6""",
    "scorecards": """
        SELECT * FROM agent_scorecards WHERE date = (SELECT max(date) FROM agent_scorecards WHERE date <= (:at)::date)
        ORDER BY window_days, sharpe_ratio DESC NULLS LAST, agent_name""",
    "contributions": """
        SELECT agent_name, sum(contribution) AS contribution FROM bar_contributions WHERE time > :start AND time <= :at
        GROUP BY 1 ORDER BY 2 DESC""",
    "weights": "SELECT agent_name, weight FROM v_weights_current ORDER BY weight DESC, agent_name",
    "effective": "SELECT * FROM v_effective_weights ORDER BY agent_name",
    "applied": """
        SELECT timestamp, agent_weights FROM weight_history
        WHERE status IN ('apply', 'revert', 'initial') AND timestamp <= :at ORDER BY version""",
    "beliefs": """
        SELECT timestamp, beliefs FROM (
            SELECT timestamp, evidence -> 'beliefs' AS beliefs, row_number() OVER (ORDER BY version DESC) AS place,
                   count(*) OVER () AS decisions
            FROM weight_history
            WHERE jsonb_typeof(evidence -> 'beliefs') = 'object' AND timestamp <= :at) b
        WHERE mod(place - 1, greatest(1, decisions / :beliefs)) = 0 ORDER BY timestamp""",
    "tuner": """
        SELECT count(*) AS decisions,
               count(*) FILTER (WHERE status = 'apply') AS changes,
               count(*) FILTER (WHERE status = 'hold') AS holds,
               count(*) FILTER (WHERE status = 'fallback') AS fallbacks,
               count(*) FILTER (WHERE status = 'revert') AS reverts
        FROM weight_history WHERE timestamp <= :at""",
    "scored": """
        SELECT count(*) AS count, count(*) FILTER (WHERE realised_improvement > 0) AS gained,
               avg(sharpe_improvement) AS expected, avg(realised_improvement) AS realised
        FROM weight_history WHERE timestamp <= :at AND realised_improvement IS NOT NULL""",
    "jobs": "SELECT job, due_at, started_at, finished_at, status, detail, attempts, missed FROM v_jobs ORDER BY job",
    "job_runs": """
        SELECT job, due_at, started_at, finished_at, status, detail, attempts, missed FROM job_runs
        WHERE due_at > :start - interval '1 day' AND due_at <= :at ORDER BY due_at DESC LIMIT :jobs""",
    "tasks": """
        SELECT title, state, priority FROM project_tasks
        WHERE state <> 'dismissed' AND (state <> 'done' OR updated_at > :start)
        ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low'], priority), created_at""",
    "task_counts": """
        SELECT state, priority, count(*) AS count FROM project_tasks GROUP BY 1, 2
        ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low'], priority), state""",
    "work": """
        SELECT agent_name, count(*) AS cycles, count(*) FILTER (WHERE NOT ok) AS failures,
               sum(opinions)::bigint AS opinions,
               avg(duration_ms) AS mean_ms, max(duration_ms) AS longest_ms, max(detail) FILTER (WHERE NOT ok) AS failure
        FROM agent_work_log WHERE time > :start AND time <= :at AND action <> 'job' GROUP BY 1 ORDER BY 1""",
    "freshness": """
        SELECT s.symbol, b.time AS newest FROM (SELECT DISTINCT symbol FROM decision_details
            WHERE time = (SELECT max(time) FROM decisions)) s
        LEFT JOIN LATERAL (SELECT time FROM bars b WHERE b.symbol = s.symbol AND b.time <= :at
                           ORDER BY time DESC LIMIT 1) b ON true
        WHERE NOT EXISTS (SELECT 1 FROM market_actions m WHERE m.symbol = s.symbol AND m.kind = 'delisting'
                          AND m.time > b.time AND m.time <= :at)
        ORDER BY 2 NULLS FIRST, 1""",
    "risk_events": """
        SELECT time, from_state, to_state, reason, actor FROM risk_events
        WHERE time > :start AND time <= :at ORDER BY id DESC LIMIT 20""",
    "parity": """
        SELECT checked_from, checked_to, decisions, differences, counts, examples, slippage FROM parity_checks
        WHERE checked_at <= :at ORDER BY checked_to DESC LIMIT 1""",
    "quarantine": "SELECT count(*) AS rows FROM bar_quarantine WHERE recorded_at > :start AND recorded_at <= :at",
    "alarms": """
        SELECT kind, subject, severity, detail, opened_at FROM alarms WHERE closed_at IS NULL
        ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low', 'info'], severity), opened_at,
            kind, subject""",
    "owner": "SELECT pg_get_userbyid(relowner) = current_user AS owns FROM pg_class WHERE relname = 'orders'",
}

_WEIGHT_HISTORY = f"""
    SELECT {DECISION_COLUMNS}, realised_improvement, realised_at FROM weight_history
    WHERE timestamp <= :at ORDER BY version DESC LIMIT :history"""


def read_desk_facts(connection: Connection, period: Period, system: SystemState) -> DeskFacts:
    """Everything that a report on `period` tells."""
    read = reader(connection, period)
    totals, fills = read("trade_totals")[0], read("fills")[0]
    history = _weight_history(connection, period.end)
    return DeskFacts(
        period=period,
        system=system,
        newest=newest_decision(read),
        curves=[BookCurve(**row) for row in read("curves")],
        trading=_trading(read, totals, fills),
        fills=FillTotals(fills=fills["fills"], notional=fills["notional"], delay=fills["delay"]),
        closed=ClosedTrades(
            won=totals["won"],
            best=totals["best"],
            worst=totals["worst"],
            newest=[Trade(**row) for row in read("trades")],
        ),
        orders={row["state"]: row["orders"] for row in read("orders")},
        positions=[HeldPosition(**row) for row in read("positions")],
        contributions={row["agent_name"]: row["contribution"] for row in read("contributions")},
        scorecards=[_scorecard(row) for row in read("scorecards")],
        weights={row["agent_name"]: row["weight"] for row in read("weights")},
        weight_history=history,
        recent_decisions=[recorded.decision for recorded in history[:RECENT_DECISIONS]],
        applied=[AppliedWeights(at=row["timestamp"], weights=row["agent_weights"]) for row in read("applied")],
        beliefs=[PastBeliefs(at=row["timestamp"], agents=views_in(row["beliefs"])) for row in read("beliefs")],
        tuner=TunerTotals(**read("tuner")[0]),
        scored=ScoredChanges(**read("scored")[0]),
        jobs=[JobRun(**row) for row in read("jobs")],
        job_runs=[JobRun(**row) for row in read("job_runs")],
        tasks=[Task(**row) for row in read("tasks")],
        task_counts={(row["state"], row["priority"]): row["count"] for row in read("task_counts")},
        work=[AgentWork(**row) for row in read("work")],
        freshness=freshness(read),
        risk_events=[RecordedRiskEvent(**row) for row in read("risk_events")],
        parity=parity(read),
        quarantined_rows=read("quarantine")[0]["rows"],
        alarms=[_open_alarm(row) for row in read("alarms")],
        heartbeats=read_heartbeats(connection),
        value_added=[AgentValueAdded(**row) for row in read("value_added")],
        by_agent=[ProfitPart(**row) for row in read("by_agent")],
        by_symbol=[ProfitPart(**row) for row in read("by_symbol")],
        by_side=[ProfitPart(**row) for row in read("by_side")],
        yearly_costs=[CostsOfPeriod(**row) for row in read("yearly_costs")],
        slippage=[SlippageOfKind(**row) for row in read("slippage")],
        acts_as_owner=any(row["owns"] for row in read("owner")),
        older_rules=OlderRules(**read("older_rules")[0]),
        effective=[EffectiveWeight(**row) for row in read("effective")],
        capital=[CapitalFlow(**row) for row in read("capital")],
    )


def reader(connection: Connection, period: Period) -> Read:
    """Reads sections of the facts about a period."""

    def read(section: str) -> list[Row]:
        return row_dicts(connection, _QUERIES[section], start=period.start, at=period.end, **ROWS)

    return read


def newest_decision(read: Read) -> NewestDecision | None:
    """The desk at its newest decision; None before the first one."""
    for row in read("newest"):
        levels = {"risk_state": state_of_order(row["risk_state"]), "weights_level": WeightsLevel(row["weights_level"])}
        return NewestDecision(**(row | levels))
    return None


def _trading(read: Read, totals: Row, fills: Row) -> Trading:
    return Trading(
        **read("decisions")[0],
        no_trade={row["reason"]: row["times"] for row in read("no_trade")},
        costs=FillCosts(fees=fills["fees"], spread=fills["spread"], impact=fills["impact"]),
        trades=totals["trades"],
        pnl=totals["pnl"],
    )


def _scorecard(row: Row) -> Scorecard:
    named = ("date", "agent_name", "window_days", "undefined", "pnl", "verdict", "measured")
    figures = {name: value for name, value in row.items() if name not in (*named, "recorded_at")}
    return Scorecard(**{name: row[name] for name in named}, figures=figures)


def _weight_history(connection: Connection, at: datetime) -> list[RecordedDecision]:
    rows = connection.execute(text(_WEIGHT_HISTORY), {"at": at, "history": ROWS["history"]})
    return [
        RecordedDecision(
            version=row.version,
            decision=decision_of(row),
            realised_improvement=row.realised_improvement,
            realised_at=row.realised_at,
        )
        for row in rows
    ]


def freshness(read: Read) -> dict[str, datetime | None]:
    """Symbol -> its newest bar."""
    return {row["symbol"]: row["newest"] for row in read("freshness")}


def parity(read: Read) -> ParityCheck | None:
    """The newest parity check; None before the first one."""
    for row in read("parity"):
        examples = [ParityDifference(**example) for example in row["examples"]]
        slippage = {name: (pair[0], pair[1]) for name, pair in row["slippage"].items()}
        return ParityCheck(**(row | {"examples": examples, "slippage": slippage}))
    return None


def _open_alarm(row: Row) -> OpenAlarm:
    opened_at = row.pop("opened_at")
    return OpenAlarm(alarm=Alarm(**row), opened_at=opened_at)
