"""the meta plane: days, alarms, runs, mail"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KNOWN = "status IN ('apply', 'hold', 'fallback', 'revert', 'initial')"
KNOWN_NOW = "status IN ('apply', 'hold', 'fallback', 'revert', 'initial', 'trial')"
WHOLE = ("signals", "hits", "calls", "trades", "ic_count", "brier_count")
REAL = ("pnl", "turnover", "ic_x", "ic_y", "ic_xx", "ic_yy", "ic_xy", "brier_sum")

VIEWS = {
    "v_jobs": """
        SELECT DISTINCT ON (job) job, due_at, started_at, finished_at, status, attempts, missed, detail,
               EXTRACT(epoch FROM finished_at - started_at) AS took_s
        FROM job_runs ORDER BY job, due_at DESC""",
    "v_alarms": """
        SELECT kind, subject, severity, detail, opened_at, closed_at FROM alarms
        ORDER BY closed_at IS NOT NULL, opened_at DESC""",
}


def upgrade() -> None:
    op.add_column(
        "weight_history",
        sa.Column(
            "decided_for",
            sa.DateTime(timezone=True),
            comment="the optimizer run that this row belongs to; one row for each",
        ),
    )
    op.add_column("weight_history", sa.Column("evidence", postgresql.JSONB()))
    op.add_column(
        "weight_history",
        sa.Column("realised_at", sa.DateTime(timezone=True), comment="when realised_improvement was measured"),
    )
    op.create_unique_constraint("uq_weight_history_decided_for", "weight_history", ["decided_for"])
    _replace_status_check(KNOWN_NOW)
    op.create_table(
        "agent_days",
        sa.Column("date", sa.Date(), nullable=False, comment="UTC day; what the analyzer has aggregated so far"),
        sa.Column("agent_name", sa.Text(), nullable=False),
        sa.Column("return", sa.Double(), comment="shadow book, over its constant capital; NULL: no book on that day"),
        *(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in WHOLE),
        *(sa.Column(name, sa.Double(), nullable=False, server_default="0") for name in REAL),
        sa.PrimaryKeyConstraint("date", "agent_name", name=op.f("pk_agent_days")),
    )
    op.create_table(
        "alarms",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("kind", "subject", "severity", "detail")),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "opened_at > '1900-01-01Z' AND opened_at < '2100-01-01Z'", name=op.f("ck_alarms_opened_at_sane")
        ),
        sa.CheckConstraint(
            "severity IN ('info', 'low', 'medium', 'high', 'critical')", name=op.f("ck_alarms_severity_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    op.create_index(
        "uq_alarms_open", "alarms", ["kind", "subject"], unique=True, postgresql_where=sa.text("closed_at IS NULL")
    )
    op.add_column("job_runs", sa.Column("attempts", sa.Integer(), nullable=False, server_default="1"))
    op.add_column(
        "job_runs",
        sa.Column(
            "missed",
            sa.Integer(),
            nullable=False,
            server_default="0",
            comment="due times before this one that nobody ran",
        ),
    )
    op.add_column("project_reports", sa.Column("subject", sa.Text(), nullable=False, server_default=""))
    op.add_column("email_config", sa.Column("timezone", sa.Text(), nullable=False, server_default="UTC"))
    op.add_column(
        "outbox", sa.Column("message", sa.LargeBinary(), comment="the very bytes to be mailed; NULL once they are")
    )
    op.add_column(
        "outbox", sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
    )
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
    _grant()


def _replace_status_check(condition: str) -> None:
    op.execute("ALTER TABLE weight_history DROP CONSTRAINT ck_weight_history_status_known")
    op.execute(f"ALTER TABLE weight_history ADD CONSTRAINT ck_weight_history_status_known CHECK ({condition})")


def _grant() -> None:
    """Where the roles exist; elsewhere one user does everything."""
    statements = [
        "GRANT SELECT ON agent_days, alarms TO quorum_trader",
        "GRANT SELECT, INSERT, UPDATE ON agent_days, alarms TO quorum_meta",
        "GRANT SELECT ON v_jobs, v_alarms TO quorum_reader, quorum_trader, quorum_meta",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO quorum_meta",
        "REVOKE SELECT ON outbox FROM quorum_trader",
    ]
    body = " ".join(f"EXECUTE '{s}';" for s in statements)
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN {body} END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
    for table, column in (
        ("outbox", "created_at"),
        ("outbox", "message"),
        ("email_config", "timezone"),
        ("project_reports", "subject"),
        ("job_runs", "missed"),
        ("job_runs", "attempts"),
    ):
        op.drop_column(table, column)
    op.drop_table("alarms")
    op.drop_table("agent_days")
    op.execute("DELETE FROM weight_history WHERE status = 'trial'")
    _replace_status_check(KNOWN)
    op.drop_constraint("uq_weight_history_decided_for", "weight_history")
    for column in ("realised_at", "evidence", "decided_for"):
        op.drop_column("weight_history", column)
