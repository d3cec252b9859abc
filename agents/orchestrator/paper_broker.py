"""The paper broker: a venue that fills at the next bar's open by the step's own matcher, on the desk's own account."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Protocol

import numpy as np

from agents.core.books import LIVE
from agents.core.types import Bars, FillStatus, Floats, Order, OrderOutcome, as_datetime
from agents.pipeline.fills import market_depth, match_orders
from agents.pipeline.record import settle_order
from agents.pipeline.state import Parameters, State, copy_state
from agents.pipeline.step import apply_actions


class PaperVenue(Protocol):
    """The venue's durable list of orders that it accepted."""

    def accept(self, orders: Sequence[Order]) -> None:
        """Keep orders, all or none; the same id again changes nothing."""
        ...

    def has(self, client_order_id: str) -> bool: ...


class PaperBroker:
    """Accepts orders for symbols it knows, and fills them against the next bar.

    `account` gives the desk's state as of the last decision; it is read, never changed. Refused, as values: unknown
    symbols, halted symbols, and at the fill what does not fit into the buying power.
    """

    def __init__(
        self,
        venue: PaperVenue,
        account: Callable[[], State],
        symbols: Sequence[str],
        lots: Floats,
        parameters: Parameters,
        halted: Container[str] = (),
    ) -> None:
        self._venue = venue
        self._account = account
        self._symbols = tuple(symbols)
        self._lots = lots
        self._parameters = parameters
        self._halted = halted
        self._working: dict[str, Order] = {}
        self._settled: tuple[np.datetime64, list[OrderOutcome]] | None = None

    def place(self, orders: Sequence[Order]) -> list[OrderOutcome]:
        refusals = {order.client_order_id: self._refusal(order) for order in orders}
        accepted = [order for order in orders if refusals[order.client_order_id] is None]
        self._venue.accept(accepted)
        self._working.update({order.client_order_id: order for order in accepted})
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

    def lookup(self, client_order_id: str) -> OrderOutcome | None:
        if self._venue.has(client_order_id):
            return OrderOutcome(client_order_id=client_order_id, state="acked")
        return None

    def adopt(self, order: Order) -> None:
        """Work an order that this venue accepted before a restart."""
        self._working[order.client_order_id] = order

    def settle(self, bars: Bars) -> list[OrderOutcome]:
        """What the one bar of `bars` makes of the working orders; asking again about the same bar gives the same."""
        if self._settled is not None and self._settled[0] == bars.time[0]:
            return self._settled[1]
        orders = sorted(self._working.values(), key=lambda order: order.symbol)
        if not orders:
            return self._remember(bars, [])
        state, p = copy_state(self._account()), self._parameters
        count = len(self._symbols)
        scratch = np.zeros((2, count))
        apply_actions(
            state,
            bars.split[0],
            bars.dividend[0],
            self._lots,
            scratch[0],
            scratch[1],
            np.zeros(state.holding.shape[1]),
        )
        mine = {order.symbol for order in orders}
        quantities = np.where([symbol in mine for symbol in self._symbols], state.pending[LIVE], 0.0)
        quantity, price, fee, spread, impact = (np.zeros(count) for _ in range(5))
        status = np.zeros(count, dtype=np.int64)
        available, slope = np.zeros(count), np.zeros(count)
        market_depth(
            bars.volume[0], state.volatility, self._lots, p.participation, p.impact, available, np.zeros(count), slope
        )
        match_orders(
            quantities,
            state.position[LIVE],
            float(state.cash[LIVE]),
            state.mark,
            bars.open[0],
            available,
            slope,
            p.commission,
            p.minimum_commission,
            p.half_spread,
            p.leverage,
            quantity,
            price,
            fee,
            spread,
            impact,
            status,
        )
        opened, answers = as_datetime(bars.opened[0]), []
        for order in orders:
            s = self._symbols.index(order.symbol)
            costs = (float(fee[s]), float(spread[s]), float(impact[s])) if quantity[s] else (0.0, 0.0, 0.0)
            answers.append(
                settle_order(
                    order,
                    FillStatus(status[s]),
                    opened,
                    quantity=float(quantity[s]),
                    price=float(price[s]),
                    costs=costs,
                )
            )
        return self._remember(bars, answers)

    def _remember(self, bars: Bars, outcomes: list[OrderOutcome]) -> list[OrderOutcome]:
        """The answer about a bar stays the same, however often its cycle has to be tried."""
        self._settled = (bars.time[0], outcomes)
        self._working.clear()
        return outcomes
