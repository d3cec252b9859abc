"""The desk's books against the account's: nothing is sent about what they differ on.

Looked at when a desk is taken up, every minute, and as soon as an exchange that was away answers again. A difference
is on record until both sides agree, or until a person says what it is; no fill is made up to mend it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from agents.core.cash_flows import NewFlow
from agents.core.clock import Clock
from agents.core.errors import ServiceError
from agents.core.log import log_event
from agents.core.orders import UNRECONCILED, UNRESOLVED, Order, OrderOutcome
from agents.core.ports import Journal
from agents.core.symbols import base_of, quote_of
from agents.core.venues import Break, BreakKind, ForeignOrder, Holdings, Reconciliation, VenueBroker
from agents.orchestrator.settled import not_booked_yet
from agents.pipeline.ledger import Ledger

logger = logging.getLogger(__name__)
EVERY_S = 60.0
WHOLE_EVERY_S = 900.0
"""So often orders of others are looked for, too."""
ATTEMPTS = 3
NOTHING = Decimal("0.00000100")
"""Amounts of a currency so small are rounding: exchanges keep eight decimals, and round each product."""
CENT = Decimal("0.01")
PAID_WITHIN = timedelta(days=60)
"""A dividend that is not paid so long after it went ex is a difference."""
ZERO = Decimal(0)
Found = dict[tuple[BreakKind, str], tuple[Decimal, Decimal]]


@dataclass(slots=True)
class _Standing:
    """What the last look found."""

    ready: bool = False
    blocked: frozenset[str] = frozenset()
    """Symbols and currencies."""
    unresolved: frozenset[str] = field(default=frozenset())


class Reconciler:
    """Compares, and knows what may be sent. `symbols` are the desk's, all with the same quote."""

    def __init__(self, venue: VenueBroker, record: Reconciliation, symbols: Sequence[str], clock: Clock) -> None:
        self._venue = venue
        self._record = record
        self._symbols = tuple(symbols)
        self._quote = quote_of(symbols[0])
        self._clock = clock
        self._next_s = 0.0
        self._whole_at_s: float | None = None
        self._standing = _Standing()
        self.settled: Callable[[datetime], Sequence[tuple[datetime, Decimal]]] | None = None
        """Funding that the venue tells of since a moment, where it settles any."""

    def why_not(self, order: Order) -> str:
        """Why an order may not be sent now; "" where it may. What sells is not kept back for cash that differs."""
        standing = self._standing
        if not standing.ready or order.symbol in standing.blocked:
            return UNRECONCILED
        if order.side == "buy" and self._quote in standing.blocked:
            return UNRECONCILED
        return UNRESOLVED if order.symbol in standing.unresolved else ""

    def look(self, journal: Journal, ledger: Ledger, *, at_once: bool = False) -> None:
        """Compare where that is due, or where a person has said something. While the exchange is away nothing is known
        to agree: ServiceError until the first comparison, later the next one is made as soon as it answers."""
        now_s = self._clock.monotonic_s()
        if not at_once and now_s < self._next_s and not any(broken.asked for broken in self._record.breaks()):
            return
        try:
            settled = self._compare(journal, ledger, self._clock.now())
            self._next_s = now_s + (0.0 if settled else EVERY_S)
        except ServiceError:
            self._next_s = 0.0
            if not self._standing.ready:
                raise
            self._standing.ready = False
            raise

    def _compare(self, journal: Journal, ledger: Ledger, at: datetime) -> bool:
        """Whether a person's word settled something, so that another look is worth it at once."""
        for order, state in self._venue.resolved():
            reason = "the exchange does not know it" if state == "not_placed" else ""
            answer = OrderOutcome(client_order_id=order.client_order_id, state=state, reason=reason)
            log_event(logger, "order resolved", order=order.client_order_id, state=state)
            journal.record_outcomes(at, [answer])
        working = journal.open_orders()
        holdings = None if working else self._at_a_glance(ledger, at)
        if holdings is None:
            holdings = next((seen for _ in range(ATTEMPTS) if (seen := self._venue.holdings()) is not None), None)
            self._whole_at_s = self._clock.monotonic_s()
        if holdings is None:
            raise ServiceError("the account changes while it is looked at")
        if self._record.outside() is None:
            self._begin(holdings, ledger, at)
        found = self._differences(holdings, ledger, at)
        told = self._book_told(found, at)
        self._record.note(found, at)
        asked = [b for b in self._record.breaks() if b.asked is not None and (b.kind, b.name) in found]
        for broken in asked:
            self._settle(broken, holdings, at)
            found.pop((broken.kind, broken.name))
        unresolved = {order.symbol for order, state in working if state in ("sending", "unknown")}
        self._tell(frozenset(name for _, name in found), found)
        self._standing = _Standing(True, frozenset(name for _, name in found), frozenset(unresolved))
        return told or bool(asked)

    def _allow_for_dividends(self, found: Found, at: datetime) -> None:
        """Count dividends that are on their way as there: the books have them from the day they go ex, the venue when
        it pays them, in whole cents."""
        difference, since = found.get(("cash", self._quote)), self._record.told_until()
        if difference is None or not (booked := self._record.dividends(since)):
            return
        paid, owed = self._venue.dividends(since), ZERO
        for symbol, of_stock in booked.items():
            missing = of_stock.cash - paid.get(symbol, ZERO)
            on_its_way = missing > 0 and at - of_stock.newest < PAID_WITHIN
            owed += missing if on_its_way or abs(missing) <= CENT * of_stock.times else ZERO
        ours, theirs = difference
        if abs(theirs + owed - ours) <= NOTHING:
            del found["cash", self._quote]
        else:
            found["cash", self._quote] = ours, theirs + owed

    def _allow_for_funding(self, found: Found) -> None:
        """Count what is settled and not booked yet as in the books; asked only where cash differs."""
        difference = found.get(("cash", self._quote))
        if difference is None or self.settled is None or self._record.outside() is None:
            return
        ours, theirs = difference
        since = self._record.told_until()
        ours += not_booked_yet(self.settled(since), self._record.funding(since))
        found["cash", self._quote] = ours, theirs
        if abs(theirs - ours) <= NOTHING:
            del found["cash", self._quote]

    def _book_told(self, found: Found, at: datetime) -> bool:
        """Where cash differs, book what the venue tells was deposited or withdrawn, and take it off the difference (the
        desk takes it before its next bar); whether there was any."""
        difference = found.get(("cash", self._quote))
        if difference is None:
            return False
        told = self._venue.moves(self._quote, self._record.told_until())
        flows = []
        for move in told:
            flow = self._flow(move.amount, f"told by the exchange: {move.key}", move.key, move.at)
            flows.append(replace(flow, kind=move.kind, symbol=move.symbol))
        if not flows or not self._record.book(flows):
            return False
        ours, theirs = difference
        ours += sum((flow.amount for flow in flows), start=ZERO)
        found["cash", self._quote] = ours, theirs
        if abs(theirs - ours) <= NOTHING:
            del found["cash", self._quote]
        log_event(logger, "the exchange tells of money in or out", flows=len(flows), at=at)
        return True

    def _flow(self, amount: Decimal, reason: str, key: str, at: datetime, *, by_person: bool = False) -> NewFlow:
        return NewFlow(
            time=at,
            kind="deposit" if amount > 0 else "withdrawal",
            amount=amount,
            currency=self._quote,
            source="person" if by_person else "exchange",
            reason=reason,
            actor="person" if by_person else "desk",
            key=key,
        )

    def _at_a_glance(self, ledger: Ledger, at: datetime) -> Holdings | None:
        """The account's totals alone, where they are what the books say and orders of others were looked for lately."""
        recent = self._whole_at_s is not None and self._clock.monotonic_s() - self._whole_at_s < WHOLE_EVERY_S
        if not recent or not self._standing.ready or self._standing.blocked or self._record.outside() is None:
            return None
        holdings = Holdings(totals=self._venue.balances(), unbooked=(), foreign=())
        return None if self._differences(holdings, ledger, at) else holdings

    def _begin(self, holdings: Holdings, ledger: Ledger, at: datetime) -> None:
        """The first look: whatever the account holds beyond the desk's is not the desk's."""
        ours = self._expected(holdings, ledger, {})
        outside = {name: holdings.totals.get(name, ZERO) - amount for name, amount in ours.items()}
        if outside[self._quote] < 0:
            raise ServiceError(
                f"the account holds {holdings.totals.get(self._quote, ZERO):f} {self._quote}, less than the desk's"
                f" {ours[self._quote]:f}; set desk.initial_cash to what the desk may use of it"
            )
        self._record.set_outside(outside, at, "there before the desk")

    def _expected(self, holdings: Holdings, ledger: Ledger, outside: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """What the account holds by the desk's books, by currency."""
        amounts = {name: outside.get(name, ZERO) for name in (self._quote, *map(base_of, self._symbols))}
        amounts[self._quote] += ledger.cash + self._record.reserved()
        for symbol, held in ledger.positions.items():
            amounts[base_of(symbol)] = amounts.get(base_of(symbol), ZERO) + held.quantity
        paid = list(self._record.paid_elsewhere())
        for fill in holdings.unbooked:
            amounts[base_of(fill.symbol)] += fill.signed_quantity
            amounts[self._quote] -= fill.signed_quantity * fill.price + fill.fee
            if fill.fee_currency and fill.fee_currency != base_of(fill.symbol):
                paid.append((fill.symbol, fill.fee_currency, fill.fee_paid, fill.fee))
        for (
            _,
            currency,
            amount,
            worth,
        ) in paid:  # the books took their worth off the cash, the exchange the thing itself
            amounts[self._quote] += worth
            if currency in amounts:
                amounts[currency] -= amount
        return amounts

    def _differences(self, holdings: Holdings, ledger: Ledger, at: datetime) -> Found:
        """By kind and name: (ours, theirs)."""
        found: Found = {}
        expected = self._expected(holdings, ledger, self._record.outside() or {})
        named = {base_of(symbol): symbol for symbol in (*ledger.positions, *self._symbols)}
        for currency, ours in expected.items():
            theirs = holdings.totals.get(currency, ZERO)
            if abs(theirs - ours) > NOTHING:
                kind: BreakKind = "cash" if currency == self._quote else "position"
                found[kind, named.get(currency, currency)] = ours, theirs
        for order in holdings.foreign:
            if order.works:
                found["order", order.symbol] = ZERO, order.quantity
        self._allow_for_dividends(found, at)
        self._allow_for_funding(found)
        return found

    def _settle(self, broken: Break, holdings: Holdings, at: datetime) -> None:
        """Do what a person asked for."""
        if broken.asked == "ignore":
            name = broken.name if broken.kind == "cash" else base_of(broken.name)
            if broken.kind != "order":
                kept = (self._record.outside() or {}).get(name, ZERO)
                self._record.set_outside({name: kept + broken.theirs - broken.ours}, at, broken.reason)
            self._record.close(broken, f"ignored: {broken.reason}", at)
            log_event(logger, "a difference is not the desk's", level=logging.WARNING, name=broken.name)
            return
        if broken.kind == "cash":
            flow = self._flow(broken.theirs - broken.ours, broken.reason, f"adopted-{broken.id}", at, by_person=True)
            self._record.book([flow])
            self._record.close(broken, f"adopted: {broken.reason}", at)
            log_event(logger, "a difference of cash is the desk's", level=logging.WARNING, amount=f"{flow.amount:f}")
            return
        traded = _explaining(broken, holdings)
        if not traded:
            self._record.close(broken, "cannot be adopted: no executions explain it", at)
            log_event(
                logger, "nothing to adopt", level=logging.ERROR, name=broken.name, hint="quorum reconcile --ignore"
            )
            return
        self._record.adopt(traded)
        self._record.close(broken, f"adopted: {broken.reason}", at)
        log_event(logger, "orders of others are adopted", level=logging.WARNING, name=broken.name, orders=len(traded))

    def _tell(self, names: frozenset[str], found: Found) -> None:
        """Each edge once."""
        for name in sorted(names - self._standing.blocked):
            detail = ", ".join(f"{k} ours {o:f} theirs {t:f}" for (k, n), (o, t) in found.items() if n == name)
            log_event(logger, "ALARM", level=logging.CRITICAL, kind="reconciliation", subject=name, detail=detail)
        for name in sorted(self._standing.blocked - names):
            log_event(logger, "alarm is over", kind="reconciliation", subject=name)


def _explaining(broken: Break, holdings: Holdings) -> list[ForeignOrder]:
    """The newest orders of others whose executions make up the whole difference; none where no such are there."""
    ended = [order for order in holdings.foreign if order.symbol == broken.name and order.traded and not order.works]
    missing, chosen = broken.theirs - broken.ours, []
    for order in sorted(ended, key=lambda order: order.at, reverse=True):
        chosen.append(order)
        missing -= order.traded
        if abs(missing) <= NOTHING:
            return chosen
    return []
