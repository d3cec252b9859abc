"""profit by agent, gross and net: what of a bar's costs is whose"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

CHECK = "ck_bar_contributions_cost_finite"
V_PNL_BY_AGENT = """
    WITH made AS (
        SELECT agent_name, sum(contribution) AS net, coalesce(sum(cost), 0) AS cost FROM bar_contributions GROUP BY 1),
    split AS (
        SELECT agent_name, net, CASE agent_name WHEN 'remainder'
                   THEN coalesce((SELECT sum(fee + spread_cost + impact_cost)::float8 FROM fills), 0)
                        - coalesce((SELECT sum(cost) FROM made WHERE agent_name <> 'remainder'), 0)
                   ELSE cost END AS costs
        FROM made),
    closed AS (
        SELECT agent_name, count(*) AS trades, count(*) FILTER (WHERE contribution > 0) AS won
        FROM trade_attribution WHERE contribution <> 0 GROUP BY 1)
    SELECT s.agent_name, coalesce(c.trades, 0) AS trades, coalesce(c.won, 0) AS won, s.net + s.costs AS gross,
           s.costs, s.net
    FROM split s LEFT JOIN closed c USING (agent_name)"""


def upgrade() -> None:
    comment = "of its fills, already taken off; NULL in rows of older versions"
    op.add_column("bar_contributions", sa.Column("cost", sa.Double(), comment=comment))
    op.create_check_constraint(op.f(CHECK), "bar_contributions", "cost > '-Infinity' AND cost < 'Infinity'")
    op.execute(f"CREATE VIEW v_pnl_by_agent AS {V_PNL_BY_AGENT}")
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON v_pnl_by_agent TO quorum_reader, quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    op.execute("DROP VIEW v_pnl_by_agent")
    op.drop_constraint(op.f(CHECK), "bar_contributions")
    op.drop_column("bar_contributions", "cost")
