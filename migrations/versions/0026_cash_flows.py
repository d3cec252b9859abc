"""money in and out: cash flows, the desk's units, and what is measured in them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
MONEY = sa.Numeric(28, 8)
KINDS = ("deposit", "withdrawal", "ramp", "interest", "borrow", "funding", "dividend", "fee")
MAY_CHANGE = ("taken_at", "obeyed_after", "units", "refused")
V_UNITS = """
    WITH known AS (
        SELECT DISTINCT ON (obeyed_after) obeyed_after, units FROM cash_flows WHERE units IS NOT NULL
        ORDER BY obeyed_after, taken_at DESC, id DESC)
    SELECT '1900-01-01Z'::timestamptz AS after, coalesce(min(obeyed_after), '2100-01-01Z') AS until, 1.0::float8 AS units
    FROM known
    UNION ALL
    SELECT obeyed_after, coalesce(lead(obeyed_after) OVER (ORDER BY obeyed_after), '2100-01-01Z'), units FROM known"""
V_UNIT_VALUES = """
    SELECT e.time, e.book, e.equity, e.cash, e.turnover, n.units, e.equity / n.units AS unit_value
    FROM equity e JOIN v_units u ON e.time > u.after AND e.time <= u.until
    CROSS JOIN LATERAL (SELECT CASE WHEN e.book LIKE 'shadow:%' THEN 1 ELSE u.units END AS units) n"""
V_CASH_FLOWS = """
    SELECT time, kind, amount, currency, symbol, source, key, reason, actor, after_days, taken_at, obeyed_after, units,
           refused,
           CASE WHEN refused IS NOT NULL THEN 'refused' WHEN taken_at IS NOT NULL THEN 'taken'
                WHEN after_days > 0 THEN 'planned' ELSE 'waiting' END AS state
    FROM cash_flows
    UNION ALL
    SELECT time, kind, cash, NULL, symbol, 'rule', NULL, 'what was held before the open', 'desk', 0, time, NULL, NULL,
           NULL, 'taken'
    FROM corporate_actions WHERE cash <> 0"""
V_EQUITY = """
    SELECT time, book, equity, cash, turnover, {drawdown} AS drawdown{more}
    FROM {source}"""
V_EQUITY_BEFORE = V_EQUITY.format(
    drawdown="1 - equity / max(equity) OVER (PARTITION BY book ORDER BY time)", more="", source="equity"
)
V_EQUITY_NOW = V_EQUITY.format(
    drawdown="1 - unit_value / max(unit_value) OVER (PARTITION BY book ORDER BY time)",
    more=", units, unit_value",
    source="v_unit_values",
)
V_AGAINST_HOLDING = """
    WITH daily AS (
        SELECT book, (time AT TIME ZONE 'UTC')::date AS day, last({value}, time) AS equity, max(time) AS time
        FROM {source} WHERE book NOT LIKE '%:%' OR book LIKE 'control:hold%' GROUP BY 1, 2),
    made AS (
        SELECT book, day, equity / NULLIF(lag(equity) OVER (PARTITION BY book ORDER BY day), 0) - 1 AS return
        FROM daily),
    pace AS (
        SELECT (count(*) - 1) * 365.25 / NULLIF(max(day) - min(day), 0) AS days_a_year
        FROM daily WHERE book NOT LIKE '%:%')
    SELECT replace(substr(held.book, 9), '_', ' ') AS benchmark, min(live.day) AS since, count(*) AS days,
           (avg(live.return - held.return) * days_a_year)::float8 AS excess_return,
           regr_slope(live.return, held.return) AS beta,
           (avg(live.return - held.return) / NULLIF(stddev_samp(live.return - held.return), 0)
            * sqrt(days_a_year))::float8 AS information_ratio
    FROM made live JOIN made held USING (day) CROSS JOIN pace
    WHERE live.book NOT LIKE '%:%' AND held.book LIKE '%:%' AND live.return IS NOT NULL AND held.return IS NOT NULL
    GROUP BY held.book, days_a_year"""


def upgrade() -> None:
    _make_table()
    names = ", ".join(f"'{column}'" for column in MAY_CHANGE)
    op.execute(
        "CREATE TRIGGER states_only BEFORE UPDATE OR DELETE ON cash_flows FOR EACH ROW EXECUTE FUNCTION"
        f" refuse_all_but({names})"
    )
    for view, query in (("v_units", V_UNITS), ("v_unit_values", V_UNIT_VALUES), ("v_cash_flows", V_CASH_FLOWS)):
        op.execute(f"CREATE VIEW {view} AS {query}")
    op.execute(f"CREATE OR REPLACE VIEW v_equity AS {V_EQUITY_NOW}")
    op.execute(
        f"CREATE OR REPLACE VIEW v_against_holding AS {V_AGAINST_HOLDING.format(value='unit_value', source='v_unit_values')}"
    )
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON cash_flows, v_units, v_unit_values, v_cash_flows
                    TO quorum_reader, quorum_trader, quorum_meta;
                GRANT INSERT, UPDATE ({", ".join(MAY_CHANGE)}) ON cash_flows TO quorum_trader;
                GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO quorum_trader;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")


def _make_table() -> None:
    op.create_table(
        "cash_flows",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("time", MOMENT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", MONEY, nullable=False, comment="what the desk's cash grows by"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), comment="whose interest, funding or dividend it is"),
        sa.Column("source", sa.Text(), nullable=False, comment="who says so: person, exchange or rule"),
        sa.Column("key", sa.Text(), comment="its source's own name for it: the same twice is one flow"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "after_days", sa.Double(), server_default="0", nullable=False, comment="since the desk's first decision"
        ),
        sa.Column("taken_at", MOMENT, comment="when the desk took it, or refused to"),
        sa.Column("obeyed_after", MOMENT, comment="the newest decision then: the next one is the first with it"),
        sa.Column("units", sa.Double(), comment="of the desk from then on; 1 at its start, and a deposit buys some"),
        sa.Column("refused", sa.Text(), comment="why the desk did not take it"),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("time > '1900-01-01Z' AND time < '2100-01-01Z'", name=op.f("ck_cash_flows_time_sane")),
        sa.CheckConstraint("amount <> 'NaN' AND amount <> 0", name=op.f("ck_cash_flows_amount_known")),
        sa.CheckConstraint(
            f"kind IN ({', '.join(repr(kind) for kind in KINDS)})", name=op.f("ck_cash_flows_kind_known")
        ),
        sa.CheckConstraint("source IN ('person', 'exchange', 'rule')", name=op.f("ck_cash_flows_source_known")),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_cash_flows_reason_given")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cash_flows")),
    )
    op.create_index(
        "uq_cash_flows_key",
        "cash_flows",
        ["source", "key"],
        unique=True,
        postgresql_where=sa.text("key IS NOT NULL"),
    )
    op.create_index("ix_cash_flows_waiting", "cash_flows", ["id"], postgresql_where=sa.text("taken_at IS NULL"))


def downgrade() -> None:
    """What came and went is lost: equity steps then where it did."""
    op.execute(
        f"CREATE OR REPLACE VIEW v_against_holding AS {V_AGAINST_HOLDING.format(value='equity', source='equity')}"
    )
    op.execute("DROP VIEW v_equity")
    op.execute(f"CREATE VIEW v_equity AS {V_EQUITY_BEFORE}")
    op.execute("""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON v_equity TO quorum_reader, quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")
    for view in ("v_cash_flows", "v_unit_values", "v_units"):
        op.execute(f"DROP VIEW {view}")
    op.drop_table("cash_flows")
