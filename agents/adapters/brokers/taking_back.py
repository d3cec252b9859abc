"""Orders that still work at an exchange are taken back, and looked at until they have ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agents.adapters.brokers.venue_books import Seen, still_working
from agents.adapters.exchanges.order_errors import OrderLimitedError, OrderRefusedError, OrderUnknownError
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.core.clock import Clock
from agents.core.errors import ServiceError

LOOKS, LOOK_S = 3, 1.0
"""So often, and so many seconds apart, is looked whether what was taken back has ended: some exchanges take a while."""


def take_back(account: TradingAccount, symbol: str, key: str) -> bool:
    """Whether the order was taken back; not where it had ended already, or was never there. ServiceError where nobody
    knows, or where the exchange asks to be left alone and has not looked at it."""
    try:
        account.cancel(symbol, key)
    except OrderLimitedError:
        raise
    except OrderRefusedError:
        return False
    except OrderUnknownError as error:
        raise ServiceError(f"whether {key} was taken back is not known: {error}") from None
    return True


def take_all_back(account: TradingAccount, read: Callable[[], Mapping[str, Seen]], clock: Clock) -> Mapping[str, Seen]:
    """The account's books once the desk's orders were taken back, whatever the record says of them; what still works
    in them could not be. ServiceError as above."""
    seen = read()
    for _ in range(LOOKS):
        left = still_working(seen)
        for key, one in left:
            take_back(account, one.symbol, one.client_id or key)
        if not left:
            break
        seen = read()
        if still_working(seen):
            clock.sleep_s(LOOK_S)
    return seen
