"""Questions of the dashboard to a desk's database, beside those that the reports ask. Each is bounded by an index or a
limit, so a page costs the same after a year as on the first day."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from agents.adapters.database.engine import Row, row_dicts, transaction

_PULSE = """
SELECT (SELECT max(time) FROM decisions) AS decided, (SELECT max(version) FROM weight_history) AS weights,
       (SELECT max(id) FROM project_reports) AS report,
       (SELECT count(*) || ' ' || coalesce(max(opened_at)::text, '') FROM alarms WHERE closed_at IS NULL) AS alarms,
       (SELECT max(coalesce(finished_at, started_at)) FROM job_runs) AS job,
       (SELECT count(*) || ' ' || count(applied_at) FROM risk_events) AS risk,
       (SELECT max(updated_at) FROM orders WHERE state NOT IN ('filled', 'cancelled', 'expired', 'rejected')) AS orders
"""
_NEWEST_DETAILS = """
SELECT x.symbol, x.combined, x.raw_weight, x.target_weight, x.clamps, x.no_trade, x.position, x.mark,
       o.side, o.quantity, o.kind, o.state
FROM decision_details x LEFT JOIN orders o ON o.decision_time = x.time AND o.symbol = x.symbol
WHERE x.time = (SELECT max(time) FROM decisions) ORDER BY o.side IS NULL, abs(x.target_weight) DESC, x.symbol
LIMIT :limit
"""
_EXPOSURE = """
WITH ends AS (SELECT min(time) AS first, max(time) AS last FROM decisions),
grid AS (SELECT DISTINCT d.time, d.equity FROM ends, generate_series(0, :points) AS k, LATERAL (
    SELECT time, equity FROM decisions WHERE time <= first + (last - first) * (k::float8 / :points)
    ORDER BY time DESC LIMIT 1) d)
SELECT g.time, coalesce(sum(abs(x.position * x.mark)), 0) / NULLIF(g.equity, 0) AS gross,
       coalesce(sum(x.position * x.mark), 0) / NULLIF(g.equity, 0) AS net
FROM grid g LEFT JOIN decision_details x ON x.time = g.time GROUP BY g.time, g.equity ORDER BY g.time
"""
_SYMBOLS = """
WITH RECURSIVE known AS (
    (SELECT symbol FROM bars ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT (SELECT b.symbol FROM bars b WHERE b.symbol > known.symbol ORDER BY b.symbol LIMIT 1) FROM known
    WHERE known.symbol IS NOT NULL)
SELECT symbol FROM known WHERE symbol IS NOT NULL
"""
_BARS = """
SELECT count(*) AS bars, extract(epoch FROM min(time))::float8 AS first, extract(epoch FROM max(time))::float8 AS last
FROM bars WHERE symbol = :symbol AND time > to_timestamp(:start) AND time <= to_timestamp(:end)
"""
_SPAN = """
SELECT (SELECT extract(epoch FROM time)::float8 FROM bars WHERE symbol = :symbol ORDER BY time LIMIT 1) AS first,
       (SELECT extract(epoch FROM time)::float8 FROM bars WHERE symbol = :symbol ORDER BY time DESC LIMIT 1) AS last
"""
_CANDLES = """
WITH newest AS (SELECT adjustment FROM bars WHERE symbol = :symbol ORDER BY time DESC LIMIT 1),
thinned AS (
    SELECT extract(epoch FROM max(b.time))::bigint AS time, first(b.open * b.adjustment, b.time) / n.adjustment AS open,
           max(b.high * b.adjustment) / n.adjustment AS high, min(b.low * b.adjustment) / n.adjustment AS low,
           last(b.close * b.adjustment, b.time) / n.adjustment AS close, sum(b.volume) AS volume
    FROM bars b CROSS JOIN newest n
    WHERE b.symbol = :symbol AND b.time > to_timestamp(:start) AND b.time <= to_timestamp(:end)
    GROUP BY time_bucket(make_interval(secs => :width), b.bar_open), n.adjustment)
SELECT array_agg(time ORDER BY time) AS time, array_agg(open ORDER BY time) AS open,
       array_agg(high ORDER BY time) AS high, array_agg(low ORDER BY time) AS low,
       array_agg(close ORDER BY time) AS close, array_agg(volume ORDER BY time) AS volume FROM thinned
"""
"""Prices as if all splits and dividends known now had been, so that no candle jumps for them."""
_SIGNALS = """
SELECT agent_name, array_agg(extract(epoch FROM time)::bigint ORDER BY time) AS time,
       array_agg(strength * confidence ORDER BY time) AS strength
FROM signals WHERE time = ANY(SELECT to_timestamp(t) FROM unnest(CAST(:times AS bigint[])) AS t) AND symbol = :symbol
    AND NOT abstained GROUP BY agent_name ORDER BY agent_name
"""
_FILLS = """
SELECT extract(epoch FROM time)::float8 AS time, side, quantity::float8 AS quantity, price::float8 AS price
FROM fills WHERE symbol = :symbol AND time > to_timestamp(:start) AND time <= to_timestamp(:end)
ORDER BY time DESC LIMIT :limit
"""
_REPORTS = """
SELECT id, generated_at, period_start, period_end, subject FROM project_reports
WHERE CAST(:before AS bigint) IS NULL OR id < :before ORDER BY id DESC LIMIT :limit
"""
_JOB_RUNS = """
SELECT job, due_at, started_at, finished_at, status, detail, attempts, missed FROM job_runs
ORDER BY due_at DESC, job LIMIT :limit
"""
_ENDED = """
SELECT kind, subject, severity, detail, opened_at, closed_at FROM alarms WHERE closed_at IS NOT NULL
ORDER BY closed_at DESC LIMIT :limit
"""
_SUGGESTIONS = """
SELECT kind, severity, title, action, state FROM improvement_suggestions WHERE state IN ('open', 'accepted')
ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low', 'info'], severity), id
"""
_SHADOW_RETURNS = """
SELECT agent_name, array_agg(date - DATE '1970-01-01' ORDER BY date) AS days,
       array_agg("return" ORDER BY date) AS returns
FROM agent_days WHERE "return" IS NOT NULL GROUP BY agent_name ORDER BY agent_name
"""
_CALIBRATION = """
WITH asked AS (SELECT time FROM decisions ORDER BY time DESC LIMIT :decisions),
moves AS (
    SELECT symbol, time, lead(close * adjustment) OVER (PARTITION BY symbol ORDER BY time) - close * adjustment AS move
    FROM bars WHERE time >= (SELECT min(time) FROM asked))
SELECT s.agent_name, floor(s.confidence * 10 - 1e-9)::int AS bin, count(*) AS calls, avg(s.confidence) AS stated,
       avg((s.strength * m.move > 0)::int)::float8 AS came
FROM asked JOIN signals s USING (time) JOIN moves m ON m.symbol = s.symbol AND m.time = s.time
WHERE NOT s.abstained AND m.move <> 0 AND abs(s.strength) > 0.02
GROUP BY 1, 2 HAVING count(*) >= :least ORDER BY 1, 2
"""
"""Opinions and moves as the Brier score counts them (`agent_days`)."""


class Dashboard:
    """Read-only view of one desk's database, for pages."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def rows(self, query: str, **parameters: object) -> list[Row]:
        """Rows of a query with named parameters."""
        with transaction(self._engine) as connection:
            return row_dicts(connection, query, **parameters)

    def pulse(self) -> tuple[Any, ...]:
        """Something that is another one whenever a page may have something new to show."""
        return tuple(self.rows(_PULSE)[0].values())

    def newest_decision(self) -> datetime | None:
        """When the newest decision was made."""
        newest = self.rows("SELECT max(time) AS newest FROM decisions")[0]["newest"]
        return newest if isinstance(newest, datetime) else None

    def newest_details(self, limit: int) -> list[Row]:
        """The newest decision by symbol, those with an order first."""
        return self.rows(_NEWEST_DETAILS, limit=limit)

    def shadow_returns(self) -> list[Row]:
        """Each agent's days (since 1970) and the returns of its shadow book on them."""
        return self.rows(_SHADOW_RETURNS)

    def calibration(self, decisions: int, least: int) -> list[Row]:
        """Stated confidence against how often it came true, by agent and tenth, over the newest decisions; tenths of
        fewer calls than `least` are left out."""
        return self.rows(_CALIBRATION, decisions=decisions, least=least)

    def bar_symbols(self) -> list[str]:
        """Symbols that have bars, without looking at all of them."""
        return [row["symbol"] for row in self.rows(_SYMBOLS)]

    def span(self, symbol: str) -> tuple[float, float] | None:
        """The closes of its first and its last bar, in seconds since 1970; None where there is no bar."""
        row = self.rows(_SPAN, symbol=symbol)[0]
        return None if row["first"] is None else (row["first"], row["last"])

    def count_bars(self, symbol: str, start: float, end: float) -> int:
        """How many bars closed after `start` and until `end`."""
        return int(self.rows(_BARS, symbol=symbol, start=start, end=end)[0]["bars"])

    def candles(self, symbol: str, start: float, end: float, width_s: int) -> Row:
        """Columns of candles of `width_s` each, oldest first: time (close of its last bar), open, high, low, close,
        volume; None where there are none."""
        return self.rows(_CANDLES, symbol=symbol, start=start, end=end, width=width_s)[0]

    def signals_at(self, symbol: str, times: list[int]) -> list[Row]:
        """Each agent's opinions, strength times confidence, at decisions of these times."""
        return self.rows(_SIGNALS, symbol=symbol, times=times)

    def fills(self, symbol: str, start: float, end: float, limit: int) -> list[Row]:
        """Its newest fills, newest first."""
        return self.rows(_FILLS, symbol=symbol, start=start, end=end, limit=limit)

    def reports(self, before: int | None, limit: int) -> list[Row]:
        """The newest reports of numbers below `before` (None: of all), without their text."""
        return self.rows(_REPORTS, before=before, limit=limit)

    def report(self, number: int) -> Row | None:
        """One report with its HTML; None where there is none."""
        query = "SELECT id, generated_at, subject, html FROM project_reports WHERE id = :number"
        return next(iter(self.rows(query, number=number)), None)

    def job_runs(self, limit: int) -> list[Row]:
        """The newest runs of all jobs."""
        return self.rows(_JOB_RUNS, limit=limit)

    def ended_alarms(self, limit: int) -> list[Row]:
        """Alarms that have ended, the newest first."""
        return self.rows(_ENDED, limit=limit)

    def suggestions(self) -> list[Row]:
        """What the newest report suggests, worst first."""
        return self.rows(_SUGGESTIONS)

    def exposure(self, points: int) -> list[Row]:
        """Gross and net exposure as shares of equity, at so many moments at most, oldest first."""
        return self.rows(_EXPOSURE, points=points)
