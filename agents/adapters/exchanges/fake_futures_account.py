"""A futures account at the made-up exchange: one wallet, signed positions on margin, funding, liquidation.

As at Binance in one-way mode with cross margin: what a position has earned is in the wallet when it shrinks; every
eight hours funding is settled; where equity falls below the maintenance margin all is closed at the market.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal
from typing import Literal, NamedTuple

from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.fake_futures import CONTRACT_LOT, FUNDING_MS, funding_of
from agents.adapters.exchanges.fake_orders import ZERO, FakeOrder, FakeTrade, RefusedError
from agents.adapters.exchanges.recorded_market import LEAST_COST, TICK

STEP, PRICE_STEP = Decimal(repr(CONTRACT_LOT)), Decimal(repr(TICK))
EIGHT = Decimal("0.00000001")
MAINTENANCE = Decimal("0.004")
QUOTE = "USDT"


class Income(NamedTuple):
    """What changed the wallet otherwise than by a trade: FUNDING_FEE or TRANSFER."""

    income_id: int
    kind: str
    symbol: str
    amount: Decimal
    time_ms: int


@dataclass(slots=True)
class FakeFuturesAccount(FakeAccount):
    """`balances` are the wallet's; `held` and `entry` the positions by symbol. Orders that only reduce are kept in
    `reducing` by their number."""

    positions: dict[str, Decimal] = field(default_factory=dict)
    entry: dict[str, Decimal] = field(default_factory=dict)
    leverage: dict[str, int] = field(default_factory=dict)
    incomes: list[Income] = field(default_factory=list)
    reducing: set[int] = field(default_factory=set)
    hedged: bool = False
    """Hedge mode: each symbol has a long and a short position."""
    fee: Decimal = Decimal("0.0005")
    opened_ms: int = 0
    liquidations: int = 0

    def advance(self, at_ms: int) -> None:
        """Fill and settle what is due by then, in the order of time."""
        with self.lock:
            self.opened_ms = self.opened_ms or at_ms
            while (settled_ms := (self.opened_ms // FUNDING_MS + 1) * FUNDING_MS) <= at_ms:
                FakeAccount.advance(self, settled_ms)
                self._settle(settled_ms)
                self.opened_ms = settled_ms
            FakeAccount.advance(self, at_ms)
            if self.equity(at_ms) <= sum((MAINTENANCE * abs(n) for n in self.notionals(at_ms).values()), ZERO):
                self._liquidate(at_ms)

    def notionals(self, at_ms: int) -> dict[str, Decimal]:
        """What each position is worth, signed."""
        return {s: q * self._last(s, at_ms) for s, q in self.positions.items() if q}

    def unrealised(self, symbol: str, at_ms: int) -> Decimal:
        """What a position has earned that is not in the wallet."""
        return (self.positions[symbol] * (self._last(symbol, at_ms) - self.entry[symbol])).quantize(EIGHT)

    def equity(self, at_ms: int) -> Decimal:
        """The wallet with what positions have earned."""
        return self.balances.get(QUOTE, ZERO) + sum((self.unrealised(s, at_ms) for s in self.notionals(at_ms)), ZERO)

    def move(self, currency: str, amount: Decimal, at_ms: int = 0) -> None:
        """A transfer from another wallet, or to it."""
        with self.lock:
            FakeAccount.move(self, currency, amount)
            self.incomes.append(Income(9000 + len(self.incomes), "TRANSFER", "", amount, at_ms))

    # ------------------------------------------------------------ inside

    def _settle(self, at_ms: int) -> None:
        for symbol, quantity in self.positions.items():
            if quantity:
                ((_, rate, price),) = funding_of(self.market, symbol, at_ms, at_ms)
                paid = (-quantity * Decimal(repr(rate)) * Decimal(repr(price))).quantize(EIGHT)
                self.balances[QUOTE] += paid
                self.incomes.append(Income(9000 + len(self.incomes), "FUNDING_FEE", symbol, paid, at_ms))

    def _liquidate(self, at_ms: int) -> None:
        for symbol, quantity in list(self.positions.items()):
            if quantity:
                side: Literal["BUY", "SELL"] = "SELL" if quantity > 0 else "BUY"
                wanted = {"newClientOrderId": f"autoclose-{at_ms}-{self.liquidations}", "quantity": f"{abs(quantity)}"}
                order = self._accepted(symbol, side, wanted, at_ms)
                self.orders[order.order_id] = order
                self._trade(order, at_ms)
                self.liquidations += 1

    def _locked(self) -> dict[str, Decimal]:
        return {}

    def _checked(self, wanted: Mapping[str, str], at_ms: int) -> FakeOrder:
        symbol = self.market.symbol_of(wanted["symbol"])
        if symbol is None:
            raise RefusedError(-1121, "Invalid symbol.")
        if "trade" not in self.rights:
            raise RefusedError(-2015, "Invalid API-key, IP, or permissions for action.")
        if self.hedged:
            raise RefusedError(-4061, "Order's position side does not match user's setting.")
        if any(o.works and o.client_id == wanted["newClientOrderId"] for o in self.orders.values()):
            raise RefusedError(-4116, "ClientOrderId is duplicated.")
        quantity = Decimal(wanted["quantity"])
        if quantity <= 0 or quantity % Decimal(repr(self.market.lots.get(symbol, CONTRACT_LOT))):
            raise RefusedError(-1013, "Filter failure: LOT_SIZE")
        if "price" in wanted and Decimal(wanted["price"]) % PRICE_STEP:
            raise RefusedError(-4014, "Price not increased by tick size.")
        side: Literal["BUY", "SELL"] = "BUY" if wanted["side"] == "BUY" else "SELL"
        held, signed = self.positions.get(symbol, ZERO), quantity if side == "BUY" else -quantity
        reduces = wanted.get("reduceOnly") == "true"
        if reduces and held * signed >= 0:
            raise RefusedError(-2022, "ReduceOnly Order is rejected.")
        worth = quantity * self._touch(symbol, side, at_ms)
        if worth < Decimal(str(LEAST_COST)) and not reduces:
            raise RefusedError(-4164, "Order's notional must be no smaller than 5 (unless you choose reduce only).")
        grows = abs(held + signed) - abs(held)
        margin = sum((abs(n) / self.leverage.get(s, 20) for s, n in self.notionals(at_ms).items()), ZERO)
        needed = grows * self._last(symbol, at_ms) / self.leverage.get(symbol, 20)
        if grows > 0 and needed > self.equity(at_ms) - margin:
            raise RefusedError(-2019, "Margin is insufficient.")
        order = self._accepted(symbol, side, wanted, at_ms)
        if reduces:
            self.reducing.add(order.order_id)
        return order

    def _accepted(self, symbol: str, side: Literal["BUY", "SELL"], wanted: Mapping[str, str], at_ms: int) -> FakeOrder:
        quantity = Decimal(wanted["quantity"])
        return FakeOrder(
            order_id=1000 + len(self.orders),
            client_id=wanted["newClientOrderId"],
            symbol=symbol,
            side=side,
            quantity=quantity,
            price=Decimal(wanted["price"]) if "price" in wanted else None,
            created_ms=at_ms,
            updated_ms=at_ms,
            parts=max(1, min(self.manners.parts, int(quantity / STEP))),
        )

    def _trade(self, order: FakeOrder, time_ms: int) -> None:
        """One part, booked; of an order that only reduces no more than there is."""
        order.filled += 1
        quantity = order.quantity - order.executed
        if order.filled < order.parts:
            quantity = (order.quantity / order.parts).quantize(STEP, ROUND_DOWN)
        held = self.positions.get(order.symbol, ZERO)
        if order.order_id in self.reducing and quantity >= abs(held):
            quantity = abs(held)
            order.filled, order.status = order.parts, "CANCELED"
        if quantity:
            self._book(order, quantity, time_ms)
        order.executed += quantity
        if not order.ghost and order.status != "CANCELED":
            order.status = "FILLED" if order.executed == order.quantity else "PARTIALLY_FILLED"
        if order.executed == order.quantity and not order.ghost:
            order.status = "FILLED"
        order.updated_ms = time_ms

    def _book(self, order: FakeOrder, quantity: Decimal, time_ms: int) -> None:
        price = order.price or self._touch(order.symbol, order.side, time_ms)
        signed = quantity if order.side == "BUY" else -quantity
        held, entry = self.positions.get(order.symbol, ZERO), self.entry.get(order.symbol, ZERO)
        closing = min(quantity, abs(held)) if held * signed < 0 else ZERO
        earned = closing * (price - entry) * (1 if held > 0 else -1)
        fee = (quantity * price * self.fee).quantize(EIGHT, ROUND_DOWN)
        self.balances[QUOTE] = self.balances.get(QUOTE, ZERO) + earned.quantize(EIGHT) - fee
        after = held + signed
        if held * after <= 0 or not held:
            self.entry[order.symbol] = price
        elif held * signed > 0:
            self.entry[order.symbol] = (abs(held) * entry + quantity * price) / abs(after)
        self.positions[order.symbol] = after
        order.paid += quantity * price
        trade = FakeTrade(
            trade_id=5000 + len(self.trades),
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            price=price,
            quantity=quantity,
            fee=fee,
            fee_currency=QUOTE,
            time_ms=time_ms,
            shown_ms=time_ms + round(self.manners.late_s * 1000),
        )
        self.trades.append(replace(trade))
