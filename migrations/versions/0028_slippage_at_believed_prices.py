"""what orders cost leaves those out that met a price that was not believed, counts them, and says the median, too"""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

V_SLIPPAGE = """
    WITH met AS (
        SELECT coalesce(o.kind, 'market') AS kind, CASE o.side WHEN 'buy' THEN 1 ELSE -1 END AS way,
               o.quantity::float8 AS quantity, {mark} AS mark, n.close * s.ratio AS close,
               f.quantity / s.ratio AS filled, f.paid, {fees} AS fees
        FROM orders o
        JOIN decision_details d ON d.time = o.decision_time AND d.symbol = o.symbol
        JOIN LATERAL (
            SELECT b.time, b.close, b.suspect FROM bars b WHERE b.symbol = o.symbol AND b.time > o.decision_time
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
    SELECT kind, {count} AS orders, sum(ordered) AS ordered, sum(done) / NULLIF(sum(ordered), 0) AS filled,
           1e4 * sum(slipped) / NULLIF(sum(done), 0) AS slippage_bps, 1e4 * sum(fees) / NULLIF(sum(done), 0) AS fees_bps,
           1e4 * sum(ran_away) / NULLIF(sum(missed), 0) AS missed_bps,
           1e4 * sum(slipped + fees + ran_away) / NULLIF(sum(ordered), 0) AS shortfall_bps{more}
    FROM parts GROUP BY kind"""
MEDIAN = "percentile_cont(0.5) WITHIN GROUP (ORDER BY 1e4 * (slipped + fees + ran_away) / NULLIF(ordered, 0))"
NOW = V_SLIPPAGE.format(
    mark="CASE WHEN n.suspect THEN NULL ELSE d.mark END",  # without it an order is in no sum
    fees="CASE WHEN n.suspect THEN NULL ELSE f.fees END",
    count="count(ordered)",
    more=f",\n           {MEDIAN} AS median_bps, count(*) - count(ordered) AS doubted",
)
BEFORE = V_SLIPPAGE.format(mark="d.mark", fees="f.fees", count="count(*)", more="")


def upgrade() -> None:
    op.execute(f"CREATE OR REPLACE VIEW v_slippage AS {NOW}")


def downgrade() -> None:
    op.execute("DROP VIEW v_slippage")
    op.execute(f"CREATE VIEW v_slippage AS {BEFORE}")
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON v_slippage TO quorum_reader, quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")
