"""the market's regime at every decision, and how agents did in each"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

CHECK = "ck_decisions_regime_known"
REGIMES = ("calm up", "calm sideways", "calm down", "turbulent up", "turbulent sideways", "turbulent down")
VIEWS = {
    "v_regime_days": """
    SELECT d.date, known.regime
    FROM (SELECT DISTINCT date FROM agent_days) d CROSS JOIN LATERAL (
        SELECT regime FROM decisions WHERE time < (d.date::timestamp AT TIME ZONE 'UTC')
        ORDER BY time DESC LIMIT 1) known
    WHERE known.regime IS NOT NULL""",
    "v_agent_regimes": """
    SELECT a.agent_name, r.regime, count(a."return") AS days, avg(a."return") AS mean_return,
           stddev_pop(a."return") AS deviation
    FROM agent_days a JOIN v_regime_days r USING (date) GROUP BY 1, 2""",
}
"""A day's regime is the one that the desk knew when the day began."""


def upgrade() -> None:
    comment = "the market's; NULL where too little was known, and in rows of older versions"
    op.add_column("decisions", sa.Column("regime", sa.Text(), comment=comment))
    op.create_check_constraint(op.f(CHECK), "decisions", f"regime IN ({', '.join(map(repr, REGIMES))})")
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON {", ".join(VIEWS)} TO quorum_reader, quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
    op.drop_constraint(op.f(CHECK), "decisions")
    op.drop_column("decisions", "regime")
