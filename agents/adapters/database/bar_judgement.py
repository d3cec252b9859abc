"""The bars of a batch, held against those that are stored: which are suspect, and what they say of splits and
dividends that was not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from agents.adapters.database.engine import driver_connection
from agents.adapters.database.market_facts import WITHDRAWN, read_actions, record_actions
from agents.adapters.files.bar_files import BadRow
from agents.adapters.files.bar_rows import BarBatch
from agents.adapters.files.price_guard import ACCEPTED, NEW, Judged, Track, judge
from agents.core.market import MarketAction
from agents.core.types import Booleans, Integers, as_datetime

PRICES = ("open", "high", "low", "close", "adjustment", "split", "dividend")
ALL_VERSIONS = 2**62
_STORED = """
SELECT (extract(epoch FROM time) * 1000000)::bigint,
       CASE WHEN suspect THEN 1 WHEN {withdrawn} THEN 2 ELSE 0 END, source,
       open, high, low, close, adjustment, split, dividend
FROM bars b WHERE symbol = %(symbol)s AND time <= %(last)s::timestamptz AND time >= coalesce(
    (SELECT time FROM bars b WHERE symbol = %(symbol)s AND time < %(first)s::timestamptz AND NOT suspect
     AND NOT {withdrawn} ORDER BY time DESC LIMIT 1), '1900-01-01Z')
ORDER BY time
"""
"""Verdicts as `price_guard` numbers them."""
_MARK = """
UPDATE bars SET suspect = true FROM unnest(CAST(:symbols AS text[]), CAST(:times AS timestamptz[])) AS g(symbol, time)
WHERE bars.symbol = g.symbol AND bars.time = g.time
"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a batch: `suspect` [n] its new rows that are not believed, `actions` that were not known, and
    `doubts`, why rows are not believed."""

    suspect: Booleans
    actions: Sequence[MarketAction]
    doubts: Sequence[BadRow]

    @property
    def splits_inferred(self) -> int:
        """Splits that only the adjusted closes showed."""
        return sum(action.kind == "split" and action.source == "adj_close" for action in self.actions)


def judge_batch(connection: Connection, batch: BarBatch, new: Booleans, differs: Booleans) -> Judgement:
    """Hold the rows of `new` [n], which are about to be stored, against the symbol's bars before them; of the other
    rows, which are stored already, those of `differs` [n] with other numbers, only what they say of splits and
    dividends may be news."""
    suspect = np.zeros(len(batch.time), dtype=bool)
    actions: list[MarketAction] = []
    doubts: list[BadRow] = []
    known = _by_symbol(read_actions(connection, batch.symbols, ALL_VERSIONS))
    for code, symbol in enumerate(batch.symbols):
        rows: Integers = np.nonzero(batch.symbol == code)[0]
        if not len(rows):
            continue
        track, index = _track(connection, batch, rows, (new[rows], differs[rows]))
        judged = judge(track, known.get(symbol, ()), batch.limits)
        fresh = index >= 0
        suspect[index[fresh]] = (judged.suspect & (track.verdict == NEW))[fresh]
        actions += judged.actions
        doubts += _as_bad_rows(batch, judged, index)
    return Judgement(suspect, actions, doubts)


def record_judgement(connection: Connection, batch: BarBatch, judgement: Judgement, read_id: int) -> None:
    """Mark the suspect rows of a batch that is stored now, and keep the actions that it brought."""
    record_actions(connection, judgement.actions, read_id)
    rows = np.nonzero(judgement.suspect)[0]
    if len(rows):
        symbols = [batch.symbols[batch.symbol[row]] for row in rows]
        times = [as_datetime(batch.time[row]) for row in rows]
        connection.execute(text(_MARK), {"symbols": symbols, "times": times})


def _track(
    connection: Connection, batch: BarBatch, rows: Integers, kinds: tuple[Booleans, Booleans]
) -> tuple[Track, Integers]:
    """One symbol's stored bars from the last accepted one before the batch on, and the batch's, on one axis; and the
    batch's row for each (-1: a stored one that the batch does not have, or has otherwise). `kinds` of rows are those
    that are new, and those that differ from what is stored."""
    new, differs = kinds
    symbol = batch.symbols[batch.symbol[rows[0]]]
    bounds = {"symbol": symbol, "first": f"{batch.time[rows[0]]}Z", "last": f"{batch.time[rows[-1]]}Z"}
    with driver_connection(connection).cursor(binary=True) as cursor:
        stored = cursor.execute(_STORED.format(withdrawn=WITHDRAWN), bounds).fetchall()
    mine = batch.time[rows].astype("datetime64[us]").astype(np.int64)
    theirs = np.array([row[0] for row in stored], dtype=np.int64)
    place = {int(stamp): k for k, stamp in enumerate(theirs)}
    at = np.array([place.get(int(stamp), -1) for stamp in mine], dtype=np.int64) if stored else np.full(len(mine), -1)
    values = {name: getattr(batch, name)[rows] for name in PRICES}
    numbers = np.array([row[3:] for row in stored], dtype=np.float64).reshape(-1, len(PRICES))
    # A row that is stored otherwise than the batch has it stays as it is stored, unless it is one of `new`.
    unlike = (at >= 0) & ~new & differs & ~np.isclose(numbers[at, 3] if stored else 0.0, values["close"], rtol=1e-6)
    taken = ~unlike
    left = np.ones(len(stored), dtype=bool)
    left[at[taken & (at >= 0)]] = False
    known = np.array([row[1] for row in stored], dtype=np.int64)
    verdict = np.where(new, NEW, np.where(at >= 0, known[at] if stored else ACCEPTED, ACCEPTED))[taken]
    sources = {name: k for k, name in enumerate(sorted({batch.file, *(row[2] for row in stored)}))}
    columns: dict[str, Any] = {
        name: np.concatenate([numbers[left, k], values[name][taken]]) for k, name in enumerate(PRICES)
    }
    columns["time"] = np.concatenate([theirs[left], mine[taken]])
    columns["verdict"] = np.concatenate([known[left], verdict])
    columns["view"] = np.array([sources[row[2]] for row in stored], dtype=np.int64)[left]
    columns["view"] = np.concatenate([columns["view"], np.full(int(taken.sum()), sources[batch.file])])
    columns["fresh"] = np.concatenate([np.zeros(int(left.sum()), dtype=bool), np.ones(int(taken.sum()), dtype=bool)])
    index = np.concatenate([np.full(int(left.sum()), -1), rows[taken]])
    order = np.argsort(columns["time"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    columns["time"] = columns["time"].astype("datetime64[us]")
    return Track(symbol=symbol, **columns), index[order]


def _as_bad_rows(batch: BarBatch, judged: Judged, index: Integers) -> list[BadRow]:
    """Doubts under the numbers of the file's rows."""
    bad = []
    for doubt in judged.doubts:
        row = int(index[doubt.row])
        values = ",".join(f"{getattr(batch, name)[row]:g}" for name in PRICES)
        content = f"{batch.symbols[batch.symbol[row]]},{batch.time[row]},{values}"
        bad.append(BadRow(int(batch.row_numbers[row]), f"suspect: {doubt.reason}", content))
    return bad


def _by_symbol(actions: Iterable[MarketAction]) -> dict[str, list[MarketAction]]:
    found: dict[str, list[MarketAction]] = {}
    for action in actions:
        found.setdefault(action.symbol, []).append(action)
    return found
