"""orders that closed positions while the database was away"""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

COMMENT = (
    "market, limit, chase (rests, then crosses), stop, adopted (placed by others), or exit (closed while the database"
    " was away); empty before version 0022 of the schema"
)
COMMENT_BEFORE = (
    "market, limit, chase (rests, then crosses), stop, or adopted (placed by others); empty before version 0022 of the"
    " schema"
)
KNOWN_BEFORE = "kind IN ('market', 'limit', 'chase', 'stop', 'adopted')"
KNOWN = "kind IN ('market', 'limit', 'chase', 'stop', 'adopted', 'exit')"


def upgrade() -> None:
    op.alter_column("orders", "kind", comment=COMMENT, existing_comment=COMMENT_BEFORE)
    _know(KNOWN)


def downgrade() -> None:
    op.execute("UPDATE orders SET kind = 'adopted' WHERE kind = 'exit'")
    _know(KNOWN_BEFORE)
    op.alter_column("orders", "kind", comment=COMMENT_BEFORE, existing_comment=COMMENT)


def _know(known: str) -> None:
    op.drop_constraint(op.f("ck_orders_kind_known"), "orders")
    op.create_check_constraint(op.f("ck_orders_kind_known"), "orders", known)
