"""what a user looked for and did not find: words taken back, refused files, renamed symbols"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KINDS = "('split', 'dividend', 'delisting', 'accepted', 'rejected'{more})"
KIND_KNOWN, ACTIONS_KEY = "ck_market_actions_kind_known", "pk_market_actions"


def upgrade() -> None:
    # A person may change their mind about one bar more than once; what the market did, it did once.
    op.drop_constraint(ACTIONS_KEY, "market_actions")
    op.create_primary_key(ACTIONS_KEY, "market_actions", ["symbol", "time", "kind", "read_id"])
    op.create_index(
        "uq_market_actions_once",
        "market_actions",
        ["symbol", "time", "kind"],
        unique=True,
        postgresql_where=sa.text("kind IN ('split', 'dividend', 'delisting')"),
    )
    op.drop_constraint(op.f(KIND_KNOWN), "market_actions")
    op.create_check_constraint(op.f(KIND_KNOWN), "market_actions", "kind IN " + KINDS.format(more=", 'withdrawn'"))
    op.create_table(
        "file_refusals",
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refused_at", MOMENT, nullable=False, comment="when it was found to be so"),
        sa.Column("mended_at", MOMENT, nullable=True, comment="when it was read, or gone; NULL: it is refused still"),
        sa.PrimaryKeyConstraint("file", name=op.f("pk_file_refusals")),
    )
    op.create_table(
        "symbol_renames",
        sa.Column("name", sa.Text(), nullable=False, comment="what files and exchanges call it now"),
        sa.Column("symbol", sa.Text(), nullable=False, comment="the desk's name, which stays"),
        sa.Column("recorded_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("name <> symbol", name=op.f("ck_symbol_renames_another_name")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_symbol_renames")),
    )
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON file_refusals, symbol_renames TO quorum_trader, quorum_meta, quorum_reader;
                GRANT INSERT, UPDATE ON file_refusals TO quorum_trader;
                GRANT INSERT ON symbol_renames TO quorum_trader;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    op.drop_table("symbol_renames")
    op.drop_table("file_refusals")
    # Of several words about one bar the last stays; one that was taken back was never said.
    op.execute("""
        DELETE FROM market_actions a WHERE kind IN ('accepted', 'rejected', 'withdrawn') AND EXISTS (
            SELECT 1 FROM market_actions b WHERE b.symbol = a.symbol AND b.time = a.time AND b.read_id > a.read_id
                AND b.kind IN ('accepted', 'rejected', 'withdrawn'))""")
    op.execute("DELETE FROM market_actions WHERE kind = 'withdrawn'")
    op.drop_constraint(op.f(KIND_KNOWN), "market_actions")
    op.create_check_constraint(op.f(KIND_KNOWN), "market_actions", "kind IN " + KINDS.format(more=""))
    op.drop_index("uq_market_actions_once", "market_actions")
    op.drop_constraint(ACTIONS_KEY, "market_actions")
    op.create_primary_key(ACTIONS_KEY, "market_actions", ["symbol", "time", "kind"])
