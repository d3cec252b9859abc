"""stops that rest at an exchange between two decisions"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STATES = "'sending', 'resting', 'reached', 'none', 'refused', 'ended'"
V_RESTING_STOPS = """
    SELECT p.symbol, p.quantity AS held, s.side, s.quantity, s.stop_price, coalesce(s.state, 'unset') AS state,
           s.reason, s.decision_time, s.updated_at
    FROM positions p LEFT JOIN resting_stops s ON s.symbol = p.symbol AND s.state <> 'ended'
    UNION ALL
    SELECT s.symbol, 0, s.side, s.quantity, s.stop_price, s.state, s.reason, s.decision_time, s.updated_at
    FROM resting_stops s WHERE s.state <> 'ended' AND NOT EXISTS (SELECT 1 FROM positions p WHERE p.symbol = s.symbol)"""


def upgrade() -> None:
    op.create_table(
        "resting_stops",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("decision_time", MOMENT, nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(28, 8), nullable=False),
        sa.Column("stop_price", sa.Numeric(), nullable=False, comment="at which the step would close the position"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("quantity > 0 AND quantity <> 'NaN'", name=op.f("ck_resting_stops_quantity_positive")),
        sa.CheckConstraint("stop_price > 0 AND stop_price <> 'NaN'", name=op.f("ck_resting_stops_stop_price_positive")),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_resting_stops_side_known")),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_resting_stops_state_known")),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_resting_stops")),
        comment="stops that rest at the exchange; their fills are those of an order of the decision that booked them",
    )
    op.create_index(
        "ix_resting_stops_standing", "resting_stops", ["symbol"], postgresql_where=sa.text("state <> 'ended'")
    )
    op.execute(f"CREATE VIEW v_resting_stops AS {V_RESTING_STOPS}")


def downgrade() -> None:
    op.execute("DROP VIEW v_resting_stops")
    op.drop_table("resting_stops")
