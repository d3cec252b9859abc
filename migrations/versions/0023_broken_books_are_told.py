"""who confirmed an account; orders that are being sent for too long in v_health"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

HEALTH = """
        SELECT (SELECT max(time) FROM bars) AS newest_bar, (SELECT max(time) FROM decisions) AS newest_decision,
               (SELECT max(recorded_at) FROM decisions) AS newest_decision_recorded_at,
               coalesce((SELECT to_state FROM risk_events WHERE actor = 'person' AND applied_at IS NOT NULL
                    AND obeyed_after = (SELECT max(time) FROM decisions) ORDER BY id DESC LIMIT 1),
               (SELECT risk_state FROM decisions ORDER BY time DESC LIMIT 1)) AS risk_state,
               (SELECT count(*) FROM orders WHERE state IN ('intent', {sending}'acked', 'partial', 'unknown'))
                    AS open_orders,
               (SELECT count(*) FROM orders WHERE state = 'unknown') AS unknown_orders,
               (SELECT count(*) FROM bar_quarantine) AS quarantined_rows,
               (SELECT count(*) FROM agent_work_log WHERE NOT ok AND time > now() - interval '1 day') AS agent_failures_1d,
               pg_database_size(current_database()) AS database_bytes{more}"""
MORE = """,
               (SELECT count(*) FROM orders WHERE state = 'sending' AND updated_at < now() - interval '2 minutes')
                    AS long_sending_orders,
               (SELECT count(*) FROM reconciliation_breaks WHERE closed_at IS NULL) AS open_breaks"""


def upgrade() -> None:
    op.add_column(
        "broker_accounts",
        sa.Column(
            "confirmed_by",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="the user of the machine who typed it",
        ),
    )
    sending = HEALTH.format(sending="'sending', ", more=MORE)
    op.execute(f"CREATE OR REPLACE VIEW v_health AS {sending}")


def downgrade() -> None:
    op.execute("DROP VIEW v_health")
    op.execute(f"CREATE VIEW v_health AS {HEALTH.format(sending='', more='')}")
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON v_health TO quorum_reader, quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")
    op.drop_column("broker_accounts", "confirmed_by")
