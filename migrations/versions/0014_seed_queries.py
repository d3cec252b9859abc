"""the five queries of the first day answer rightly: agent_performance, scorecards of other windows, weight_trials"""

from __future__ import annotations

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
