"""The table agent_days: what every agent did on each UTC day, aggregated from the journal as it grows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
from sqlalchemy import Engine, text

from agents.adapters.database.engine import driver_connection, transaction
from agents.core.meta_types import AgentDays
from agents.core.types import REMAINDER

REPEATED_DAYS = 2
"""The newest days are aggregated again: the last was not over, and its signals' outcomes come with the next bar."""
BEFORE_ALL = datetime(1900, 1, 2, tzinfo=UTC)
DAY_ZERO = date(1970, 1, 1)
"""Days are read as numbers since this one."""

_AGGREGATE = """
WITH d AS (SELECT CAST(:start AS timestamptz) AS start, CAST(:newest AS timestamptz) AS newest),
shadow AS (
    SELECT (time AT TIME ZONE 'UTC')::date AS date, agent_name,
           sum("return") AS r, sum(hits) AS hits, sum(calls) AS calls
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
opinions AS (
    SELECT (s.time AT TIME ZONE 'UTC')::date AS date, s.agent_name, s.strength * s.confidence AS x, m.move AS y,
           s.confidence, s.strength, s.abstained
    FROM signals s LEFT JOIN moves m ON m.symbol = s.symbol AND m.time = s.time, d WHERE s.time >= d.start),
sums AS (
    SELECT date, agent_name, count(*) FILTER (WHERE NOT abstained) AS signals,
           count(y) FILTER (WHERE NOT abstained) AS n,
           sum(x) FILTER (WHERE NOT abstained AND y IS NOT NULL) AS x,
           sum(y) FILTER (WHERE NOT abstained) AS y,
           sum(x * x) FILTER (WHERE NOT abstained AND y IS NOT NULL) AS xx,
           sum(y * y) FILTER (WHERE NOT abstained) AS yy,
           sum(x * y) FILTER (WHERE NOT abstained) AS xy,
           count(*) FILTER (WHERE NOT abstained AND y <> 0 AND abs(strength) > 0.02) AS bn,
           sum((confidence - CASE WHEN strength * y > 0 THEN 1 ELSE 0 END) ^ 2)
               FILTER (WHERE NOT abstained AND y <> 0 AND abs(strength) > 0.02) AS b
    FROM opinions GROUP BY 1, 2)
INSERT INTO agent_days (
    date, agent_name, "return", signals, hits, calls, trades, pnl, turnover,
    ic_count, ic_x, ic_y, ic_xx, ic_yy, ic_xy, brier_count, brier_sum)
SELECT s.date, s.agent_name, s.r, coalesce(o.signals, 0), s.hits, s.calls, coalesce(c.trades, 0), coalesce(m.pnl, 0),
       coalesce(t.turnover, 0), coalesce(o.n, 0), coalesce(o.x, 0), coalesce(o.y, 0), coalesce(o.xx, 0),
       coalesce(o.yy, 0), coalesce(o.xy, 0), coalesce(o.bn, 0), coalesce(o.b, 0)
FROM shadow s
    LEFT JOIN money m USING (date, agent_name)
    LEFT JOIN turned t USING (date, agent_name)
    LEFT JOIN closed c USING (date, agent_name)
    LEFT JOIN sums o USING (date, agent_name)
ON CONFLICT (date, agent_name) DO UPDATE SET
    "return" = excluded."return", signals = excluded.signals, hits = excluded.hits, calls = excluded.calls,
    trades = excluded.trades, pnl = excluded.pnl, turnover = excluded.turnover, ic_count = excluded.ic_count,
    ic_x = excluded.ic_x, ic_y = excluded.ic_y, ic_xx = excluded.ic_xx, ic_yy = excluded.ic_yy, ic_xy = excluded.ic_xy,
    brier_count = excluded.brier_count, brier_sum = excluded.brier_sum
"""
_FIGURES = (
    "returns",
    "signals",
    "hits",
    "calls",
    "trades",
    "pnl",
    "turnover",
    "ic_count",
    "ic_x",
    "ic_y",
    "ic_xx",
    "ic_yy",
    "ic_xy",
    "brier_count",
    "brier_sum",
)
_READ = """
SELECT (d.date - DATE '1970-01-01')::float8, (a.place - 1)::float8,
       coalesce(d."return", 'NaN'), d.signals::float8, d.hits::float8, d.calls::float8, d.trades::float8, d.pnl,
       d.turnover, d.ic_count::float8, d.ic_x, d.ic_y, d.ic_xx, d.ic_yy, d.ic_xy, d.brier_count::float8, d.brier_sum
FROM agent_days d JOIN unnest(%s::text[]) WITH ORDINALITY AS a(agent_name, place) USING (agent_name)
WHERE d.date >= %s ORDER BY d.date, a.place
"""
"""Day, place of the agent, and the _FIGURES."""
_READ_SHARES = """
SELECT ((t.closed_at AT TIME ZONE 'UTC')::date - DATE '1970-01-01')::float8, (a.place - 1)::float8,
       c.contribution::float8
FROM trades t JOIN trade_attribution c USING (trade_id)
    JOIN unnest(%s::text[]) WITH ORDINALITY AS a(agent_name, place) USING (agent_name)
WHERE t.closed_at >= %s AND c.contribution <> 0 ORDER BY t.closed_at, t.symbol, a.place
"""
"""Day, place of the agent, its part of a closed trade."""


class AgentDaysTable:
    """The days of one desk's `agents`. What was read is kept: only the newest days can change."""

    def __init__(self, engine: Engine, agents: Sequence[str]) -> None:
        self._engine = engine
        self._agents = tuple(agents)
        self._rows = np.empty((0, 2 + len(_FIGURES)))
        self._shares = np.empty((0, 3))
        self._refreshed_to: datetime | None = None

    def refresh(self) -> int:
        """Aggregate what is new in the journal; how many days were added."""
        with transaction(self._engine) as connection:
            newest_bar = connection.execute(text("SELECT max(time) FROM shadow_returns")).scalar()
            if newest_bar == self._refreshed_to:
                return 0
            query = text("SELECT DISTINCT date FROM agent_days ORDER BY date DESC LIMIT :n")
            recent = connection.execute(query, {"n": REPEATED_DAYS}).scalars().all()
            start = _midnight(recent[-1]) if recent else BEFORE_ALL
            connection.execute(text(_AGGREGATE), {"start": start, "newest": newest_bar, "remainder": REMAINDER})
            query = text("SELECT count(DISTINCT date) FROM agent_days WHERE date >= :d")
            aggregated = connection.execute(query, {"d": start.date()}).scalar_one()
        self._refreshed_to = newest_bar
        return int(aggregated) - len(recent)

    def read(self, last: date) -> AgentDays:
        """Every day up to `last`; a day that an agent is missing from holds no return and zeros."""
        self._read_new()
        rows = self._rows[self._rows[:, 0] <= (last - DAY_ZERO).days]
        dates, place = np.unique(rows[:, 0], return_inverse=True)
        grids = np.zeros((len(_FIGURES), len(dates), len(self._agents)))
        grids[_FIGURES.index("returns")] = np.nan
        grids[:, place, rows[:, 1].astype(np.int64)] = rows[:, 2:].T
        figures = dict(zip(_FIGURES, grids, strict=True))
        return AgentDays(
            date=np.datetime64(DAY_ZERO) + dates.astype("timedelta64[D]"),
            agents=self._agents,
            returns=figures["returns"],
            signals=figures["signals"].astype(np.int64),
            hits=figures["hits"].astype(np.int64),
            calls=figures["calls"].astype(np.int64),
            trades=figures["trades"].astype(np.int64),
            pnl=figures["pnl"],
            turnover=figures["turnover"],
            correlation_sums=grids[_FIGURES.index("ic_count") : _FIGURES.index("ic_xy") + 1],
            brier_sums=grids[_FIGURES.index("brier_count") : _FIGURES.index("brier_sum") + 1],
            trade_shares=self._shares[self._shares[:, 0] <= (last - DAY_ZERO).days].T,
        )

    def _read_new(self) -> None:
        # Only the newest days can have changed since they were read; a long replay would read all of them every time.
        # Whole days are kept: an agent that was added later has no rows on the days before it.
        days = np.unique(self._rows[:, 0])[-REPEATED_DAYS:]
        kept = self._rows[self._rows[:, 0] < days[0]] if len(days) else self._rows
        first = DAY_ZERO + timedelta(days=int(days[0])) if len(kept) else DAY_ZERO
        with transaction(self._engine) as connection, driver_connection(connection).cursor(binary=True) as cursor:
            rows = cursor.execute(_READ, (list(self._agents), first)).fetchall()
            shares = cursor.execute(_READ_SHARES, (list(self._agents), _midnight(first))).fetchall()
        new = np.array(rows, dtype=np.float64).reshape(-1, self._rows.shape[1])
        self._rows = np.concatenate([kept, new]) if len(kept) else new
        known = self._shares[self._shares[:, 0] < (first - DAY_ZERO).days]
        self._shares = np.concatenate([known, np.array(shares, dtype=np.float64).reshape(-1, 3)])


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
