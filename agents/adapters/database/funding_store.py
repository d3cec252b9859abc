"""The table `funding_rates`: what was settled of perpetual futures, each once; the first word stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, text

from agents.adapters.database.bar_loads import LoadReport, quarantine
from agents.adapters.database.bar_reads import FileRead, RowCounts, record_read, take_load_lock
from agents.adapters.database.engine import driver_connection
from agents.adapters.files.funding_files import FundingRows
from agents.core.market import FundingRate
from agents.core.types import as_datetime

_RATES = """
SELECT symbol, (extract(epoch FROM time) * 1000000)::bigint, rate, price, source, read_id FROM funding_rates
WHERE symbol = ANY(%s) AND read_id <= %s AND time < %s::timestamptz AND (time >= %s::timestamptz OR read_id > %s)
ORDER BY time, symbol
"""
_KNOWN = """
SELECT count(*) FROM funding_rates f
JOIN unnest(CAST(:symbols AS text[]), CAST(:times AS timestamptz[])) AS g(symbol, time) USING (symbol, time)
"""
_INSERT = """
INSERT INTO funding_rates (symbol, time, rate, price, source, read_id)
VALUES (:symbol, :time, :rate, :price, :source, :read_id) ON CONFLICT DO NOTHING
"""


class Settled(NamedTuple):
    """Which settlements are asked for: known at a data version, before `until`, and from `since` on or, of before,
    known only after the data version `but_known` (datetime64[us])."""

    version: int
    until: np.datetime64
    since: np.datetime64
    but_known: int


def read_funding(connection: Connection, symbols: Sequence[str], asked: Settled) -> list[FundingRate]:
    """By time, then symbol."""
    bounds = (list(symbols), asked.version, f"{asked.until}Z", f"{asked.since}Z", asked.but_known)
    with driver_connection(connection).cursor(binary=True) as cursor:
        rows = cursor.execute(_RATES, bounds).fetchall()
    return [FundingRate(row[0], np.datetime64(row[1], "us"), *row[2:]) for row in rows]


def record_funding(connection: Connection, rates: Iterable[FundingRate], read_id: int) -> None:
    """Keep what a read brought; one that is on record already stays as it is."""
    rows = [{**rate._asdict(), "time": as_datetime(rate.time), "read_id": read_id} for rate in rates]
    if rows:
        connection.execute(text(_INSERT), rows)


def load_funding(connection: Connection, rows: FundingRows, file: FileRead) -> LoadReport:
    """Store what a file says, as a read of its own."""
    take_load_lock(connection)
    keys = [rate.symbol for rate in rows.rates], [as_datetime(rate.time) for rate in rows.rates]
    known = int(connection.execute(text(_KNOWN), {"symbols": keys[0], "times": keys[1]}).scalar_one())
    loaded = len(rows.rates) - known
    counts = RowCounts(read=rows.rows, loaded=loaded, equal=known, quarantined=len(rows.bad), corrected=0)
    record_funding(connection, rows.rates, record_read(connection, file, counts))
    report = LoadReport(
        file=file.file,
        loaded=loaded,
        equal=known,
        quarantined=rows.bad,
        corrections=(),
        not_closed=int(rows.due is not None),
        symbols=sorted({rate.symbol for rate in rows.rates}),
        splits_inferred=0,
        suspect=0,
    )
    quarantine(connection, report)
    return report
