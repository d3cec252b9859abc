"""The meta plane's numbers in the database: agent days, scorecards, weight decisions and their scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import driver_connection, lock_versions, transaction, weights_json
from agents.core.clock import Clock
from agents.core.killpoint import killpoint
from agents.core.meta_types import IN_FORCE, AgentDays, Scorecard, WeightDecision
from agents.core.ports import PastChange, WeightCache, WeightStore
from agents.core.types import REMAINDER, WeightSet
from agents.core.weight_sets import in_force

REPEATED_DAYS = 2
"""The newest days are aggregated again: the last was not over, and its signals' outcomes come with the next bar."""

_DAYS = """
WITH d AS (SELECT CAST(:start AS timestamptz) AS start, CAST(:newest AS timestamptz) AS newest),
shadow AS (
    SELECT (time AT TIME ZONE 'UTC')::date AS date, agent_name, sum("return") AS r, sum(hits) AS hits, sum(calls) AS calls
    FROM shadow_returns, d WHERE time >= d.start GROUP BY 1, 2),
money AS (
    SELECT (time AT TIME ZONE 'UTC')::date AS date, agent_name, sum(contribution) AS pnl
    FROM bar_contributions, d WHERE time >= d.start AND agent_name <> :remainder GROUP BY 1, 2),
turned AS (
    SELECT (time AT TIME ZONE 'UTC')::date AS date, substr(book, 8) AS agent_name, sum(turnover) AS turnover
    FROM equity, d WHERE time >= d.start AND book LIKE 'shadow:%' GROUP BY 1, 2),
closed AS (
    SELECT (t.closed_at AT TIME ZONE 'UTC')::date AS date, a.agent_name, count(*) AS trades
    FROM trades t JOIN trade_attribution a USING (trade_id), d
    WHERE t.closed_at >= d.start AND a.contribution <> 0 AND a.agent_name <> :remainder GROUP BY 1, 2),
moves AS (
    SELECT symbol, time,
           lead(close * adjustment) OVER (PARTITION BY symbol ORDER BY time) / (close * adjustment) - 1 AS move
    FROM bars, d WHERE time >= d.start AND time <= d.newest),
said AS (
    SELECT (s.time AT TIME ZONE 'UTC')::date AS date, s.agent_name, s.strength * s.confidence AS x, m.move AS y,
           s.confidence, s.strength, s.abstained
    FROM signals s LEFT JOIN moves m ON m.symbol = s.symbol AND m.time = s.time, d WHERE s.time >= d.start),
opinions AS (
    SELECT date, agent_name, count(*) FILTER (WHERE NOT abstained) AS signals,
           count(y) FILTER (WHERE NOT abstained) AS n,
           sum(x) FILTER (WHERE NOT abstained AND y IS NOT NULL) AS x, sum(y) FILTER (WHERE NOT abstained) AS y,
           sum(x * x) FILTER (WHERE NOT abstained AND y IS NOT NULL) AS xx, sum(y * y) FILTER (WHERE NOT abstained) AS yy,
           sum(x * y) FILTER (WHERE NOT abstained) AS xy,
           count(*) FILTER (WHERE NOT abstained AND y <> 0 AND abs(strength) > 0.02) AS bn,
           sum((confidence - CASE WHEN strength * y > 0 THEN 1 ELSE 0 END) ^ 2)
               FILTER (WHERE NOT abstained AND y <> 0 AND abs(strength) > 0.02) AS b
    FROM said GROUP BY 1, 2)
INSERT INTO agent_days (date, agent_name, "return", signals, hits, calls, trades, pnl, turnover, ic_count, ic_x, ic_y, ic_xx, ic_yy,
                        ic_xy, brier_count, brier_sum)
SELECT s.date, s.agent_name, s.r, coalesce(o.signals, 0), s.hits, s.calls, coalesce(c.trades, 0), coalesce(m.pnl, 0),
       coalesce(t.turnover, 0), coalesce(o.n, 0), coalesce(o.x, 0), coalesce(o.y, 0), coalesce(o.xx, 0), coalesce(o.yy, 0),
       coalesce(o.xy, 0), coalesce(o.bn, 0), coalesce(o.b, 0)
FROM shadow s LEFT JOIN money m USING (date, agent_name) LEFT JOIN turned t USING (date, agent_name)
LEFT JOIN closed c USING (date, agent_name) LEFT JOIN opinions o USING (date, agent_name)
ON CONFLICT (date, agent_name) DO UPDATE SET "return" = excluded."return", signals = excluded.signals, hits = excluded.hits,
    calls = excluded.calls, trades = excluded.trades, pnl = excluded.pnl, turnover = excluded.turnover,
    ic_count = excluded.ic_count, ic_x = excluded.ic_x, ic_y = excluded.ic_y, ic_xx = excluded.ic_xx, ic_yy = excluded.ic_yy,
    ic_xy = excluded.ic_xy, brier_count = excluded.brier_count, brier_sum = excluded.brier_sum
"""


DAY_ZERO = date(1970, 1, 1)
_READ_DAYS = """
SELECT (d.date - DATE '1970-01-01')::float8, (a.place - 1)::float8, coalesce(d."return", 'NaN'), d.signals::float8, d.hits::float8,
       d.calls::float8, d.trades::float8, d.pnl, d.turnover, d.ic_count::float8, d.ic_x, d.ic_y, d.ic_xx, d.ic_yy, d.ic_xy,
       d.brier_count::float8, d.brier_sum
FROM agent_days d JOIN unnest(%s::text[]) WITH ORDINALITY AS a(agent_name, place) USING (agent_name)
WHERE d.date >= %s ORDER BY d.date, a.place
"""


class MetaStore:
    """AnalyzerDesk and OptimizerDesk over one desk's database and cache."""

    def __init__(
        self,
        engine: Engine,
        cache: WeightCache,
        weights: WeightStore,
        agents: Sequence[str],
        static: Mapping[str, float],
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._weights = weights
        self._agents = tuple(agents)
        self._static = dict(static)
        self._clock = clock
        self._days = np.empty((0, 17))
        self._refreshed_to: datetime | None = None

    @property
    def agents(self) -> tuple[str, ...]:
        return self._agents

    def now(self) -> datetime:
        return self._clock.now()

    # ------------------------------------------------------------ days and scorecards

    def refresh_days(self) -> int:
        with transaction(self._engine) as connection:
            newest_bar = connection.execute(text("SELECT max(time) FROM shadow_returns")).scalar()
            if newest_bar == self._refreshed_to:
                return 0
            recent = (
                connection.execute(
                    text("SELECT DISTINCT date FROM agent_days ORDER BY date DESC LIMIT :n"), {"n": REPEATED_DAYS}
                )
                .scalars()
                .all()
            )
            start = datetime(1900, 1, 2, tzinfo=UTC) if not recent else _midnight(recent[-1])
            connection.execute(text(_DAYS), {"start": start, "newest": newest_bar, "remainder": REMAINDER})
            newest = connection.execute(
                text("SELECT count(DISTINCT date) FROM agent_days WHERE date >= :d"), {"d": start.date()}
            ).scalar_one()
        self._refreshed_to = newest_bar
        return int(newest) - len(recent)

    def agent_days(self, *, until: datetime, whole_days_only: bool = False) -> AgentDays:
        last = until.astimezone(UTC).date() - timedelta(days=1 if whole_days_only else 0)
        # Only the newest days can have changed since they were read; a long replay would read all of them every time.
        kept = self._days[: -REPEATED_DAYS * len(self._agents)] if len(self._days) else self._days
        first = int(kept[-1, 0]) + 1 if len(kept) else None
        with transaction(self._engine) as connection, driver_connection(connection).cursor(binary=True) as cursor:
            cursor.execute(
                _READ_DAYS, (list(self._agents), DAY_ZERO if first is None else DAY_ZERO + timedelta(days=first))
            )
            rows = np.array(cursor.fetchall(), dtype=np.float64).reshape(-1, 17)
        self._days = np.concatenate([kept, rows]) if len(kept) else rows
        wanted = self._days[self._days[:, 0] <= (last - DAY_ZERO).days]
        dates, place = np.unique(wanted[:, 0], return_inverse=True)
        column = wanted[:, 1].astype(np.int64)
        table = np.zeros((15, len(dates), len(self._agents)))
        table[0] = np.nan
        table[:, place, column] = wanted[:, 2:].T
        whole = {
            name: table[k].astype(np.int64) for k, name in ((1, "signals"), (2, "hits"), (3, "calls"), (4, "trades"))
        }
        return AgentDays(
            date=np.datetime64(DAY_ZERO) + dates.astype("timedelta64[D]"),
            agents=self._agents,
            returns=table[0],
            pnl=table[5],
            turnover=table[6],
            correlation_sums=table[7:13],
            brier_sums=table[13:15],
            **whole,
        )

    def variants_tried(self, agents: Sequence[str]) -> int:
        with transaction(self._engine) as connection:
            known = connection.execute(text("SELECT count(*) FROM strategy_variants")).scalar_one()
            # Settings that a search tried on days that this desk's record covers: the best of them looks better than it is.
            tried = connection.execute(
                text(
                    "SELECT count(DISTINCT settings_hash) FROM settings_tried WHERE last_bar >= (SELECT min(date) FROM agent_days)"
                )
            ).scalar_one()
        return max(int(known), len(agents)) + int(tried)

    def record_scorecards(self, cards: Sequence[Scorecard]) -> None:
        if not cards:
            return
        figures = [name for name in cards[0].figures if name not in ("total_signals", "total_trades")]
        columns = [
            "date",
            "agent_name",
            "window_days",
            "total_signals",
            "total_trades",
            *figures,
            "undefined",
            "pnl",
            "verdict",
        ]
        kept = [c for c in columns if c not in ("date", "agent_name", "window_days")]
        statement = text(
            f"INSERT INTO agent_performance ({', '.join(columns)}) VALUES ({', '.join(':' + c for c in columns)})"  # noqa: S608 - our own names
            f" ON CONFLICT (date, agent_name, window_days) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in kept)},"
            " recorded_at = now()"
        )
        rows = [
            {
                "date": c.date,
                "agent_name": c.agent_name,
                "window_days": c.window_days,
                **c.figures,
                "undefined": json.dumps(c.undefined),
                "pnl": c.pnl,
                "verdict": c.verdict,
            }
            for c in cards
        ]
        with transaction(self._engine) as connection:
            connection.execute(statement, rows)

    # ------------------------------------------------------------ weights

    def weights_in_force(self, at: datetime) -> WeightSet:
        return in_force(self._weights.newest(), self._agents, self._static, at)

    def methods_tried(self, method: str) -> int:
        query = "SELECT count(DISTINCT method) FROM weight_history WHERE sample_size IS NOT NULL AND method <> :method"
        with transaction(self._engine) as connection:
            return int(connection.execute(text(query), {"method": method}).scalar_one()) + 1

    def publish(self, decision: WeightDecision) -> int | None:
        killpoint("weights.before_commit")
        with transaction(self._engine) as connection:
            version = _insert_decision(connection, decision)
        killpoint("weights.before_redis")
        newest = self._weights.newest()
        if newest is not None and decision.status in IN_FORCE:
            self._cache.write(newest)  # of a repeated run too: whoever died before this line is repaired here
        return version

    def unscored_changes(self, *, before: datetime) -> list[PastChange]:
        query = (
            "SELECT version, timestamp, agent_weights, previous_weights FROM weight_history WHERE status IN ('apply', 'revert')"
            " AND realised_at IS NULL AND previous_weights IS NOT NULL AND timestamp < :before ORDER BY version"
        )
        with transaction(self._engine) as connection:
            rows = connection.execute(text(query), {"before": before}).all()
        return [PastChange(r.version, r.timestamp, _floats(r.agent_weights), _floats(r.previous_weights)) for r in rows]

    def score_change(self, version: int, realised: float | None, at: datetime) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                text(
                    "UPDATE weight_history SET realised_improvement = :r, realised_at = :at WHERE version = :v AND realised_at IS NULL"
                ),
                {"r": realised, "at": at, "v": version},
            )

    def decision(self, version: int) -> dict[str, Any] | None:
        """One row of weight_history."""
        with transaction(self._engine) as connection:
            row = connection.execute(text("SELECT * FROM weight_history WHERE version = :v"), {"v": version}).first()
        return None if row is None else dict(row._mapping)


def _insert_decision(connection: Connection, decision: WeightDecision) -> int | None:
    values = {
        "at": decision.at,
        "decided_for": decision.decided_for,
        "weights": weights_json(decision.weights),
        "previous": weights_json(decision.previous) if decision.previous is not None else None,
        "method": decision.method,
        "status": decision.status,
        "reason": decision.reason,
        "window_days": decision.window_days,
        "sample_size": decision.sample_size,
        "trials": decision.trials,
        "inputs_hash": decision.inputs_hash,
        "sharpe": decision.sharpe_improvement,
        "returned": decision.return_improvement,
        "causes": json.dumps(decision.causes),
        "evidence": json.dumps(decision.evidence),
    }
    lock_versions(connection)
    version = connection.execute(
        text(
            "INSERT INTO weight_history (version, timestamp, decided_for, agent_weights, previous_weights, method, status, reason,"
            " window_days, sample_size, trials, inputs_hash, sharpe_improvement, return_improvement, causes, evidence)"
            " SELECT coalesce(max(version), 0) + 1, CAST(:at AS timestamptz), CAST(:decided_for AS timestamptz), CAST(:weights AS jsonb),"
            " CAST(:previous AS jsonb), :method, :status, :reason, CAST(:window_days AS int), CAST(:sample_size AS int),"
            " CAST(:trials AS int), :inputs_hash, CAST(:sharpe AS float8), CAST(:returned AS float8), CAST(:causes AS jsonb),"
            " CAST(:evidence AS jsonb) FROM weight_history"
            " ON CONFLICT (decided_for) DO NOTHING RETURNING version"
        ),
        values,
    ).scalar()
    return None if version is None else int(version)


def _floats(weights: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(weight) for name, weight in weights.items()}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
