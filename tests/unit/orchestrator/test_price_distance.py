"""Which orders leave when the market's price is not near the last trusted one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from agents.core.errors import ServiceError
from agents.core.orders import Order, OrderOutcome
from agents.core.risk_settings import Limit
from agents.orchestrator.broker_in_front import BrokerInFront
from agents.orchestrator.price_distance import PriceDistance
from tests.market import make_bars

NOW = datetime(2026, 3, 4, tzinfo=UTC)
BARS = make_bars(30, 1, 2)
CLOSE = float(BARS.close[-1, 0])


class Venue(BrokerInFront):
    """Takes every order."""

    def __init__(self):
        super().__init__(self)
        self.taken = []

    def place(self, orders):
        self.taken += [order.side for order in orders]
        return [OrderOutcome(client_order_id=order.client_order_id, state="acked") for order in orders]


def silent(_symbol):
    raise ServiceError("no answer")


@pytest.mark.parametrize(
    ("quote", "action", "taken"),
    [
        (lambda _symbol: Decimal(str(CLOSE * 1.09)), "enforce", ["sell", "buy"]),
        (lambda _symbol: Decimal(str(CLOSE * 1.12)), "enforce", ["sell"]),
        (lambda _symbol: Decimal(str(CLOSE * 0.5)), "enforce", ["sell"]),
        (lambda _symbol: Decimal(str(CLOSE * 0.5)), "warn", ["sell", "buy"]),
        (lambda _symbol: Decimal(str(CLOSE * 0.5)), "off", ["sell", "buy"]),
        (lambda _symbol: None, "enforce", ["sell"]),
        (silent, "enforce", ["sell"]),
    ],
)
def test_only_purchases_wait_for_a_price_that_is_near(quote, action, taken):
    venue = Venue()
    broker = PriceDistance(venue, Limit(at=0.1, action=action), quote)
    broker.note(BARS)
    orders = [
        Order(client_order_id=side, decision_time=NOW, symbol="S0", side=side, quantity=Decimal(1))
        for side in ("sell", "buy")
    ]
    states = {answer.client_order_id: answer.state for answer in broker.place(orders)}
    assert venue.taken == taken
    assert states == {side: "acked" if side in taken else "not_placed" for side in ("sell", "buy")}


def test_a_suspect_close_is_not_what_a_price_is_held_against():
    suspect = np.zeros(BARS.close.shape, dtype=bool)
    suspect[-1] = True
    believed = float(BARS.close[-2, 0])
    broker = PriceDistance(Venue(), Limit(at=0.1, action="enforce"), lambda _symbol: Decimal(str(believed * 1.05)))
    closes = BARS.close.copy()
    closes[-1] = believed * 10.0
    broker.note(replace(BARS, close=closes, suspect=suspect))
    order = Order(client_order_id="o", decision_time=NOW, symbol="S0", side="buy", quantity=Decimal(1))
    assert [answer.state for answer in broker.place([order])] == ["acked"]
