"""An account at any exchange that ccxt knows, with a key. What an order's answer proves is told apart here: accepted,
refused, or nothing at all.

A refusal is an answer of the exchange itself, in its own form, that says no. A time-out, a gateway's page, a connection
that ended and a word that nobody understands prove nothing: the order may be there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from agents.adapters.exchanges.account_keys import AccountKey
from agents.adapters.exchanges.public_prices import PublicPrices, words_of
from agents.core.clock import Clock
from agents.core.errors import ServiceError, SettingsError
from agents.core.orders import Order

PAGE_ROWS = 500
MOST_PAGES = 200
ZERO = Decimal(0)


class OrderRefusedError(ServiceError):
    """The exchange says that it did not take the order, and why."""


class OrderUnknownError(ServiceError):
    """Nobody knows whether the exchange took the order."""


class VenueOrder(NamedTuple):
    """An order as the exchange shows it; `status` as ccxt says: open, closed, canceled, expired, rejected."""

    venue_id: str
    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    filled: Decimal
    status: str
    time_ms: int


class VenueTrade(NamedTuple):
    """An execution as the exchange shows it; `fee` None where it does not tell."""

    trade_id: str
    order_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal | None
    fee_currency: str
    time_ms: int


class PrivateAccount(PublicPrices):
    """One account. `sandbox`: at the exchange's test net; `url` as for prices. UsageError as there; SettingsError where
    the exchange has no test net, or cannot do what a desk needs."""

    def __init__(self, name: str, key: AccountKey, clock: Clock, *, sandbox: bool, url: str = "") -> None:
        super().__init__(name)
        exchange = self._exchange
        exchange.apiKey, exchange.secret, exchange.password = key.key, key.secret, key.password
        exchange.number = str  # numbers as the exchange wrote them
        exchange.milliseconds = lambda: round(clock.now().timestamp() * 1000)
        exchange.options["fetchCurrencies"] = False
        exchange.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
        exchange.maxRetriesOnFailure = 0  # what is not answered is asked about, never sent again
        self._status = 0
        exchange.on_rest_response = self._note_status
        if url:
            self.point_at(url)
            exchange.enableRateLimit = False  # nobody else asks a practice server
        elif sandbox:
            if "test" not in exchange.urls:
                raise SettingsError(f"{name} has no test net that ccxt knows; choose another exchange to begin with")
            exchange.set_sandbox_mode(True)
        lacking = [what for what in ("createOrder", "fetchBalance", "fetchMyTrades") if not exchange.has.get(what)]
        if lacking:
            raise SettingsError(f"{name} lacks what a desk needs, says ccxt: {', '.join(lacking)}")

    # ------------------------------------------------------------ questions

    def totals(self) -> dict[str, Decimal]:
        """What the account holds by currency, what waits in orders included."""
        balance = self._private(self._exchange.fetch_balance)
        return {name: Decimal(str(amount)) for name, amount in balance["total"].items() if amount is not None}

    def orders(self, symbol: str, since_ms: int) -> list[VenueOrder]:
        """Orders placed since then, each once, and all that still work."""
        has = self._exchange.has
        if has.get("fetchOrders"):
            found = self._pages(self._exchange.fetch_orders, symbol, since_ms)
        else:
            found = self._pages(self._exchange.fetch_closed_orders, symbol, since_ms)
        found += self._private(self._exchange.fetch_open_orders, symbol)
        return list({order.venue_id: order for order in map(_order_of, found)}.values())

    def trades(self, symbol: str, since_ms: int) -> list[VenueTrade]:
        """Executions since then, each once, oldest first."""
        found = {t.trade_id: t for t in map(_trade_of, self._pages(self._exchange.fetch_my_trades, symbol, since_ms))}
        return sorted(found.values(), key=lambda trade: (trade.time_ms, trade.trade_id))

    def order(self, symbol: str, client_id: str) -> VenueOrder | None:
        """The order of this id; None where the exchange says that there is none."""
        try:
            return _order_of(self._private(self._exchange.fetch_order, "", symbol, {"clientOrderId": client_id}))
        except OrderRefusedError:
            return None

    def last_price(self, symbol: str) -> Decimal | None:
        """What was paid last; None where nothing was."""
        last = self._private(self._exchange.fetch_ticker, symbol).get("last")
        return None if last is None else Decimal(str(last))

    def may_withdraw(self) -> bool | None:
        """Whether this key may take money away; None where the exchange does not tell."""
        if self.name not in ("binance", "binanceus") or self._exchange.isSandboxModeEnabled:
            return None
        answer = self._private(self._exchange.sapi_get_account_apirestrictions)
        return bool(answer.get("enableWithdrawals")) or bool(answer.get("permitsUniversalTransfer"))

    # ------------------------------------------------------------ orders

    def place(self, order: Order, quantity: Decimal) -> VenueOrder:
        """Send a market order, once. OrderRefusedError, OrderUnknownError."""
        arguments = (
            order.symbol,
            "market",
            order.side,
            f"{quantity:f}",
            None,
            {"clientOrderId": order.client_order_id},
        )
        placed = self._sent(self._exchange.create_order, *arguments)
        if placed.client_id != order.client_order_id:
            raise OrderUnknownError(f"{self.name} answers with another order")
        return placed

    def cancel(self, symbol: str, client_id: str) -> None:
        """Take an order back. OrderRefusedError where it does not work any more, OrderUnknownError."""
        self._sent(self._exchange.cancel_order, "", symbol, {"clientOrderId": client_id})

    def _sent(self, call: Callable[..., Any], *arguments: object) -> VenueOrder:
        try:
            return _order_of(self._tried(call, *arguments))
        except (OrderRefusedError, OrderUnknownError):
            raise
        except Exception as error:  # an answer that has not the shape of one
            raise OrderUnknownError(f"{self.name}'s answer cannot be understood ({type(error).__name__})") from None

    def _tried(self, call: Callable[..., Any], *arguments: object) -> Any:
        ccxt, self._status = self._ccxt, 0
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
        ccxt, words = self._ccxt, words_of(error)
        clear = isinstance(
            error,
            (ccxt.InsufficientFunds, ccxt.InvalidOrder, ccxt.AuthenticationError, ccxt.BadSymbol, ccxt.InvalidNonce),
        )
        limited = isinstance(error, (ccxt.DDoSProtection, ccxt.RateLimitExceeded))
        said_no = 400 <= self._status < 500 and self._status != 408 and not isinstance(error, ccxt.RequestTimeout)
        in_form = (self._exchange.last_http_response or "").lstrip()[:1] in ("{", "[")
        if in_form and ((said_no and not isinstance(error, ccxt.NetworkError)) or limited or clear):
            return OrderRefusedError(f"{self.name} refuses: {words}")
        return OrderUnknownError(f"{self.name} did not answer as it should: {words or type(error).__name__}")

    # ------------------------------------------------------------ inside

    def _ask(self, call: Callable[..., Any], *arguments: object) -> Any:
        """As of prices; asked again once where the clocks differ."""

        def ask(*given: object) -> Any:
            try:
                return call(*given)
            except self._ccxt.InvalidNonce:
                self._exchange.load_time_difference()
                return call(*given)

        return super()._ask(ask, *arguments)

    def _private(self, call: Callable[..., Any], *arguments: object) -> Any:
        """The answer to a question about the account. OrderRefusedError where there is no such order,
        ExchangeAwayError, SettingsError where the key is refused."""
        ccxt = self._ccxt

        def guarded(*given: object) -> Any:
            try:
                return call(*given)
            except ccxt.OrderNotFound as error:
                return OrderRefusedError(words_of(error))
            except (ccxt.AuthenticationError, ccxt.PermissionDenied) as error:
                return SettingsError(f"{self.name} refuses the key: {words_of(error)}")

        answer = self._ask(guarded, *arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _pages(self, call: Callable[..., Any], symbol: str, since_ms: int) -> list[Mapping[str, Any]]:
        """All rows since then, page by page; rows of one moment may come twice."""
        rows: list[Mapping[str, Any]] = []
        for _ in range(MOST_PAGES):
            page = self._private(call, symbol, since_ms, PAGE_ROWS)
            rows += page
            newest = max((int(row["timestamp"]) for row in page), default=since_ms)
            if len(page) < PAGE_ROWS or newest <= since_ms:
                return rows
            since_ms = newest
        raise self._away(f"has more than {MOST_PAGES * PAGE_ROWS} rows of {symbol}")

    def _note_status(self, code: int, *rest: Any) -> str:
        self._status = code
        return str(rest[4]).strip()


def _order_of(row: Mapping[str, Any]) -> VenueOrder:
    return VenueOrder(
        venue_id=str(row["id"]),
        client_id=str(row.get("clientOrderId") or ""),
        symbol=str(row["symbol"]),
        side=str(row.get("side") or ""),
        quantity=Decimal(str(row.get("amount") or 0)),
        filled=Decimal(str(row.get("filled") or 0)),
        status=str(row.get("status") or "open"),
        time_ms=int(row.get("timestamp") or 0),
    )


def _trade_of(row: Mapping[str, Any]) -> VenueTrade:
    fee = row.get("fee") or {}
    cost = fee.get("cost")
    return VenueTrade(
        trade_id=str(row["id"]),
        order_id=str(row.get("order") or ""),
        symbol=str(row["symbol"]),
        side=str(row["side"]),
        quantity=Decimal(str(row["amount"])),
        price=Decimal(str(row["price"])),
        fee=None if cost is None else Decimal(str(cost)),
        fee_currency=str(fee.get("currency") or ""),
        time_ms=int(row["timestamp"]),
    )
