"""A person tells that a symbol was taken off the market, at a price: every book is closed at it. As long as no decision
has done so, that word can be taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Engine, text

from agents.adapters.database.bar_reads import take_load_lock
from agents.adapters.database.engine import transaction
from agents.adapters.database.market_facts import A_PERSON, tell
from agents.adapters.database.stored_data import USED
from agents.core.clock import INSTANT
from agents.core.errors import UsageError
from agents.core.market import MarketAction
from agents.core.types import as_stamp

_NEWEST_BAR = "SELECT max(time) FROM bars WHERE symbol = :symbol"
_TOLD = "SELECT time, value FROM market_actions WHERE symbol = :symbol AND kind = 'delisting' AND time > :newest"

_LATEST = """
SELECT b.time, b.value AS price, b.read_id, coalesce(
    (SELECT min(time) FROM decisions d WHERE d.time >= b.time AND d.data_version >= b.read_id),
    (SELECT max(time) FROM decisions)) AS closed_at
FROM market_actions b WHERE symbol = :symbol AND kind = 'delisting' AND source = :source
    AND NOT EXISTS (SELECT 1 FROM market_actions w WHERE w.symbol = :symbol AND w.kind = 'accepted'
                    AND w.read_id > b.read_id)
ORDER BY read_id DESC LIMIT 1
"""
"""Unless a person has accepted a price since: then that was their last word."""
_TAKE_BACK = "DELETE FROM market_actions b WHERE symbol = :symbol AND read_id = :read_id AND NOT {used}"
_CLOSED = """
SELECT (SELECT close FROM bars WHERE symbol = :symbol ORDER BY time DESC LIMIT 1) AS last_price,
       coalesce((SELECT quantity FROM positions WHERE symbol = :symbol), 0)::double precision AS held
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToBeClosed:
    """What a delisting would close: units of the live book, and the close of the symbol's newest bar (None: no bar)."""

    held: float
    last_price: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delisting:
    """What a person told: off the market since `time`, at `price`."""

    symbol: str
    time: datetime
    price: float


def to_be_closed(engine: Engine, symbol: str) -> ToBeClosed:
    """What is at stake before `delist`."""
    with transaction(engine) as connection:
        return ToBeClosed(**connection.execute(text(_CLOSED), {"symbol": symbol}).one()._mapping)


def take_back(engine: Engine, symbol: str) -> Delisting | None:
    """The newest delisting of the symbol was never told, as far as no decision can have used it; None where nobody has
    told of one. The owner of the tables may. UsageError where it has closed the books: that stays on record."""
    with transaction(engine) as connection:
        take_load_lock(connection)
        told = connection.execute(text(_LATEST), {"symbol": symbol, "source": A_PERSON}).first()
        if told is None:
            return None
        taken = connection.execute(
            text(_TAKE_BACK.format(used=USED)), {"symbol": symbol, "read_id": told.read_id}
        ).rowcount
        if not taken:
            raise UsageError(
                f"{symbol}: every book was closed at {told.price:g} by the decision of {told.closed_at:%Y-%m-%d %H:%M},"
                f" which stays on record; {symbol} is traded again from its next bar on"
            )
        return Delisting(symbol=symbol, time=told.time, price=told.price)


def delist(engine: Engine, symbol: str, price: float, at: datetime | None) -> datetime:
    """Put on record that `symbol` was taken off the market at `price` (0 or more); from when it counts.

    That is `at`, and where that is left out the moment after its last bar. Positions are closed by the first decision
    after that, or the next one where it is past. UsageError for a symbol without bars, one that has bars later than
    `at`, and one that is off the market already.
    """
    if not (np.isfinite(price) and price >= 0.0):
        raise UsageError(f"{symbol}: a price of {price} is none; give what is paid for a share, 0 for nothing")
    with transaction(engine) as connection:
        newest = connection.execute(text(_NEWEST_BAR), {"symbol": symbol}).scalar()
        if newest is None:
            raise UsageError(f"{symbol} has no bars here, so no book holds it; look for its name with: quorum doctor")
        when = at or newest + INSTANT
        if when <= newest:
            raise UsageError(f"{symbol} has bars until {newest:%Y-%m-%d %H:%M}; give a later time with --at, or none")
        told = connection.execute(text(_TOLD), {"symbol": symbol, "newest": newest}).first()
        if told is not None:
            raise UsageError(f"{symbol} is off the market since {told.time:%Y-%m-%d %H:%M}, at {told.value:g}")
        tell(connection, MarketAction(symbol, np.datetime64(as_stamp(when)), "delisting", price, 1.0, A_PERSON))
    return when
