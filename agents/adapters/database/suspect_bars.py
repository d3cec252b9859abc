"""Symbols whose newest bar is not believed, and a person's word on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import row_dicts, transaction
from agents.adapters.database.market_facts import A_PERSON, tell
from agents.core.errors import UsageError
from agents.core.facts import SuspectSymbol
from agents.core.market import MarketAction
from agents.core.types import as_stamp

_SUSPECT = """
SELECT s.symbol, b.time, b.close AS price, a.time AS accepted_at, a.close AS accepted,
       (SELECT count(*) FROM bars c WHERE c.symbol = s.symbol AND c.suspect AND c.time > a.time) AS bars
FROM unnest(CAST(:symbols AS text[])) AS s(symbol)
CROSS JOIN LATERAL (SELECT time, close, suspect FROM bars WHERE symbol = s.symbol ORDER BY time DESC LIMIT 1) b
CROSS JOIN LATERAL (SELECT time, close FROM bars WHERE symbol = s.symbol AND NOT suspect
                    ORDER BY time DESC LIMIT 1) a
WHERE b.suspect AND NOT EXISTS (
    SELECT 1 FROM market_actions m WHERE m.symbol = s.symbol AND m.time = b.time AND m.kind = 'accepted')
ORDER BY s.symbol
"""


def suspect_symbols(connection: Connection, symbols: Sequence[str]) -> list[SuspectSymbol]:
    """Those of `symbols` whose newest bar is suspect and not accepted by a person."""
    return [SuspectSymbol(**row) for row in row_dicts(connection, _SUSPECT, symbols=list(symbols))]


class SuspectBars:
    """The suspect symbols of a desk's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[SuspectSymbol]:
        """Every symbol that has bars and whose newest one is suspect."""
        with transaction(self._engine) as connection:
            symbols = connection.execute(text("SELECT DISTINCT symbol FROM bars")).scalars().all()
            return suspect_symbols(connection, symbols)

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
            tell(connection, MarketAction(symbol, np.datetime64(as_stamp(bar.time)), word, bar.price, 1.0, A_PERSON))
        return bar
