"""what the desk in effect listens to, beside the weights that were earned"""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

V_EFFECTIVE_WEIGHTS = """
    WITH newest AS (SELECT time, weights FROM decisions ORDER BY time DESC LIMIT 1),
    recent AS (SELECT time FROM decisions ORDER BY time DESC LIMIT 500),
    last_words AS (
        SELECT agent_name, max(time) AS time FROM signals
        WHERE NOT abstained AND time >= (SELECT min(time) FROM recent) GROUP BY 1),
    earned AS (
        SELECT w.key AS agent_name, w.value::float8 AS earned, n.time FROM newest n, jsonb_each_text(n.weights) w),
    votes AS (
        SELECT e.agent_name, e.earned, s.symbol, s.abstained, s.reason,
               coalesce(x.clamps LIKE '%stale data%', false) AS stale
        FROM earned e JOIN signals s ON s.time = e.time AND s.agent_name = e.agent_name
            LEFT JOIN decision_details x ON x.time = e.time AND x.symbol = s.symbol),
    mix AS (
        SELECT symbol, sum(earned) AS total FROM votes WHERE NOT abstained AND NOT stale
        GROUP BY 1 HAVING sum(earned) > 0),
    said AS (
        SELECT v.agent_name, count(*) AS symbols, count(*) FILTER (WHERE NOT v.abstained) AS spoke,
               count(*) FILTER (WHERE v.stale) AS stale,
               coalesce(sum(v.earned / m.total) FILTER (WHERE NOT v.abstained), 0) AS heard,
               mode() WITHIN GROUP (ORDER BY v.reason) FILTER (WHERE v.abstained) AS silence
        FROM votes v LEFT JOIN mix m ON m.symbol = v.symbol AND NOT v.stale GROUP BY 1)
    SELECT e.agent_name, e.earned, coalesce(s.heard, 0) / greatest((SELECT count(*) FROM mix), 1) AS effective,
           coalesce(s.symbols, 0) AS symbols, coalesce(s.spoke, 0) AS spoke, coalesce(s.stale, 0) AS stale,
           coalesce(s.silence, '') AS silence, coalesce(f.detail, '') AS failure,
           (SELECT count(*) FROM recent r WHERE r.time > coalesce(l.time, '-infinity')) AS silent_decisions
    FROM earned e LEFT JOIN said s USING (agent_name) LEFT JOIN last_words l USING (agent_name)
        LEFT JOIN LATERAL (
            SELECT detail FROM agent_work_log w
            WHERE w.time = e.time AND w.agent_name = e.agent_name AND NOT w.ok LIMIT 1) f ON true"""


def upgrade() -> None:
    op.execute(f"CREATE VIEW v_effective_weights AS {V_EFFECTIVE_WEIGHTS}")
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON v_effective_weights TO quorum_reader, quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    op.execute("DROP VIEW v_effective_weights")
