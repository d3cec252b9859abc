"""Where a symbol's bars are missing: at closes of its market's calendar, else at times when another symbol has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, text

from agents.adapters.database.engine import driver_connection
from agents.core.ports import MarketCalendar
from agents.core.types import Times, as_datetime

MOSTLY = 0.5
"""A calendar speaks for a symbol that has more than this share of its bars at the calendar's closes."""
_SYMBOLS = "SELECT DISTINCT symbol FROM bars ORDER BY symbol"
_TIMES = "SELECT (extract(epoch FROM time) * 1000000)::bigint FROM bars WHERE symbol = %s ORDER BY time"


@dataclass(frozen=True, slots=True)
class Gap:
    """`missing` bars of a symbol between two that are there."""

    symbol: str
    last_before: datetime
    first_after: datetime
    missing: int


def find_gaps(connection: Connection, calendar: MarketCalendar) -> list[Gap]:
    """All gaps between the first and the last bar of each symbol, by symbol and time."""
    symbols: Sequence[str] = connection.execute(text(_SYMBOLS)).scalars().all()
    times = {symbol: _times(connection, symbol) for symbol in symbols}
    union = np.unique(np.concatenate(list(times.values()))) if times else None
    found: list[Gap] = []
    for symbol, mine in times.items():
        closes = calendar.closes(mine[0], mine[-1])
        if closes is None or np.isin(mine, closes).mean() <= MOSTLY:
            assert union is not None
            closes = union[(union >= mine[0]) & (union <= mine[-1])]
        found += _gaps_of(symbol, mine, closes)
    return found


def _gaps_of(symbol: str, mine: Times, closes: Times) -> list[Gap]:
    """The closes that lack a bar, those between the same two bars together."""
    lacking = np.setdiff1d(closes, mine, assume_unique=True)
    before, counts = np.unique(np.searchsorted(mine, lacking) - 1, return_counts=True)
    return [
        Gap(symbol, as_datetime(mine[row]), as_datetime(mine[row + 1]), int(count))
        for row, count in zip(before, counts, strict=True)
        if 0 <= row < len(mine) - 1
    ]


def _times(connection: Connection, symbol: str) -> Times:
    with driver_connection(connection).cursor(binary=True) as cursor:
        rows = cursor.execute(_TIMES, (symbol,)).fetchall()
    stamps: Times = np.array([row[0] for row in rows], dtype=np.int64).astype("datetime64[us]")
    return stamps
