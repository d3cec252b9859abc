"""the step's state is kept as it is: to compress it took the server half a millisecond of each decision"""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE desk_state ALTER COLUMN state SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.execute("ALTER TABLE desk_state ALTER COLUMN state SET STORAGE EXTENDED")
