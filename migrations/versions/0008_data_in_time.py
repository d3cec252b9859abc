"""what arrived late, and when it could be known: late bars, every text of a moment, what series there are"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Sums of texts from before stay as they are, under an empty item; texts of the same moment are not added to them,
    since nobody knows which of them are in the sum."""
    op.create_table(
        "late_bars",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("time", MOMENT, nullable=False, comment="close of the bar"),
        sa.Column("decided_at", MOMENT, nullable=False, comment="of the decision that should have seen it"),
        sa.Column("arrived_at", MOMENT, nullable=False),
        sa.Column(
            "decided", sa.Boolean(), nullable=False, comment="false where no decision was made at the bar's own time"
        ),
        sa.PrimaryKeyConstraint("symbol", "time", name=op.f("pk_late_bars")),
    )
    op.create_index("ix_late_bars_arrived_at", "late_bars", ["arrived_at"])
    op.create_index("ix_bars_read_id", "bars", ["read_id"])
    op.add_column(
        "exogenous",
        sa.Column(
            "item",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="which of several texts of that time; empty for a series, and for texts of before they were told"
            " apart",
        ),
    )
    op.drop_constraint("pk_exogenous", "exogenous", type_="primary")
    op.create_primary_key("pk_exogenous", "exogenous", ["name", "symbol", "time", "item"])
    op.create_table(
        "exogenous_keys",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "symbol", name=op.f("pk_exogenous_keys")),
        comment="what series there are, so that reading need not look through all values",
    )
    op.execute("INSERT INTO exogenous_keys SELECT DISTINCT name, symbol FROM exogenous")
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT, INSERT ON late_bars, exogenous_keys TO quorum_trader;
                GRANT SELECT ON late_bars, exogenous_keys TO quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    """Texts of one moment become their sum again."""
    op.drop_table("exogenous_keys")
    op.execute("""
        CREATE TEMPORARY TABLE texts AS
        SELECT name, symbol, time, min(available_at) AS available_at, sum(value) AS value,
               min(recorded_at) AS recorded_at
        FROM exogenous WHERE item <> '' GROUP BY name, symbol, time""")
    op.execute("DELETE FROM exogenous WHERE item <> ''")
    op.drop_constraint("pk_exogenous", "exogenous", type_="primary")
    op.drop_column("exogenous", "item")
    op.create_primary_key("pk_exogenous", "exogenous", ["name", "symbol", "time"])
    op.execute("""
        INSERT INTO exogenous (name, symbol, time, available_at, value, recorded_at)
        SELECT name, symbol, time, available_at, value, recorded_at FROM texts ON CONFLICT DO NOTHING""")
    op.execute("DROP TABLE texts")
    op.drop_index("ix_bars_read_id", "bars")
    op.drop_table("late_bars")
