"""what each agent adds to the desk, a benchmark that holds, costs and P&L by symbol and side"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ALWAYS = ("sharpe_always_low", "sharpe_always_high")
TABLES = ("agent_books", "agent_value_added")
V_AGENT_VALUE_ADDED = """
    SELECT agent_name, window_days, date, compared, days, days_differing, return_a_year, return_low, return_high,
           sharpe_difference, sharpe_low, sharpe_high, verdict
    FROM agent_value_added WHERE date = (SELECT max(date) FROM agent_value_added)
    ORDER BY window_days, agent_name"""
V_PNL_BY_SYMBOL = """
    WITH closed AS (
        SELECT symbol, count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS won, sum(pnl)::float8 AS realised
        FROM trades GROUP BY symbol),
    paid AS (
        SELECT symbol, sum(fee)::float8 AS fees, sum(spread_cost)::float8 AS spread, sum(impact_cost)::float8 AS impact
        FROM fills GROUP BY symbol)
    SELECT p.symbol, coalesce(c.trades, 0) AS trades, coalesce(c.won, 0) AS won,
           coalesce(c.realised, 0) + coalesce(o.unrealised_pnl, 0) + p.fees + p.spread + p.impact AS gross,
           p.fees, p.spread, p.impact, coalesce(c.realised, 0) + coalesce(o.unrealised_pnl, 0) AS net,
           coalesce(o.unrealised_pnl, 0) AS of_it_unrealised
    FROM paid p LEFT JOIN closed c USING (symbol) LEFT JOIN v_positions o USING (symbol)"""
V_PNL_BY_SIDE = """
    WITH moves AS (
        SELECT symbol, time, fill_id, CASE side WHEN 'buy' THEN quantity ELSE -quantity END AS signed,
               fee, spread_cost, impact_cost FROM fills
        UNION ALL SELECT symbol, time, '', quantity_change, 0, 0, 0 FROM corporate_actions),
    held AS (
        SELECT *, coalesce(sum(signed) OVER (PARTITION BY symbol ORDER BY time, fill_id
                                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
        FROM moves),
    parts AS (
        SELECT *, CASE WHEN before * signed < 0 THEN least(abs(signed), abs(before)) / abs(signed) ELSE 0 END AS closing
        FROM held WHERE fill_id <> ''),
    paid AS (
        SELECT CASE WHEN before > 0 THEN 'long' ELSE 'short' END AS side, closing AS share,
               fee, spread_cost, impact_cost FROM parts WHERE closing > 0
        UNION ALL
        SELECT CASE WHEN signed > 0 THEN 'long' ELSE 'short' END, 1 - closing, fee, spread_cost, impact_cost
        FROM parts WHERE closing < 1),
    costs AS (
        SELECT side, sum(share * fee)::float8 AS fees, sum(share * spread_cost)::float8 AS spread,
               sum(share * impact_cost)::float8 AS impact
        FROM paid GROUP BY side),
    closed AS (
        SELECT side, count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS won, sum(pnl)::float8 AS realised
        FROM trades GROUP BY side),
    open AS (
        SELECT CASE WHEN quantity > 0 THEN 'long' ELSE 'short' END AS side, sum(unrealised_pnl) AS unrealised
        FROM v_positions GROUP BY 1)
    SELECT p.side, coalesce(c.trades, 0) AS trades, coalesce(c.won, 0) AS won,
           coalesce(c.realised, 0) + coalesce(o.unrealised, 0) + p.fees + p.spread + p.impact AS gross,
           p.fees, p.spread, p.impact, coalesce(c.realised, 0) + coalesce(o.unrealised, 0) AS net,
           coalesce(o.unrealised, 0) AS of_it_unrealised
    FROM costs p LEFT JOIN closed c USING (side) LEFT JOIN open o USING (side)"""
V_COSTS = """
    WITH live AS (
        SELECT coalesce(to_char(time AT TIME ZONE 'UTC', 'YYYY'), 'all') AS period, avg(equity) AS mean_equity,
               EXTRACT(epoch FROM max(time) - min(time)) / 31557600.0 AS years, sum(turnover) AS turnover
        FROM equity WHERE book NOT LIKE '%:%' GROUP BY GROUPING SETS ((to_char(time AT TIME ZONE 'UTC', 'YYYY')), ())),
    paid AS (
        SELECT coalesce(to_char(time AT TIME ZONE 'UTC', 'YYYY'), 'all') AS period, count(*) AS fills,
               sum(quantity * price)::float8 AS notional, sum(fee)::float8 AS fees,
               sum(spread_cost)::float8 AS spread, sum(impact_cost)::float8 AS impact
        FROM fills GROUP BY GROUPING SETS ((to_char(time AT TIME ZONE 'UTC', 'YYYY')), ()))
    SELECT period, coalesce(fills, 0) AS fills, coalesce(notional, 0) AS notional, coalesce(fees, 0) AS fees,
           coalesce(spread, 0) AS spread, coalesce(impact, 0) AS impact,
           coalesce(fees + spread + impact, 0) AS costs, mean_equity,
           100 * coalesce(fees + spread + impact, 0) / NULLIF(mean_equity, 0) / NULLIF(years, 0)
               AS percent_of_equity_a_year,
           turnover / NULLIF(years, 0) AS turnover_a_year
    FROM live LEFT JOIN paid USING (period)"""
VIEWS = {
    "v_agent_value_added": V_AGENT_VALUE_ADDED,
    "v_pnl_by_symbol": V_PNL_BY_SYMBOL,
    "v_pnl_by_side": V_PNL_BY_SIDE,
    "v_costs": V_COSTS,
}


def upgrade() -> None:
    op.create_table(
        "agent_books",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("agent_name", sa.Text(), nullable=False),
        sa.Column(
            "desk_equity", sa.Double(), nullable=False, comment="of the desk as the cost model fills it, at day's end"
        ),
        sa.Column("book_equity", sa.Double(), nullable=False, comment="of the same desk without this agent"),
        sa.Column(
            "with_agent",
            sa.Boolean(),
            nullable=False,
            comment="its weight was 0: the book is the desk with it at the floor",
        ),
        sa.PrimaryKeyConstraint("date", "agent_name", name=op.f("pk_agent_books")),
    )
    figures = ("return_a_year", "return_low", "return_high", "sharpe_difference", "sharpe_low", "sharpe_high")
    op.create_table(
        "agent_value_added",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("agent_name", sa.Text(), nullable=False),
        sa.Column("window_days", sa.Integer(), nullable=False, comment="0 = all history"),
        sa.Column("compared", sa.Text(), nullable=False, comment="what the newest day was compared with, in words"),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("days_differing", sa.Integer(), nullable=False, comment="on which the agent changed anything"),
        *(sa.Column(name, sa.Double()) for name in figures),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("date", "agent_name", "window_days", name=op.f("pk_agent_value_added")),
    )
    for name in ALWAYS:
        comment = "end of the interval that holds at every look; all history only"
        op.add_column("agent_scorecards", sa.Column(name, sa.Double(), comment=comment))
    op.add_column(
        "agent_scorecards",
        sa.Column(
            "measured",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="what the books could do that were measured: long-only books, or long and short",
        ),
    )
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")
    _grant()


def _grant() -> None:
    """Where the roles exist; elsewhere one user does everything."""
    statements = [
        f"GRANT SELECT ON {', '.join((*TABLES, *VIEWS))} TO quorum_reader, quorum_trader, quorum_meta",
        f"GRANT INSERT, UPDATE ON {', '.join(TABLES)} TO quorum_meta",
    ]
    body = " ".join(f"EXECUTE '{s}';" for s in statements)
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN {body} END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
    for name in ("measured", *reversed(ALWAYS)):
        op.drop_column("agent_scorecards", name)
    for name in reversed(TABLES):
        op.drop_table(name)
