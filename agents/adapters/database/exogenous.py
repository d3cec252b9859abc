"""Exogenous series beside a stretch of bars: only what became known within it, and each series' last values before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from agents.adapters.database.engine import driver_connection
from agents.adapters.database.series_age import LAST_VALUES, counting
from agents.core.types import Bars, Floats, Integers

TEXT_SERIES = "news_"
"""Series whose name begins like this count something since the bar before; all others hold their newest value, while it
counts (`series_age.py`)."""
EVERY_SYMBOL = "*"
DAY_US = 86_400_000_000
"""Texts of the day before the first bar of all count for it."""
Row = tuple[Any, ...]

_KEYS = "SELECT name, symbol FROM exogenous_keys WHERE symbol = ANY(%s) OR symbol = '*'"
_BAR_BEFORE = """
SELECT (extract(epoch FROM max(time)) * 1000000)::bigint FROM bars WHERE time < :first AND symbol = ANY(:symbols)
"""
# The bounds on `time` let the database leave out chunks: nothing is known before the time that it describes.
_KNOWN_BEFORE = """
SELECT k.name, k.symbol, e.known, e.described, e.value
FROM unnest(%s::text[], %s::text[]) k (name, symbol)
CROSS JOIN LATERAL (
    SELECT (extract(epoch FROM available_at) * 1000000)::bigint AS known,
           (extract(epoch FROM time) * 1000000)::bigint AS described, value
    FROM exogenous WHERE name = k.name AND symbol = k.symbol AND time <= %s::timestamptz
        AND available_at <= %s::timestamptz
    ORDER BY time DESC LIMIT %s) e
"""
_KNOWN_WITHIN = """
SELECT name, symbol, (extract(epoch FROM available_at) * 1000000)::bigint,
       (extract(epoch FROM time) * 1000000)::bigint, value
FROM exogenous
WHERE available_at > %s::timestamptz AND available_at <= %s::timestamptz AND time <= %s::timestamptz
    AND (symbol = ANY(%s) OR symbol = '*')
"""


def read_exogenous(connection: Connection, bars: Bars) -> dict[str, Floats]:
    """Each series as it was known at each bar's close, [T, S] by name: of the values available by then the one of the
    newest time, NaN where that is too old; of texts the sum since the bar before."""
    with driver_connection(connection).cursor(binary=True) as cursor:
        keys = cursor.execute(_KEYS, (list(bars.symbols),)).fetchall()
        if not keys:
            return {}
        since_us = _bar_before(connection, bars)
        since, last = f"{np.datetime64(since_us, 'us')}Z", f"{bars.time[-1]}Z"
        names, symbols = ([key[k] for key in keys] for k in (0, 1))
        rows = cursor.execute(_KNOWN_BEFORE, (names, symbols, since, since, LAST_VALUES)).fetchall()
        rows += cursor.execute(_KNOWN_WITHIN, (since, last, last, list(bars.symbols))).fetchall()
    return exogenous_grids(rows, bars, since_us)


def _bar_before(connection: Connection, bars: Bars) -> int:
    """The bar time before the first of `bars`, in us since 1970; a day before it where there is none."""
    bounds = {"first": f"{bars.time[0]}Z", "symbols": list(bars.symbols)}
    before = connection.execute(text(_BAR_BEFORE), bounds).scalar()
    return int(bars.time[0].astype("datetime64[us]").astype(np.int64)) - DAY_US if before is None else int(before)


def exogenous_grids(rows: Sequence[Row], bars: Bars, since_us: int) -> dict[str, Floats]:
    """As `read_exogenous`, from rows (name, symbol, available, described, value), times in us since 1970, in any order.

    Texts count from the bar before on; before the first bar that is `since_us`.
    """
    stamps = bars.time.astype("datetime64[us]").astype(np.int64)
    column = {symbol: s for s, symbol in enumerate(bars.symbols)}
    series: dict[str, Floats] = {}
    for (name, symbol), group in groupby(sorted(rows, key=lambda row: row[:4]), key=lambda row: row[:2]):
        mine = list(group)
        known, described = (np.array([row[k] for row in mine], dtype=np.int64) for k in (2, 3))
        values = np.array([row[4] for row in mine], dtype=np.float64)
        if name.startswith(TEXT_SERIES):
            aligned = _sums(stamps, since_us, known, values)
        else:
            aligned = _newest(stamps, known, *counting(known, described, values))
        grid = series.setdefault(name, np.full((len(bars.time), len(bars.symbols)), np.nan))
        grid[:, slice(None) if symbol == EVERY_SYMBOL else column[symbol]] = (
            aligned[:, None] if symbol == EVERY_SYMBOL else aligned
        )
    return series


def _newest(stamps: Integers, known: Integers, values: Floats, until: Integers) -> Floats:
    """The value that counts at each of `stamps`; NaN before the first, and after it is `until` which it counts."""
    place = np.searchsorted(known, stamps, side="right") - 1
    at = np.maximum(place, 0)
    return np.where((place >= 0) & (stamps <= until[at]), values[at], np.nan)


def _sums(stamps: Integers, since: int, known: Integers, values: Floats) -> Floats:
    """Sums of what became known after the bar before (after `since`, for the first bar) and by each bar's close."""
    totals = np.concatenate([[0.0], np.cumsum(values)])
    bounds = np.concatenate([[since], stamps])
    return np.diff(totals[np.searchsorted(known, bounds, side="right")])
