"""every entry and the exit of a trade, the desk against holding, days of older rules, a heartbeat for each job's daemon"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

KNOWN, EVERY = (
    "('trading', 'meta')",
    ("('trading', 'meta', 'performance_analyzer', 'weight_optimizer', 'parity_check', 'project_manager')"),
)
OLDER, PRESENT = "1", "2"
TRADE_SIGNALS = """
    SELECT t.trade_id, t.symbol, t.side, t.opened_at, t.closed_at, t.pnl, a.agent_name, a.contribution,
           step.part, step.decided_at, step.filled_at, step.quantity, step.price,
           s.strength, s.confidence, s.abstained, s.reason
    FROM trades t
    JOIN trade_attribution a USING (trade_id)
    JOIN LATERAL (
        SELECT CASE WHEN f.fill_id = substr(t.trade_id, 3) THEN 'exit' ELSE 'entry' END AS part,
               o.decision_time AS decided_at, min(f.time) AS filled_at, sum(f.quantity) AS quantity,
               sum(f.quantity * f.price) / sum(f.quantity) AS price
        FROM fills f JOIN orders o USING (client_order_id)
        WHERE f.symbol = t.symbol AND f.time BETWEEN t.opened_at AND t.closed_at
          AND (f.fill_id = substr(t.trade_id, 3)
               OR (f.side = CASE t.side WHEN 'long' THEN 'buy' ELSE 'sell' END
                   AND (f.time < t.closed_at OR f.time = t.opened_at)))
        GROUP BY 1, 2) step ON true
    LEFT JOIN signals s ON s.time = step.decided_at AND s.agent_name = a.agent_name AND s.symbol = t.symbol"""
TRADE_SIGNALS_BEFORE = """
    SELECT t.trade_id, t.symbol, t.side, t.opened_at, t.closed_at, t.pnl, a.agent_name, a.contribution,
           entry.decision_time AS entry_decided_at, i.strength AS entry_strength, i.confidence AS entry_confidence,
           i.abstained AS entry_abstained, i.reason AS entry_reason,
           exit.decision_time AS exit_decided_at, o.strength AS exit_strength, o.confidence AS exit_confidence,
           o.abstained AS exit_abstained, o.reason AS exit_reason
    FROM trades t
    JOIN trade_attribution a USING (trade_id)
    LEFT JOIN LATERAL (SELECT decision_time FROM fills f JOIN orders USING (client_order_id)
                       WHERE f.symbol = t.symbol AND f.time = t.opened_at ORDER BY decision_time LIMIT 1) entry ON true
    LEFT JOIN LATERAL (SELECT decision_time FROM fills f JOIN orders USING (client_order_id)
                       WHERE f.symbol = t.symbol AND f.time = t.closed_at ORDER BY decision_time LIMIT 1) exit ON true
    LEFT JOIN signals i ON i.time = entry.decision_time AND i.agent_name = a.agent_name AND i.symbol = t.symbol
    LEFT JOIN signals o ON o.time = exit.decision_time AND o.agent_name = a.agent_name AND o.symbol = t.symbol"""
AGAINST_HOLDING = """
    WITH daily AS (
        SELECT book, (time AT TIME ZONE 'UTC')::date AS day, last(equity, time) AS equity, max(time) AS time
        FROM equity WHERE book NOT LIKE '%:%' OR book LIKE 'control:hold%' GROUP BY 1, 2),
    made AS (
        SELECT book, day, equity / NULLIF(lag(equity) OVER (PARTITION BY book ORDER BY day), 0) - 1 AS return
        FROM daily),
    pace AS (
        SELECT (count(*) - 1) * 365.25 / NULLIF(max(day) - min(day), 0) AS days_a_year
        FROM daily WHERE book NOT LIKE '%:%')
    SELECT replace(substr(held.book, 9), '_', ' ') AS benchmark, min(live.day) AS since, count(*) AS days,
           (avg(live.return - held.return) * days_a_year)::float8 AS excess_return,
           regr_slope(live.return, held.return) AS beta,
           (avg(live.return - held.return) / NULLIF(stddev_samp(live.return - held.return), 0)
            * sqrt(days_a_year))::float8 AS information_ratio
    FROM made live JOIN made held USING (day) CROSS JOIN pace
    WHERE live.book NOT LIKE '%:%' AND held.book LIKE '%:%' AND live.return IS NOT NULL AND held.return IS NOT NULL
    GROUP BY held.book, days_a_year"""


def upgrade() -> None:
    _remake_trade_signals(TRADE_SIGNALS)
    op.execute(f"CREATE VIEW v_against_holding AS {AGAINST_HOLDING}")
    _grant("v_trade_signals, v_against_holding")
    _know_daemons(EVERY)
    comment = "by which rules its books traded: 1, an older version's; 2, the desk's directions, costs and closures"
    op.add_column(
        "agent_days",
        sa.Column("rules", sa.SmallInteger(), nullable=False, server_default=OLDER, comment=comment),
    )
    op.alter_column("agent_days", "rules", server_default=PRESENT)


def _remake_trade_signals(query: str) -> None:
    op.execute("DROP VIEW v_trade_signals")
    op.execute(f"CREATE VIEW v_trade_signals AS {query}")


def _know_daemons(names: str) -> None:
    op.execute("ALTER TABLE heartbeats DROP CONSTRAINT ck_heartbeats_daemon_known")
    op.execute(f"ALTER TABLE heartbeats ADD CONSTRAINT ck_heartbeats_daemon_known CHECK (daemon IN {names})")


def _grant(views: str) -> None:
    """Where the roles exist; elsewhere one user does everything."""
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON {views} TO quorum_reader, quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    op.drop_column("agent_days", "rules")
    op.execute("DELETE FROM heartbeats WHERE daemon NOT IN ('trading', 'meta')")
    _know_daemons(KNOWN)
    op.execute("DROP VIEW v_against_holding")
    _remake_trade_signals(TRADE_SIGNALS_BEFORE)
    _grant("v_trade_signals")
