"""kinds of orders: where a stop filled in part, the decision of the same bar orders the rest, and both are on record"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

COMMENT = "market, stop, or adopted (placed by others); empty before version 0022 of the schema"


def upgrade() -> None:
    op.add_column("orders", sa.Column("kind", sa.Text(), nullable=True, comment=COMMENT))
    op.create_check_constraint(op.f("ck_orders_kind_known"), "orders", "kind IN ('market', 'stop', 'adopted')")
    op.drop_constraint("uq_orders_decision", "orders")
    columns, ours = ["decision_time", "symbol"], sa.text("kind IS NULL OR kind = 'market'")
    op.create_index("uq_orders_decision", "orders", columns, unique=True, postgresql_where=ours)
    stops = sa.text("kind = 'stop'")
    op.create_index("uq_orders_stop", "orders", columns, unique=True, postgresql_where=stops)


def downgrade() -> None:
    op.drop_index("uq_orders_stop", "orders")
    op.drop_index("uq_orders_decision", "orders")
    op.create_unique_constraint("uq_orders_decision", "orders", ["decision_time", "symbol"])
    op.drop_constraint(op.f("ck_orders_kind_known"), "orders")
    op.drop_column("orders", "kind")
