"""What an order at an exchange must keep to, which the exchange may change while a desk trades."""

from __future__ import annotations

import logging
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from agents.adapters.exchanges.public_prices import Terms
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.core.errors import ServiceError
from agents.core.log import log_event
from agents.core.orders import Order

logger = logging.getLogger(__name__)
REFUSED_IN_A_ROW = 2
"""An order is not sent any more where the exchange refused so many of its symbol for their form, by rules that it says
have not changed."""
Rules = tuple[Terms | None, bool]


class MarketRules:
    """Of one account's markets."""

    def __init__(self, account: TradingAccount) -> None:
        self._account = account
        self._refused: dict[str, int] = {}
        self._halted: dict[str, Rules] = {}

    def allowed(self, order: Order) -> tuple[Decimal, str]:
        """The quantity in whole steps of the market, and why it may not be sent ("" where it may). ServiceError."""
        symbol = order.symbol
        if symbol in self._halted or not self._account.is_traded(symbol):
            self._account.terms_anew()
        if not self._account.is_traded(symbol):
            return order.quantity, f"the exchange does not trade {symbol} at the moment"
        if self._halted.get(symbol) == self._now(symbol):
            return order.quantity, f"the exchange refused {REFUSED_IN_A_ROW} orders in {symbol} for their form"
        if symbol in self._halted:
            self.clear(symbol)
        terms = self._account.terms(symbol)
        quantity = order.quantity
        if terms.quantity_step:
            step = Decimal(str(terms.quantity_step))
            quantity = (quantity / step).to_integral_value(ROUND_DOWN) * step
        if quantity <= 0:
            return quantity, f"{order.quantity:f} is less than the exchange's step of {terms.quantity_step}"
        if terms.least_quantity and quantity < Decimal(str(terms.least_quantity)):
            return quantity, f"{quantity:f} is less than the exchange's least quantity of {terms.least_quantity}"
        if terms.least_cost:
            price = self._account.last_price(symbol)
            if price is not None and quantity * price < Decimal(str(terms.least_cost)):
                return quantity, f"worth less than the exchange's least amount of {terms.least_cost}"
        return quantity, ""

    def on_tick(self, order: Order) -> Order:
        """An order at a price of the market's steps, on its own side of the market."""
        step = self._account.terms(order.symbol).price_step
        if order.limit_price is None or not step:
            return order
        tick, towards = Decimal(str(step)), ROUND_DOWN if order.side == "buy" else ROUND_UP
        return replace(order, limit_price=(order.limit_price / tick).to_integral_value(towards) * tick)

    def as_they_are_now(self, order: Order, why: str) -> Decimal | None:
        """The quantity by the rules of now, of an order that was refused for its form; None where they are as they
        were, or allow no such order."""
        symbol = order.symbol
        before = self._now(symbol)
        try:
            self._account.terms_anew()
            if self._now(symbol) != before:
                log_event(logger, "the exchange has changed its rules", level=logging.WARNING, symbol=symbol)
                quantity, problem = self.allowed(order)
                return None if problem else quantity
        except ServiceError:
            return None  # what was refused is refused; the next order asks again
        self._refused[symbol] = self._refused.get(symbol, 0) + 1
        if self._refused[symbol] >= REFUSED_IN_A_ROW and symbol not in self._halted:
            self._halted[symbol] = before
            hint = "no order of it is sent until the exchange's rules change, or the desk starts again"
            log_event(logger, "ALARM", level=logging.ERROR, kind="orders_refused", subject=symbol, why=why, hint=hint)
        return None

    def clear(self, symbol: str) -> None:
        """Forget its refusals: an order of it was taken, or the rules have changed."""
        self._refused.pop(symbol, None)
        if self._halted.pop(symbol, None) is not None:
            log_event(logger, "alarm is over", kind="orders_refused", subject=symbol)

    def _now(self, symbol: str) -> Rules:
        return self._account.terms(symbol) if self._account.has_market(symbol) else None, self._account.is_traded(
            symbol
        )
