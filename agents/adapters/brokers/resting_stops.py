"""Stops that rest at the exchange: one order for each position, at the price at which the step would close it.

It protects while no desk runs. It is replaced, the old one taken back first, when a decision moves it or the position
changes; it is never of more than what is held and not being sold. A sale that needs what it holds takes it back before
it leaves, and sells no more than the stop has left. Its fills come from the account's list of executions, as all do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import NamedTuple

from agents.adapters.brokers.stop_books import StopBooks, StopSeen
from agents.adapters.exchanges.order_errors import OrderLimitedError, OrderRefusedError, OrderUnknownError
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.core.clock import Clock
from agents.core.errors import DataError, ServiceError
from agents.core.killpoint import killpoint
from agents.core.log import log_event
from agents.core.orders import STOP_UNKNOWN, STOPPED_MEANWHILE, Order, OrderOutcome
from agents.core.venues import RestingStop, StopPlan, StopState, WantedStop

logger = logging.getLogger(__name__)
SOON_S, SELDOM_S = 2.0, 60.0
"""Between two looks at what rests: so long after something has changed, twice as long each time, so long at most."""
WATCH_S = 10.0
"""So often the price is looked at where no stop rests at the exchange."""
WATCHED = "the exchange takes no stop orders: the desk watches the price while it runs"
BY_BAR = "none rests there: the stop is looked at when a bar is over"
TOO_SMALL = "less than the exchange's least amount: the stop is looked at when a bar is over"
ZERO = Decimal(0)
Place = Callable[[Sequence[Order]], Sequence[OrderOutcome]]
WhyNot = Callable[[Order], str]


class _Look(NamedTuple):
    """When a symbol is looked at again, how long after the last time, and what was wanted then."""

    at_s: float
    pause_s: float
    wanted: WantedStop | None


class RestingStops:
    """Of one account. `why_not` says why no order may be sent now ("" where it may): then what rests stays."""

    def __init__(
        self, account: TradingAccount, books: StopBooks, plan: StopPlan, why_not: WhyNot, clock: Clock
    ) -> None:
        self._account = account
        self.books = books
        self._plan = plan
        self._why_not = why_not
        self._clock = clock
        self._looks: dict[str, _Look] = {}

    # ------------------------------------------------------------ before a sale

    def make_room(self, order: Order, quantity: Decimal) -> tuple[Decimal, str]:
        """How much of an order may leave, and why none of it ("" where some): what a stop holds is taken back first,
        and what it has sold meanwhile is not sold again."""
        symbol = order.symbol
        self._looks.pop(symbol, None)
        resting = self.books.resting(symbol)
        held, kept = self._plan.held(symbol), sum(resting.values(), start=ZERO)
        if order.kind == "stop" or not resting or order.side == ("buy" if held > 0 else "sell"):
            return quantity, ""
        if quantity <= abs(held) - kept:
            return quantity, ""
        sold = ZERO
        for key in list(resting):
            try:
                sold += self._take_back(symbol, key) - self.books.counted(key)
            except ServiceError as error:
                log_event(logger, "a stop may rest still", level=logging.WARNING, order=key, error=str(error))
                return quantity, STOP_UNKNOWN
            self.books.gone(symbol, key)
        killpoint("stop.taken_back")
        left = self._in_steps(symbol, max(ZERO, min(quantity, abs(held) - sold)))
        return left, "" if left > 0 else STOPPED_MEANWHILE

    def _take_back(self, symbol: str, key: str) -> Decimal:
        """Take a stop back; what it was filled in all. Where an answer is lost it is asked about, and the stop taken
        back once more. ServiceError where it may still work."""
        for _ in range(2):
            try:
                self._account.cancel(symbol, key)
            except OrderLimitedError:
                raise
            except (OrderRefusedError, OrderUnknownError):
                pass  # its own state says what that means
            known = self._account.order(symbol, key)
            if known is None or known.status != "open":
                return ZERO if known is None else known.filled
        raise ServiceError(f"{key} works still")

    # ------------------------------------------------------------ between decisions

    def keep(self, place: Place) -> None:
        """Let rest what the last decision wants; what an exchange that is away leaves undone is tried again."""
        now_s, wanted = self._clock.monotonic_s(), self._plan.wanted({})
        for symbol in sorted({*wanted, *self.books.symbols()}):
            look = self._looks.get(symbol)
            if look is not None and now_s < look.at_s and look.wanted == wanted.get(symbol):
                continue
            try:
                settled = self._keep(symbol, place)
            except (ServiceError, DataError) as error:
                log_event(logger, "a stop waits", level=logging.WARNING, symbol=symbol, error=str(error))
                settled = False
            pause_s = SOON_S if look is None or look.wanted != wanted.get(symbol) else min(2 * look.pause_s, SELDOM_S)
            pause_s = pause_s if settled else SOON_S
            if settled and self._kind(symbol) == "watch":
                pause_s = WATCH_S
            self._looks[symbol] = _Look(now_s + pause_s, pause_s, wanted.get(symbol))

    def _keep(self, symbol: str, place: Place) -> bool:
        """One look at a symbol; whether all is as it should be, as far as can be told now."""
        if self._kind(symbol) == "bar":
            return self._by_bar(symbol)
        seen = self.books.look(symbol)
        if seen.pending:
            return False
        if seen.reached:
            self._drop_entries(seen)
        wanted = self._plan.wanted({symbol: seen.fills}).get(symbol)
        quantity = ZERO if wanted is None else max(ZERO, wanted.held - seen.hidden - seen.being_sold)
        price = ZERO if wanted is None else self._on_tick(symbol, wanted)
        quantity = self._in_steps(symbol, quantity)
        rests = {key: (row.order.quantity - order.filled, row.stop_price) for key, (row, order) in seen.working.items()}
        if wanted is not None and quantity and list(rests.values()) == [(quantity, price)]:
            return self._still_in_time(symbol, wanted, price)
        order = self._order(symbol, wanted, quantity, price) if wanted is not None and quantity else None
        why = "" if order is None else self._why_not(order)
        if why and sum((rest for rest, _ in rests.values()), start=ZERO) <= quantity:
            return bool(rests) or self._none(order, price, "refused", why)
        for key, (_, before) in seen.working.items():
            if self._take_back(symbol, key) != before.filled:
                return False  # it was reached meanwhile: the next look sees what is left
            self.books.ended(key, "replaced" if order is not None else "nothing is held")
        if order is None:
            self.books.drop_words(symbol)
            return True
        return self._none(order, price, "refused", why) if why else self._set(order, price, place)

    def _by_bar(self, symbol: str) -> bool:
        """Nothing rests, and nothing is asked."""
        wanted = self._plan.wanted({}).get(symbol)
        if wanted is None:
            self.books.drop_words(symbol)
            return True
        order = self._order(symbol, wanted, wanted.held, wanted.price)
        return self._none(order, wanted.price, "none", BY_BAR)

    def _set(self, order: Order, price: Decimal, place: Place) -> bool:
        """Let one order rest, or close at once what has gone past its stop already."""
        symbol = order.symbol
        least = self._account.terms(symbol)
        if order.quantity < Decimal(str(least.least_quantity or 0)) or order.quantity * price < Decimal(
            str(least.least_cost or 0)
        ):
            return self._none(order, price, "none", TOO_SMALL)
        if self._is_beyond(order, price):
            order = replace(order, stop_price=None)
        elif self._kind(symbol) == "watch":
            return self._none(order, price, "none", WATCHED)
        stop = RestingStop(order=order, stop_price=price, state="sending")
        self.books.sending(stop)
        killpoint("stop.before_send")
        (answer,) = place([order])
        killpoint("stop.after_send")
        self.books.answered(stop, answer)
        if answer.state not in ("acked", "unknown"):
            log_event(logger, "a stop is not taken", level=logging.WARNING, symbol=symbol, why=answer.reason)
        return answer.state == "acked" and order.stop_price is not None

    def _still_in_time(self, symbol: str, wanted: WantedStop, price: Decimal) -> bool:
        """Whether a stop that rests has not been passed by: one at a limit may have been, and is taken back then, so
        that the next look sells at the market."""
        if self._kind(symbol) != "limit":
            return True
        order = self._order(symbol, wanted, wanted.held, price)
        if self._is_beyond(order, price) and not self._why_not(order):
            for key in list(self.books.resting(symbol)):
                self._take_back(symbol, key)
                self.books.ended(key, "passed by")
            return False
        return True

    def _order(self, symbol: str, wanted: WantedStop, quantity: Decimal, price: Decimal) -> Order:
        key, at = self._plan.order_of(symbol, self.books.number(symbol, self._plan))
        return Order(
            client_order_id=key,
            decision_time=at,
            symbol=symbol,
            side=wanted.side,
            quantity=quantity,
            kind="stop",
            stop_price=price,
        )

    def _none(self, order: Order | None, price: Decimal, state: StopState, why: str) -> bool:
        """Put on record that none rests, and tell it once."""
        assert order is not None
        if self.books.say(RestingStop(order=order, stop_price=price, state=state, reason=why)):
            log_event(logger, "no stop rests at the exchange", level=logging.WARNING, symbol=order.symbol, why=why)
        return state == "none"

    def _drop_entries(self, seen: StopSeen) -> None:
        """Take back what would enlarge a position whose stop was reached: the step drops it, too."""
        for order in seen.entries:
            try:
                self._account.cancel(order.symbol, order.client_id)
            except (OrderRefusedError, OrderUnknownError) as error:
                log_event(logger, "an entry may work still", level=logging.WARNING, why=str(error))

    def _is_beyond(self, order: Order, price: Decimal) -> bool:
        last = self._account.last_price(order.symbol)
        return last is not None and (last <= price if order.side == "sell" else last >= price)

    def _kind(self, symbol: str) -> str:
        return self._account.stop_kind(symbol)

    def _on_tick(self, symbol: str, wanted: WantedStop) -> Decimal:
        """The price in whole ticks, on the market's side: reached no later than the step's."""
        tick = self._account.terms(symbol).price_step
        if not tick:
            return wanted.price
        step = Decimal(str(tick))
        return (wanted.price / step).to_integral_value(ROUND_UP if wanted.side == "sell" else ROUND_DOWN) * step

    def _in_steps(self, symbol: str, quantity: Decimal) -> Decimal:
        step = Decimal(str(self._account.terms(symbol).quantity_step or 0))
        return (quantity / step).to_integral_value(ROUND_DOWN) * step if step and quantity else quantity
