"""A person tells that a symbol was taken off the market, at a price: every book is closed at it."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction
from agents.adapters.database.market_facts import A_PERSON, tell
from agents.core.clock import INSTANT
from agents.core.errors import UsageError
from agents.core.market import MarketAction
from agents.core.types import as_stamp

_NEWEST_BAR = "SELECT max(time) FROM bars WHERE symbol = :symbol"
_TOLD = "SELECT time, value FROM market_actions WHERE symbol = :symbol AND kind = 'delisting' AND time > :newest"


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
