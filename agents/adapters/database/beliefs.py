"""What the tuner believes, in the database: one row for the replayed past and one for now."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction
from agents.core.arrays import packed, unpacked
from agents.core.meta_types import BeliefsKind, KeptBeliefs

_READ = "SELECT agents, days, digest, state FROM beliefs WHERE kind = :kind"
_KEEP = """
INSERT INTO beliefs (kind, agents, days, digest, state, recorded_at)
VALUES (:kind, :agents, :days, :digest, :state, :at)
ON CONFLICT (kind) DO UPDATE SET agents = excluded.agents, days = excluded.days, digest = excluded.digest,
    state = excluded.state, recorded_at = excluded.recorded_at
"""


def read_beliefs(engine: Engine, kind: BeliefsKind) -> KeptBeliefs | None:
    """What is kept; None where nothing is, or what is cannot be read: it is computed anew."""
    with transaction(engine) as connection:
        row = connection.execute(text(_READ), {"kind": kind}).one_or_none()
    if row is None:
        return None
    try:
        arrays = unpacked(bytes(row.state))
    except ValueError:
        return None
    return KeptBeliefs(agents=tuple(row.agents), days=row.days, digest=row.digest, arrays=arrays)


def write_beliefs(engine: Engine, kind: BeliefsKind, beliefs: KeptBeliefs, at: datetime) -> None:
    """Keep them instead of what was kept before."""
    row = {
        "kind": kind,
        "agents": list(beliefs.agents),
        "days": beliefs.days,
        "digest": beliefs.digest,
        "state": packed(beliefs.arrays),
        "at": at,
    }
    with transaction(engine) as connection:
        connection.execute(text(_KEEP), row)
