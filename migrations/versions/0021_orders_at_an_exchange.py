"""orders at an exchange: their states, fees in other currencies, the account, and where both books differ"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
MONEY = sa.Numeric(28, 8)
V_BREAKS = """
    SELECT kind, name, ours, theirs, theirs - ours AS difference, opened_at, seen_at, asked, reason
    FROM reconciliation_breaks WHERE closed_at IS NULL"""
RIGHTS = {
    "fill_fees": "INSERT",
    "broker_accounts": "INSERT",
    "broker_outside": "INSERT, UPDATE",
    "reconciliation_breaks": "INSERT, UPDATE",
}


def upgrade() -> None:
    op.drop_constraint(op.f("ck_orders_state_known"), "orders")
    op.create_check_constraint(
        op.f("ck_orders_state_known"),
        "orders",
        "state IN ('intent', 'sending', 'unknown', 'acked', 'partial', 'filled', 'cancelled', 'expired', 'rejected',"
        " 'not_placed')",
    )
    op.create_table(
        "fill_fees",
        sa.Column("fill_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", MONEY, nullable=False),
        sa.CheckConstraint("amount <> 'NaN'", name=op.f("ck_fill_fees_amount_finite")),
        sa.ForeignKeyConstraint(["fill_id"], ["fills.fill_id"], name=op.f("fk_fill_fees_fill_id")),
        sa.PrimaryKeyConstraint("fill_id", name=op.f("pk_fill_fees")),
        comment="what was paid where a venue took a fee in another currency than the price's; fills.fee is its worth",
    )
    op.create_table(
        "broker_accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="of the key's name, never of its secret"),
        sa.Column(
            "confirmed", sa.Text(), nullable=False, comment="what a person typed; empty where nothing is at stake"
        ),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode IN ('sandbox', 'live')", name=op.f("ck_broker_accounts_mode_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_broker_accounts")),
        comment="the newest row is the account that this desk trades on",
    )
    op.create_table(
        "broker_outside",
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", MONEY, nullable=False, comment="on the account, and not the desk's"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("amount <> 'NaN'", name=op.f("ck_broker_outside_amount_finite")),
        sa.PrimaryKeyConstraint("currency", name=op.f("pk_broker_outside")),
    )
    _create_breaks()
    op.execute(f"CREATE VIEW v_breaks AS {V_BREAKS}")
    grants = "".join(f"GRANT {rights} ON {table} TO quorum_trader; " for table, rights in RIGHTS.items())
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON {", ".join(RIGHTS)}, v_breaks TO quorum_reader, quorum_trader, quorum_meta;
                {grants}
                GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO quorum_trader;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def _create_breaks() -> None:
    op.create_table(
        "reconciliation_breaks",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="the symbol, or the currency of the desk's cash"),
        sa.Column("ours", MONEY, nullable=False),
        sa.Column("theirs", MONEY, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("asked", sa.Text(), comment="what a person wants done about it: adopt or ignore"),
        sa.Column("reason", sa.Text(), comment="the person's"),
        sa.Column("closed_at", MOMENT),
        sa.Column("resolution", sa.Text()),
        sa.CheckConstraint("kind IN ('position', 'cash', 'order')", name=op.f("ck_reconciliation_breaks_kind_known")),
        sa.CheckConstraint("asked IN ('adopt', 'ignore')", name=op.f("ck_reconciliation_breaks_asked_known")),
        sa.CheckConstraint("asked IS NULL OR reason <> ''", name=op.f("ck_reconciliation_breaks_asked_with_a_reason")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation_breaks")),
    )
    op.create_index(
        "uq_reconciliation_breaks_open",
        "reconciliation_breaks",
        ["kind", "name"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def downgrade() -> None:
    op.execute("DROP VIEW v_breaks")
    for table in ("reconciliation_breaks", "broker_outside", "broker_accounts", "fill_fees"):
        op.drop_table(table)
    op.drop_constraint(op.f("ck_orders_state_known"), "orders")
    op.execute("UPDATE orders SET state = 'unknown' WHERE state = 'sending'")
    op.execute("UPDATE orders SET state = 'expired' WHERE state = 'cancelled'")
    op.create_check_constraint(
        op.f("ck_orders_state_known"),
        "orders",
        "state IN ('intent', 'acked', 'partial', 'filled', 'expired', 'rejected', 'unknown', 'not_placed')",
    )
