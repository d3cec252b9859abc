"""An execution as the exchange shows it -> a fill as the desk books it, whatever currency the fee was taken in."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from agents.adapters.exchanges.account_rows import VenueTrade
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.core.errors import AgentsError
from agents.core.log import log_event
from agents.core.orders import MONEY_STEP, Fill, round_price
from agents.core.symbols import base_of, quote_of

logger = logging.getLogger(__name__)
ZERO = Decimal(0)


class FeeWorth:
    """What fees are worth in a market's quote."""

    def __init__(self, account: TradingAccount) -> None:
        self._account = account

    def of(self, amount: Decimal, currency: str, quote: str) -> Decimal:
        """At the last price of the fee's currency; 0, with an alarm, where there is no such market."""
        try:
            price = self._account.last_price(f"{currency}/{quote}")
        except AgentsError:
            price = None
        if price is None:
            hint = f"pay fees in {quote}, or in a currency with a market against it"
            log_event(logger, "ALARM", level=logging.ERROR, kind="fee_without_price", subject=currency, hint=hint)
            return ZERO
        return amount * price

    def usual(self, trade: VenueTrade) -> Decimal:
        """The taker's fee, where the exchange does not tell what it took."""
        taker = self._account.terms(trade.symbol).taker or 0.0
        log_event(logger, "a fill without a fee; the usual one is assumed", level=logging.WARNING, trade=trade.trade_id)
        return trade.quantity * trade.price * Decimal(str(taker))


def moved_by(trade: VenueTrade) -> Decimal:
    """How much of the base the account has more or less by it, a fee that was taken of it included."""
    fee = trade.fee or ZERO if trade.fee_currency == base_of(trade.symbol) else ZERO
    return trade.quantity - fee if trade.side == "buy" else trade.quantity + fee


def fill_of(trade: VenueTrade, client_order_id: str, fill_id: str, worth: FeeWorth) -> Fill:
    """The fill. A fee in the base changes what was received, so the quantity is what the account holds more or less;
    with the fee's worth on top the money is what was paid."""
    base, quote = base_of(trade.symbol), quote_of(trade.symbol)
    fee, currency, paid = trade.fee, trade.fee_currency, ZERO
    if fee is None:
        fee, currency = worth.usual(trade), ""
    elif not fee or currency == quote:
        currency = ""
    elif currency == base:
        paid, fee = fee, fee * trade.price
    else:
        paid, fee = fee, worth.of(fee, currency, quote)
    return Fill(
        fill_id=fill_id,
        client_order_id=client_order_id,
        time=datetime.fromtimestamp(trade.time_ms / 1000, UTC),
        symbol=trade.symbol,
        side="buy" if trade.side == "buy" else "sell",
        quantity=_money(moved_by(trade)),
        price=round_price(trade.price),
        fee=_money(fee),
        spread_cost=ZERO,
        impact_cost=ZERO,
        fee_currency=currency,
        fee_paid=_money(paid),
    )


def _money(value: Decimal) -> Decimal:
    return value.quantize(MONEY_STEP, ROUND_HALF_EVEN)
