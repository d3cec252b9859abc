"""funding of perpetual futures: rates as they were settled, what a desk paid, and where its profit shows it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KIND = "ck_corporate_actions_kind_known"
BEFORE, NOW = "('split', 'dividend', 'delisting')", "('split', 'dividend', 'delisting', 'funding')"
V_PNL_BY_SYMBOL = """
    WITH closed AS (
        SELECT symbol, count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS won, sum(pnl)::float8 AS realised
        FROM trades GROUP BY symbol),
    paid AS (
        SELECT symbol, sum(fee)::float8 AS fees, sum(spread_cost)::float8 AS spread, sum(impact_cost)::float8 AS impact
        FROM fills GROUP BY symbol){held}
    SELECT p.symbol, coalesce(c.trades, 0) AS trades, coalesce(c.won, 0) AS won,
           coalesce(c.realised, 0) + coalesce(o.unrealised_pnl, 0) + p.fees + p.spread + p.impact{without} AS gross,
           p.fees, p.spread, p.impact, coalesce(c.realised, 0) + coalesce(o.unrealised_pnl, 0) AS net,
           coalesce(o.unrealised_pnl, 0) AS of_it_unrealised{more}
    FROM paid p LEFT JOIN closed c USING (symbol) LEFT JOIN v_positions o USING (symbol){joined}"""
BY_SYMBOL_BEFORE = V_PNL_BY_SYMBOL.format(held="", without="", more="", joined="")
BY_SYMBOL_NOW = V_PNL_BY_SYMBOL.format(
    held=""",
    held AS (
        SELECT symbol, sum(cash)::float8 AS funding FROM corporate_actions WHERE kind = 'funding' GROUP BY symbol)""",
    without=" - coalesce(h.funding, 0)",
    more=", coalesce(h.funding, 0) AS funding",
    joined=" LEFT JOIN held h USING (symbol)",
)
V_COSTS = """
    WITH live AS (
        SELECT coalesce(to_char(time AT TIME ZONE 'UTC', 'YYYY'), 'all') AS period, avg(equity) AS mean_equity,
               EXTRACT(epoch FROM max(time) - min(time)) / 31557600.0 AS years, sum(turnover) AS turnover
        FROM equity WHERE book NOT LIKE '%:%' GROUP BY GROUPING SETS ((to_char(time AT TIME ZONE 'UTC', 'YYYY')), ())),
    paid AS (
        SELECT coalesce(to_char(time AT TIME ZONE 'UTC', 'YYYY'), 'all') AS period, count(*) AS fills,
               sum(quantity * price)::float8 AS notional, sum(fee)::float8 AS fees,
               sum(spread_cost)::float8 AS spread, sum(impact_cost)::float8 AS impact
        FROM fills GROUP BY GROUPING SETS ((to_char(time AT TIME ZONE 'UTC', 'YYYY')), ())){held}
    SELECT period, coalesce(fills, 0) AS fills, coalesce(notional, 0) AS notional, coalesce(fees, 0) AS fees,
           coalesce(spread, 0) AS spread, coalesce(impact, 0) AS impact,
           coalesce(fees + spread + impact, 0) AS costs, mean_equity,
           100 * coalesce(fees + spread + impact, 0) / NULLIF(mean_equity, 0) / NULLIF(years, 0)
               AS percent_of_equity_a_year,
           turnover / NULLIF(years, 0) AS turnover_a_year{more}
    FROM live LEFT JOIN paid USING (period){joined}"""
COSTS_BEFORE = V_COSTS.format(held="", more="", joined="")
COSTS_NOW = V_COSTS.format(
    held=""",
    held AS (
        SELECT coalesce(to_char(time AT TIME ZONE 'UTC', 'YYYY'), 'all') AS period, sum(cash)::float8 AS funding
        FROM corporate_actions WHERE kind = 'funding'
        GROUP BY GROUPING SETS ((to_char(time AT TIME ZONE 'UTC', 'YYYY')), ()))""",
    more=", coalesce(funding, 0) AS funding",
    joined=" LEFT JOIN held USING (period)",
)
V_CASH_FLOWS = """
    SELECT time, kind, amount, currency, symbol, source, key, reason, actor, after_days, taken_at, obeyed_after, units,
           refused,
           CASE WHEN refused IS NOT NULL THEN 'refused' WHEN taken_at IS NOT NULL THEN 'taken'
                WHEN after_days > 0 THEN 'planned' ELSE 'waiting' END AS state
    FROM cash_flows
    UNION ALL
    SELECT time, kind, cash, NULL, symbol, 'rule', NULL, {reason}, 'desk', 0, time, NULL, NULL,
           NULL, 'taken'
    FROM corporate_actions WHERE cash <> 0"""
FLOWS_BEFORE = V_CASH_FLOWS.format(reason="'what was held before the open'")
FLOWS_NOW = V_CASH_FLOWS.format(
    reason="CASE kind WHEN 'funding' THEN 'settled on what was held' ELSE 'what was held before the open' END"
)
VIEWS = {
    "v_pnl_by_symbol": (BY_SYMBOL_BEFORE, BY_SYMBOL_NOW),
    "v_costs": (COSTS_BEFORE, COSTS_NOW),
    "v_cash_flows": (FLOWS_BEFORE, FLOWS_NOW),
}


def upgrade() -> None:
    op.create_table(
        "funding_rates",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("time", MOMENT, nullable=False, comment="when it was settled"),
        sa.Column("rate", sa.Double(), nullable=False, comment="what a long position pays, a fraction of its worth"),
        sa.Column("price", sa.Double(), nullable=False, comment="the mark price of that moment"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("read_id", sa.BigInteger(), nullable=False, comment="the read of files after which it was known"),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("time > '1900-01-01Z' AND time < '2100-01-01Z'", name=op.f("ck_funding_rates_time_sane")),
        sa.CheckConstraint("rate BETWEEN -1e6 AND 1e6", name=op.f("ck_funding_rates_rate_sane")),
        sa.CheckConstraint("price > 0 AND price < 'Infinity'", name=op.f("ck_funding_rates_price_positive")),
        sa.PrimaryKeyConstraint("symbol", "time", name=op.f("pk_funding_rates")),
    )
    op.create_index("ix_funding_rates_read_id", "funding_rates", ["read_id"])
    op.drop_constraint(op.f(KIND), "corporate_actions")
    op.create_check_constraint(op.f(KIND), "corporate_actions", f"kind IN {NOW}")
    for view, (_, now) in VIEWS.items():
        op.execute(f"CREATE OR REPLACE VIEW {view} AS {now}")
    _grant("GRANT SELECT ON funding_rates TO quorum_reader, quorum_trader, quorum_meta", "INSERT ON funding_rates")


def downgrade() -> None:
    """What a desk was paid in funding stays on record; the money must add up."""
    for view, (before, _) in VIEWS.items():
        op.execute(f"DROP VIEW {view}")
        op.execute(f"CREATE VIEW {view} AS {before}")
    _grant(f"GRANT SELECT ON {', '.join(VIEWS)} TO quorum_reader, quorum_trader, quorum_meta")
    op.drop_constraint(op.f(KIND), "corporate_actions")
    op.create_check_constraint(op.f(KIND), "corporate_actions", f"kind IN {BEFORE}", postgresql_not_valid=True)
    op.drop_table("funding_rates")


def _grant(reading: str, writing: str = "") -> None:
    """Where the roles exist; elsewhere one user does everything."""
    more = f"GRANT {writing} TO quorum_trader;" if writing else ""
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                {reading};
                {more}
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")
