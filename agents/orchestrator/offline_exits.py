"""Positions are closed while the database is away: by a person's word in a file, from memory, each step spooled first.

Only what reduces leaves so: at most what the desk knows that it holds, and at most what the account holds of it. From
the first fact in the spool until all of it is on record no other order leaves (`ExitGate`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from agents.core.clock import Clock
from agents.core.errors import AgentsError, DataError, ServiceError
from agents.core.exits import ExitBook, ExitLetter, ExitRecord, ExitSpool, ExitWord, Fact, book_of, intent_of
from agents.core.killpoint import killpoint
from agents.core.log import log_event
from agents.core.orders import Order, OrderOutcome
from agents.core.ports import Broker, KillSwitch
from agents.core.venues import VenueBroker
from agents.orchestrator.exit_plan import Known, RememberedOrders, exits_wanted

logger = logging.getLogger(__name__)
LOOK_S = 1.0
"""So often the letter is looked at."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 30.0
LINES_OF_AN_EXIT = 5
"""Facts that one exit may need; with less room in the spool none leaves."""


class ExitFiles(NamedTuple):
    """Where a person's word lies, and what was done about it."""

    letter: ExitLetter
    spool: ExitSpool


class ExitVenue(NamedTuple):
    """The account for exits alone, with a connection of its own: the daemon's may hang in a question. `broker` sends,
    behind the kill switch; `account` is asked."""

    broker: Broker
    account: VenueBroker


@dataclass(frozen=True, slots=True)
class ExitDesk:
    """A desk that has been taken up: what it knows (None: not enough), and how its account is opened for exits."""

    know: Callable[[], Known | None]
    open_venue: Callable[[RememberedOrders, datetime], ExitVenue]


class OfflineExits:
    """One desk's, by its `name`. `watch` looks beside the daemon's loop, which may hang in the database."""

    def __init__(self, name: str, files: ExitFiles, record: ExitRecord, switch: KillSwitch, clock: Clock) -> None:
        self._name = name
        self._letter, self._spool = files
        self._record = record
        self._switch = switch
        self._clock = clock
        self.lock = threading.RLock()
        """Held by whoever sends orders, or takes the spool in."""
        self.news = False
        """Whether a spool was taken in since the books were last compared; who compares them clears it."""
        self._desk: ExitDesk | None = None
        self._venue: ExitVenue | None = None
        self._remembered = RememberedOrders(name)
        self._sent: list[Order] = []
        self._told = ""
        self._not_before_s = self._pause_s = 0.0

    # ------------------------------------------------------------ the daemon's side

    def attach(self, desk: ExitDesk, open_orders: Sequence[Order]) -> None:
        """A desk was taken up, with these orders of it still open."""
        with self.lock:
            self._desk, self._venue = desk, None
            self._sent = list(open_orders)

    @property
    def begun(self) -> bool:
        """Whether exits left, or are about to, that are not on record."""
        return self._spool.there

    def note_sent(self, orders: Sequence[Order]) -> None:
        """These leave by the ordinary way."""
        newest = max(order.decision_time for order in orders)
        self._sent = [order for order in self._sent if order.decision_time >= newest] + list(orders)

    def sent_after(self, decision: datetime) -> list[Order]:
        """What left since the decision at this time."""
        return [order for order in self._sent if order.decision_time == decision]

    def take_in(self) -> None:
        """Put on record what left while the database was away; nothing to do where nothing did. DataError where the
        spool is damaged or another desk's, ServiceError while the database is still away: then nothing is decided."""
        if not self._spool.there:
            return
        with self.lock:
            book = self._read()
            taken = self._record.take_in(book, self._clock.now()) if book is not None else ()
            killpoint("exit.taken_in")
            self._spool.put_aside(self._clock.now())
            self._sent += taken
            self.news = True
            self._not_before_s = self._pause_s = 0.0
        log_event(logger, "alarm is over", kind="offline_exit", subject="positions", on_record=len(taken))

    # ------------------------------------------------------------ beside the daemon's loop

    def watch(self, stopping: threading.Event) -> None:
        """Look every second until `stopping`, whatever the daemon's loop waits for."""

        def keep_looking() -> None:
            while not stopping.wait(LOOK_S):
                self.look()

        threading.Thread(target=keep_looking, name="exits", daemon=True).start()

    def look(self) -> None:
        """Take a person's word, and do what it says. Whatever goes wrong is told once, and tried again."""
        try:
            word = self._letter.read()
            if word is not None:
                self._take(word)
            if self._spool.there:
                with self.lock:
                    self._go_on()
        except AgentsError as error:
            self._tell(str(error))
        except Exception as error:  # a defect here must not end the only way out
            self._tell(f"{type(error).__name__}: {error}")

    def _take(self, word: ExitWord) -> None:
        """Put a word on record, or, where the database does not take it, into the spool."""
        if word.desk != self._name:
            raise DataError(f"the word to close every position is for the desk {word.desk!r}, not {self._name!r}")
        if not self._spool.there and self._record.order_halt(word):
            self._letter.remove()
            log_event(logger, "a person's word from a file is on record", level=logging.WARNING, reason=word.reason)
            return
        if self._desk is None:
            raise ServiceError("nothing is known of the desk's positions before its database answered once")
        with self.lock:
            book = self._read()
            if book is None:
                self._note("desk", desk=self._name)
            if book is None or word not in book.words:
                self._spool.append({"fact": "word", "at": word.at.isoformat(), "reason": word.reason})
                self._not_before_s = self._pause_s = 0.0
            killpoint("exit.word_kept")
            self._letter.remove()
        log_event(
            logger,
            "ALARM",
            level=logging.CRITICAL,
            kind="offline_exit",
            subject="positions",
            detail=f"closed without the database: {word.reason}",
        )

    def _go_on(self) -> None:
        now_s = self._clock.monotonic_s()
        book = self._read()
        if book is None or book.settled or now_s < self._not_before_s:
            return
        reason = self._switch.pulled()
        if reason is not None:
            self._tell(f"no exit leaves, the kill file is there: {reason}")
            return
        self._pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2.0 * self._pause_s))
        self._not_before_s = now_s + self._pause_s
        self._round(book)
        self._told = ""

    def _round(self, book: ExitBook) -> None:
        """Ask about what nobody knows, take back what works, close what is held, and say so where that is all."""
        known = self._desk.know() if self._desk is not None else None
        if known is None:
            raise ServiceError("the desk's books were never compared with its account's, so nothing is closed")
        venue = self._opened(known, book)
        self._ask_about(venue, book)
        self._take_back(venue, self._read() or book)
        book = self._read() or book
        holdings = venue.account.holdings()
        if holdings is None:
            raise ServiceError("the account changes while it is looked at")
        answers = [self._send(venue, order, book) for order in exits_wanted(self._name, known, holdings, book)]
        book = self._read() or book
        if all(answer.state == "acked" for answer in answers) and not any(e.is_asked_about for e in book.exits):
            self._settle(book)

    def _opened(self, known: Known, book: ExitBook) -> ExitVenue:
        self._remembered.sent = known.orders
        self._remember_exits(book)
        if self._venue is None:
            assert self._desk is not None
            self._venue = self._desk.open_venue(self._remembered, known.decided_at)
        return self._venue

    def _remember_exits(self, book: ExitBook) -> None:
        self._remembered.exits = [(exit_.order, exit_.state) for exit_ in book.exits if exit_.state != "intent"]

    def _ask_about(self, venue: ExitVenue, book: ExitBook) -> None:
        """What may have left is asked for by its id, never sent again."""
        for exit_ in book.exits:
            if not exit_.is_asked_about:
                continue
            answer = venue.broker.lookup(exit_.order.client_order_id)
            state = "not_placed" if answer is None else answer.state
            if state != exit_.state:
                words = "the account does not know it" if answer is None else answer.reason
                self._note("outcome", order=exit_.order.client_order_id, state=state, reason=words)

    def _take_back(self, venue: ExitVenue, book: ExitBook) -> None:
        """Once for each word: what of the desk's works at the account, exits of an earlier word among it."""
        earlier = [e.order for e in book.exits if e.state == "acked" and e.word < len(book.words)]
        followed = any(e.word == len(book.words) for e in book.exits)
        if followed:
            return
        own = {exit_.order.client_order_id for exit_ in book.exits}
        found = [o for o in self._remembered.ours(venue.account.open_orders()) if o.client_order_id not in own]
        self._remembered.working = found
        for order in (*found, *earlier):
            key = order.client_order_id
            if key not in book.taken_back:
                venue.broker.cancel([key])
                self._note("taken back", order=key)

    def _send(self, venue: ExitVenue, order: Order, book: ExitBook) -> OrderOutcome:
        """Intent and sending are on disk before it leaves."""
        if self._spool.room < LINES_OF_AN_EXIT:
            raise ServiceError(f"the spool has no room left, so {order.symbol} is not closed")
        key, reason = order.client_order_id, book.words[-1].reason
        self._spool.append(intent_of(order, self._clock.now(), reason))
        killpoint("exit.intended")
        self._note("sending", order=key)
        killpoint("exit.sending")
        (answer,) = venue.broker.place([order])
        killpoint("exit.sent")
        self._note("outcome", order=key, state=answer.state, reason=answer.reason)
        log_event(
            logger,
            "an exit without the database",
            level=logging.WARNING,
            symbol=order.symbol,
            side=order.side,
            quantity=f"{order.quantity:f}",
            state=answer.state,
            why=answer.reason or reason,
        )
        return answer

    def _settle(self, book: ExitBook) -> None:
        mine = [exit_ for exit_ in book.exits if exit_.word == len(book.words)]
        left = [f"{e.order.side} {e.order.quantity:f} {e.order.symbol}" for e in mine if e.state == "acked"]
        refused = sorted({e.order.symbol for e in mine} - {e.order.symbol for e in mine if e.state == "acked"})
        words = "sent: " + ", ".join(left) if left else "nothing was sent: no position that is known and held"
        if refused:
            words += "; refused: " + ", ".join(refused)
        self._note("settled", words=words)
        log_event(logger, "exits without the database are done", level=logging.WARNING, what=words)

    # ------------------------------------------------------------ inside

    def _read(self) -> ExitBook | None:
        """DataError where the spool is damaged, or another desk's."""
        book = book_of(self._spool.facts())
        if book is not None and book.desk != self._name:
            raise DataError(f"the spool is of the desk {book.desk!r}, not {self._name!r}; put it elsewhere")
        return book

    def _note(self, kind: str, **more: str) -> None:
        fact: Fact = {"fact": kind, "at": self._clock.now().isoformat(), **more}
        self._spool.append(fact)

    def _tell(self, words: str) -> None:
        if words != self._told:
            log_event(logger, "exits without the database wait", level=logging.ERROR, why=words)
        self._told = words
