"""an append-only journal with a chain of hashes; old metrics are forgotten without a session of the owner"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
ADDED_ONLY = (
    "signals",
    "decision_details",
    "equity",
    "shadow_returns",
    "bar_contributions",
    "agent_work_log",
    "paper_orders",
    "parity_checks",
    "journal_chain",
    "chain_checks",
)
STATES = {
    "orders": ("state", "reason", "updated_at"),
    "risk_events": ("applied_at", "obeyed_after"),
    "weight_history": ("realised_improvement", "realised_at"),
}
"""Table -> what of its rows may change."""


def upgrade() -> None:
    op.create_table(
        "journal_chain",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("time", MOMENT, nullable=False, comment="of the decision, or of the broker's answer"),
        sa.Column("form", sa.SmallInteger(), nullable=False, comment="which columns are covered, and how"),
        sa.Column("covers", postgresql.JSONB(), nullable=False, comment="rows by table, and keys where no time tells"),
        sa.Column("tags", sa.LargeBinary(), nullable=False, comment="four bytes for each row, to name a changed one"),
        sa.Column("state", sa.LargeBinary(), comment="digests of the desk's state and positions after it"),
        sa.Column("content", sa.LargeBinary(), nullable=False, comment="SHA-256 of the rows"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the link before and of this one"),
        sa.Column("recorded_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("kind IN ('decision', 'outcomes')", name=op.f("ck_journal_chain_kind_known")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_journal_chain")),
    )
    op.create_table(
        "chain_checks",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("checked_at", MOMENT, nullable=False),
        sa.Column("from_seq", sa.BigInteger(), nullable=False, comment="links after this one were checked"),
        sa.Column("to_seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="of the last link that was checked"),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("examples", postgresql.JSONB(), nullable=False),
        sa.Column("accepted", sa.Text(), comment="why a person goes on with these differences"),
        sa.CheckConstraint("from_seq <= to_seq", name=op.f("ck_chain_checks_ordered")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_checks")),
    )
    for table in ADDED_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION"
            " refuse_change()"
        )
    op.execute("""
        CREATE FUNCTION refuse_all_but() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR (to_jsonb(OLD) - TG_ARGV) IS DISTINCT FROM (to_jsonb(NEW) - TG_ARGV) THEN
                RAISE EXCEPTION 'of a row of % only % may change; corrections are new rows', TG_TABLE_NAME,
                    array_to_string(TG_ARGV, ', ');
            END IF;
            RETURN NEW;
        END $$""")
    for table, columns in STATES.items():
        names = ", ".join(f"'{column}'" for column in columns)
        op.execute(
            f"CREATE TRIGGER states_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION"
            f" refuse_all_but({names})"
        )
    _forget_metrics()


def _forget_metrics() -> None:
    """With the owner's rights, for the one who may call it: only an owner may drop chunks."""
    op.execute("""
        CREATE FUNCTION forget_metrics(before timestamptz) RETURNS integer LANGUAGE plpgsql
        SECURITY DEFINER SET search_path = public, pg_temp AS $$
        DECLARE all_chunks integer; old_chunks integer; dropped integer;
        BEGIN
            SELECT count(*), count(*) FILTER (WHERE range_end <= before) INTO all_chunks, old_chunks
            FROM timescaledb_information.chunks
            WHERE hypertable_schema = 'public' AND hypertable_name = 'system_metrics';
            IF old_chunks = 0 OR 2 * old_chunks > all_chunks THEN
                RETURN 0;
            END IF;
            SELECT count(*) INTO dropped FROM drop_chunks('public.system_metrics'::regclass, older_than => before);
            RETURN dropped;
        END $$""")
    op.execute("REVOKE ALL ON FUNCTION forget_metrics(timestamptz) FROM PUBLIC")


def downgrade() -> None:
    """The chain's links are lost; an upgrade seals what is on record anew."""
    op.execute("DROP FUNCTION forget_metrics(timestamptz)")
    for table in STATES:
        op.execute(f"DROP TRIGGER states_only ON {table}")
    op.execute("DROP FUNCTION refuse_all_but()")
    op.drop_table("chain_checks")
    op.drop_table("journal_chain")
    for table in ADDED_ONLY[:-2]:
        op.execute(f"DROP TRIGGER append_only ON {table}")
