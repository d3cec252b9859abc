"""Everything that a report tells, gathered in one read-only transaction; and where reports, suggestions, alarms and
metrics are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import row_dicts, transaction
from agents.core.clock import Clock
from agents.core.meta_types import Alarm, Recommendation, Report
from agents.core.ports import WeightCache

Row = dict[str, Any]
LIVE_BOOKS = "book NOT LIKE '%:%'"
ROWS = {"trades": 500, "jobs": 60, "history": 40}
"""At most so many rows of each are read for one report."""
SLOW_QUERY_S = 5.0

_SECTIONS = {
    "curves": f"""
        SELECT book, array_agg((extract(epoch FROM day) / 86400)::int ORDER BY day) AS days, array_agg(equity ORDER BY day) AS equity
        FROM (SELECT book, time_bucket('1 day', time) AS day, last(equity, time) AS equity FROM equity
              WHERE ({LIVE_BOOKS} OR book LIKE 'control:%') AND time <= :at GROUP BY 1, 2) d GROUP BY book""",
    "now": """
        SELECT d.time, d.equity, d.cash, d.risk_state, d.weights_version, d.weights_level, d.reason, d.recorded_at
        FROM decisions d WHERE d.time <= :at ORDER BY d.time DESC LIMIT 1""",
    "positions": "SELECT * FROM v_positions ORDER BY abs(value) DESC NULLS LAST",
    "trades": """
        SELECT trade_id, symbol, side, quantity, opened_at, closed_at, entry_price, exit_price, fees, pnl
        FROM trades WHERE closed_at > :start AND closed_at <= :at ORDER BY closed_at DESC, trade_id LIMIT :trades""",
    "trade_totals": """
        SELECT count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS won, coalesce(sum(pnl), 0) AS pnl, min(pnl) AS worst,
               max(pnl) AS best FROM trades WHERE closed_at > :start AND closed_at <= :at""",
    "costs": """
        SELECT count(*) AS fills, coalesce(sum(f.quantity * f.price), 0) AS notional, coalesce(sum(f.fee), 0) AS fees,
               coalesce(sum(f.spread_cost), 0) AS spread, coalesce(sum(f.impact_cost), 0) AS impact,
               coalesce(sum(CASE f.side WHEN 'buy' THEN f.quantity ELSE -f.quantity END
                            * (f.price - (CASE f.side WHEN 'buy' THEN 1 ELSE -1 END)
                               * (f.spread_cost + f.impact_cost) / f.quantity - d.mark::numeric)), 0) AS delay
        FROM fills f JOIN orders o USING (client_order_id)
        JOIN decision_details d ON d.time = o.decision_time AND d.symbol = f.symbol
        WHERE f.time > :start AND f.time <= :at""",
    "orders": "SELECT state, count(*) AS orders FROM orders WHERE decision_time > :start AND decision_time <= :at GROUP BY state",
    "decisions": """
        SELECT count(*) AS decisions, sum(orders) AS orders, max(time) AS newest FROM decisions WHERE time > :start AND time <= :at""",
    "no_trade": """
        SELECT no_trade AS reason, count(*) AS times FROM decision_details
        WHERE time > :start AND time <= :at AND no_trade <> '' GROUP BY 1 ORDER BY 2 DESC LIMIT 6""",
    "scorecards": """
        SELECT * FROM agent_performance WHERE date = (SELECT max(date) FROM agent_performance WHERE date <= (:at)::date)
        ORDER BY window_days, sharpe_ratio DESC NULLS LAST, agent_name""",
    "contributions": """
        SELECT agent_name, sum(contribution) AS contribution FROM bar_contributions WHERE time > :start AND time <= :at
        GROUP BY 1 ORDER BY 2 DESC""",
    "weights": "SELECT * FROM v_weights_current ORDER BY weight DESC, agent_name",
    "weight_history": """
        SELECT version, timestamp, agent_weights, previous_weights, method, status, reason, causes, sharpe_improvement,
               realised_improvement, realised_at, sample_size, trials, evidence
        FROM weight_history WHERE timestamp <= :at AND status <> 'trial' ORDER BY version DESC LIMIT :history""",
    "changes": """
        SELECT timestamp, agent_weights FROM weight_history
        WHERE status IN ('apply', 'revert', 'initial') AND timestamp <= :at ORDER BY version""",
    "tuner": """
        SELECT count(*) FILTER (WHERE status <> 'trial') AS decisions, count(*) FILTER (WHERE status = 'apply') AS changes,
               count(*) FILTER (WHERE status = 'hold') AS holds, count(*) FILTER (WHERE status = 'fallback') AS fallbacks,
               count(*) FILTER (WHERE status = 'revert') AS reverts, count(realised_improvement) AS scored,
               avg(sharpe_improvement) FILTER (WHERE realised_improvement IS NOT NULL) AS expected,
               avg(realised_improvement) AS realised,
               count(*) FILTER (WHERE realised_improvement > 0) AS came_true
        FROM weight_history WHERE timestamp <= :at""",
    "jobs": "SELECT * FROM v_jobs ORDER BY job",
    "job_runs": """
        SELECT job, due_at, started_at, finished_at, status, detail, attempts, missed FROM job_runs
        WHERE due_at > :start - interval '1 day' AND due_at <= :at ORDER BY due_at DESC LIMIT :jobs""",
    "tasks": """
        SELECT id, title, description, state, priority, assigned_to, created_at, updated_at FROM project_tasks
        WHERE state <> 'dismissed' AND (state <> 'done' OR updated_at > :start)
        ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low'], priority), created_at""",
    "work": """
        SELECT agent_name, count(*) AS cycles, count(*) FILTER (WHERE NOT ok) AS failures, sum(opinions) AS opinions,
               avg(duration_ms) AS mean_ms, max(duration_ms) AS longest_ms, max(detail) FILTER (WHERE NOT ok) AS failure
        FROM agent_work_log WHERE time > :start AND time <= :at GROUP BY 1 ORDER BY 1""",
    "freshness": """
        SELECT s.symbol, b.time AS newest FROM (SELECT DISTINCT symbol FROM decision_details
            WHERE time = (SELECT max(time) FROM decisions)) s
        LEFT JOIN LATERAL (SELECT time FROM bars b WHERE b.symbol = s.symbol AND b.time <= :at ORDER BY time DESC LIMIT 1) b ON true
        ORDER BY 2 NULLS FIRST, 1""",
    "risk_events": "SELECT time, from_state, to_state, reason, actor FROM risk_events WHERE time > :start AND time <= :at ORDER BY id DESC LIMIT 20",
    "open_orders": """
        SELECT client_order_id, symbol, side, quantity, state, decision_time FROM orders
        WHERE state IN ('unknown', 'partial') ORDER BY decision_time DESC LIMIT 20""",
    "parity": """
        SELECT checked_at, checked_from, checked_to, decisions, differences, counts, examples, slippage FROM parity_checks
        WHERE checked_at <= :at ORDER BY checked_to DESC LIMIT 1""",
    "quarantine": "SELECT count(*) AS rows FROM bar_quarantine WHERE recorded_at > :start AND recorded_at <= :at",
    "alarms": "SELECT kind, subject, severity, detail, opened_at FROM alarms WHERE closed_at IS NULL ORDER BY opened_at",
    "outbox": "SELECT state, count(*) AS mails, min(created_at) AS oldest FROM outbox WHERE state IN ('pending', 'failed') GROUP BY 1",
}


_ALARM_SECTIONS = ("now", "freshness", "changes", "open_orders", "outbox", "parity")


class DeskFacts:
    """ReportDesk over one desk's database, and where alarms keep their edges."""

    def __init__(self, engine: Engine, cache: WeightCache, clock: Clock, folder: Path) -> None:
        self._engine = engine
        self._cache = cache
        self._clock = clock
        self._folder = folder

    def now(self) -> datetime:
        return self._clock.now()

    def last_report_end(self) -> datetime | None:
        with transaction(self._engine) as connection:
            found = connection.execute(text("SELECT max(period_end) FROM project_reports")).scalar()
        return found if isinstance(found, datetime) else None

    def facts(self, *, start: datetime, at: datetime) -> dict[str, Any]:
        """Section -> rows (dictionaries), plus `system`, the machine's numbers, and the period."""
        with transaction(self._engine) as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            found: dict[str, Any] = {
                name: row_dicts(connection, query, start=start, at=at, **ROWS) for name, query in _SECTIONS.items()
            }
            found["system"] = self._system(connection)
            owner = row_dicts(
                connection,
                "SELECT pg_get_userbyid(relowner) = current_user AS owns FROM pg_class WHERE relname = 'orders'",
            )
            found["acts_as_owner"] = bool(owner and owner[0]["owns"])
        return found | {"period_start": start, "period_end": at}

    def alarm_facts(self, at: datetime) -> dict[str, Any]:
        """The few sections that alarms look at."""
        with transaction(self._engine) as connection:
            found: dict[str, Any] = {
                name: row_dicts(connection, _SECTIONS[name], start=at, at=at, **ROWS) for name in _ALARM_SECTIONS
            }
            found["system"] = self._system(connection)
        return found

    def _system(self, connection: Connection) -> Row:
        memory, disk = psutil.virtual_memory(), shutil.disk_usage(self._folder)
        sizes = row_dicts(connection, "SELECT pg_database_size(current_database()) AS bytes")[0]
        slow = row_dicts(
            connection,
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
            " AND pid <> pg_backend_pid() AND now() - query_start > make_interval(secs => :s)",
            s=SLOW_QUERY_S,
        )[0]
        commits = row_dicts(
            connection,
            "SELECT xact_commit, xact_rollback FROM pg_stat_database WHERE datname = current_database()",
        )[0]
        try:
            self._cache.read()
        except Exception:  # rubbish in the cache is the trading plane's business; here only its life is asked for
            alive = True
        else:
            alive = self._cache.alive
        return {
            "cpu_percent": psutil.cpu_percent(interval=None),
            "load_1m": psutil.getloadavg()[0],
            "cpus": psutil.cpu_count() or 1,
            "memory_percent": memory.percent,
            "disk_free_bytes": disk.free,
            "database_bytes": sizes["bytes"],
            "slow_queries": slow["n"],
            "rollbacks": commits["xact_rollback"],
            "commits": commits["xact_commit"],
            "redis_alive": alive,
        }

    def record_metrics(self, at: datetime, metrics: Mapping[str, float]) -> None:
        rows = [{"time": at, "name": name, "value": float(value)} for name, value in metrics.items()]
        with transaction(self._engine) as connection:
            connection.execute(
                text(
                    "INSERT INTO system_metrics (time, name, value) VALUES (:time, :name, :value) ON CONFLICT DO NOTHING"
                ),
                rows,
            )

    def sync_suggestions(self, at: datetime, found: Sequence[Recommendation]) -> list[Row]:
        with transaction(self._engine) as connection:
            for r in found:
                connection.execute(
                    text(
                        "INSERT INTO improvement_suggestions AS s (fingerprint, kind, severity, title, action, evidence, state,"
                        " created_at, updated_at) VALUES (:fingerprint, :kind, :severity, :title, :action, :evidence, 'open', :at, :at)"
                        " ON CONFLICT (fingerprint) DO UPDATE SET severity = excluded.severity, title = excluded.title,"
                        " action = excluded.action, evidence = excluded.evidence, updated_at = :at,"
                        " state = CASE WHEN s.state = 'done' THEN 'open' ELSE s.state END"
                    ),
                    {
                        "fingerprint": r.fingerprint,
                        "kind": r.kind,
                        "severity": r.severity,
                        "title": r.title,
                        "action": r.action,
                        "evidence": json.dumps(r.evidence, default=str),
                        "at": at,
                    },
                )
            connection.execute(
                text(
                    "UPDATE improvement_suggestions SET state = 'done', updated_at = :at"
                    " WHERE state IN ('open', 'accepted') AND fingerprint <> ALL(:found)"
                ),
                {"at": at, "found": [r.fingerprint for r in found]},
            )
            return row_dicts(
                connection,
                "SELECT id, fingerprint, kind, severity, title, action, evidence, state, created_at"
                " FROM improvement_suggestions WHERE state IN ('open', 'accepted') ORDER BY"
                " array_position(ARRAY['critical', 'high', 'medium', 'low', 'info'], severity), id",
            )

    def store_report(
        self, report: Report, summary: Mapping[str, Any], recommendations: Sequence[Mapping[str, Any]]
    ) -> int:
        values = {
            "generated_at": report.generated_at,
            "start": report.period_start,
            "end": report.period_end,
            "html": report.html,
            "text": report.text,
            "subject": report.subject,
            "summary": json.dumps(summary, default=str),
            "recommendations": json.dumps(recommendations, default=str),
        }
        with transaction(self._engine) as connection:
            made = connection.execute(
                text(
                    "INSERT INTO project_reports (generated_at, period_start, period_end, summary, recommendations, html, text, subject)"
                    " VALUES (:generated_at, :start, :end, :summary, :recommendations, :html, :text, :subject)"
                    " ON CONFLICT (period_start, period_end) DO NOTHING RETURNING id"
                ),
                values,
            ).scalar()
            if made is None:
                made = connection.execute(
                    text("SELECT id FROM project_reports WHERE period_start = :start AND period_end = :end"), values
                ).scalar_one()
        return int(made)

    def sync_alarms(self, at: datetime, now_wrong: Sequence[Alarm]) -> tuple[list[Alarm], list[Alarm]]:
        """Open what is new, close what has ended; returns (opened, closed)."""
        wrong = {(alarm.kind, alarm.subject): alarm for alarm in now_wrong}
        with transaction(self._engine) as connection:
            rows = row_dicts(
                connection, "SELECT id, kind, subject, severity, detail FROM alarms WHERE closed_at IS NULL FOR UPDATE"
            )
            known = {(row["kind"], row["subject"]): row for row in rows}
            opened = [alarm for key, alarm in wrong.items() if key not in known]
            closed = [row for key, row in known.items() if key not in wrong]
            for alarm in opened:
                connection.execute(
                    text(
                        "INSERT INTO alarms (kind, subject, severity, detail, opened_at) VALUES (:kind, :subject, :severity, :detail, :at)"
                        " ON CONFLICT DO NOTHING"
                    ),
                    {
                        "kind": alarm.kind,
                        "subject": alarm.subject,
                        "severity": alarm.severity,
                        "detail": alarm.detail,
                        "at": at,
                    },
                )
            for row in closed:
                connection.execute(
                    text("UPDATE alarms SET closed_at = :at WHERE id = :id"), {"at": at, "id": row["id"]}
                )
        ended = [
            Alarm(kind=r["kind"], subject=r["subject"], severity=r["severity"], detail=r["detail"]) for r in closed
        ]
        return opened, ended

    def register_variants(
        self, at: datetime, variants: Mapping[str, Mapping[str, Any]], models: Sequence[Mapping[str, Any]]
    ) -> None:
        """Today's agents as champions with their parameters (a new parameter set is a new variant), and model versions."""
        with transaction(self._engine) as connection:
            for agent, parameters in variants.items():
                connection.execute(
                    text(
                        "INSERT INTO strategy_variants (agent_name, variant_name, parameters, state, created_at)"
                        " VALUES (:agent, :name, :parameters, 'champion', :at) ON CONFLICT (agent_name, variant_name) DO NOTHING"
                    ),
                    {
                        "agent": agent,
                        "name": parameters["variant"],
                        "parameters": json.dumps(parameters["parameters"]),
                        "at": at,
                    },
                )
                connection.execute(
                    text(
                        "UPDATE strategy_variants SET state = 'demoted' WHERE agent_name = :agent AND variant_name <> :name"
                        " AND state = 'champion'"
                    ),
                    {"agent": agent, "name": parameters["variant"]},
                )
            for model in models:
                connection.execute(
                    text(
                        "INSERT INTO ml_models (name, version, sha256, format, parameters, created_at)"
                        " SELECT :name, coalesce(max(version), 0) + 1, :sha256, :format, :parameters, :at FROM ml_models WHERE name = :name"
                        " HAVING count(*) FILTER (WHERE sha256 = :sha256) = 0"
                    ),
                    {**model, "parameters": json.dumps(model["parameters"]), "at": at},
                )


def forget_old_metrics(owner: Engine, at: datetime, *, metrics_days: int) -> int:
    """Drop chunks of system_metrics that are older, which only their owner may; returns how many. Refuses, and drops nothing,
    where more than half of all chunks would go: then the clock is wrong rather than the metrics old."""
    before = at - timedelta(days=metrics_days)
    with transaction(owner) as connection:
        counted = row_dicts(
            connection,
            "SELECT count(*) AS chunks, count(*) FILTER (WHERE range_end <= :before) AS old"
            " FROM timescaledb_information.chunks WHERE hypertable_name = 'system_metrics'",
            before=before,
        )[0]
        if not counted["old"] or 2 * counted["old"] > counted["chunks"]:
            return 0
        dropped = connection.execute(
            text("SELECT drop_chunks('system_metrics', older_than => CAST(:before AS timestamptz))"), {"before": before}
        ).all()
    return len(dropped)
