"""what each agent adds to the desk, a benchmark that holds, costs and P&L by symbol and side"""

from __future__ import annotations

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
