"""Cash flows on record: waiting until a desk takes them, each once, and how many units the desk has since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from agents.adapters.database.locked_session import Driver
from agents.core.cash_flows import CashFlow, FlowKind, FlowSource, NewFlow, TakenFlow

_WAITING = """
SELECT id, kind, amount, source FROM cash_flows
WHERE taken_at IS NULL AND CASE WHEN after_days = 0 THEN true
    ELSE %s >= (SELECT min(time) FROM decisions) + after_days * interval '1 day' END
ORDER BY id
"""
_SINCE = """
SELECT id, kind, amount, source FROM cash_flows
WHERE obeyed_after = %s AND refused IS NULL ORDER BY taken_at, id
"""
_REFUSE = "UPDATE cash_flows SET taken_at = %s, obeyed_after = %s, refused = %s WHERE id = %s AND taken_at IS NULL"
_TAKE = """
UPDATE cash_flows SET taken_at = %s, obeyed_after = %s, units = %s * coalesce((
    SELECT units FROM cash_flows WHERE units IS NOT NULL ORDER BY obeyed_after DESC, taken_at DESC, id DESC LIMIT 1), 1)
WHERE id = %s AND taken_at IS NULL
"""
_ADD = """
INSERT INTO cash_flows (time, kind, amount, currency, symbol, source, key, reason, actor, after_days)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (source, key) WHERE key IS NOT NULL DO NOTHING
"""
_BETWEEN = """
SELECT taken_with, id, kind, amount, source FROM (
    SELECT f.*, (SELECT min(d.time) FROM decisions d WHERE d.time > f.obeyed_after) AS taken_with
    FROM cash_flows f WHERE f.obeyed_after IS NOT NULL AND f.refused IS NULL) t
WHERE taken_with > :since AND taken_with <= :until ORDER BY taken_at, id
"""


def read_waiting(connection: Driver, decision: datetime) -> list[CashFlow]:
    """Those that nobody took and that may be taken after the decision at this time, oldest first."""
    return [flow_of(*row) for row in connection.execute(_WAITING, (decision,)).fetchall()]


def read_since(connection: Driver, decision: datetime) -> list[CashFlow]:
    """Those taken between the decision at this time and the next one, in that order."""
    return [flow_of(*row) for row in connection.execute(_SINCE, (decision,)).fetchall()]


def flows_between(connection: Connection, since: datetime, until: datetime) -> list[tuple[datetime, CashFlow]]:
    """Those taken with the decisions after the first time up to the second, with the time of each one's decision."""
    rows = connection.execute(text(_BETWEEN), {"since": since, "until": until})
    return [(taken_with, flow_of(*row)) for taken_with, *row in rows]


def mark_taken(connection: Driver, taken: Sequence[TakenFlow], after: datetime, at: datetime) -> None:
    """These, after the decision at `after`. Part of the caller's transaction."""
    for flow, growth, refused in taken:
        if refused:
            connection.execute(_REFUSE, (at, after, refused, flow.id))
        else:
            connection.execute(_TAKE, (at, after, growth, flow.id))


def add_flows(connection: Driver, flows: Iterable[NewFlow]) -> int:
    """Put flows on record; how many were not there yet. Part of the caller's transaction."""
    added = 0
    for f in flows:
        values = (f.time, f.kind, f.amount, f.currency, f.symbol, f.source, f.key, f.reason, f.actor, f.after_days)
        added += connection.execute(_ADD, values).rowcount
    return added


def flow_of(number: int, kind: FlowKind, amount: Decimal, source: FlowSource) -> CashFlow:
    """A row of the table."""
    return CashFlow(id=number, kind=kind, amount=amount, source=source)
