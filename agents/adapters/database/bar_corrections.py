"""Bars that a file gives again: equal ones are nothing new, changed ones are corrections.

A correction of a bar that a decision may have used is kept on record and not taken, so that what was decided can be
computed again; one of a bar that nobody has decided upon yet is taken, and on record too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, text

from agents.adapters.database.engine import driver_connection
from agents.adapters.files.bar_rows import GRIDS, BarBatch
from agents.adapters.files.split_ratios import decimals_of
from agents.core.types import Booleans, Floats, Integers, as_datetime

RAW = ("open", "high", "low", "close", "volume")
"""What is compared. Vendors rewrite adjusted prices after every dividend, so those are no correction."""
NOISE = 1e-6
"""Numbers that differ by less than this share are the same, written with more or fewer digits (a float32 has seven)."""
ENOUGH_PRICES, USUAL_DIGITS = 20, 2
"""Of so many prices one has a last digit other than 0: so many show with how many digits they were written. Fewer are
believed to have two at least."""

_STORED = """
SELECT (extract(epoch FROM time) * 1000000)::bigint, open, high, low, close, volume, read_id
FROM bars WHERE symbol = %s AND time BETWEEN %s::timestamptz AND %s::timestamptz ORDER BY time
"""
_NEWEST_DECISION = "SELECT time, data_version FROM decisions ORDER BY time DESC LIMIT 1"
_TAKE = """
UPDATE bars SET bar_open = g.bar_open, available_at = g.available_at, open = g.open, high = g.high, low = g.low,
    close = g.close, volume = g.volume, adjustment = g.adjustment, split = g.split, dividend = g.dividend,
    source = :source, read_id = :read_id
FROM unnest(CAST(:symbol AS text[]), CAST(:time AS timestamptz[]), CAST(:bar_open AS timestamptz[]),
            CAST(:available_at AS timestamptz[]), CAST(:open AS float8[]), CAST(:high AS float8[]),
            CAST(:low AS float8[]), CAST(:close AS float8[]), CAST(:volume AS float8[]), CAST(:adjustment AS float8[]),
            CAST(:split AS float8[]), CAST(:dividend AS float8[]))
     AS g(symbol, time, bar_open, available_at, open, high, low, close, volume, adjustment, split, dividend)
WHERE bars.symbol = g.symbol AND bars.time = g.time
"""
_RECORD = """
INSERT INTO bar_corrections (symbol, time, kept, given, taken, read_id)
VALUES (:symbol, :time, CAST(:kept AS jsonb), CAST(:given AS jsonb), :taken, :read_id) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class NewestDecision:
    """What the desk decided on last: the bar's time and the read up to which it knew the data (0: not on record)."""

    time: datetime
    data_version: int

    def used(self, time: datetime, read_id: int) -> bool:
        """Whether a decision can have used a bar of that time, brought by that read; versions rise with decisions."""
        return time <= self.time and (self.data_version == 0 or read_id <= self.data_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Row `index` of a batch gives other numbers, `given` [5] (open, high, low, close, volume), than are stored,
    `kept` [5]; `taken` where no decision has used the bar."""

    index: int
    symbol: str
    time: datetime
    kept: Floats
    given: Floats
    taken: bool


def compare(connection: Connection, batch: BarBatch) -> tuple[Booleans, list[Correction]]:
    """Which rows of the batch [n] are stored already, and those of them that differ."""
    known = np.zeros(len(batch.time), dtype=bool)
    given = np.column_stack([getattr(batch, name) for name in RAW])
    changed: list[tuple[int, Floats, int]] = []
    for code in range(len(batch.symbols)):
        mine: Integers = np.nonzero(batch.symbol == code)[0]
        if not len(mine):
            continue
        time, numbers, reads = _stored(connection, batch.symbols[code], batch.time[mine[0]], batch.time[mine[-1]])
        if not len(time):
            continue
        wanted = batch.time[mine].astype("datetime64[us]").astype(np.int64)
        place = np.minimum(np.searchsorted(time, wanted), len(time) - 1)
        there = time[place] == wanted
        known[mine[there]] = True
        differs = there.copy()
        differs[there] = ~same_numbers(numbers[place[there]], given[mine[there]])
        changed += [(int(mine[k]), numbers[place[k]], int(reads[place[k]])) for k in np.nonzero(differs)[0]]
    row = connection.execute(text(_NEWEST_DECISION)).one_or_none() if changed else None
    newest = None if row is None else NewestDecision(row.time, row.data_version)
    return known, [_correction(batch, index, kept, newest, read_id) for index, kept, read_id in changed]


def record_corrections(
    connection: Connection, batch: BarBatch, corrections: Sequence[Correction], read_id: int
) -> None:
    """Put corrections on record, those that were on record before once only, and take those that may be."""
    if not corrections:
        return
    rows = [
        {
            "symbol": correction.symbol,
            "time": correction.time,
            "kept": _as_json(correction.kept),
            "given": _as_json(correction.given),
            "taken": correction.taken,
            "read_id": read_id,
        }
        for correction in corrections
    ]
    connection.execute(text(_RECORD), rows)
    taken = np.array([correction.index for correction in corrections if correction.taken], dtype=np.int64)
    if len(taken):
        columns = {name: getattr(batch, name)[taken].tolist() for name in GRIDS}
        columns["volume"] = [None if np.isnan(volume) else volume for volume in columns["volume"]]
        for name in ("time", "bar_open", "available_at"):
            columns[name] = [as_datetime(moment) for moment in getattr(batch, name)[taken]]
        columns["symbol"] = [batch.symbols[code] for code in batch.symbol[taken]]
        connection.execute(text(_TAKE), {**columns, "source": batch.file, "read_id": read_id})


def _stored(
    connection: Connection, symbol: str, first: np.datetime64, last: np.datetime64
) -> tuple[Integers, Floats, Integers]:
    """(times in us since 1970 [m], numbers [m, 5], reads that brought them [m]) of the bars that are stored; NaN for a
    volume that is not known."""
    with driver_connection(connection).cursor(binary=True) as cursor:
        rows = cursor.execute(_STORED, (symbol, f"{first}Z", f"{last}Z")).fetchall()
    numbers = np.array([row[1:-1] for row in rows], dtype=np.float64).reshape(-1, len(RAW))
    time, reads = (np.array([row[place] for row in rows], dtype=np.int64) for place in (0, -1))
    return time, numbers, reads


def same_numbers(stored: Floats, given: Floats) -> Booleans:
    """Rows [n] of one symbol whose raw prices and volumes [n, 5] are the same numbers: also where one file rounds its
    prices to fewer digits than the other, and those of the other round to them."""
    same: Booleans = np.isclose(stored, given, rtol=NOISE, atol=0.0, equal_nan=True)
    coarser = 0.5 * 10.0 ** -min(_digits(stored[:, :4]), _digits(given[:, :4]))
    apart = np.abs(stored[:, :4] - given[:, :4])
    same[:, :4] |= apart <= coarser + 1e-12 * np.abs(stored[:, :4])
    return np.asarray(same.all(axis=1), dtype=bool)


def _digits(prices: Floats) -> int:
    """With how many digits after the point prices were written, which all of them need together."""
    digits = int(decimals_of(prices.ravel()).max(initial=0.0))
    return digits if prices.size >= ENOUGH_PRICES else max(digits, USUAL_DIGITS)


def _correction(batch: BarBatch, index: int, kept: Floats, newest: NewestDecision | None, read_id: int) -> Correction:
    time = as_datetime(batch.time[index])
    return Correction(
        index=index,
        symbol=batch.symbols[batch.symbol[index]],
        time=time,
        kept=kept,
        given=np.array([getattr(batch, name)[index] for name in RAW]),
        taken=newest is None or not newest.used(time, read_id),
    )


def _as_json(numbers: Floats) -> str:
    return json.dumps({name: None if np.isnan(n) else float(n) for name, n in zip(RAW, numbers, strict=True)})
