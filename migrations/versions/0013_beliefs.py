"""the tuner's filter: its state for each desk, and what it believed at each decision"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "beliefs",
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="past: of the replayed time before the first decision; now"
        ),
        sa.Column("agents", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False, comment="how many days it was computed from"),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of all that it was computed from"),
        sa.Column("state", sa.LargeBinary(), nullable=False, comment="the filter's arrays, numpy's npz"),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('past', 'now')", name=op.f("ck_beliefs_kind_known")),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_beliefs")),
        comment="what the tuner believes of the agents: computed from agent_days, kept so that a day takes no time",
    )
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON beliefs TO quorum_reader, quorum_trader, quorum_meta;
                GRANT INSERT, UPDATE ON beliefs TO quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    op.drop_table("beliefs")
