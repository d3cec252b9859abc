"""a command is obeyed by its id; times in which a daemon could not work"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OF_THE_DECISION = "(SELECT risk_state FROM decisions ORDER BY time DESC LIMIT 1)"
OF_A_PERSON_SINCE = """
               (SELECT to_state FROM risk_events WHERE actor = 'person' AND applied_at IS NOT NULL
                    AND obeyed_after = (SELECT max(time) FROM decisions) ORDER BY id DESC LIMIT 1)"""
HEALTH = """
        SELECT (SELECT max(time) FROM bars) AS newest_bar, (SELECT max(time) FROM decisions) AS newest_decision,
               (SELECT max(recorded_at) FROM decisions) AS newest_decision_recorded_at,
               {risk_state} AS risk_state,
               (SELECT count(*) FROM orders WHERE state IN ('intent', 'acked', 'partial', 'unknown')) AS open_orders,
               (SELECT count(*) FROM orders WHERE state = 'unknown') AS unknown_orders,
               (SELECT count(*) FROM bar_quarantine) AS quarantined_rows,
               (SELECT count(*) FROM agent_work_log WHERE NOT ok AND time > now() - interval '1 day') AS agent_failures_1d,
               pg_database_size(current_database()) AS database_bytes"""
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "risk_events",
        sa.Column(
            "obeyed_after",
            MOMENT,
            comment="the newest decision when a person's order was obeyed: the next one is the first under it",
        ),
    )
    op.create_table(
        "outages",
        sa.Column("plane", sa.Text(), nullable=False, comment="trading or meta"),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "began_at > '1900-01-01Z' AND began_at < '2100-01-01Z'", name=op.f("ck_outages_began_at_sane")
        ),
        sa.PrimaryKeyConstraint("plane", "began_at", name=op.f("pk_outages")),
    )
    op.execute(f"CREATE OR REPLACE VIEW v_health AS {HEALTH.format(risk_state=_latest())}")
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT, INSERT ON outages TO quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def _latest() -> str:
    """A person's word counts at once, also between two decisions."""
    return f"coalesce({OF_A_PERSON_SINCE},\n               {OF_THE_DECISION})"


def downgrade() -> None:
    op.execute(f"CREATE OR REPLACE VIEW v_health AS {HEALTH.format(risk_state=OF_THE_DECISION)}")
    op.drop_table("outages")
    op.drop_column("risk_events", "obeyed_after")
