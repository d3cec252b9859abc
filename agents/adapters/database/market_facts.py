"""The table `market_actions`: splits, dividends and delistings, each once, and a person's word on suspect bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from sqlalchemy import Connection, text

from agents.adapters.database.bar_reads import FileRead, RowCounts, record_read, take_load_lock
from agents.adapters.database.engine import driver_connection
from agents.core.market import MarketAction
from agents.core.types import as_datetime

A_PERSON = "a person"
WITHDRAWN = """EXISTS (SELECT 1 FROM market_actions w WHERE w.symbol = b.symbol AND w.kind = 'withdrawn'
    AND w.time < b.time AND w.read_id > b.read_id)"""
"""Whether a bar `b` was judged by a price that a person has accepted and taken back since."""
_ACTIONS = """
SELECT symbol, (extract(epoch FROM time) * 1000000)::bigint, kind, value, factor, source, read_id FROM market_actions
WHERE symbol = ANY(%s) AND read_id <= %s ORDER BY symbol, time, kind, read_id
"""
_INSERT = """
INSERT INTO market_actions (symbol, time, kind, value, factor, source, read_id)
VALUES (:symbol, :time, :kind, :value, :factor, :source, :read_id) ON CONFLICT DO NOTHING
"""
_VERSION = "SELECT coalesce(max(id), 0) FROM bar_reads"


def newest_version(connection: Connection) -> int:
    """The newest read of files: what is known now. Asked before anything else is read."""
    return int(connection.execute(text(_VERSION)).scalar_one())


def read_actions(connection: Connection, symbols: Sequence[str], version: int) -> list[MarketAction]:
    """The facts about `symbols` that were known at a data version, by symbol and time."""
    with driver_connection(connection).cursor(binary=True) as cursor:
        rows = cursor.execute(_ACTIONS, (list(symbols), version)).fetchall()
    return [MarketAction(row[0], np.datetime64(row[1], "us"), *row[2:]) for row in rows]


def record_actions(connection: Connection, actions: Iterable[MarketAction], read_id: int) -> None:
    """Keep facts that a read brought; one that is on record already stays as it is."""
    rows = [{**action._asdict(), "time": as_datetime(action.time), "read_id": read_id} for action in actions]
    if rows:
        connection.execute(text(_INSERT), rows)


def tell(connection: Connection, action: MarketAction) -> int:
    """Keep what a person says, as a read of its own, so that decisions before it are known not to have heard it;
    returns its number."""
    take_load_lock(connection)
    nothing = FileRead(file=A_PERSON, size=0, consumed=0, consumed_rows=0, sha256="")
    version = record_read(connection, nothing, RowCounts(read=0, loaded=0, equal=0, quarantined=0, corrected=0))
    record_actions(connection, [action], version)
    return version
