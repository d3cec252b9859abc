"""Orders that chase, at an exchange: when their time has come they are taken back, and what they did not get is ordered
at the market.

An order is taken back first, then asked what it was filled, and only when it has ended does the rest leave, under an id
of its own and at most once. Where the answer to any of it is lost, the exchange's books tell. Only the process that
took an order back goes on for it: after a restart in between nobody knows whether the rest has left already, so it
expires with the bar, as that of a limit order does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from agents.adapters.brokers.venue_books import crossing_id
from agents.adapters.exchanges.order_errors import OrderLimitedError, OrderRefusedError
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.core.clock import Clock
from agents.core.errors import ServiceError
from agents.core.killpoint import killpoint
from agents.core.log import log_event
from agents.core.orders import Order, OrderOutcome
from agents.core.venues import PlacedOrders

logger = logging.getLogger(__name__)


class Chases:
    """Of one account, whose orders `record` has."""

    def __init__(self, account: TradingAccount, record: PlacedOrders, clock: Clock) -> None:
        self._account = account
        self._record = record
        self._clock = clock
        self._asked: set[str] = set()
        self._over: set[str] = set()
        self.unanswered: set[str] = set()
        """Ids of market orders of which nobody knows whether the exchange has them."""

    def go_on(self, place: Callable[[Sequence[Order]], Sequence[OrderOutcome]], passive: timedelta) -> None:
        """Do what is due `passive` after a decision; what an exchange that is away leaves undone is tried again."""
        works = [order for order, state in self._record.open_orders() if state in ("acked", "partial")]
        chasing = [order for order in works if order.kind == "chase" and order.client_order_id not in self._over]
        for order in chasing:
            if self._clock.now() < order.decision_time + passive:
                continue
            try:
                rest = self._taken_back(order)
            except ServiceError as error:
                log_event(
                    logger, "cannot chase yet", level=logging.WARNING, order=order.client_order_id, error=str(error)
                )
                continue
            if rest is not None:
                self._over.add(order.client_order_id)
                if rest > 0:
                    self._cross(order, rest, place)

    def _taken_back(self, order: Order) -> Decimal | None:
        """What an order did not get, once it has ended; None where it is not known yet, or is not ours to go on for.
        ServiceError."""
        key = order.client_order_id
        if key not in self._asked:
            before = self._account.order(order.symbol, key)
            if before is None or before.status != "open":  # by whom it ended, and what followed, nobody here knows
                self._over.add(key)
                return None
        try:
            self._account.cancel(order.symbol, key)
        except OrderLimitedError:
            raise
        except OrderRefusedError:
            if key not in self._asked:  # filled, or taken back by a person or by a process before this one
                self._over.add(key)
                return None
        except ServiceError:
            self._asked.add(key)  # it may have been heard
            raise
        self._asked.add(key)
        killpoint("chase.taken_back")
        known = self._account.order(order.symbol, key)
        return None if known is None or known.status == "open" else known.quantity - known.filled

    def _cross(self, order: Order, rest: Decimal, place: Callable[[Sequence[Order]], Sequence[OrderOutcome]]) -> None:
        key = crossing_id(order.client_order_id)
        self.unanswered.add(key)
        crossing = replace(order, client_order_id=key, quantity=rest, kind="market", limit_price=None)
        (answer,) = place([crossing])
        if answer.state != "unknown":
            self.unanswered.discard(key)
        log_event(logger, "an order chases", order=key, quantity=rest, state=answer.state, why=answer.reason)
