"""What still works at the exchange although nobody thinks so, by ccxt's own class against the made-up exchange: it is
taken back, or holds up the next order of its symbol."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agents.adapters.brokers.account_broker import GRACE_S, STANDSTILL
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault
from agents.core.errors import ServiceError
from agents.core.orders import TOO_LATE, UNRESOLVED, Order
from tests.unit.adapters.test_account_broker import NOW, PAIR, PLACE, D, desk

CANCEL = "DELETE /api/v3/order"
SLOW = Manners(first_s=5000.0)


def states_there(it):
    return [order.status for order in it.account.orders.values()]


def test_an_order_that_the_exchange_took_later_than_anybody_waits_is_taken_back():
    """Seen: on record as never placed, so nobody ever took it back, and it was filled at any later time."""
    with desk(Fault(kind="delayed", path=PLACE, seconds=GRACE_S + 60.0), manners=SLOW) as it:
        assert it.place().state == "unknown"
        it.poll()
        it.poll(GRACE_S + 1)
        assert (it.state(), states_there(it)) == ("not_placed", [])
        it.poll(GRACE_S)
        assert (it.state(), states_there(it)) == ("not_placed", ["CANCELED"])


def test_while_an_order_cannot_be_taken_back_no_other_of_its_symbol_leaves():
    """Seen: the desk went on as if it had ended, and had two orders at work for one position."""
    with desk(Fault(kind="quoted", path=CANCEL, count=3), manners=SLOW) as it:
        it.place()
        it.poll(60.0)
        assert (it.state(), states_there(it)) == ("acked", ["NEW"])
        answer = it.place()
        assert (answer.state, answer.reason, it.fake.asked[PLACE]) == ("not_placed", UNRESOLVED, 1)
        it.poll(60.0)
        assert (it.state(), states_there(it)) == ("expired", ["CANCELED"])
        assert it.place().state == "acked"


def test_a_cancel_that_meets_a_limit_of_requests_has_not_happened():
    """Seen: a halt counted it as an order that had ended; it went on working, and bought."""
    with desk(Fault(kind="limited", path=CANCEL, seconds=20.0), manners=SLOW) as it:
        it.place()
        with pytest.raises(ServiceError):
            it.broker.cancel(["t-1"])
        it.clock.sleep_s(21.0)
        (answer,) = it.broker.cancel(["t-1"])
        assert (answer.client_order_id, states_there(it)) == ("t-1", ["CANCELED"])


def test_a_process_that_stands_still_between_two_orders_buys_nothing_more():
    """Seen: whether a bar is too old was asked before the first order only."""
    with desk() as it:
        orders = [
            Order(client_order_id=f"t-{k}", decision_time=NOW, symbol=PAIR, side=side, quantity=D(1))
            for k, side in ((1, "buy"), (2, "sell"), (3, "sell"))
        ]
        it.record.orders.update({order.client_order_id: (order, "sending") for order in orders})
        it.account.move("BTC", D(5))
        place = it.broker._account.place

        def slowly(*given):
            answer = place(*given)
            it.clock.step(STANDSTILL + timedelta(seconds=1))
            return answer

        it.broker._account.place = slowly
        answers = [(answer.state, answer.reason) for answer in it.broker.place(orders)]
        assert answers == [("not_placed", TOO_LATE), ("acked", ""), ("acked", "")]
