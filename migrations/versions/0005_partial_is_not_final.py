"""a partial fill is no final state: what paper orders had left of it has expired"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE orders SET state = 'expired' WHERE state = 'partial'")


def downgrade() -> None:
    """Orders that expired after a partial fill say so by their fills."""
    op.execute(
        "UPDATE orders o SET state = 'partial' WHERE state = 'expired'"
        " AND EXISTS (SELECT 1 FROM fills f WHERE f.client_order_id = o.client_order_id)"
    )
