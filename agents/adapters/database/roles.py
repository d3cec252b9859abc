"""Quorum's roles: what each may do, in one table, and how the database of a user's own server gets them.

The owner changes the schema and is nobody's session for longer than that takes. The daemons act as `quorum_trader` and
`quorum_meta`, who add rows and change only what stands in `RIGHTS`; a person who looks around is `quorum_reader`.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from agents.adapters.database.engine import first_line, safe_url, transaction
from agents.core.errors import ServiceError

OWNER, TRADER, META, READER = "quorum_owner", "quorum_trader", "quorum_meta", "quorum_reader"
ROLES = (TRADER, META, READER)
SECRET = ("email_config", "outbox")
"""Tables that only the meta plane reads."""
VIEWS_OF_ANOTHER_NAME = ("agent_performance",)
"""Views of ours that do not begin with v_."""
ADD, KEEP = "INSERT", "INSERT, UPDATE"

RIGHTS: dict[str, dict[str, str]] = {
    TRADER: {
        "bars": KEEP,  # a correction is taken where no decision has used the bar
        **dict.fromkeys(("bar_reads", "bar_quarantine", "exogenous", "system_metrics", "paper_orders"), ADD),
        "bar_corrections": "INSERT, UPDATE (seen_at)",
        **dict.fromkeys(("signals", "decisions", "decision_details", "fills", "corporate_actions", "trades"), ADD),
        **dict.fromkeys(("trade_attribution", "equity", "shadow_returns", "bar_contributions", "agent_work_log"), ADD),
        **dict.fromkeys(
            ("market_actions", "late_bars", "exogenous_keys", "outages", "journal_chain", "chain_checks"), ADD
        ),
        "orders": "INSERT, UPDATE (state, reason, updated_at)",
        "risk_events": "INSERT, UPDATE (applied_at, obeyed_after)",
        "cash_flows": "INSERT, UPDATE (taken_at, obeyed_after, units, refused)",
        "fill_fees": ADD,
        "funding_rates": ADD,
        "broker_accounts": ADD,
        "broker_outside": KEEP,
        "reconciliation_breaks": KEEP,
        "resting_stops": KEEP,
        "positions": "INSERT, DELETE",
        "desk_state": "INSERT, UPDATE (time, state)",
        "heartbeats": KEEP,
        "file_refusals": KEEP,
        "symbol_renames": ADD,
    },
    META: {
        "weight_history": "INSERT, UPDATE (realised_improvement, realised_at)",
        "beliefs": KEEP,
        **dict.fromkeys(("parity_checks", "settings_tried", "weight_trials", "chain_checks", "agent_life"), ADD),
        **dict.fromkeys(("outages", "system_metrics", "agent_work_log"), ADD),
        "heartbeats": KEEP,
        **dict.fromkeys(
            (
                "agent_books",
                "agent_value_added",
                "agent_days",
                "agent_scorecards",
                "alarms",
                "job_runs",
                "outbox",
                "email_config",
            ),
            KEEP,
        ),
        **dict.fromkeys(("project_tasks", "project_reports", "improvement_suggestions"), KEEP),
        **dict.fromkeys(("strategy_variants", "ml_models"), KEEP),
    },
    READER: {},
}
"""Role -> table -> what it may do beside reading. Tables that are not named here keep what their migration granted."""

_MEMBERSHIP = """
SELECT w.role, r.oid IS NOT NULL AS there,
       r.oid IS NOT NULL AND pg_has_role(current_user, r.oid, 'member') AS allowed
FROM unnest(CAST(:roles AS text[])) WITH ORDINALITY AS w(role, place) LEFT JOIN pg_roles r ON r.rolname = w.role
ORDER BY w.place
"""
_LACKING = """
SELECT EXISTS (SELECT 1 FROM pg_roles r, pg_class c WHERE r.rolname = 'quorum_trader' AND c.oid = to_regclass('orders')
               AND NOT has_table_privilege(r.oid, c.oid, 'INSERT'))
"""
_NAMES = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"


def require_roles(owner: Engine, *, allow_owner: bool) -> bool:
    """Whether sessions of `owner` may act as Quorum's roles, which are made where they are missing and it may.

    False where they may not and `allow_owner` says that the owner shall do everything; otherwise ServiceError, with the
    statements that an administrator has to run.
    """
    with transaction(owner) as connection:
        rows = connection.execute(text(_MEMBERSHIP), {"roles": list(ROLES)}).all()
        user = str(connection.execute(text("SELECT current_user")).scalar())
    missing = [row.role for row in rows if not row.there]
    denied = [row.role for row in rows if not row.allowed]
    if not denied:
        return True
    quoted = '"' + user.replace('"', '""') + '"'
    statements = [f"CREATE ROLE {role} NOLOGIN" for role in missing] + [f"GRANT {', '.join(denied)} TO {quoted}"]
    try:
        with owner.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        return True
    except DBAPIError as error:
        if allow_owner:
            return False
        raise ServiceError(
            f"database {safe_url(owner)}: {user} may not act as {', '.join(denied)} ({first_line(error)});"
            f" let an administrator run: {'; '.join(statements)};"
            " or set database.allow_owner = true, and the desk trades with all the rights of its owner"
        ) from None


def grant_missing_rights(owner: Engine) -> None:
    """Give the roles their rights in a database that was migrated before they were there."""
    with transaction(owner) as connection:
        if connection.execute(text(_LACKING)).scalar():
            grant_rights(connection)


def grant_rights(connection: Connection) -> None:
    """Give every role what `RIGHTS` says and nothing else; part of the caller's transaction, which is the owner's.

    Nothing happens on a server without these roles: there the owner does everything.
    """
    known = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    if not known.issuperset(ROLES):
        return
    everyone = ", ".join(ROLES)
    for statement in (
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {everyone}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {TRADER}, {META}",
    ):
        connection.execute(text(statement))
    if connection.execute(text("SELECT to_regprocedure('forget_metrics(timestamptz)') IS NOT NULL")).scalar():
        connection.execute(text(f"GRANT EXECUTE ON FUNCTION forget_metrics(timestamptz) TO {META}"))
    named = {table for rights in RIGHTS.values() for table in rights}
    for name, kind in connection.execute(text(_NAMES)).all():
        if kind == "v":
            if name.startswith("v_") or name in VIEWS_OF_ANOTHER_NAME:
                connection.execute(text(f'GRANT SELECT ON "{name}" TO {everyone}'))
        elif name in named:
            _grant_table(connection, name)
        else:
            readers = f"{META}, {READER}, {TRADER}"
            connection.execute(text(f'GRANT SELECT ON "{name}" TO {readers}'))


def _grant_table(connection: Connection, table: str) -> None:
    connection.execute(text(f'REVOKE ALL ON "{table}" FROM {", ".join(ROLES)}'))
    readers = (META,) if table in SECRET else ROLES
    connection.execute(text(f'GRANT SELECT ON "{table}" TO {", ".join(readers)}'))
    for role, rights in RIGHTS.items():
        if table in rights:
            connection.execute(text(f'GRANT {rights[table]} ON "{table}" TO {role}'))
