"""The paper broker: a venue that fills at the next bar by the step's own matcher, on the desk's own account."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from agents.core.books import LIVE
from agents.core.killpoint import killpoint
from agents.core.orders import CANCELLED
from agents.core.ports import PaperVenue
from agents.core.types import Bars, FillStatus, Order, OrderOutcome, as_datetime, to_decimal
from agents.pipeline.bar import Book, Depth, MarketWithin
from agents.pipeline.corporate_actions import ActionEffects, Actions, apply_actions, move_marks
from agents.pipeline.desk import Work, book_of, desk_of
from agents.pipeline.fills import market_depth, match_orders
from agents.pipeline.limit_orders import match_resting, rest
from agents.pipeline.market import known_volume, tradable
from agents.pipeline.parameters import DeskPlan, Parameters
from agents.pipeline.record import meets_close, settle_order
from agents.pipeline.state import State, copy_state
from agents.pipeline.stop_orders import settle_stop, stop_order
from agents.pipeline.stopped import has_stops
from agents.pipeline.stops import drop_at_gaps, drop_behind_stops, follow_actions, match_stops, note_entry
from agents.pipeline.suspect_prices import believed_opens, expire_at_doubt

CASH = "cash"
"""The one currency of a paper account: that of its prices."""


class Matched(NamedTuple):
    """What became of the working orders at one bar."""

    closed: datetime
    outcomes: tuple[OrderOutcome, ...]


class PaperBroker:
    """Accepts orders for symbols it knows, and fills them at the next bar that it is shown (`match`); the
    stops of the desk's positions rest there too.

    `account` gives the desk's state as of the last decision; it is read, never changed. `working` are orders that the
    venue accepted before a restart. Refused, as values: unknown symbols, halted symbols, and at the fill what does not
    fit into the buying power. An order works until the next bar of its symbol; what that leaves of it has expired.
    """

    def __init__(
        self,
        plan: DeskPlan,
        venue: PaperVenue,
        account: Callable[[], State],
        working: Iterable[Order] = (),
        halted: Container[str] = (),
    ) -> None:
        self._desk, self._symbols = plan.desk, plan.symbols
        self._parameters = plan.parameters
        self._delay_s = plan.publication_delay_s
        self._venue = venue
        self._account = account
        self._working = {order.client_order_id: order for order in working}
        self._halted = halted
        self._cancelled: set[str] = set()
        self._matched: Matched | None = None

    def place(self, orders: Sequence[Order]) -> list[OrderOutcome]:
        refusals = {order.client_order_id: self._refusal(order) for order in orders}
        accepted = [order for order in orders if refusals[order.client_order_id] is None]
        # Before the venue answers: where the answer is lost, `lookup` finds out whether they are there.
        self._working.update({order.client_order_id: order for order in accepted})
        self._venue.accept(accepted)
        killpoint("order.after_accept")
        return [
            OrderOutcome(
                client_order_id=key,
                state="acked" if refusal is None else "rejected",
                reason="" if refusal is None else str(refusal),
            )
            for key, refusal in refusals.items()
        ]

    def _refusal(self, order: Order) -> FillStatus | None:
        if order.symbol not in self._symbols:
            return FillStatus.UNKNOWN_SYMBOL
        return FillStatus.HALTED if order.symbol in self._halted else None

    def cancel(self, client_order_ids: Sequence[str]) -> list[OrderOutcome]:
        self._cancelled |= {key for key in client_order_ids if self._working.pop(key, None) is not None}
        cancelled = [key for key in client_order_ids if key in self._cancelled]  # also when asked again
        return [OrderOutcome(client_order_id=key, state="expired", reason=CANCELLED) for key in cancelled]

    def poll(self, since: datetime) -> list[OrderOutcome]:
        """What the bar shown last made of the orders, where it closed after `since`."""
        if self._matched is None or self._matched.closed <= since:
            return []
        return list(self._matched.outcomes)

    def open_orders(self) -> list[Order]:
        return list(self._working.values())

    def positions(self) -> dict[str, Decimal]:
        held = self._account().position[LIVE]
        return {symbol: to_decimal(float(q)) for symbol, q in zip(self._symbols, held, strict=True) if q != 0.0}

    def balances(self) -> dict[str, Decimal]:
        """One amount, in the currency of the prices."""
        return {CASH: to_decimal(float(self._account().cash[LIVE]))}

    def lookup(self, client_order_id: str) -> OrderOutcome | None:
        if self._venue.has(client_order_id):
            return OrderOutcome(client_order_id=client_order_id, state="acked")
        self._working.pop(client_order_id, None)
        return None

    def match(self, bars: Bars) -> None:
        """Fill the working orders, and close what stops close, at the last of `bars` (those before tell when it could
        be known); a bar shown again changes nothing, so that a cycle which failed half-way can be tried again."""
        last = len(bars.time) - 1
        met_bar, bars = tradable(bars, self._delay_s).rows(last, last + 1), bars.rows(last, last + 1)
        closed = as_datetime(bars.time[0])
        if self._matched is not None and self._matched.closed == closed:
            return
        ended = np.isfinite(bars.open[0]) | np.isfinite(bars.delisting[0])
        met = {symbol for symbol, over in zip(self._symbols, ended, strict=True) if over}
        orders = sorted((o for o in self._working.values() if o.symbol in met), key=lambda order: order.symbol)
        if not orders and not has_stops(self._parameters.stops):
            self._matched = Matched(closed, ())
            return
        state, parameters = copy_state(self._account()), self._parameters
        work, depth = desk_of(state, parameters, 1).work, Depth(*np.zeros((3, len(self._symbols))))
        _act(state, bars, parameters, work)
        mine = {order.symbol for order in orders}
        order = np.where([symbol in mine for symbol in self._symbols], state.pending[LIVE], 0.0)
        market_depth(known_volume(bars)[0], state.volatility, parameters, depth)
        opened = as_datetime(bars.opened[0])
        late = {order.symbol for order in orders if meets_close(order, opened, self._delay_s)}
        prices = np.where([symbol in late for symbol in self._symbols], bars.close[0], met_bar.open[0])
        believed = np.empty(len(prices))
        believed_opens(prices, bars.suspect[0], believed)
        market = MarketWithin(believed, bars.high[0], bars.low[0], bars.close[0], state.mark, depth)
        book = book_of(state, LIVE, float(state.equity[LIVE]))._replace(order=order)
        if has_stops(parameters.stops):
            follow_actions(state.stops[LIVE], bars.split[0], bars.dividend[0])
        _meet(book, market, parameters, work)
        expire_at_doubt(order, bars.suspect[0], work.fills)
        work.fills.status[work.dropped] = FillStatus.STOPPED
        answers = [
            settle_order(
                o, work.fills, self._symbols.index(o.symbol), closed if o.rests or o.symbol in late else opened
            )
            for o in orders
        ]
        for answer in answers:
            del self._working[answer.client_order_id]
        if has_stops(parameters.stops):
            answers += self._stopped(book, market, work, met_bar)
        self._matched = Matched(closed, tuple(answers))

    def _stopped(self, book: Book, market: MarketWithin, work: Work, bar: Bars) -> list[OrderOutcome]:
        """What the stops of the desk's positions close, once the orders are filled; those of halted symbols nothing."""
        filled, price, closed = work.fills.quantity, work.fills.price, as_datetime(bar.time[0])
        for s in np.flatnonzero(filled):
            note_entry(book.stops[s], book.position[s], filled[s], price[s])
            book.position[s] += filled[s]
        match_stops(book, market, filled, self._parameters, work.stop_fills)
        reached = [s for s in np.flatnonzero(work.stop_fills.quantity) if self._symbols[s] not in self._halted]
        orders = [stop_order(self._desk, closed, self._symbols[s], float(work.stop_fills.wanted[s])) for s in reached]
        return [settle_stop(order, work.stop_fills, bar, int(s)) for order, s in zip(orders, reached, strict=True)]


def _act(state: State, bars: Bars, parameters: Parameters, work: Work) -> None:
    """Corporate actions and funding before the open of a bar."""
    undoubted = np.full(len(bars.symbols), np.nan)
    actions = Actions(
        bars.split[0],
        bars.dividend[0],
        bars.delisting[0],
        bars.funding[0],
        state.mark,
        undoubted,
        parameters.lots,
    )
    units, cash, funding = np.zeros((3, len(bars.symbols)))
    nowhere = ActionEffects(units, cash, funding, work.shares, np.zeros_like(state.pool))
    if move_marks(state, actions.split, actions.dividend, actions.delisting) or actions.funding.any():
        apply_actions(state, LIVE, actions, nowhere)


def _meet(book: Book, market: MarketWithin, parameters: Parameters, work: Work) -> None:
    """The orders of a book at a bar, behind the stops that come before them."""
    rests = rest(book, parameters.orders)
    if has_stops(parameters.stops):
        drop_at_gaps(book, market, parameters.stops, work.dropped)
        if rests:
            drop_behind_stops(book, market, parameters, work.dropped)
    if rests:
        match_resting(book, market, parameters, work.fills, work.filled_at)
    else:
        match_orders(book, market, parameters, work.fills, True)
