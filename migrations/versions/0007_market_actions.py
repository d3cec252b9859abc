"""splits and dividends are facts of their own; suspect bars; the data version of a decision"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KINDS = "('split', 'dividend', 'delisting', 'accepted', 'rejected')"
LARGEST_DIVIDEND = 1.25
"""A step of the adjusting factor above this, without a split beside it, is taken for no dividend."""
SMALLEST_DIVIDEND = 1.0005


def upgrade() -> None:
    op.create_table(
        "market_actions",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("time", MOMENT, nullable=False, comment="close of the first bar that trades with it"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "value",
            sa.Double(),
            nullable=False,
            comment="split: new shares for an old one; dividend: cash per old share; else a price",
        ),
        sa.Column(
            "factor",
            sa.Double(),
            nullable=False,
            comment="what prices from then on are multiplied by to be like those before",
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("read_id", sa.BigInteger(), nullable=False, comment="the read of files after which it was known"),
        sa.Column("recorded_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(f"kind IN {KINDS}", name=op.f("ck_market_actions_kind_known")),
        sa.CheckConstraint("value > 0 AND value < 'Infinity'", name=op.f("ck_market_actions_value_sane")),
        sa.CheckConstraint("factor > 0 AND factor < 'Infinity'", name=op.f("ck_market_actions_factor_sane")),
        sa.CheckConstraint("time > '1900-01-01Z' AND time < '2100-01-01Z'", name=op.f("ck_market_actions_time_sane")),
        sa.PrimaryKeyConstraint("symbol", "time", "kind", name=op.f("pk_market_actions")),
    )
    op.create_index("ix_market_actions_read_id", "market_actions", ["read_id"])
    op.add_column(
        "bars",
        sa.Column(
            "suspect",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="its price fits neither the last accepted one nor an action: agents never see it",
        ),
    )
    op.add_column(
        "decisions",
        sa.Column(
            "data_version",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="the newest read of files when its bars were read; 0: from the columns of bars alone",
        ),
    )
    _actions_of_bars()
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT, INSERT ON market_actions TO quorum_trader;
                GRANT SELECT ON market_actions TO quorum_meta;
                GRANT UPDATE (suspect) ON bars TO quorum_trader;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def _actions_of_bars() -> None:
    """What the bars say of splits and dividends: their columns, and steps of the adjusting factor that no split
    explains."""
    op.execute(f"""
        INSERT INTO market_actions (symbol, time, kind, value, factor, source, read_id)
        WITH steps AS (
            SELECT symbol, time, split, dividend, adjustment / lag(adjustment) OVER w / split AS step,
                   lag(close) OVER w AS before
            FROM bars WINDOW w AS (PARTITION BY symbol ORDER BY time))
        SELECT symbol, time, 'split', split, split, 'bars of before', 0 FROM steps WHERE split <> 1
        UNION ALL
        SELECT symbol, time, 'dividend', dividend, before / (before - dividend), 'bars of before', 0
        FROM steps WHERE dividend > 0 AND before > dividend
        UNION ALL
        SELECT symbol, time, 'dividend', before * (1 - 1 / step), step, 'adj_close', 0
        FROM steps WHERE dividend = 0 AND step BETWEEN {SMALLEST_DIVIDEND} AND {LARGEST_DIVIDEND}""")


def downgrade() -> None:
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                REVOKE UPDATE (suspect) ON bars FROM quorum_trader;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to revoke: all commands act as %', current_user;
        END $$""")
    op.drop_column("decisions", "data_version")
    op.drop_column("bars", "suspect")
    op.drop_table("market_actions")
