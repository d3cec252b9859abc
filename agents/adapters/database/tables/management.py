"""The meta plane's own: tasks, reports, suggestions, jobs, mail, heartbeats, alarms."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from agents.adapters.database.tables.columns import MOMENT, check, metadata, moment, number, sane_time, words

project_tasks = Table(
    "project_tasks",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    words("title"),
    words("description"),
    words("state"),
    words("priority"),
    words("assigned_to", nullable=True),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    check("state_known", "state IN ('open', 'in_progress', 'blocked', 'done', 'dismissed')"),
    check("priority_known", "priority IN ('low', 'medium', 'high', 'critical')"),
)

project_reports = Table(
    "project_reports",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    moment("generated_at"),
    Column("period_start", MOMENT, nullable=False),
    Column("period_end", MOMENT, nullable=False),
    Column("summary", JSONB, nullable=False),
    Column("recommendations", JSONB, nullable=False),
    words("html"),
    words("text"),
    Column("subject", Text, nullable=False, server_default=""),
    UniqueConstraint("period_start", "period_end", name="uq_project_reports_period"),
    Index("ix_project_reports_generated_at", "generated_at"),
)

improvement_suggestions = Table(
    "improvement_suggestions",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    words("fingerprint"),
    words("kind"),
    words("severity"),
    words("title"),
    words("action"),
    Column("evidence", JSONB, nullable=False),
    words("state"),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    UniqueConstraint("fingerprint"),
    check("kind_known", "kind IN ('architecture', 'security', 'performance', 'strategy')"),
    check("severity_known", "severity IN ('info', 'low', 'medium', 'high', 'critical')"),
    check("state_known", "state IN ('open', 'accepted', 'done', 'dismissed')"),
)

strategy_variants = Table(
    "strategy_variants",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    words("agent_name"),
    words("variant_name"),
    Column("parameters", JSONB, nullable=False),
    words("state"),
    Column("evidence", JSONB),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    UniqueConstraint("agent_name", "variant_name", name="uq_strategy_variants_name"),
    check("state_known", "state IN ('candidate', 'challenger', 'champion', 'demoted', 'dismissed')"),
)

ml_models = Table(
    "ml_models",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    words("name"),
    Column("version", Integer, nullable=False),
    words("sha256"),
    words("format"),
    Column("parameters", JSONB, nullable=False),
    Column("metrics", JSONB),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    UniqueConstraint("name", "version", name="uq_ml_models_version"),
)

email_config = Table(
    "email_config",
    metadata,
    Column("id", Integer, primary_key=True, server_default="1"),
    words("server"),
    Column("port", Integer, nullable=False),
    words("security"),
    words("account"),
    words("sender"),
    words("secret_file", nullable=True),
    Column("recipients", JSONB, nullable=False),
    words("mode"),
    Column("frequency_s", Integer, nullable=False),
    Column("quiet_hours", JSONB),
    Column("timezone", Text, nullable=False, server_default="UTC"),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    check("one_row", "id = 1"),
    check("port_range", "port BETWEEN 1 AND 65535"),
    check("security_known", "security IN ('starttls', 'tls')"),
    check("mode_known", "mode IN ('every_report', 'only_if_changed', 'daily_digest')"),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    words("job"),
    moment("due_at"),
    Column("started_at", MOMENT),
    Column("finished_at", MOMENT),
    words("status"),
    words("detail"),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("missed", Integer, nullable=False, server_default="0", comment="due times before this one that nobody ran"),
    UniqueConstraint("job", "due_at", name="uq_job_runs_due"),
    check("status_known", "status IN ('running', 'succeeded', 'failed', 'skipped')"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("report_id", BigInteger, ForeignKey("project_reports.id"), nullable=False),
    words("message_id"),
    words("state"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", MOMENT),
    words("detail"),
    Column("message", LargeBinary, comment="the very bytes to be mailed; NULL once they are"),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    Column("period_start", MOMENT, comment="the mail covers what happened after this"),
    Column("period_end", MOMENT, comment="and up to this"),
    Column(
        "waiting_since",
        MOMENT,
        comment="since when there has been news that did not leave, over the mails that this one took in",
    ),
    Column("sending_since", MOMENT, comment="a process is sending it now"),
    Column("left_at", MOMENT, comment="when the first recipient got it"),
    Column(
        "recipients",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="address -> '' (waits), 'sent', or why its server refuses it",
    ),
    Column("said", Text, nullable=False, server_default=""),
    UniqueConstraint("report_id"),
    check("state_known", "state IN ('pending', 'sent', 'failed', 'skipped')"),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("daemon", Text, primary_key=True),
    moment("at"),
    moment("started_at"),
    Column("pid", Integer, nullable=False),
    words("state"),
    Column("detail", Text, nullable=False, comment="what it cannot do now; '' where all is well"),
    check(
        "daemon_known",
        "daemon IN ('trading', 'meta', 'performance_analyzer', 'weight_optimizer', 'parity_check', 'project_manager')",
    ),
    check("state_known", "state IN ('running', 'stopped')"),
)

system_metrics = Table(
    "system_metrics",
    metadata,
    Column("time", MOMENT, primary_key=True),
    Column("name", Text, primary_key=True),
    number("value"),
    sane_time(),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    words("kind"),
    words("subject"),
    words("severity"),
    words("detail"),
    moment("opened_at"),
    Column("closed_at", MOMENT),
    sane_time("opened_at"),
    check("severity_known", "severity IN ('info', 'low', 'medium', 'high', 'critical')"),
    Index("uq_alarms_open", "kind", "subject", unique=True, postgresql_where=text("closed_at IS NULL")),
)
