"""The database -> the few facts that alarms look at."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from agents.adapters.database.desk_facts import freshness, newest_decision, parity, reader
from agents.adapters.database.engine import row_dicts
from agents.core.alarm_types import AlarmFacts, WaitingMail
from agents.core.facts import Period, SystemState

_PUBLISHED = """
    SELECT EXISTS (SELECT 1 FROM weight_history
                   WHERE status IN ('apply', 'revert', 'initial') AND timestamp <= :at) AS published"""
_UNKNOWN_ORDERS = "SELECT client_order_id FROM orders WHERE state = 'unknown' ORDER BY decision_time, client_order_id"
_WAITING_MAIL = """
    SELECT count(*) AS mails, min(created_at) AS oldest FROM outbox WHERE state = 'pending' HAVING count(*) > 0"""


def read_alarm_facts(connection: Connection, at: datetime, system: SystemState) -> AlarmFacts:
    """The desk as it is at `at`."""
    read = reader(connection, Period(at, at))
    waiting = row_dicts(connection, _WAITING_MAIL)
    return AlarmFacts(
        at=at,
        newest=newest_decision(read),
        freshness=freshness(read),
        weights_published=row_dicts(connection, _PUBLISHED, at=at)[0]["published"],
        unknown_orders=[row["client_order_id"] for row in row_dicts(connection, _UNKNOWN_ORDERS)],
        waiting_mail=WaitingMail(**waiting[0]) if waiting else None,
        parity=parity(read),
        system=system,
    )
