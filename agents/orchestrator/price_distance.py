"""No purchase leaves at a price far from the one it was decided at: what moved so much meanwhile, or was misread, is
for the next decision to see. What is held may always be sold: a crash is when one most wants out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np

from agents.core.errors import AgentsError
from agents.core.log import log_event
from agents.core.market import Bars
from agents.core.orders import TOO_FAR, Order, OrderOutcome
from agents.core.ports import Broker
from agents.core.risk_settings import Limit
from agents.orchestrator.broker_in_front import BrokerInFront
from agents.orchestrator.limit_edges import LimitEdges

logger = logging.getLogger(__name__)


class PriceDistance(BrokerInFront):
    """A broker of a desk that is long only, to which a purchase goes only while its market's last price (`quote`) is
    near the last trusted one, by `risk.limits.price_distance`; where nobody tells a price, it counts as far."""

    def __init__(self, broker: Broker, limit: Limit, quote: Callable[[str], Decimal | None]) -> None:
        super().__init__(broker)
        self._limit = limit
        self._quote = quote
        self._trusted: dict[str, float] = {}
        self.edges = LimitEdges("price distance")

    def note(self, window: Bars) -> None:
        """The bars that are decided on: of each symbol the newest close that is believed counts."""
        closes = np.where(window.suspect, np.nan, window.close)
        for s, symbol in enumerate(window.symbols):
            known = closes[np.isfinite(closes[:, s]), s]
            if len(known):
                self._trusted[symbol] = float(known[-1])

    def place(self, orders: Sequence[Order]) -> Sequence[OrderOutcome]:
        """Send what is near; the rest is "not_placed" where the limit is enforced."""
        purchases = [order for order in orders if order.side == "buy"]
        if self._limit.action == "off" or not purchases:
            return self._broker.place(orders)
        far = {order.client_order_id for order in purchases if self._is_far(order)}
        symbols = sorted(order.symbol for order in orders if order.client_order_id in far)
        self.edges.tell(reached=bool(far), why=", ".join(symbols))
        kept = far if self._limit.action == "enforce" else set()
        near = [order for order in orders if order.client_order_id not in kept]
        answers = {answer.client_order_id: answer for answer in (self._broker.place(near) if near else ())}
        for key in kept:
            answers[key] = OrderOutcome(client_order_id=key, state="not_placed", reason=TOO_FAR)
        return [answers[order.client_order_id] for order in orders]

    def _is_far(self, order: Order) -> bool:
        trusted = self._trusted.get(order.symbol)
        try:
            quote = self._quote(order.symbol)
        except AgentsError as error:
            log_event(logger, "no price to hold against", level=logging.WARNING, symbol=order.symbol, error=error)
            return True
        if trusted is None or quote is None:
            return True
        distance = abs(float(quote) / trusted - 1.0)
        if distance <= self._limit.at:
            return False
        told = {"symbol": order.symbol, "last_price": quote, "trusted": trusted}
        log_event(logger, "a price is far from the last trusted one", level=logging.WARNING, **told)
        return True
