"""Bars that came when the decision that should have seen them was made already: found by their read, put on record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from agents.core.ports import LateBar

_NEWEST_READ = "SELECT coalesce(max(id), 0) FROM bar_reads"
_NEWEST_DECISION = "SELECT data_version FROM decisions ORDER BY time DESC LIMIT 1"
_LATE = """
INSERT INTO late_bars (symbol, time, decided_at, arrived_at, decided)
SELECT b.symbol, b.time, d.recorded_at, b.recorded_at, d.time = b.time
FROM bars b
CROSS JOIN LATERAL (SELECT * FROM decisions WHERE time >= b.time ORDER BY time LIMIT 1) d
WHERE b.read_id > :seen AND b.read_id > d.data_version AND b.symbol = ANY(:symbols)
    AND b.time BETWEEN (SELECT min(time) FROM decisions) AND :until
ON CONFLICT DO NOTHING
RETURNING symbol, time, decided
"""


def first_unseen(connection: Connection) -> int:
    """The read after which a desk that is taken up has to look for late bars: that of its last decision, else the
    newest, where no decision says what it read."""
    decided = connection.execute(text(_NEWEST_DECISION)).scalar()
    return int(decided or connection.execute(text(_NEWEST_READ)).scalar_one())


def note_late(
    connection: Connection, symbols: Sequence[str], until: datetime, seen: int
) -> tuple[Sequence[LateBar], int]:
    """Record what reads after `seen` brought of bars up to `until` that a decision lacked; those that are new on record
    and the newest read."""
    newest = int(connection.execute(text(_NEWEST_READ)).scalar_one())
    if newest <= seen:
        return [], seen
    rows = connection.execute(text(_LATE), {"seen": seen, "symbols": list(symbols), "until": until}).all()
    return [LateBar(row.symbol, row.time, row.decided) for row in rows], newest
