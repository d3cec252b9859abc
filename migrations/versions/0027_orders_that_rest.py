"""orders that rest at a price, and what each kind of order cost against the price that was decided on"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

COMMENT = (
    "market, limit, chase (rests, then crosses), stop, or adopted (placed by others); empty before version 0022 of the"
    " schema"
)
COMMENT_BEFORE = "market, stop, or adopted (placed by others); empty before version 0022 of the schema"
KNOWN, KNOWN_BEFORE = "kind IN ('market', 'limit', 'chase', 'stop', 'adopted')", "kind IN ('market', 'stop', 'adopted')"
OURS, OURS_BEFORE = "kind IS NULL OR kind IN ('market', 'limit', 'chase')", "kind IS NULL OR kind = 'market'"
V_SLIPPAGE = """
    WITH met AS (
        SELECT coalesce(o.kind, 'market') AS kind, CASE o.side WHEN 'buy' THEN 1 ELSE -1 END AS way,
               o.quantity::float8 AS quantity, d.mark, n.close * s.ratio AS close, f.quantity / s.ratio AS filled,
               f.paid, f.fees
        FROM orders o
        JOIN decision_details d ON d.time = o.decision_time AND d.symbol = o.symbol
        JOIN LATERAL (
            SELECT b.time, b.close FROM bars b WHERE b.symbol = o.symbol AND b.time > o.decision_time
            ORDER BY b.time LIMIT 1) n ON true
        CROSS JOIN LATERAL (
            SELECT coalesce(exp(sum(ln(m.value))), 1) AS ratio FROM market_actions m
            WHERE m.symbol = o.symbol AND m.kind = 'split' AND m.time > o.decision_time AND m.time <= n.time) s
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(quantity), 0)::float8 AS quantity, coalesce(sum(quantity * price), 0)::float8 AS paid,
                   coalesce(sum(fee), 0)::float8 AS fees
            FROM fills WHERE client_order_id = o.client_order_id) f
        WHERE o.state IN ('filled', 'expired', 'cancelled') AND coalesce(o.kind, 'market') IN ('market', 'limit', 'chase')
            AND d.mark > 0),
    parts AS (
        SELECT kind, quantity * mark AS ordered, filled * mark AS done, greatest(quantity - filled, 0) * mark AS missed,
               way * (paid - filled * mark) AS slipped, fees,
               way * greatest(quantity - filled, 0) * (close - mark) AS ran_away
        FROM met)
    SELECT kind, count(*) AS orders, sum(ordered) AS ordered, sum(done) / NULLIF(sum(ordered), 0) AS filled,
           1e4 * sum(slipped) / NULLIF(sum(done), 0) AS slippage_bps, 1e4 * sum(fees) / NULLIF(sum(done), 0) AS fees_bps,
           1e4 * sum(ran_away) / NULLIF(sum(missed), 0) AS missed_bps,
           1e4 * sum(slipped + fees + ran_away) / NULLIF(sum(ordered), 0) AS shortfall_bps
    FROM parts GROUP BY kind"""


def upgrade() -> None:
    op.add_column(
        "orders", sa.Column("limit_price", sa.Numeric(), nullable=True, comment="at which a limit or chase order rests")
    )
    op.alter_column("orders", "kind", comment=COMMENT, existing_comment=COMMENT_BEFORE)
    _know(KNOWN, OURS)
    fits = "(limit_price IS NOT NULL) = (coalesce(kind, '') IN ('limit', 'chase'))"
    op.create_check_constraint(op.f("ck_orders_limit_price_fits"), "orders", fits)
    op.execute(f"CREATE VIEW v_slippage AS {V_SLIPPAGE}")
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON v_slippage TO quorum_reader, quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    op.execute("DROP VIEW v_slippage")
    op.drop_constraint(op.f("ck_orders_limit_price_fits"), "orders")
    op.execute("UPDATE orders SET kind = 'market' WHERE kind IN ('limit', 'chase')")
    _know(KNOWN_BEFORE, OURS_BEFORE)
    op.alter_column("orders", "kind", comment=COMMENT_BEFORE, existing_comment=COMMENT)
    op.drop_column("orders", "limit_price")


def _know(known: str, ours: str) -> None:
    op.drop_constraint(op.f("ck_orders_kind_known"), "orders")
    op.create_check_constraint(op.f("ck_orders_kind_known"), "orders", known)
    op.drop_index("uq_orders_decision", "orders")
    op.create_index(
        "uq_orders_decision", "orders", ["decision_time", "symbol"], unique=True, postgresql_where=sa.text(ours)
    )
