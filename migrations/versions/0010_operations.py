"""heartbeats, alarms and mail periods"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

V_ALARMS = """
    CREATE OR REPLACE VIEW v_alarms AS
    SELECT kind, subject, severity, detail, opened_at, closed_at FROM alarms ORDER BY closed_at IS NOT NULL, {order}"""
WORST_FIRST = "array_position(ARRAY['critical', 'high', 'medium', 'low', 'info'], severity), opened_at DESC"
V_JOBS = """
    CREATE OR REPLACE VIEW v_jobs AS
    SELECT DISTINCT ON (job) job, due_at, started_at, finished_at, status, attempts, missed, detail,
           EXTRACT(epoch FROM finished_at - started_at) AS took_s
    FROM job_runs {condition} ORDER BY job, due_at DESC"""
OUTBOX = {
    "period_start": "the mail covers what happened after this",
    "period_end": "and up to this",
    "waiting_since": "since when there has been news that did not leave, over the mails that this one took in",
    "sending_since": "a process is sending it now",
    "left_at": "when the first recipient got it",
}


def upgrade() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("daemon", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False, comment="what it cannot do now; '' where all is well"),
        sa.CheckConstraint("daemon IN ('trading', 'meta')", name=op.f("ck_heartbeats_daemon_known")),
        sa.CheckConstraint("state IN ('running', 'stopped')", name=op.f("ck_heartbeats_state_known")),
        sa.PrimaryKeyConstraint("daemon", name=op.f("pk_heartbeats")),
    )
    for name, comment in OUTBOX.items():
        op.add_column("outbox", sa.Column(name, sa.DateTime(timezone=True), comment=comment))
    op.add_column(
        "outbox",
        sa.Column(
            "recipients",
            postgresql.JSONB(),
            nullable=False,
            server_default="{}",
            comment="address -> '' (waits), 'sent', or why its server refuses it",
        ),
    )
    op.add_column("outbox", sa.Column("said", sa.Text(), nullable=False, server_default=""))
    op.execute("""
        UPDATE outbox o SET period_start = r.period_start, period_end = r.period_end,
            waiting_since = CASE WHEN o.state = 'pending' THEN o.created_at END,
            left_at = CASE WHEN o.state = 'sent' THEN o.updated_at END
        FROM project_reports r WHERE r.id = o.report_id""")
    op.execute("""
        UPDATE outbox SET recipients = (SELECT jsonb_object_agg(a, '') FROM email_config,
                                        jsonb_array_elements_text(email_config.recipients) a)
        WHERE state = 'pending' AND EXISTS (SELECT 1 FROM email_config WHERE jsonb_array_length(recipients) > 0)""")
    op.execute("CREATE VIEW v_daemons AS SELECT daemon, state, at, started_at, pid, detail FROM heartbeats")
    op.execute(V_ALARMS.format(order=WORST_FIRST))
    op.execute(V_JOBS.format(condition="WHERE status <> 'skipped'"))
    _grant()


def _grant() -> None:
    """Where the roles exist; elsewhere one user does everything."""
    statements = [
        "GRANT SELECT ON heartbeats TO quorum_trader, quorum_meta",
        "GRANT SELECT ON v_daemons TO quorum_reader, quorum_trader, quorum_meta",
        "GRANT INSERT, UPDATE ON heartbeats TO quorum_trader, quorum_meta",
    ]
    body = " ".join(f"EXECUTE '{s}';" for s in statements)
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN {body} END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    op.execute("DROP VIEW v_daemons")
    op.execute(V_JOBS.format(condition=""))
    op.execute(V_ALARMS.format(order="opened_at DESC"))
    for name in ("said", "recipients", *reversed(OUTBOX)):
        op.drop_column("outbox", name)
    op.drop_table("heartbeats")
