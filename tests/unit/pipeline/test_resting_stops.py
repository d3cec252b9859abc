"""Where the stops stand that are to rest at a venue: where the step closes the same position, fills that no decision has
booked included; and how their fills become one order of the decision that books them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D

import numpy as np
import pytest

from agents.core.orders import Fill, Order, OrderOutcome
from agents.pipeline.parameters import StopRules
from agents.pipeline.resting_stops import wanted_stop
from agents.pipeline.stop_orders import closed_by, parted, stop_id
from tests.market import make_bars

AT = datetime(2026, 3, 4, 10, tzinfo=UTC)
LOSS, TRAIL = StopRules(0.1, 0.0, 5.0), StopRules(0.0, 0.05, 5.0)
BOTH = StopRules(0.1, 0.05, 5.0)


def fill(quantity, price, side="buy", key="f1", symbol="A"):
    return Fill(
        fill_id=key, client_order_id="rest-1", time=AT, symbol=symbol, side=side, quantity=D(quantity), price=D(price),
        fee=D(0), spread_cost=D(0), impact_cost=D(0),
    )  # fmt: skip


def stop(entry, best):
    return np.array([entry, best, 0.0])


CASES = {  # held, (entry, best), fills, rules -> (side, quantity, price) by hand
    "the loss": ("2", (100.0, 120.0), (), LOSS, ("sell", "2", "90")),
    "the best price": ("2", (100.0, 120.0), (), TRAIL, ("sell", "2", "114")),
    "the nearer of both": ("2", (100.0, 100.0), (), BOTH, ("sell", "2", "95")),
    "bought more: the average entry": ("1", (100.0, 100.0), (("1", "120"),), LOSS, ("sell", "2", "99")),
    "sold a part: the entry stays": ("2", (100.0, 100.0), (("1", "120", "sell"),), LOSS, ("sell", "1", "90")),
    "just bought": ("0", (0.0, 0.0), (("1", "50"), ("1", "70")), LOSS, ("sell", "2", "54")),
    "sold, and bought again": (
        "1", (100.0, 130.0), (("1", "90", "sell"), ("1", "80")), TRAIL, ("sell", "1", "76"),
    ),
    "held since before stops were set": ("1", (0.0, 0.0), (), LOSS, ("sell", "1", "99")),
    "short": ("-2", (100.0, 90.0), (), LOSS, ("buy", "2", "110")),
    "closed": ("1", (100.0, 100.0), (("1", "99", "sell"),), LOSS, None),
    "nothing held": ("0", (0.0, 0.0), (), LOSS, None),
    "none set": ("1", (100.0, 100.0), (), StopRules(0.0, 0.0, 5.0), None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_stands_where_the_step_would_close_what_is_held(case):
    held, own, fills, rules, expected = CASES[case]
    booked = stop(*own)
    found = wanted_stop(D(held), booked, 110.0, [fill(*one) for one in fills], rules)
    assert (None if found is None else (found.side, found.held, found.price)) == (
        None if expected is None else (expected[0], D(expected[1]), D(expected[2]))
    )
    assert list(booked) == [*own, 0.0], "the desk's own state is not changed"


def test_fills_of_stops_become_one_order_of_the_decision_and_wait_where_there_is_no_bar():
    bar = make_bars(1, 2)
    first, second = bar.symbols
    bar.open[0, 1] = np.nan
    fills = [fill("1", "9", "sell", "f1", first), fill("2", "8", "sell", "f2", first)]
    outcomes = [
        OrderOutcome(client_order_id="t-1", state="filled"),
        OrderOutcome(client_order_id="rest-1", state="filled", fills=(fills[0],), of_stop=True),
        OrderOutcome(client_order_id="rest-2", state="filled", fills=(fills[1],), of_stop=True),
        OrderOutcome(
            client_order_id="rest-3", state="filled", fills=(fill("1", "9", "sell", "f3", second),), of_stop=True
        ),
    ]
    ordered, stopped = parted(outcomes, "t", bar)
    at = bar.time[0].astype("datetime64[us]").item().replace(tzinfo=UTC)
    assert [o.client_order_id for o in ordered] == ["t-1"]
    (own,) = stopped
    key = stop_id("t", at, first)
    assert (own.client_order_id, [f.fill_id for f in own.fills]) == (key, ["f1", "f2"])
    assert {f.client_order_id for f in own.fills} == {key}
    for wanted, state in (("3", "filled"), ("4", "expired")):
        order = Order(client_order_id=key, decision_time=at, symbol=first, side="sell", quantity=D(wanted), kind="stop")
        (answer,) = closed_by(stopped, [order])
        assert answer.state == state
