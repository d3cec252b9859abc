"""From one desk to another, such as from paper to live: what is carried over, and what is not, in words and in deed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.adapters.database.carrying import copy_learnt, has_begun
from agents.adapters.database.migrate import is_current
from agents.adapters.database.reader import DeskReader
from agents.core.errors import UsageError
from agents.core.settings import Settings, load_settings
from agents.reports.formatting import money
from agents.wiring.connections import Connections, connect_as_it_is

_LAST = "SELECT equity, time FROM decisions ORDER BY time DESC LIMIT 1"
_LEARNT = """
SELECT (SELECT count(DISTINCT date) FROM agent_days) AS days,
       (SELECT count(DISTINCT agent_name) FROM agent_days) AS agents,
       (SELECT max(version) FROM weight_history WHERE status IN ('apply', 'revert', 'initial')) AS version
"""


def carry_over(settings: Settings, connections: Connections, from_settings: Path) -> dict[str, Any]:
    """Copy what the desk of these other settings has learnt into this one, which is new. Returns the two lists, `taken`
    and `left`. UsageError where this desk has begun, or the other one is it, or is of an older version."""
    other = load_settings(from_settings)
    if has_begun(connections.trader):
        raise UsageError("this desk has begun already; --carry-from is for a desk's beginning")
    there = connect_as_it_is(other)
    try:
        if not is_current(there.trader):
            raise UsageError(f"the desk {other.desk.name} is of an older version; start it once, then again")
        if there.trader.url == connections.trader.url:
            raise UsageError(f"{from_settings} is this desk itself; give the new one a database of its own")
        told = _lists(DeskReader(there.trader), other)
        copy_learnt(there.meta, connections.owner)
    finally:
        there.close()
    return {"from": other.desk.name, "to": settings.desk.name, **told}


def _lists(reader: DeskReader, other: Settings) -> dict[str, list[str]]:
    learnt, last = reader.rows(_LEARNT)[0], next(iter(reader.rows(_LAST)), None)
    held = ", ".join(f"{row['symbol']} {row['quantity']:f}" for row in reader.positions()) or "none"
    weights = "none were published" if learnt["version"] is None else f"those of version {learnt['version']}"
    return {
        "taken": [
            f"beliefs, and the {learnt['days']} days of {learnt['agents']} agents that they come of",
            f"weights: {weights}, with their history",
            "scorecards, and who was hired or retired",
        ],
        "left": [
            f"positions: {held} (they stay with {other.desk.name})",
            "equity: " + (f"{money(last['equity'])}, what it was on {last['time']:%Y-%m-%d}" if last else "none"),
            "cash flows, orders, fills, trades, drawdown and halts",
            "what the no-trade zone has learnt of costs and forecasts: it learns anew",
        ],
    }
