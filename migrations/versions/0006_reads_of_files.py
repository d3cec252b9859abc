"""what was read of which file is committed with the rows it speaks of; corrections"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
COUNTS = ("rows_read", "rows_loaded", "rows_equal", "rows_quarantined", "rows_corrected")
PRICES = "bar_open, available_at, open, high, low, close, volume, adjustment, split, dividend, source, read_id"


def upgrade() -> None:
    op.create_table(
        "bar_reads",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False, comment="rises in the order of commits"),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes of the file when it was read"),
        sa.Column(
            "consumed", sa.BigInteger(), nullable=False, comment="bytes from its start that need no reading again"
        ),
        sa.Column("consumed_rows", sa.BigInteger(), nullable=False, comment="rows in those bytes"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="of those bytes"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.Column("recorded_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("consumed BETWEEN 0 AND size", name=op.f("ck_bar_reads_consumed_sane")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bar_reads")),
    )
    op.create_index("ix_bar_reads_file", "bar_reads", ["file", "id"])
    # How far those files were read is not known: nothing of them counts as consumed, so they are read once more.
    op.execute("""
        INSERT INTO bar_reads (file, size, consumed, consumed_rows, sha256, rows_read, rows_loaded, rows_equal,
                               rows_quarantined, rows_corrected, recorded_at)
        SELECT file, 0, 0, 0, sha256, rows_read, rows_loaded, rows_equal, rows_quarantined, 0, recorded_at
        FROM bar_files ORDER BY recorded_at, sha256""")
    op.drop_table("bar_files")
    op.create_table(
        "bar_corrections",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("time", MOMENT, nullable=False, comment="close of the bar"),
        sa.Column("kept", postgresql.JSONB(), nullable=False, comment="the numbers that were stored"),
        sa.Column("given", postgresql.JSONB(), nullable=False, comment="those of the later file"),
        sa.Column("taken", sa.Boolean(), nullable=False, comment="true where no decision had used the bar"),
        sa.Column("read_id", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", MOMENT, comment="when a person said that they know; taken ones need nobody"),
        sa.Column("recorded_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(["read_id"], ["bar_reads.id"], name=op.f("fk_bar_corrections_read_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bar_corrections")),
        sa.UniqueConstraint("symbol", "time", "kept", "given", name="uq_bar_corrections_once"),
    )
    op.add_column(
        "bars",
        sa.Column(
            "read_id",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="the read that brought these numbers; 0: before reads were recorded",
        ),
    )
    _grant(
        "GRANT SELECT, INSERT ON bar_reads, bar_corrections TO quorum_trader",
        "GRANT SELECT ON bar_reads, bar_corrections TO quorum_meta",
        "GRANT UPDATE (seen_at) ON bar_corrections TO quorum_trader",
        f"GRANT UPDATE ({PRICES}) ON bars TO quorum_trader",
    )


def _grant(*statements: str) -> None:
    """Where the roles exist; elsewhere one user does everything."""
    body = " ".join(f"EXECUTE '{s}';" for s in statements)
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN {body} END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    """Reads without a digest of their own (the same content twice) become one row, as it was."""
    op.create_table(
        "bar_files",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS[:-1]),
        sa.Column("recorded_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_bar_files")),
    )
    op.execute(f"""
        INSERT INTO bar_files (sha256, file, {", ".join(COUNTS[:-1])}, recorded_at)
        SELECT sha256, file, {", ".join(COUNTS[:-1])}, recorded_at FROM bar_reads ORDER BY id ON CONFLICT DO NOTHING""")
    _grant(
        "GRANT SELECT, INSERT ON bar_files TO quorum_trader",
        "GRANT SELECT ON bar_files TO quorum_meta",
        f"REVOKE UPDATE ({PRICES}) ON bars FROM quorum_trader",
    )
    op.drop_column("bars", "read_id")
    op.drop_table("bar_corrections")
    op.drop_table("bar_reads")
