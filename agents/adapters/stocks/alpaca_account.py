"""An account at Alpaca, a broker of US stocks: what it holds, its orders and executions, and orders sent to it.

Alpaca rather than Interactive Brokers: plain requests with a key, a paper account for everybody, client order ids that
are refused when they come twice; the other's client talks to a program with a window that a person has to log in to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from agents.adapters.exchanges.account_keys import AccountKey
from agents.adapters.exchanges.account_rows import VenueMove, VenueOrder, VenueTrade
from agents.adapters.exchanges.key_rights import KeyRights
from agents.adapters.exchanges.order_errors import OrderRefusedError, OrderUnknownError
from agents.adapters.exchanges.public_prices import ExchangeAwayError, Terms
from agents.adapters.exchanges.stop_support import StopKind
from agents.adapters.stocks.alpaca_requests import AlpacaRequests
from agents.core.cash_flows import FlowKind
from agents.core.clock import Clock
from agents.core.errors import DataError, ServiceError, SettingsError
from agents.core.orders import Order

ORDERS_PAGE, FILLS_PAGE, MOST_PAGES = 500, 100, 200
ALPACA, CURRENCY = "alpaca", "USD"
PARTS_OF_A_SHARE, LEAST_COST_OF_PARTS = 1e-8, 1.0
"""Alpaca counts nine decimals of a share, the desk's books eight."""
ENDS: Mapping[str, str] = {
    "filled": "closed",
    "canceled": "canceled",
    "replaced": "canceled",
    "expired": "expired",
    "rejected": "rejected",
}
"""Alpaca's words for how an order ended -> those of `VenueOrder`; in every other state it may still be filled."""
FEE: FlowKind = "fee"
TAKEN_OFF = dict.fromkeys(("FEE", "DIVFEE", "DIVFT", "DIVNRA", "DIVTW", "DIVWH", "WH"), FEE)
MOVES: Mapping[str, FlowKind] = {**TAKEN_OFF, "INT": "interest", "INTNRA": "interest"}
DIVIDENDS = ("DIV", "DIVCGL", "DIVCGS", "DIVROC", "DIVTXEX")
"""Its words for money that comes and goes: fees and taxes, those withheld of a dividend (DIV...) among them, interest;
and for dividends, before taxes, as the desk's books have them."""


class _Activity(NamedTuple):
    """Money that came (positive) or went on a day, whose beginning in UTC is `day_ms`."""

    id: str
    activity: str
    symbol: str
    amount: Decimal
    day_ms: int


class AlpacaAccount:
    """One account; arguments as of `AlpacaRequests`."""

    name = ALPACA
    asks_for_password = False

    def __init__(self, key: AccountKey, clock: Clock, *, sandbox: bool, url: str = "") -> None:
        self._requests = AlpacaRequests(key, clock, sandbox=sandbox, url=url)
        self._assets: dict[str, Mapping[str, Any]] = {}

    def close(self) -> None:
        """Let the connections go."""
        self._requests.close()

    # ------------------------------------------------------------ questions

    def totals(self) -> dict[str, Decimal]:
        """The cash, and the shares held by symbol."""
        held = self._requests.ask(lambda rows: {r["symbol"]: Decimal(r["qty"]) for r in rows}, "/positions")
        return {CURRENCY: self._requests.ask(lambda row: Decimal(row["cash"]), "/account"), **held}

    def moves(self, currency: str, since_ms: int) -> list[VenueMove]:
        """Money that came or went otherwise than by orders and dividends, oldest first. Alpaca names the day only: that
        of the last look is not told again, as it may have been in it."""
        return [
            VenueMove(
                move_id=row.id,
                currency=currency,
                amount=row.amount,
                time_ms=row.day_ms,
                kind=MOVES.get(row.activity),
                symbol=row.symbol or None,
            )
            for row in self._activities(("CSD", "CSW", "JNLC", *MOVES), since_ms)
        ]

    def dividends(self, since_ms: int) -> dict[str, Decimal]:
        """What was paid since then, by stock; what was taken off for taxes is one of `moves`."""
        paid: dict[str, Decimal] = {}
        for row in self._activities(DIVIDENDS, since_ms):
            paid[row.symbol] = paid.get(row.symbol, Decimal(0)) + row.amount
        return paid

    def _activities(self, activities: Sequence[str], since_ms: int) -> list[_Activity]:
        """Those of days after the one that `since_ms` is in, each once, oldest first."""
        found: dict[str, _Activity] = {}
        asked: dict[str, object] = {"activity_types": ",".join(activities), "after": _moment(since_ms)}
        asked |= {"direction": "asc", "page_size": FILLS_PAGE}
        for _ in range(MOST_PAGES):
            page = self._requests.ask(_activity_rows, "/account/activities", asked)
            found |= {row.id: row for row in page if row.day_ms > since_ms}
            if len(page) < FILLS_PAGE:
                return sorted(found.values(), key=lambda row: (row.day_ms, row.id))
            asked["page_token"] = page[-1].id
        raise ExchangeAwayError(f"alpaca has more than {MOST_PAGES * FILLS_PAGE} rows since {asked['after']}")

    def orders(self, symbol: str, since_ms: int) -> list[VenueOrder]:
        """Orders placed since then, each once, and all that still work."""
        asked = {"symbols": symbol, "direction": "asc", "limit": ORDERS_PAGE}
        found = {order.venue_id: order for order in self._requests.ask(_orders, "/orders", {**asked, "status": "open"})}
        after_ms = since_ms - 1
        for _ in range(MOST_PAGES):
            page = self._requests.ask(_orders, "/orders", {**asked, "status": "all", "after": _moment(after_ms)})
            found |= {order.venue_id: order for order in page}
            newest_ms = max((order.time_ms for order in page), default=after_ms)
            if len(page) < ORDERS_PAGE or newest_ms <= after_ms:
                return list(found.values())
            after_ms = newest_ms - 1  # others of the same moment may be on the next page
        raise ExchangeAwayError(f"alpaca has more than {MOST_PAGES * ORDERS_PAGE} orders of {symbol}")

    def trades(self, symbol: str, since_ms: int) -> list[VenueTrade]:
        """Executions since then, each once, oldest first."""
        found: dict[str, VenueTrade] = {}
        asked: dict[str, object] = {"after": _moment(since_ms - 1), "direction": "asc", "page_size": FILLS_PAGE}
        for _ in range(MOST_PAGES):
            page = self._requests.ask(_trades, "/account/activities/FILL", asked)
            found |= {trade.trade_id: trade for trade in page if trade.symbol == symbol}
            if len(page) < FILLS_PAGE:
                return sorted(found.values(), key=lambda trade: (trade.time_ms, trade.trade_id))
            asked["page_token"] = page[-1].trade_id
        raise ExchangeAwayError(f"alpaca has more than {MOST_PAGES * FILLS_PAGE} executions since {asked['after']}")

    def order(self, _symbol: str, client_id: str) -> VenueOrder | None:
        """The order of this id; None where Alpaca says that there is none."""
        try:
            return self._requests.ask(_order, "/orders:by_client_order_id", {"client_order_id": client_id})
        except OrderRefusedError:
            return None

    def has_market(self, symbol: str) -> bool:
        """Whether Alpaca knows this stock."""
        try:
            return bool(self._asset(symbol))
        except DataError:
            return False

    def is_traded(self, symbol: str) -> bool:
        """Whether Alpaca takes orders in it, as it said last."""
        return self.has_market(symbol) and bool(self._asset(symbol)["tradable"])

    def terms(self, symbol: str) -> Terms:
        """What orders must keep to: whole shares, or parts where Alpaca trades parts of this one. DataError."""
        in_parts = bool(self._asset(symbol)["fractionable"])
        step = PARTS_OF_A_SHARE if in_parts else 1.0
        least = LEAST_COST_OF_PARTS if in_parts else None
        return Terms(
            symbol=symbol,
            price_step=0.01,
            quantity_step=step,
            least_quantity=step,
            least_cost=least,
            maker=0.0,
            taker=0.0,
        )

    def terms_anew(self) -> None:
        """Ask again, when it is next needed, what orders must keep to."""
        self._assets.clear()

    def stop_kind(self, _symbol: str) -> StopKind:
        """None rests there: Alpaca's stops are of whole shares only, and none is watched outside a session."""
        return "bar"

    def last_price(self, symbol: str) -> Decimal | None:
        """What was paid last on IEX, whose prices need no subscription; None where nothing was."""
        try:
            return self._requests.ask_prices(_last_price, f"/stocks/{symbol}/trades/latest", {"feed": "iex"})
        except OrderRefusedError:
            return None

    def rights(self) -> KeyRights:
        """What this key may do; whether it may move money away is not told. SettingsError where the account is in
        another currency."""
        account: Mapping[str, Any] = self._requests.ask(dict, "/account")
        if account.get("currency", CURRENCY) != CURRENCY:
            raise SettingsError(f"the account at alpaca is in {account['currency']}; a desk there trades in {CURRENCY}")
        blocked = any(account.get(k) for k in ("trading_blocked", "account_blocked", "trade_suspended_by_user"))
        return KeyRights(trade=account.get("status") == "ACTIVE" and not blocked)

    def time_ms(self) -> int:
        """Alpaca's clock."""
        return self._requests.ask(lambda answer: _ms(answer["timestamp"]), "/clock")

    # ------------------------------------------------------------ orders

    def place(self, order: Order, quantity: Decimal) -> VenueOrder:
        """Send an order, at the market or at its limit, for the session that is open or else the next one, once.
        OrderRefusedError, OrderUnknownError."""
        wanted = {
            "symbol": order.symbol,
            "qty": f"{quantity:f}",
            "side": order.side,
            "type": "market" if order.limit_price is None else "limit",
            "time_in_force": "day",
            "client_order_id": order.client_order_id,
        }
        if order.limit_price is not None:
            wanted["limit_price"] = f"{order.limit_price:f}"
        placed = self._requests.send(_order, "/orders", wanted)
        if placed.client_id != order.client_order_id:
            raise OrderUnknownError("alpaca answers with another order")
        return placed

    def cancel(self, symbol: str, client_id: str) -> None:
        """Take an order back. OrderRefusedError where it does not work any more, OrderUnknownError."""
        try:
            order = self.order(symbol, client_id)
        except ServiceError as error:
            raise OrderUnknownError(str(error)) from None
        if order is None:
            raise OrderRefusedError(f"alpaca knows no order {client_id}")
        self._requests.take_back(f"/orders/{order.venue_id}")

    def _asset(self, symbol: str) -> Mapping[str, Any]:
        if symbol not in self._assets:
            try:
                self._assets[symbol] = self._requests.ask(_asset, f"/assets/{symbol}")
            except OrderRefusedError:
                raise DataError(f"alpaca has no stock '{symbol}'") from None
        return self._assets[symbol]


def _asset(answer: Any) -> Mapping[str, Any]:
    return {"tradable": answer["tradable"] and answer["status"] == "active", "fractionable": answer["fractionable"]}


def _order(row: Any) -> VenueOrder:
    return VenueOrder(
        venue_id=str(row["id"]),
        client_id=str(row["client_order_id"]),
        symbol=str(row["symbol"]),
        side=str(row["side"]),
        quantity=Decimal(row["qty"] or row["filled_qty"]),  # an order of so much money names none
        filled=Decimal(row["filled_qty"]),
        status=ENDS.get(row["status"], "open"),
        time_ms=_ms(row["submitted_at"] or row["created_at"]),
    )


def _orders(rows: Any) -> list[VenueOrder]:
    return [_order(row) for row in rows]


def _trades(rows: Any) -> list[VenueTrade]:
    return [
        VenueTrade(
            trade_id=str(row["id"]),
            order_id=str(row["order_id"]),
            symbol=str(row["symbol"]),
            side="buy" if row["side"] == "buy" else "sell",
            quantity=Decimal(row["qty"]),
            price=Decimal(row["price"]),
            fee=Decimal(0),  # of orders there is none; what authorities ask for is taken at the day's end
            fee_currency=CURRENCY,
            time_ms=_ms(row["transaction_time"]),
        )
        for row in rows
    ]


def _activity_rows(rows: Any) -> list[_Activity]:
    return [
        _Activity(
            id=str(row["id"]),
            activity=str(row["activity_type"]),
            symbol=str(row.get("symbol") or ""),
            amount=Decimal(row["net_amount"]),
            day_ms=_ms(f"{row['date']}T00:00:00+00:00"),
        )
        for row in rows
    ]


def _last_price(answer: Any) -> Decimal | None:
    trade = answer.get("trade")
    return Decimal(str(trade["p"])) if trade else None


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def _ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
