"""Symbols whose newest bar is not believed, and a person's word on them, which can be taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import row_dicts, transaction
from agents.adapters.database.market_facts import A_PERSON, WITHDRAWN, tell
from agents.core.errors import UsageError
from agents.core.facts import SuspectSymbol
from agents.core.market import MarketAction
from agents.core.types import as_stamp

_WORDS = """
words AS (SELECT DISTINCT ON (symbol, time) symbol, time, kind FROM market_actions
          WHERE kind IN ('accepted', 'rejected', 'withdrawn') AND symbol = ANY(CAST(:symbols AS text[]))
          ORDER BY symbol, time, read_id DESC)
"""
"""The last word about each bar."""
_SUSPECT = """
WITH {words}
SELECT s.symbol, b.time, b.close AS price, a.time AS accepted_at, a.close AS accepted, coalesce(w.kind, '') AS word,
       coalesce((SELECT quantity FROM positions p WHERE p.symbol = s.symbol), 0)::float8 AS held,
       (SELECT count(*) FROM bars c WHERE c.symbol = s.symbol AND c.suspect AND c.time > a.time AND c.time >= coalesce(
            (SELECT max(time) FROM words x WHERE x.symbol = s.symbol AND x.kind <> 'accepted'), a.time)) AS bars
FROM unnest(CAST(:symbols AS text[])) AS s(symbol)
CROSS JOIN LATERAL (SELECT time, close, suspect FROM bars WHERE symbol = s.symbol ORDER BY time DESC LIMIT 1) b
CROSS JOIN LATERAL (
    SELECT time, close FROM bars b WHERE symbol = s.symbol AND (NOT suspect AND NOT {withdrawn} OR suspect AND EXISTS (
        SELECT 1 FROM words x WHERE x.symbol = b.symbol AND x.time = b.time AND x.kind = 'accepted'))
    ORDER BY time DESC LIMIT 1) a
LEFT JOIN words w ON w.symbol = s.symbol AND w.time = b.time
WHERE b.suspect AND w.kind IS DISTINCT FROM 'accepted'
ORDER BY s.symbol
"""
_ACCEPTED = """
WITH {words}
SELECT DISTINCT ON (w.symbol) w.symbol, w.time, b.close AS price,
       (SELECT count(*) FROM bars c WHERE c.symbol = w.symbol AND c.time > w.time AND NOT c.suspect) AS agreed
FROM words w JOIN bars b USING (symbol, time) WHERE w.kind = 'accepted' ORDER BY w.symbol, w.time DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedPrice:
    """A suspect bar, of `time`, whose close a person accepted; `agreed` bars were believed since."""

    symbol: str
    time: datetime
    price: float
    agreed: int


def suspect_symbols(connection: Connection, symbols: Sequence[str]) -> list[SuspectSymbol]:
    """Those of `symbols` whose newest bar is suspect and not accepted by a person."""
    query = _SUSPECT.format(words=_WORDS, withdrawn=WITHDRAWN)
    return [SuspectSymbol(**row) for row in row_dicts(connection, query, symbols=list(symbols))]


class SuspectBars:
    """The suspect symbols of a desk's database. A word on one can be taken back until `level_bars` bars agree with it:
    they would be believed without it."""

    def __init__(self, engine: Engine, level_bars: int) -> None:
        self._engine = engine
        self._level_bars = level_bars

    def all(self) -> tuple[list[SuspectSymbol], list[AcceptedPrice]]:
        """Every symbol that has bars and whose newest one is suspect; and what a person accepted and may take back."""
        with transaction(self._engine) as connection:
            symbols = connection.execute(text("SELECT DISTINCT symbol FROM bars")).scalars().all()
            accepted = [price for price in _accepted(connection, symbols) if price.agreed < self._level_bars]
            return suspect_symbols(connection, symbols), accepted

    def decide(self, symbol: str, word: str) -> SuspectSymbol:
        """A person says that the newest suspect bar's price is right ("accepted": the next bar is held against it) or
        wrong ("rejected": bars must agree anew before they are believed). UsageError where nothing is suspect."""
        with transaction(self._engine) as connection:
            found = suspect_symbols(connection, [symbol])
            if not found:
                raise UsageError(
                    f"{symbol} is not suspect: its newest bar is believed, or it has none; see: quorum bars"
                )
            bar = found[0]
            if word == bar.word:
                raise UsageError(f"{symbol}: {bar.price:g} of {bar.time:%Y-%m-%d %H:%M} is {word} already")
            _say(connection, AcceptedPrice(symbol=symbol, time=bar.time, price=bar.price, agreed=0), word)
        return bar

    def take_back(self, symbol: str) -> AcceptedPrice:
        """The newest acceptance of the symbol's price counts no more: the next bar is held against the last price that
        was believed before. What was decided meanwhile stays as it is. UsageError where there is none, or where so many
        bars agree with it that they would be believed without."""
        with transaction(self._engine) as connection:
            found = _accepted(connection, [symbol])
            if not found:
                raise UsageError(f"{symbol}: nobody has accepted a price that could be taken back; see: quorum bars")
            price = found[0]
            if price.agreed >= self._level_bars:
                raise UsageError(
                    f"{symbol}: {price.agreed} bars since agree with {price.price:g} of {price.time:%Y-%m-%d}, and"
                    f" {self._level_bars} that agree are believed without a person's word; if they are wrong, take them"
                    " back: quorum data remove, or bring a file with the right ones"
                )
            _say(connection, price, "withdrawn")
        return price


def _accepted(connection: Connection, symbols: Sequence[str]) -> list[AcceptedPrice]:
    query = _ACCEPTED.format(words=_WORDS)
    return [AcceptedPrice(**row) for row in row_dicts(connection, query, symbols=list(symbols))]


def _say(connection: Connection, price: AcceptedPrice, word: str) -> None:
    stamp = np.datetime64(as_stamp(price.time))
    tell(connection, MarketAction(price.symbol, stamp, word, price.price, 1.0, A_PERSON))
