"""Lives of agents: the table agent_life, to which rows are only added."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import transaction
from agents.core.life_types import LifeChange

_READ = "SELECT timestamp, agent_name, from_state, to_state, reason, actor, evidence FROM agent_life ORDER BY id"
_ADD = """
INSERT INTO agent_life (timestamp, agent_name, from_state, to_state, reason, actor, evidence)
VALUES (:at, :agent, :before, :after, :reason, :actor, CAST(:evidence AS jsonb))
"""


def read_changes(engine: Engine) -> list[LifeChange]:
    """Every change of state so far, oldest first."""
    with transaction(engine) as connection:
        rows = connection.execute(text(_READ)).all()
    return [
        LifeChange(
            at=row.timestamp,
            agent=row.agent_name,
            before=row.from_state,
            after=row.to_state,
            reason=row.reason,
            actor=row.actor,
            evidence=row.evidence,
        )
        for row in rows
    ]


def add_changes(connection: Connection, changes: Sequence[LifeChange]) -> None:
    """Part of the caller's transaction."""
    rows = [
        {
            "at": change.at,
            "agent": change.agent,
            "before": change.before,
            "after": change.after,
            "reason": change.reason,
            "actor": change.actor,
            "evidence": json.dumps(dict(change.evidence)),
        }
        for change in changes
    ]
    if rows:
        connection.execute(text(_ADD), rows)
