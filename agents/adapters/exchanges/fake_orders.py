"""What the made-up exchange keeps of orders and trades, and the manners in which it fills them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Status = Literal["NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED"]
ZERO = Decimal(0)


class RefusedError(Exception):
    """The exchange refuses, with its own code and words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How the exchange fills and tells. An order waits `first_s`, as for the next session, and is filled in `parts`,
    `part_s` apart; a trade is shown `late_s` after it happened; `doubled`: each twice; `shuffled`: in any order;
    `fills_after_cancel`: a cancelled order's next part is filled all the same. Fees are a `fee` of what is paid in the
    currency that `fee_in` says."""

    first_s: float = 0.0
    parts: int = 1
    part_s: float = 5.0
    late_s: float = 0.0
    doubled: bool = False
    shuffled: bool = False
    fills_after_cancel: bool = False
    fee: Decimal = Decimal("0.001")
    fee_in: Literal["quote", "base", "third", "received"] = "quote"


@dataclass(slots=True, kw_only=True)
class FakeOrder:
    """An order as the exchange keeps it; a market order has no `price`. Of `parts` the first `filled` are done. One
    with a `stop` sleeps until the market reaches that, at `woken_ms`, where it gets `woken_price`."""

    order_id: int
    client_id: str
    symbol: str
    side: Literal["BUY", "SELL"]
    quantity: Decimal
    price: Decimal | None
    created_ms: int
    updated_ms: int
    parts: int
    stop: Decimal | None = None
    woken_ms: int | None = None
    woken_price: Decimal | None = None
    filled: int = 0
    executed: Decimal = ZERO
    paid: Decimal = ZERO
    status: Status = "NEW"
    ghost: bool = False
    """Cancelled, but its next part is filled."""

    @property
    def works(self) -> bool:
        """Whether it may still be filled, as the exchange says."""
        return self.status in ("NEW", "PARTIALLY_FILLED")


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeMove:
    """A deposit, or a withdrawal, that is `done` or on its way."""

    move_id: str
    currency: str
    amount: Decimal
    time_ms: int
    withdrawn: bool = False
    fee: Decimal = ZERO
    done: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeTrade:
    """One execution, which is shown from `shown_ms` on."""

    trade_id: int
    order_id: int
    symbol: str
    side: Literal["BUY", "SELL"]
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    time_ms: int
    shown_ms: int
