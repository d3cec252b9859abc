"""replays: parity checks of the live desk, and settings that were tried on a history"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "parity_checks",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("checked_at", MOMENT, nullable=False),
        sa.Column("checked_from", MOMENT, nullable=False),
        sa.Column("checked_to", MOMENT, nullable=False, comment="decisions up to here are checked"),
        sa.Column("decisions", sa.Integer(), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column(
            "counts",
            postgresql.JSONB(),
            nullable=False,
            comment="signal, weight, risk, order, fill, equity -> how many differ",
        ),
        sa.Column("examples", postgresql.JSONB(), nullable=False),
        sa.Column(
            "slippage",
            postgresql.JSONB(),
            nullable=False,
            comment="delay, spread, impact, fees -> [recorded, modelled]",
        ),
        sa.Column(
            "state",
            sa.LargeBinary(),
            nullable=False,
            comment="the recomputed step's state, from which the next check goes on",
        ),
        sa.CheckConstraint("checked_from <= checked_to", name=op.f("ck_parity_checks_ordered")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parity_checks")),
        sa.UniqueConstraint("checked_to", name=op.f("uq_parity_checks_checked_to")),
    )
    op.create_table(
        "settings_tried",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("data_hash", sa.Text(), nullable=False, comment="of the bars that were replayed"),
        sa.Column("symbols", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("first_bar", MOMENT, nullable=False),
        sa.Column("last_bar", MOMENT, nullable=False),
        sa.Column("settings_hash", sa.Text(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=False),
        sa.Column("returns", sa.LargeBinary(), comment="daily returns of the live book, float64, deflated"),
        sa.Column("tried_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("first_bar <= last_bar", name=op.f("ck_settings_tried_ordered")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settings_tried")),
        sa.UniqueConstraint("data_hash", "settings_hash", name=op.f("uq_settings_tried_once")),
    )
    statements = [
        "GRANT SELECT ON parity_checks, settings_tried TO quorum_trader, quorum_meta",
        "GRANT INSERT, UPDATE ON parity_checks, settings_tried TO quorum_meta",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO quorum_meta",
    ]
    body = " ".join(f"EXECUTE '{s}';" for s in statements)
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN {body} END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    op.drop_table("settings_tried")
    op.drop_table("parity_checks")
