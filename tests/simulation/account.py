"""The account at a simulated exchange, as the desk's broker asks it: the made-up exchange's own book, in this process,
behind answers that are lost, late or never given."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from agents.adapters.exchanges.account_rows import VenueMove, VenueOrder, VenueTrade
from agents.adapters.exchanges.fake_account import THIRD, THIRD_PRICE
from agents.adapters.exchanges.fake_orders import FakeMove, FakeOrder, FakeTrade, RefusedError
from agents.adapters.exchanges.key_rights import KeyRights
from agents.adapters.exchanges.order_errors import (
    OrderFormError,
    OrderLimitedError,
    OrderRefusedError,
    OrderUnknownError,
)
from agents.adapters.exchanges.public_prices import ExchangeAwayError, Terms
from agents.adapters.exchanges.recorded_market import LEAST_COST, LOT, TICK
from agents.core.orders import Order
from tests.simulation.book import Book
from tests.simulation.world import World

CASH = Decimal(100_000)
_STATUS = {"NEW": "open", "PARTIALLY_FILLED": "open", "FILLED": "closed", "CANCELED": "canceled"}


class SimulatedAccount:
    """One account. `on_place` is shown each order that arrives, before the exchange looks at it."""

    name = "sim"
    asks_for_password = False

    def __init__(self, world: World) -> None:
        self.world = world
        balances = {"USDT": CASH, THIRD: Decimal(100)}
        self.book = Book.of(world.plan, balances)
        self.on_place: Callable[[Order], None] = lambda _order: None
        self.looked = 0
        """The number of the call that asked last what the account holds."""
        self.price_factor: dict[str, Decimal] = {}
        self._alone_until_s = 0.0
        self._trades: dict[int, VenueTrade] = {}

    # ------------------------------------------------------------ questions

    def _ask(self, name: str) -> int:
        """The exchange's time at which it answers. ExchangeAwayError."""
        self.world.call(name)
        wait_s = self._alone_until_s - self.world.clock.monotonic_s()
        if wait_s > 0:
            raise ExchangeAwayError("asked to be left alone", wait_s)
        if self.world.away_until["exchange"] > self.world.clock.true or self.world.meets("away"):
            raise ExchangeAwayError("does not answer")
        if self.world.meets("limited"):
            self._alone_until_s = self.world.clock.monotonic_s() + self.world.rng.choice((5.0, 40.0))
            raise ExchangeAwayError("asks to be left alone", 5.0)
        return self.world.clock.true_ms

    def totals(self) -> dict[str, Decimal]:
        now_ms = self._ask("totals")
        self.looked = self.world.number
        return {name: free + locked for name, (free, locked) in self.book.held(now_ms).items()}

    def moves(self, currency: str, since_ms: int) -> list[VenueMove]:
        now_ms = self._ask("moves")
        told = [m for m in self.book.moves if m.currency == currency and since_ms < m.time_ms <= now_ms]
        return [VenueMove(m.move_id, currency, -m.amount if m.withdrawn else m.amount, m.time_ms) for m in told]

    def dividends(self, _since_ms: int) -> dict[str, Decimal]:
        return {}

    def orders(self, symbol: str, since_ms: int) -> list[VenueOrder]:
        now_ms = self._ask(f"orders {symbol}")
        self.book.advance(now_ms)
        kept = [order for order in self.book.orders.values() if order.symbol == symbol]
        return [_venue_order(o) for o in kept if o.works or o.created_ms >= since_ms]

    def trades(self, symbol: str, since_ms: int) -> list[VenueTrade]:
        now_ms = self._ask(f"trades {symbol}")
        self.book.advance(now_ms)
        shown = [t for t in self.book.trades if t.symbol == symbol and t.shown_ms <= now_ms and t.time_ms >= since_ms]
        return [self._told(trade) for trade in sorted(shown, key=lambda t: (t.time_ms, t.trade_id))]

    def _told(self, trade: FakeTrade) -> VenueTrade:
        if trade.trade_id not in self._trades:
            self._trades[trade.trade_id] = VenueTrade(
                trade_id=str(trade.trade_id),
                order_id=str(trade.order_id),
                symbol=trade.symbol,
                side=trade.side.lower(),
                quantity=trade.quantity,
                price=trade.price,
                fee=trade.fee,
                fee_currency=trade.fee_currency,
                time_ms=trade.time_ms,
            )
        return self._trades[trade.trade_id]

    def order(self, symbol: str, client_id: str) -> VenueOrder | None:
        now_ms = self._ask(f"order {client_id}")
        try:
            return _venue_order(self.book.find(client_id, None, now_ms))
        except RefusedError:
            return None

    def last_price(self, symbol: str) -> Decimal | None:
        now_ms = self._ask(f"price {symbol}")
        if symbol.startswith(THIRD):
            return THIRD_PRICE
        return self.book._last(symbol, now_ms) * self.price_factor.get(symbol, Decimal(1))

    def time_ms(self) -> int | None:
        return self._ask("time")

    def has_market(self, symbol: str) -> bool:
        return True

    def is_traded(self, symbol: str) -> bool:
        return True

    def terms(self, symbol: str) -> Terms:
        return Terms(
            symbol=symbol,
            price_step=TICK,
            quantity_step=LOT,
            least_quantity=LOT,
            least_cost=LEAST_COST,
            maker=0.001,
            taker=0.001,
        )

    def terms_anew(self) -> None:
        self._ask("terms")

    def rights(self) -> KeyRights:
        return KeyRights(True, False)

    def close(self) -> None:
        """Nothing is held."""

    # ------------------------------------------------------------ orders

    def place(self, order: Order, quantity: Decimal) -> VenueOrder:
        """Send it, once."""
        world = self.world
        self._may_be_refused(f"place {order.client_order_id}")
        wanted = {
            "symbol": order.symbol.replace("/", ""),
            "side": order.side.upper(),
            "quantity": f"{quantity:f}",
            "newClientOrderId": order.client_order_id,
        }
        if order.limit_price is not None:
            wanted["price"] = f"{order.limit_price:f}"
        self.on_place(order)
        if world.meets("never came", 3.0):
            raise OrderUnknownError("no answer")
        if world.meets("delayed", 3.0):
            later_ms = round(world.rng.uniform(1.0, 55.0) * 1000)
            world.tell(f"   it arrives {later_ms} ms later")
            self.book.place_later(wanted, world.clock.true_ms + later_ms)
            raise OrderUnknownError("no answer")
        try:
            placed = self.book.place(wanted, world.clock.true_ms)
        except RefusedError as refused:
            kind = OrderFormError if refused.code == -1013 else OrderRefusedError
            raise kind(refused.words) from None
        world.tell(f"   the exchange takes {order.client_order_id}: {order.side} {quantity:f} {order.symbol}")
        return self._answered(placed)

    def cancel(self, symbol: str, client_id: str) -> None:
        """Take it back."""
        world = self.world
        self._may_be_refused(f"cancel {client_id}")
        if world.meets("never came", 3.0):
            raise OrderUnknownError("no answer")
        try:
            taken_back = self.book.cancel(client_id, None, world.clock.true_ms)
        except RefusedError as refused:
            raise OrderRefusedError(refused.words) from None
        world.tell(f"   the exchange takes {client_id} back, filled {taken_back.executed:f}")
        self._answered(taken_back)

    def _may_be_refused(self, name: str) -> None:
        try:
            self._ask(name)
        except ExchangeAwayError as error:
            if error.wait_s:
                raise OrderLimitedError("asked to be left alone") from None
            raise OrderUnknownError("no answer") from None  # it never arrived, but who knows
        if self.world.meets("refused", 3.0):
            raise OrderRefusedError("not now")

    def _answered(self, order: FakeOrder) -> VenueOrder:
        """The answer on its way back."""
        self.world.clock.sleep_s(0.1 * self.world.rng.random())
        self.world.may_die("the answer's way back")
        if self.world.meets("reply lost", 3.0):
            raise OrderUnknownError("no answer")
        return _venue_order(order)

    # ------------------------------------------------------------ what others do

    def moved(self, amount: Decimal) -> None:
        """A deposit (or a withdrawal) of cash, of which the exchange tells."""
        self.book.move("USDT", amount)
        move = FakeMove(
            move_id=f"m{len(self.book.moves)}",
            currency="USDT",
            amount=abs(amount),
            time_ms=self.world.clock.true_ms,
            withdrawn=amount < 0,
        )
        self.book.moves.append(move)

    def of_others(self, symbol: str, amount: Decimal) -> None:
        """Somebody else brings some of a symbol's base to the account."""
        self.book.move(symbol.partition("/")[0], amount)


def _venue_order(order: FakeOrder) -> VenueOrder:
    return VenueOrder(
        venue_id=str(order.order_id),
        client_id=order.client_id,
        symbol=order.symbol,
        side=order.side.lower(),
        quantity=order.quantity,
        filled=order.executed,
        status=_STATUS[order.status],
        time_ms=order.created_ms,
    )
