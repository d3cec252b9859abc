"""what a changed universe or set of agents leaves behind; small prices keep their digits"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

PRICES = (("fills", "price"), ("trades", "entry_price"), ("trades", "exit_price"))
ACTION_KIND = "ck_corporate_actions_kind_known"
ACTION_VALUE = "ck_market_actions_value_sane"
_VIEWS_OF = """
SELECT DISTINCT v.relname AS name, pg_get_viewdef(v.oid) AS query
FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.refobjid = to_regclass(:table) AND a.attname = :column
"""


def upgrade() -> None:
    _retype_prices("NUMERIC")
    op.drop_constraint(op.f(ACTION_KIND), "corporate_actions")
    op.create_check_constraint(op.f(ACTION_KIND), "corporate_actions", "kind IN ('split', 'dividend', 'delisting')")
    op.drop_constraint(op.f(ACTION_VALUE), "market_actions")
    op.create_check_constraint(
        op.f(ACTION_VALUE), "market_actions", "(value > 0 OR (value = 0 AND kind = 'delisting')) AND value < 'Infinity'"
    )
    op.add_column(
        "desk_state",
        sa.Column(
            "warm_up",
            sa.LargeBinary(),
            nullable=True,
            comment="what the agents thought of the bars before the first decision: part of their usual conviction",
        ),
    )


def downgrade() -> None:
    op.drop_column("desk_state", "warm_up")
    op.drop_constraint(op.f(ACTION_VALUE), "market_actions")
    op.create_check_constraint(
        op.f(ACTION_VALUE), "market_actions", "value > 0 AND value < 'Infinity'", postgresql_not_valid=True
    )
    op.drop_constraint(op.f(ACTION_KIND), "corporate_actions")
    op.create_check_constraint(
        op.f(ACTION_KIND), "corporate_actions", "kind IN ('split', 'dividend')", postgresql_not_valid=True
    )
    _retype_prices("NUMERIC(28, 8)")


def _retype_prices(wanted: str) -> None:
    """A price has as many decimals as it needs: a coin may cost 0.00000000812. Views that read a column are made anew."""
    for table, column in PRICES:
        views = op.get_bind().execute(sa.text(_VIEWS_OF), {"table": table, "column": column}).all()
        for view in views:
            op.execute(f"DROP VIEW {view.name}")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {wanted}")
        for view in views:
            op.execute(f"CREATE VIEW {view.name} AS {view.query}")
            _grant(view.name)


def _grant(view: str) -> None:
    op.execute(f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'quorum\\_%') >= 4 THEN
                GRANT SELECT ON {view} TO quorum_reader, quorum_trader, quorum_meta;
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'no right to grant: all commands act as %', current_user;
        END $$""")
