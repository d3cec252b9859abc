"""What data a desk has: symbols, gaps, corrections, refused rows, series without bars; and taking bars back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Engine, text

from agents.adapters.database.engine import Row, row_dicts, transaction
from agents.adapters.database.exogenous import TEXT_SERIES
from agents.adapters.database.gaps import find_gaps
from agents.adapters.database.refusals import open_refusals
from agents.adapters.database.series_age import COUNTS_FOR, LAST_VALUES, STALE, longest_spacing
from agents.adapters.database.suspect_bars import suspect_symbols
from agents.core.ports import MarketCalendar
from agents.core.symbols import EVERY_SYMBOL

USED = """EXISTS (SELECT 1 FROM (SELECT time, data_version FROM decisions ORDER BY time DESC LIMIT 1) d
    WHERE b.time <= d.time AND (d.data_version = 0 OR b.read_id <= d.data_version)
        AND EXISTS (SELECT 1 FROM decision_details x WHERE x.symbol = :symbol))"""
"""Whether a decision can have used a bar `b` of the symbol. Data versions rise with the decisions, so the newest one
tells; and a desk reads its own symbols only, each of which it has decided upon."""

_SYMBOLS = """
WITH open AS (SELECT symbol, count(*) AS ever, count(*) FILTER (WHERE NOT taken AND seen_at IS NULL) AS corrections
              FROM bar_corrections GROUP BY 1)
SELECT symbol, min(time) AS first, max(time) AS last, count(*) AS bars, count(*) FILTER (WHERE suspect) AS suspect_ever,
       coalesce(max(open.corrections), 0) AS corrections, coalesce(max(open.ever), 0) AS corrections_ever
FROM bars LEFT JOIN open USING (symbol) GROUP BY symbol ORDER BY symbol
"""
_CORRECTIONS = """
SELECT symbol, time, kept, given, taken, seen_at, file, c.recorded_at
FROM bar_corrections c JOIN bar_reads r ON r.id = c.read_id
WHERE CAST(:symbol AS text) IS NULL OR symbol = :symbol ORDER BY c.id DESC LIMIT :limit
"""
_QUARANTINE = """
SELECT file, row_number AS row, reason, content, recorded_at FROM bar_quarantine ORDER BY id DESC LIMIT :limit
"""
_CHOSEN = """symbol = :symbol AND (CAST(:start AS timestamptz) IS NULL OR time >= :start)
    AND (CAST(:end AS timestamptz) IS NULL OR time <= :end)"""
_COUNT = """
SELECT count(*) AS bars, count(*) FILTER (WHERE {used}) AS used, max(time) FILTER (WHERE {used}) AS used_until
FROM bars b WHERE {chosen}
"""
_REMOVE = "DELETE FROM {table} b WHERE {chosen} AND NOT {used}"
_LONELY = """
SELECT DISTINCT symbol FROM exogenous e WHERE symbol <> :every AND EXISTS (SELECT 1 FROM bars)
    AND NOT EXISTS (SELECT 1 FROM bars b WHERE b.symbol = e.symbol) ORDER BY symbol
"""


class StoredData:
    """The data of one desk's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _rows(self, query: str, **parameters: object) -> list[Row]:
        with transaction(self._engine) as connection:
            return row_dicts(connection, query, **parameters)

    def symbols(self, calendar: MarketCalendar) -> list[Row]:
        """A row for each symbol: first and last bar, bars, those that are missing in between, suspect ones and
        corrections that are open, and how many of both there ever were."""
        with transaction(self._engine) as connection:
            rows = row_dicts(connection, _SYMBOLS)
            missing = Counter[str]()
            for gap in find_gaps(connection, calendar):
                missing[gap.symbol] += gap.missing
            open_now = {s.symbol: s.bars for s in suspect_symbols(connection, [row["symbol"] for row in rows])}
        return [row | {"missing": missing[row["symbol"]], "suspect": open_now.get(row["symbol"], 0)} for row in rows]

    def gaps(self, symbol: str | None, calendar: MarketCalendar) -> list[Row]:
        """Where a symbol (None: any) has no bar at closes of the market between its first and last; where the calendar
        is not known, or not that of the symbol, at times at which another symbol has one."""
        with transaction(self._engine) as connection:
            gaps = find_gaps(connection, calendar)
        return [asdict(gap) for gap in gaps if symbol in (None, gap.symbol)]

    def corrections(self, symbol: str | None, limit: int) -> list[Row]:
        """Bars that a later file gave otherwise, newest first: the numbers kept and given, and whether they were
        taken."""
        return self._rows(_CORRECTIONS, symbol=symbol, limit=limit)

    def corrections_seen(self, at: datetime) -> int:
        """A person has seen all corrections that were not taken; how many were new to them."""
        query = "UPDATE bar_corrections SET seen_at = :at WHERE NOT taken AND seen_at IS NULL"
        with transaction(self._engine) as connection:
            return connection.execute(text(query), {"at": at}).rowcount

    def quarantine(self, limit: int) -> list[Row]:
        """Rows of files that were refused, newest first."""
        return self._rows(_QUARANTINE, limit=limit)

    def refused_files(self) -> list[Row]:
        """Files of the feed's folder that cannot be trusted as a whole, and why, newest first."""
        with transaction(self._engine) as connection:
            return open_refusals(connection)

    def series_without_bars(self) -> Sequence[str]:
        """Symbols of series and texts that no bar has; none where there are no bars at all."""
        return [row["symbol"] for row in self._rows(_LONELY, every=EVERY_SYMBOL)]

    def stale_series(self) -> list[Row]:
        """Series whose newest value is too old to count at the newest bar: their name, symbol ("*": every one), the
        moment of that value, and until when it counted."""
        stale = []
        for row in self._rows(STALE, last=LAST_VALUES, texts=TEXT_SERIES):
            spacing = longest_spacing(sorted(round(time.timestamp() * 1e6) for time in row["times"]))
            if spacing is None:
                continue
            until = row["known"] + timedelta(microseconds=COUNTS_FOR * spacing)
            if until < row["at"]:
                stale.append({"name": row["name"], "symbol": row["symbol"], "newest": row["newest"], "until": until})
        return stale

    def chosen(self, symbol: str, start: datetime | None, end: datetime | None) -> Row:
        """How many bars a symbol has from `start` to `end`, how many of them a decision can have used, and up to
        when."""
        return self._rows(_COUNT.format(chosen=_CHOSEN, used=USED), symbol=symbol, start=start, end=end)[0]

    def remove(self, symbol: str, start: datetime | None, end: datetime | None) -> int:
        """Take back the bars from `start` to `end`, and the splits, dividends and funding in them, as far as no
        decision can have used them; how many bars. The owner of the tables may."""
        bounds = {"symbol": symbol, "start": start, "end": end}
        with transaction(self._engine) as connection:
            for table in ("market_actions", "funding_rates", "bars"):
                removed = connection.execute(text(_REMOVE.format(table=table, chosen=_CHOSEN, used=USED)), bounds)
            return removed.rowcount
