"""the life of an agent: candidate, shadow, probation, full, decaying, retired"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATES = "'candidate', 'shadow', 'probation', 'full', 'decaying', 'retired'"
LIFE = """
    SELECT DISTINCT ON (agent_name) agent_name, to_state AS state, timestamp AS since,
           greatest(0, extract(day FROM (SELECT max(time) FROM decisions) - timestamp))::integer AS days,
           from_state AS came_from, reason, actor, evidence
    FROM agent_life ORDER BY agent_name, id DESC"""


def upgrade() -> None:
    op.create_table(
        "agent_life",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent_name", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="settings, tuner, or a person"),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(
            "timestamp > '1900-01-01Z' AND timestamp < '2100-01-01Z'", name=op.f("ck_agent_life_timestamp_sane")
        ),
        sa.CheckConstraint(
            f"from_state IN ({STATES}) AND to_state IN ({STATES}) AND from_state <> to_state",
            name=op.f("ck_agent_life_state_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_life")),
        sa.UniqueConstraint("agent_name", "timestamp", name=op.f("uq_agent_life_agent_name")),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON agent_life FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    # Until now every agent of a desk was a full one from its first day.
    op.execute("""
        INSERT INTO agent_life (timestamp, agent_name, from_state, to_state, reason, actor, evidence)
        SELECT min(date)::timestamp AT TIME ZONE 'UTC', agent_name, 'candidate', 'full',
               'on the desk before lives were kept', 'settings', '{"listed": "enabled", "days": 0}'::jsonb
        FROM agent_days WHERE "return" IS NOT NULL GROUP BY agent_name ORDER BY agent_name""")
    op.execute(f"CREATE VIEW v_agent_life AS {LIFE}")


def downgrade() -> None:
    op.execute("DROP VIEW v_agent_life")
    op.drop_table("agent_life")
