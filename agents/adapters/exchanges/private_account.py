"""An account at any exchange that ccxt knows, with a key. What an order's answer proves is told apart here: accepted,
refused, or nothing at all.

A refusal is an answer of the exchange itself, in its own form, that says no. A time-out, a gateway's page, a connection
that ended and a word that nobody understands prove nothing: the order may be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from agents.adapters.exchanges.account_keys import AccountKey
from agents.adapters.exchanges.account_rows import VenueMove, VenueOrder, VenueTrade, move_of, order_of, trade_of
from agents.adapters.exchanges.key_rights import QUESTIONS, KeyRights
from agents.adapters.exchanges.order_errors import (
    OrderFormError,
    OrderLimitedError,
    OrderRefusedError,
    OrderUnknownError,
)
from agents.adapters.exchanges.public_prices import ExchangeAwayError, PublicPrices, words_of
from agents.adapters.exchanges.stop_support import StopKind, order_arguments, stop_kind
from agents.core.clock import Clock
from agents.core.errors import ServiceError, SettingsError
from agents.core.orders import Order

PAGE_ROWS = 500
MOST_PAGES = 200


class PrivateAccount(PublicPrices):
    """One account. `sandbox`: at the exchange's test net; `url` as for prices. UsageError as there; SettingsError where
    the exchange has no test net, or cannot do what a desk needs."""

    def __init__(self, name: str, key: AccountKey, clock: Clock, *, sandbox: bool, url: str = "") -> None:
        super().__init__(name)
        self._hidden = tuple(filter(None, (key.key, key.secret, key.password)))
        exchange = self._exchange
        exchange.logger.disabled = True  # at its finest level it writes the key
        exchange.apiKey, exchange.secret, exchange.password = key.key, key.secret, key.password
        exchange.number = str  # numbers as the exchange wrote them
        exchange.milliseconds = lambda: round(clock.now().timestamp() * 1000)
        exchange.options["fetchCurrencies"] = False
        exchange.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
        exchange.maxRetriesOnFailure = 0  # what is not answered is asked about, never sent again
        self._clock = clock
        self._alone_until_s = clock.monotonic_s()
        self._status = 0
        exchange.on_rest_response = self._note_status
        if url:
            self.point_at(url)
            exchange.enableRateLimit = False  # nobody else asks a practice server
        elif sandbox:
            self._go_to_test_net()
        lacking = [what for what in ("createOrder", "fetchBalance", "fetchMyTrades") if not exchange.has.get(what)]
        if lacking:
            raise SettingsError(f"{name} lacks what a desk needs, says ccxt: {', '.join(lacking)}")

    def _go_to_test_net(self) -> None:
        """SettingsError where there is none; ccxt itself stumbles there."""
        with suppress(Exception):
            self._exchange.set_sandbox_mode(True)
        if not self._exchange.isSandboxModeEnabled:
            raise SettingsError(
                f"{self.name} has no test net that ccxt knows; begin with quorum practice, at an exchange that has one"
                " (binance, bybit, okx), or with little real money: desk.broker_mode = 'live'"
            )

    @property
    def asks_for_password(self) -> bool:
        """Whether a key of this exchange has a third part."""
        return bool(self._exchange.requiredCredentials.get("password"))

    # ------------------------------------------------------------ questions

    def totals(self) -> dict[str, Decimal]:
        """What the account holds by currency, what waits in orders included."""
        balance = self._ask(self._exchange.fetch_balance)
        return {name: Decimal(str(amount)) for name, amount in balance["total"].items() if amount is not None}

    def moves(self, currency: str, since_ms: int) -> list[VenueMove]:
        """Deposits and withdrawals since then that are done, oldest first, as far as the exchange tells of them."""
        found: list[VenueMove] = []
        for what, call, withdrawn in (
            ("fetchDeposits", self._exchange.fetch_deposits, False),
            ("fetchWithdrawals", self._exchange.fetch_withdrawals, True),
        ):
            if self._exchange.has.get(what) is True and not self._exchange.isSandboxModeEnabled:
                rows = self._ask(call, currency, since_ms, PAGE_ROWS)
                found += [move for row in rows if (move := move_of(row, withdrawn=withdrawn)) is not None]
        known = {move.move_id: move for move in found if move.currency == currency and move.time_ms > since_ms}
        return sorted(known.values(), key=lambda move: (move.time_ms, move.move_id))

    def dividends(self, _since_ms: int) -> dict[str, Decimal]:
        """Coins pay none."""
        return {}

    def orders(self, symbol: str, since_ms: int) -> list[VenueOrder]:
        """Orders placed since then, each once, and all that still work."""
        has = self._exchange.has
        if has.get("fetchOrders"):
            found = self._pages(self._exchange.fetch_orders, symbol, since_ms)
        else:
            found = self._pages(self._exchange.fetch_closed_orders, symbol, since_ms)
        found += self._ask(self._exchange.fetch_open_orders, symbol)
        return list({order.venue_id: order for order in map(order_of, found)}.values())

    def trades(self, symbol: str, since_ms: int) -> list[VenueTrade]:
        """Executions since then, each once, oldest first."""
        found = {t.trade_id: t for t in map(trade_of, self._pages(self._exchange.fetch_my_trades, symbol, since_ms))}
        return sorted(found.values(), key=lambda trade: (trade.time_ms, trade.trade_id))

    def order(self, symbol: str, client_id: str) -> VenueOrder | None:
        """The order of this id; None where the exchange says that there is none."""
        try:
            return order_of(self._ask(self._exchange.fetch_order, "", symbol, {"clientOrderId": client_id}))
        except OrderRefusedError:
            return None

    def is_traded(self, symbol: str) -> bool:
        """Whether the exchange takes orders in it, as it said last."""
        return self.markets().get(symbol, {"active": False}).get("active") is not False

    def terms_anew(self) -> None:
        """Ask again what orders must keep to: an exchange changes that, and closes markets. ServiceError."""
        self._ask(self._exchange.load_markets, True)

    def stop_kind(self, symbol: str) -> StopKind:
        """What becomes of a stop in it."""
        market = self.markets().get(symbol)
        return "bar" if market is None else stop_kind(self._exchange, market)

    def last_price(self, symbol: str) -> Decimal | None:
        """What was paid last; None where nothing was."""
        last = self._ask(self._exchange.fetch_ticker, symbol).get("last")
        return None if last is None else Decimal(str(last))

    def rights(self) -> KeyRights:
        """What this key may do, as far as the exchange tells."""
        question = QUESTIONS.get(self.name)
        if question is None or (self._exchange.isSandboxModeEnabled and not question.at_test_net):
            return KeyRights()
        answer = self._ask(getattr(self._exchange, question.method))
        try:
            return question.read(answer)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise self._away("tells in words of another shape what the key may do") from None

    # ------------------------------------------------------------ orders

    def place(self, order: Order, quantity: Decimal) -> VenueOrder:
        """Send an order, once: at its price where it has one, asleep until its stop is reached, else at the market.
        OrderRefusedError, OrderUnknownError."""
        kind, tick = self.stop_kind(order.symbol), self.terms(order.symbol).price_step
        *what, more = order_arguments(order, quantity, kind, tick)
        said: Any = more
        placed = self._sent(self._exchange.create_order, *what, {**said, **self._particulars(order, quantity)})
        if placed.client_id != order.client_order_id:
            raise OrderUnknownError(f"{self.name} answers with another order")
        return placed

    def _particulars(self, _order: Order, _quantity: Decimal) -> dict[str, Any]:
        """What an order says beside what it is. OrderRefusedError where that cannot be known."""
        return {}

    def cancel(self, symbol: str, client_id: str) -> None:
        """Take an order back. OrderRefusedError where it does not work any more, OrderUnknownError."""
        self._sent(self._exchange.cancel_order, "", symbol, {"clientOrderId": client_id})

    def _sent(self, call: Callable[..., Any], *arguments: object) -> VenueOrder:
        try:
            return order_of(self._tried(call, *arguments))
        except (OrderRefusedError, OrderUnknownError):
            raise
        except Exception as error:  # an answer that has not the shape of one
            raise OrderUnknownError(f"{self.name}'s answer cannot be understood ({type(error).__name__})") from None

    def _tried(self, call: Callable[..., Any], *arguments: object) -> Any:
        ccxt, self._status = self._ccxt, 0
        if self._alone_for_s() > 0:
            raise OrderLimitedError(f"{self.name} asked to be left alone for {self._alone_for_s():.0f} s more")
        try:
            return call(*arguments)
        except ccxt.InvalidNonce:  # refused before anything else: our clock and theirs differ
            self._exchange.load_time_difference()
            self._status = 0
        except ccxt.BaseError as error:
            raise self._meaning(error) from None
        try:
            return call(*arguments)
        except ccxt.BaseError as error:
            raise self._meaning(error) from None

    def _meaning(self, error: Exception) -> ServiceError:
        """What an error of ccxt proves about an order."""
        ccxt, words = self._ccxt, self._words(error)
        clear = isinstance(
            error,
            (ccxt.InsufficientFunds, ccxt.InvalidOrder, ccxt.AuthenticationError, ccxt.BadSymbol, ccxt.InvalidNonce),
        )
        limited = isinstance(error, (ccxt.DDoSProtection, ccxt.RateLimitExceeded))
        if limited:
            self._leave_alone(self._asked_to_wait_s())
        if isinstance(error, ccxt.DuplicateOrderId):
            return OrderUnknownError(f"{self.name} has an order of this id: {words}")
        said_no = 400 <= self._status < 500 and self._status != 408 and not isinstance(error, ccxt.RequestTimeout)
        in_form = (self._exchange.last_http_response or "").lstrip()[:1] in ("{", "[")
        if in_form and ((said_no and not isinstance(error, ccxt.NetworkError)) or limited or clear):
            of_its_form = (ccxt.InvalidOrder, ccxt.BadRequest, ccxt.MarketClosed)
            kind = (
                OrderLimitedError
                if limited
                else OrderFormError
                if isinstance(error, of_its_form)
                else OrderRefusedError
            )
            return kind(f"{self.name} refuses: {words}")
        return OrderUnknownError(f"{self.name} did not answer as it should: {words or type(error).__name__}")

    # ------------------------------------------------------------ inside

    def _leave_alone(self, wait_s: float) -> None:
        """Nothing is asked for so long: who goes on asking is banned for longer."""
        self._alone_until_s = max(self._alone_until_s, self._clock.monotonic_s() + wait_s)

    def _alone_for_s(self) -> float:
        return self._alone_until_s - self._clock.monotonic_s()

    def _words(self, error: Exception) -> str:
        """An exchange, or a machine on the way to it, may quote what it was sent."""
        text = str(error)
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return words_of(text)

    def _ask(self, call: Callable[..., Any], *arguments: object) -> Any:
        """As of prices; asked again once where the clocks differ. OrderRefusedError where there is no such order,
        SettingsError where the key is refused."""
        ccxt = self._ccxt

        def ask(*given: object) -> Any:
            try:
                return call(*given)
            except ccxt.InvalidNonce:
                self._exchange.load_time_difference()
                return call(*given)

        def guarded(*given: object) -> Any:
            try:
                return ask(*given)
            except ccxt.OrderNotFound as error:
                return OrderRefusedError(self._words(error))
            except (ccxt.AuthenticationError, ccxt.PermissionDenied) as error:
                return SettingsError(f"{self.name} refuses the key: {self._words(error)}")

        if self._alone_for_s() > 0:
            raise self._away("asked to be left alone for a while", self._alone_for_s())
        try:
            answer = super()._ask(guarded, *arguments)
        except ExchangeAwayError as error:
            self._leave_alone(error.wait_s)
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _pages(self, call: Callable[..., Any], symbol: str, since_ms: int) -> list[Mapping[str, Any]]:
        """All rows since then, page by page; rows of one moment may come twice."""
        rows: list[Mapping[str, Any]] = []
        for _ in range(MOST_PAGES):
            page = self._ask(call, symbol, since_ms, PAGE_ROWS)
            rows += page
            newest = max((int(row["timestamp"]) for row in page), default=since_ms)
            if len(page) < PAGE_ROWS or newest <= since_ms:
                return rows
            since_ms = newest
        raise self._away(f"has more than {MOST_PAGES * PAGE_ROWS} rows of {symbol}")

    def _note_status(self, code: int, *rest: Any) -> str:
        self._status = code
        return str(rest[4]).strip()
