"""An account at the made-up exchange: balances, orders, trades, filled from the recorded market as its time goes by.

The book of it is the truth that tests hold the desk's record to. Quantities and money are Decimal, as the exchange
counts; times are ms since 1970.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal
from typing import Literal

import numpy as np

from agents.adapters.exchanges.fake_orders import ZERO, FakeMove, FakeOrder, FakeTrade, Manners, RefusedError
from agents.adapters.exchanges.fake_stops import checked_stop, trigger_of
from agents.adapters.exchanges.recorded_market import CLOSE, HIGH, LEAST_COST, LOT, LOW, OPENED, TICK, RecordedMarket

STEP, PRICE_STEP = Decimal(repr(LOT)).normalize(), Decimal(repr(TICK))
THIRD = "BNB"
"""The currency in which fees may be paid that is neither of a market's two."""


@dataclass(slots=True)
class FakeAccount:
    """One account, known by its key; `rights` are what the key may do. Safe for threads."""

    market: RecordedMarket
    key: str
    secret: str
    balances: dict[str, Decimal]
    manners: Manners = field(default_factory=Manners)
    rights: frozenset[str] = frozenset({"read", "trade"})
    seed: int = 0
    hidden: set[str] = field(default_factory=set)
    """Currencies that its report leaves out."""
    moves: list[FakeMove] = field(default_factory=list)
    """Deposits and withdrawals that it tells of."""
    orders: dict[int, FakeOrder] = field(default_factory=dict)
    trades: list[FakeTrade] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _coming: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)

    def place(self, wanted: Mapping[str, str], at_ms: int) -> FakeOrder:
        """Accept an order (Binance's fields), or RefusedError; a market order's first part is filled at once."""
        with self.lock:
            self.advance(at_ms)
            order = self._checked(wanted, at_ms)
            self.orders[order.order_id] = order
            self.advance(at_ms)
            return replace(order)

    def place_later(self, wanted: Mapping[str, str], at_ms: int) -> None:
        """It was lost on the way for a while: accepted at `at_ms`, where it still may be."""
        with self.lock:
            self._coming.append((at_ms, dict(wanted)))

    def cancel(self, client_id: str, order_id: int | None, at_ms: int) -> FakeOrder:
        """Take an order back; RefusedError where none of that id works."""
        with self.lock:
            self.advance(at_ms)
            order = self._find(client_id, order_id)
            if order is None or not order.works:
                raise RefusedError(-2011, "Unknown order sent.")
            order.status, order.updated_ms = "CANCELED", at_ms
            order.ghost = self.manners.fills_after_cancel and order.filled < order.parts
            return replace(order)

    def find(self, client_id: str, order_id: int | None, at_ms: int) -> FakeOrder:
        """The newest order of an id; RefusedError where there is none."""
        with self.lock:
            self.advance(at_ms)
            order = self._find(client_id, order_id)
            if order is None:
                raise RefusedError(-2013, "Order does not exist.")
            return replace(order)

    def orders_of(self, symbol: str, at_ms: int) -> list[FakeOrder]:
        """All orders in a symbol, the oldest first."""
        with self.lock:
            self.advance(at_ms)
            return [replace(order) for order in self.orders.values() if order.symbol == symbol]

    def trades_of(self, symbol: str, at_ms: int) -> list[FakeTrade]:
        """The trades in a symbol that are shown at `at_ms`, as the manners have it."""
        with self.lock:
            self.advance(at_ms)
            shown = [t for t in self.trades if t.symbol == symbol and t.shown_ms <= at_ms]
        if self.manners.doubled:
            shown = [trade for trade in shown for _ in range(2)]
        if self.manners.shuffled:
            order = np.random.default_rng([self.seed, at_ms]).permutation(len(shown))
            shown = [shown[int(k)] for k in order]
        return shown

    def held(self, at_ms: int) -> dict[str, tuple[Decimal, Decimal]]:
        """(free, locked) by currency."""
        with self.lock:
            self.advance(at_ms)
            locked = self._locked()
            names = sorted({*self.balances, *locked} - self.hidden)
            return {c: (self.balances.get(c, ZERO) - locked.get(c, ZERO), locked.get(c, ZERO)) for c in names}

    def move(self, currency: str, amount: Decimal) -> None:
        """A deposit, or a withdrawal where it is negative."""
        with self.lock:
            self.balances[currency] = self.balances.get(currency, ZERO) + amount

    def advance(self, at_ms: int) -> None:
        """Fill what is due by then."""
        with self.lock:
            for due in [due for due in self._coming if due[0] <= at_ms]:
                self._coming.remove(due)
                order = self._checked(due[1], due[0])
                self.orders[order.order_id] = order
            for order in self.orders.values():
                if order.works or order.ghost:
                    self._fill(order, at_ms)

    # ------------------------------------------------------------ inside

    def _find(self, client_id: str, order_id: int | None) -> FakeOrder | None:
        if order_id is not None:
            return self.orders.get(order_id)
        return next((o for o in reversed(self.orders.values()) if o.client_id == client_id), None)

    def _locked(self) -> dict[str, Decimal]:
        locked: dict[str, Decimal] = {}
        for order in self.orders.values():
            if order.works:
                base, _, quote = order.symbol.partition("/")
                rest = order.quantity - order.executed
                name, amount = (base, rest) if order.side == "SELL" else (quote, rest * (order.price or ZERO))
                locked[name] = locked.get(name, ZERO) + amount
        return locked

    def _checked(self, wanted: Mapping[str, str], at_ms: int) -> FakeOrder:
        symbol = self.market.symbol_of(wanted["symbol"])
        if symbol is None:
            raise RefusedError(-1121, "Invalid symbol.")
        if "trade" not in self.rights:
            raise RefusedError(-2015, "Invalid API-key, IP, or permissions for action.")
        if any(o.works and o.client_id == wanted["newClientOrderId"] for o in self.orders.values()):
            raise RefusedError(-2010, "Duplicate order sent.")
        if symbol in self.market.closed:
            raise RefusedError(-1013, "Market is closed.")
        quantity, price = Decimal(wanted["quantity"]), Decimal(wanted["price"]) if "price" in wanted else None
        if quantity <= 0 or quantity % Decimal(repr(self.market.lots.get(symbol, LOT))):
            raise RefusedError(-1013, "Filter failure: LOT_SIZE")
        if price is not None and price % PRICE_STEP:
            raise RefusedError(-1013, "Filter failure: PRICE_FILTER")
        side: Literal["BUY", "SELL"] = "BUY" if wanted["side"] == "BUY" else "SELL"
        stop = checked_stop(wanted, self.market, self._last(symbol, at_ms))
        worth = quantity * (price or stop or self._touch(symbol, side, at_ms))
        if worth < Decimal(str(LEAST_COST)):
            raise RefusedError(-1013, "Filter failure: NOTIONAL")
        base, _, quote = symbol.partition("/")
        paid_in, needed = (quote, worth) if side == "BUY" else (base, quantity)
        if needed > self.balances.get(paid_in, ZERO) - self._locked().get(paid_in, ZERO):
            raise RefusedError(-2010, "Account has insufficient balance for requested action.")
        return FakeOrder(
            order_id=1000 + len(self.orders),
            client_id=wanted["newClientOrderId"],
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=price,
            stop=stop,
            created_ms=at_ms,
            updated_ms=at_ms,
            parts=max(1, min(self.manners.parts, int(quantity / STEP))),
        )

    def _touch(self, symbol: str, side: str, at_ms: int) -> Decimal:
        """What a market order of this side pays: a tick beside the last price."""
        last = self._last(symbol, at_ms)
        return last + PRICE_STEP if side == "BUY" else last - PRICE_STEP

    def _last(self, symbol: str, at_ms: int) -> Decimal:
        return Decimal(repr(float(self.market.seen(symbol, at_ms)[-1, CLOSE])))

    def _fill(self, order: FakeOrder, at_ms: int) -> None:
        """The parts that are due; of a limit order those that the market has traded through."""
        while order.filled < order.parts:
            wait_s = self.manners.first_s + order.filled * self.manners.part_s
            if order.stop is not None and not self._wakes(order, at_ms):
                return
            due_ms = (order.woken_ms or order.created_ms) + round(wait_s * 1000)
            if due_ms > at_ms:
                return
            if order.price is not None and not (self._crosses(order) or self._traded_through(order, at_ms)):
                return
            self._trade(order, due_ms if order.price is None else at_ms)
            if order.ghost:
                order.ghost = False
                return

    def _wakes(self, order: FakeOrder, at_ms: int) -> bool:
        """Whether the market has reached its stop by now."""
        if order.woken_ms is None:
            woken = trigger_of(order, self.market, at_ms, self._last(order.symbol, at_ms))
            if woken is not None:
                order.woken_ms, order.woken_price = woken
        return order.woken_ms is not None

    def _crosses(self, order: FakeOrder) -> bool:
        """Whether its limit let it trade at once when it woke."""
        woken, limit = order.woken_price, order.price
        return woken is not None and limit is not None and (woken >= limit if order.side == "SELL" else woken <= limit)

    def _traded_through(self, order: FakeOrder, at_ms: int) -> bool:
        assert order.price is not None
        limit = float(order.price)
        last = float(self._last(order.symbol, at_ms))
        seen = self.market.seen(order.symbol, at_ms)
        over = seen[(seen[:, OPENED] >= order.created_ms) & (seen[:, OPENED] + self.market.interval_ms <= at_ms)]
        if order.side == "BUY":
            return last < limit or bool((over[:, LOW] < limit).any())
        return last > limit or bool((over[:, HIGH] > limit).any())

    def _trade(self, order: FakeOrder, time_ms: int) -> None:
        """One part, booked."""
        order.filled += 1
        quantity = order.quantity - order.executed
        if order.filled < order.parts:
            quantity = (order.quantity / order.parts).quantize(STEP, ROUND_DOWN)
        at_once = order.woken_price if order.price is None or self._crosses(order) else None
        price = at_once or order.price or self._touch(order.symbol, order.side, time_ms)
        base, _, quote = order.symbol.partition("/")
        sign = 1 if order.side == "BUY" else -1
        fee, currency = self._fee(order, quantity, price)
        for name, amount in ((base, sign * quantity), (quote, -sign * quantity * price), (currency, -fee)):
            self.balances[name] = self.balances.get(name, ZERO) + amount
        order.executed += quantity
        order.paid += quantity * price
        if not order.ghost:
            order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
        order.updated_ms = time_ms
        self.trades.append(
            FakeTrade(
                trade_id=5000 + len(self.trades),
                order_id=order.order_id,
                symbol=order.symbol,
                side=order.side,
                price=price,
                quantity=quantity,
                fee=fee,
                fee_currency=currency,
                time_ms=time_ms,
                shown_ms=time_ms + round(self.manners.late_s * 1000),
            )
        )

    def _fee(self, order: FakeOrder, quantity: Decimal, price: Decimal) -> tuple[Decimal, str]:
        base, _, quote = order.symbol.partition("/")
        how, rate = self.manners.fee_in, self.manners.fee
        if how == "base" or (how == "received" and order.side == "BUY"):
            return _eight(quantity * rate), base
        if how == "third":
            return _eight(quantity * price * rate / THIRD_PRICE), THIRD
        return _eight(quantity * price * rate), quote


THIRD_PRICE = Decimal(500)
"""What a unit of the third currency costs."""


def _eight(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.00000001"), ROUND_DOWN)
