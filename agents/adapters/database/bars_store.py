"""Bars in and out of the database: binary COPY in, arrays on one time axis out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from agents.adapters.database.bar_grids import bars_of_rows
from agents.adapters.database.bar_loads import COLUMNS, VOLUME_COLUMN, LoadReport, load_batch
from agents.adapters.database.bar_reads import FileRead, newest_read
from agents.adapters.database.bounded import PATIENCE_S
from agents.adapters.database.engine import REFUSED, binary_rows, copy_block, driver_connection, first_line, transaction
from agents.adapters.database.exogenous import read_exogenous
from agents.adapters.database.funding_store import Settled, load_funding, read_funding, record_funding
from agents.adapters.database.late_bars import first_unseen, note_late
from agents.adapters.database.market_facts import newest_version, read_actions, record_actions
from agents.adapters.files.bar_rows import GRIDS, BarBatch
from agents.adapters.files.funding_files import NOTHING_LATE, FundingRows, funding_in, with_funding
from agents.adapters.files.market_actions import Decided, actions_in, with_actions
from agents.core.errors import DataError
from agents.core.ports import LateBar
from agents.core.types import Bars, Integers, Times, as_datetime, as_stamp

_WINDOW_START = """
SELECT min(time) FROM (
    SELECT DISTINCT time FROM bars WHERE time <= :until AND symbol = ANY(:symbols) AND read_id <= :version
    ORDER BY time DESC LIMIT :count) t
"""
_LAST_AFTER = """
SELECT max(time) FROM (
    SELECT DISTINCT time FROM bars WHERE time > :since AND symbol = ANY(:symbols) AND read_id <= :version
    ORDER BY time LIMIT :limit) t
"""
_COUNT = """
SELECT count(DISTINCT time) FROM bars
WHERE symbol = ANY(:symbols)
    AND (CAST(:start AS timestamptz) IS NULL OR time >= :start)
    AND (CAST(:end AS timestamptz) IS NULL OR time <= :end)
"""
_BARS = """
SELECT symbol, (extract(epoch FROM time) * 1000000)::bigint, (extract(epoch FROM bar_open) * 1000000)::bigint,
       open, high, low, close, volume, adjustment, split, dividend, suspect
FROM bars WHERE {condition} AND symbol = ANY(%s) AND read_id <= %s
"""
_CHANGED = """
SELECT EXISTS (SELECT 1 FROM bars WHERE read_id > :version AND time <= :until AND symbol = ANY(:symbols))
    OR EXISTS (SELECT 1 FROM market_actions WHERE read_id > :version AND time <= :until AND symbol = ANY(:symbols))
    OR (:version = 0 AND EXISTS (SELECT 1 FROM bar_reads))
"""
_READS = """
SELECT read_id, min(time) FROM (
    SELECT read_id, time FROM bars WHERE read_id > :since AND time <= :until AND symbol = ANY(:symbols)
    UNION ALL
    SELECT read_id, time FROM market_actions WHERE read_id > :since AND time <= :until AND symbol = ANY(:symbols)
    UNION ALL  -- what is settled at a bar's close is the next one's
    SELECT read_id, time + interval '1 microsecond' FROM funding_rates
    WHERE read_id > :since AND time < :until AND symbol = ANY(:symbols)) r
GROUP BY read_id
"""


class BarsStore:
    """The table `bars` of one desk, restricted to `symbols` when reading (none given: all there are)."""

    def __init__(self, engine: Engine, symbols: Sequence[str] = (), version: int | None = None) -> None:
        self._engine = engine
        self._symbols = tuple(sorted(set(symbols)))
        self._seen_read: int | None = None
        self._version = version

    @property
    def engine(self) -> Engine:
        """The database behind it."""
        return self._engine

    def narrowed(self, symbols: Sequence[str]) -> BarsStore:
        """The same table, reading only `symbols`."""
        return BarsStore(self._engine, symbols, self._version)

    def as_of(self, version: int) -> BarsStore:
        """The same table as it was known at a data version. 0 is what the columns of the oldest bars say, before splits
        and dividends had a table of their own."""
        return BarsStore(self._engine, self._symbols, version)

    def load(self, batch: BarBatch, file: FileRead | None = None) -> LoadReport:
        """`load_batch` in one transaction. Loading a file twice changes nothing. DataError where the database refuses a
        row, and then nothing of the batch is stored."""
        with transaction(self._engine, patience_s=PATIENCE_S) as connection:
            try:
                return load_batch(connection, batch, file)
            except REFUSED as error:
                raise DataError(f"{batch.file}: the database refuses a row: {first_line(error)}") from None

    def load_funding(self, rows: FundingRows, file: FileRead) -> LoadReport:
        """`load_funding` in one transaction."""
        with transaction(self._engine, patience_s=PATIENCE_S) as connection:
            return load_funding(connection, rows, file)

    def newest_read(self, file: str) -> FileRead | None:
        """How far the file of this name was read last; None for one that is not known."""
        with transaction(self._engine) as connection:
            return newest_read(connection, file)

    def symbols(self) -> tuple[str, ...]:
        """The desk's symbols: the configured ones, else all that have bars, sorted."""
        if self._symbols:
            return self._symbols
        with transaction(self._engine) as connection:
            return tuple(sorted(connection.execute(text("SELECT DISTINCT symbol FROM bars")).scalars()))

    def count(self, start: datetime | None, end: datetime | None) -> int:
        """How many bar times there are from `start` to `end` (None: from the first, to the last)."""
        bounds = {"symbols": list(self.symbols()), "start": start, "end": end}
        with transaction(self._engine) as connection:
            return int(connection.execute(text(_COUNT), bounds).scalar_one())

    def put(self, bars: Bars, source: str) -> None:
        """Store bars that are known to be good, into a table without them, with their splits, dividends and funding."""
        with transaction(self._engine) as connection:
            record_actions(connection, actions_in(bars, source), 0)
            record_funding(connection, funding_in(bars, source), 0)
            for s, symbol in enumerate(bars.symbols):
                rows = np.nonzero(np.isfinite(bars.close[:, s]))[0]
                if not len(rows):
                    continue
                grids = [getattr(bars, name)[rows, s] for name in GRIDS]
                columns: list[Any] = [symbol, bars.time[rows], bars.opened[rows], bars.time[rows], *grids, source]
                block = binary_rows(len(rows), columns, null_nan=frozenset({VOLUME_COLUMN}))
                copy_block(connection, "bars", COLUMNS[:-1], [block])  # no read brought them

    def note_late(self, until: datetime) -> Sequence[LateBar]:
        """Put on record the bars up to `until`, the last decision, that came after the decision at (or next after)
        their time; those that were not on record before."""
        with transaction(self._engine) as connection:
            seen = first_unseen(connection) if self._seen_read is None else self._seen_read
            late, self._seen_read = note_late(connection, self.symbols(), until, seen)
        return late

    def window(self, *, until: datetime, count: int) -> Bars:
        """The last `count` bar times up to and including `until`."""
        with transaction(self._engine) as connection:
            version = self._known_version(connection)
            bounds = {"until": until, "count": count, "symbols": list(self.symbols()), "version": version}
            start = connection.execute(text(_WINDOW_START), bounds).scalar()
            bars = self._read(connection, version, "time >= %s AND time <= %s", (start, until))
            return self._funded(connection, bars)

    def after(self, time: datetime | None, *, limit: int, known: int | None = None) -> Bars:
        """At most `limit` bar times later than `time` (None: from the first).

        `known` is the data version of the decision at `time`: splits, dividends and funding of before that it did not
        know take effect at the first bar. None: all of them are taken where they belong.
        """
        since = time or datetime.fromisoformat("1900-01-01T00:00:00+00:00")
        with transaction(self._engine) as connection:
            version = self._known_version(connection)
            bounds = {"since": since, "limit": limit, "symbols": list(self.symbols()), "version": version}
            last = connection.execute(text(_LAST_AFTER), bounds).scalar()
            bounds_of = "time > %s AND time <= %s"
            bars = self._read(connection, version, bounds_of, (since, last), _decided(time, known))
            return self._funded(connection, bars, _decided(time, NOTHING_LATE if known is None else known))

    def changed(self, version: int, until: datetime) -> bool:
        """Whether bars up to `until`, as they were known at a data version, look different by now."""
        bounds = {"version": version, "until": until, "symbols": list(self.symbols())}
        with transaction(self._engine) as connection:
            return bool(connection.execute(text(_CHANGED), bounds).scalar())

    def seen_alike(self, time: Times, version: Integers) -> int:
        """How many of some decisions, from the first on, saw the same bars and actions as the last of them knew: each
        what was there up to its bar. `time` [n] and `version` [n] are theirs, oldest first.

        A bar or an action that a decision lacked, although it is of its time, ends them before the first that had it.
        """
        count = len(time) if version[0] else int(np.searchsorted(version, 0, side="right"))
        bounds = {"since": int(version[0]), "until": as_datetime(time[-1]), "symbols": list(self.symbols())}
        with transaction(self._engine) as connection:
            reads = connection.execute(text(_READS), bounds).all()
        for read_id, first in reads:
            lacked = int(np.searchsorted(time, as_stamp(first)))
            if lacked < len(time) and version[lacked] < read_id:
                count = min(count, int(np.searchsorted(version, read_id)))
        return count

    def taken_by(self, bars: Bars, first: int, since: Decided | None) -> Bars:
        """The same bars with splits, dividends and funding where decisions from row `first` on took them; `since` is
        the one before."""
        if not bars.version:
            return bars
        with transaction(self._engine) as connection:
            bars = self._funded(connection, bars, since, first)
            actions = read_actions(connection, bars.symbols, bars.version)
        return with_actions(bars, actions, first=first, since=since)

    def _funded(self, connection: Connection, bars: Bars, since: Decided | None = None, first: int = 0) -> Bars:
        """The bars with what was settled in them from row `first` on; see `with_funding`."""
        if not len(bars.time):
            return bars
        start = Decided(bars.opened[first], NOTHING_LATE) if since is None else since
        asked = Settled(bars.version, bars.time[-1], start.time, start.version)
        return with_funding(bars, read_funding(connection, bars.symbols, asked), first=first, since=since)

    def _known_version(self, connection: Connection) -> int:
        return newest_version(connection) if self._version is None else self._version

    def _read(
        self,
        connection: Connection,
        version: int,
        condition: str,
        bounds: tuple[object, ...],
        since: Decided | None = None,
    ) -> Bars:
        symbols = self.symbols()
        with driver_connection(connection).cursor(binary=True) as cursor:
            rows = cursor.execute(_BARS.format(condition=condition), (*bounds, list(symbols), version)).fetchall()
        bars = replace(bars_of_rows(rows, symbols), version=version)
        if version:
            bars = with_actions(bars, read_actions(connection, symbols, version), since=since)
        return replace(bars, exogenous=read_exogenous(connection, bars)) if len(bars.time) else bars


def _decided(time: datetime | None, known: int | None) -> Decided | None:
    return None if time is None or known is None else Decided(as_stamp(time), known)
