"""Positions that are closed while the database is away: what the spool keeps of it, fact by fact, and what follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from agents.core.errors import DataError
from agents.core.orders import FINAL_ORDER_STATES, NEXT_STATES, Order, OrderState

STATES: Mapping[str, OrderState] = {state: state for state in (*NEXT_STATES, *FINAL_ORDER_STATES)}
Fact = Mapping[str, str]
"""One line of the spool: `fact` says which, `at` when (UTC), the rest hangs on it."""


class ExitWord(NamedTuple):
    """A person's word to close every position now: when it was given, why, and to which desk."""

    at: datetime
    reason: str
    desk: str


@dataclass(frozen=True, slots=True)
class Exit:
    """An order that closes a position, how it stands, and the place of the word that it follows."""

    order: Order
    state: OrderState
    reason: str
    word: int

    @property
    def is_asked_about(self) -> bool:
        """Whether it may have left and nobody knows what came of it."""
        return self.state in ("sending", "unknown")


@dataclass(frozen=True, slots=True)
class ExitBook:
    """What a spool says: whose it is, since when, a person's words, exits in order, ids of orders that do not work any
    more, whether the last word is done with, and what was said of that."""

    desk: str
    begun_at: datetime
    words: tuple[ExitWord, ...] = ()
    exits: tuple[Exit, ...] = ()
    taken_back: frozenset[str] = frozenset()
    settled: bool = False
    said: str = ""

    def open_exit(self, symbol: str) -> Exit | None:
        """The exit of a symbol that may still be filled: there is one at most."""
        may = (e for e in self.exits if e.order.symbol == symbol and e.state not in FINAL_ORDER_STATES)
        return next((exit_ for exit_ in may if exit_.order.client_order_id not in self.taken_back), None)

    def tried(self, symbol: str) -> int:
        """How many exits of a symbol followed the last word."""
        return sum(exit_.order.symbol == symbol and exit_.word == len(self.words) for exit_ in self.exits)


class ExitSpool(Protocol):
    """A file that keeps facts, each on disk before `append` returns."""

    @property
    def there(self) -> bool:
        """Whether it holds anything that is not on record yet."""
        ...

    @property
    def room(self) -> int:
        """How many facts it still takes."""
        ...

    def facts(self) -> Sequence[Fact]:
        """All of them. DataError where it was changed or damaged."""
        ...

    def append(self, fact: Fact) -> None:
        """Keep one more. ServiceError where it cannot be kept: then nothing may follow from it."""
        ...

    def put_aside(self, at: datetime) -> None:
        """It is on record: keep it under another name."""
        ...


class ExitLetter(Protocol):
    """Where a person leaves their word without any server."""

    def read(self) -> ExitWord | None:
        """The word that waits; None where none does. DataError where it cannot be read."""
        ...

    def remove(self) -> None:
        """It has been taken."""
        ...


class ExitRecord(Protocol):
    """The database, as far as exits go."""

    def order_halt(self, word: ExitWord) -> bool:
        """Put a word on record, once, as an ordinary halt that closes every position; False where the database does not
        take it within seconds."""
        ...

    def take_in(self, book: ExitBook, at: datetime) -> Sequence[Order]:
        """Put all of it on record, in one transaction that may be repeated: words, orders and how they stand. Returns
        the orders as they are on record."""
        ...


def book_of(facts: Iterable[Fact]) -> ExitBook | None:
    """What the facts of a spool say; None where there are none. DataError where one makes no sense."""
    book: ExitBook | None = None
    for number, fact in enumerate(facts, 1):
        try:
            book = _begun(fact) if book is None else _after(book, fact)
        except (KeyError, ValueError, ArithmeticError) as error:
            raise DataError(f"fact {number} of the spool makes no sense ({type(error).__name__})") from None
    return book


def intent_of(order: Order, at: datetime, reason: str) -> Fact:
    """The fact that an exit is meant to leave."""
    return {
        "fact": "intent",
        "at": at.isoformat(),
        "order": order.client_order_id,
        "decision": order.decision_time.isoformat(),
        "symbol": order.symbol,
        "side": order.side,
        "quantity": f"{order.quantity:f}",
        "reason": reason,
    }


def _begun(fact: Fact) -> ExitBook:
    if fact["fact"] != "desk":
        raise ValueError
    return ExitBook(fact["desk"], datetime.fromisoformat(fact["at"]))


def _after(book: ExitBook, fact: Fact) -> ExitBook:
    kind, at = fact["fact"], datetime.fromisoformat(fact["at"])
    if kind == "word":
        word = ExitWord(at, fact["reason"], book.desk)
        return replace(book, words=(*book.words, word), settled=False)
    if kind == "intent":
        made = Exit(_order_of(fact), "intent", fact["reason"], len(book.words))
        return replace(book, exits=(*book.exits, made))
    if kind == "taken back":
        return replace(book, taken_back=book.taken_back | {fact["order"]})
    if kind == "settled":
        return replace(book, settled=True, said=fact["words"])
    state = "sending" if kind == "sending" else fact["state"]
    if kind not in ("sending", "outcome") or state not in STATES:
        raise ValueError
    if not any(exit_.order.client_order_id == fact["order"] for exit_ in book.exits):
        raise KeyError
    changed = tuple(
        replace(e, state=STATES[state], reason=fact.get("reason", e.reason))
        if e.order.client_order_id == fact["order"]
        else e
        for e in book.exits
    )
    return replace(book, exits=changed)


def _order_of(fact: Fact) -> Order:
    if fact["side"] not in ("buy", "sell"):
        raise ValueError
    return Order(
        client_order_id=fact["order"],
        decision_time=datetime.fromisoformat(fact["decision"]),
        symbol=fact["symbol"],
        side="buy" if fact["side"] == "buy" else "sell",
        quantity=Decimal(fact["quantity"]),
        kind="exit",
    )
