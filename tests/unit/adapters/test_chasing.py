"""Orders that rest at an exchange, and those that chase, by ccxt's own class against the made-up exchange: at which price
they stand, what crosses, and that nothing is bought twice, whatever answer is lost."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal as D

import pytest

from agents.adapters.brokers.account_broker import GRACE_S, AccountBroker
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault
from agents.core.orders import OrderOutcome
from agents.core.types import Order
from tests.unit.adapters.test_account_broker import NOW, PAIR, PLACE, desk

PASSIVE = timedelta(minutes=30)
CANCEL, LOOK = "DELETE /api/v3/order", "GET /api/v3/order"


class Chasing:
    """A desk whose orders rest."""

    def __init__(self, it):
        self.it = it
        self.take_up()

    def take_up(self):
        """As a process that starts."""
        broker = self.it.broker
        self.it.broker = AccountBroker(broker._account, self.it.record, (PAIR,), NOW, self.it.clock)

    def last(self):
        return self.it.account._last(PAIR, round(self.it.clock.now().timestamp() * 1000))

    def order(self, price, *, quantity="1", side="buy", kind="chase", key="t-1"):
        order = Order(
            client_order_id=key,
            decision_time=NOW,
            symbol=PAIR,
            side=side,
            quantity=D(quantity),
            kind=kind,
            limit_price=D(price),
        )
        self.it.record.orders[key] = order, "sending"
        (answer,) = self.it.broker.place([order])
        self.it.record.take([answer])
        return answer.state

    def turns(self, count=4, every_s=20.0, place=None):
        """Turns of a daemon: orders whose answer is lost are asked about, those that chase are gone on for."""
        for _ in range(count):
            self.it.record.take(
                OrderOutcome(client_order_id=order.client_order_id, state=state)
                for order, state in self.it.broker.resolved()
            )
            self.it.broker.chases.go_on(place or self.it.broker.place, PASSIVE)
            self.it.clock.sleep_s(every_s)

    def wait(self):
        self.it.clock.sleep_s(PASSIVE.total_seconds())

    def orders(self):
        """(type, quantity, filled) of all that the exchange has by now."""
        self.it.account.advance(round(self.it.clock.now().timestamp() * 1000))
        kept = self.it.account.orders.values()
        return [("market" if o.price is None else "limit", o.quantity, o.executed) for o in kept]

    def bought(self):
        return self.it.account.balances.get("BTC", D(0))


@contextmanager
def chasing(*faults, **more):
    with desk(*faults, **more) as it:
        yield Chasing(it)


def far(it):
    """A price to buy at that the market does not reach."""
    return it.last() * D("0.8")


def near(it):
    """One that it trades through at once."""
    return it.last() * D("1.2")


@pytest.mark.parametrize(("side", "price", "stands"), [("buy", "0.123", "0.12"), ("sell", "0.123", "0.13")])
def test_a_limit_order_stands_on_its_own_side_of_the_tick(side, price, stands):
    with chasing() as it:
        it.it.account.balances["BTC"] = D(2)
        base = D(int(far(it) if side == "buy" else it.last() * 2))
        assert it.order(base + D(price), side=side, kind="limit") == "acked"
        (order,) = it.it.account.orders.values()
        assert (order.price, order.executed) == (base + D(stands), 0)


def test_a_limit_order_that_was_not_reached_is_taken_back_at_the_next_decision():
    with chasing() as it:
        it.order(far(it), kind="limit")
        it.wait()
        it.turns()
        (answer,) = it.it.poll()
        assert (answer.state, answer.reason) == ("expired", "the rest expired at the next bar")
        assert it.orders() == [("limit", D(1), D(0))]


def test_an_order_that_chases_crosses_when_its_time_has_come_and_not_before():
    with chasing() as it:
        it.order(far(it))
        it.it.clock.sleep_s(PASSIVE.total_seconds() - 61.0)
        it.turns(3)
        assert it.orders() == [("limit", D(1), D(0))]
        it.turns(3)
        assert it.orders() == [("limit", D(1), D(0)), ("market", D(1), D(1))]
        (answer,) = it.it.poll()
        assert (answer.state, it.it.held(), it.bought()) == ("filled", D(1), D(1))
        assert it.it.poll() == []


def test_what_was_filled_while_it_rested_is_not_bought_again():
    with chasing(manners=Manners(parts=3, part_s=1e6)) as it:
        it.order(near(it), quantity="0.9")
        it.it.account.manners = Manners(part_s=1e6)
        it.wait()
        it.turns()
        assert it.orders() == [("limit", D("0.9"), D("0.3")), ("market", D("0.6"), D("0.6"))]
        (answer,) = it.it.poll()
        assert (answer.state, len(answer.fills), it.it.held(), it.bought()) == ("filled", 2, D("0.9"), D("0.9"))


def test_one_that_was_filled_does_nothing_more():
    with chasing() as it:
        it.order(near(it))
        it.wait()
        it.turns()
        it.it.poll()
        assert (it.it.state(), it.orders()) == ("filled", [("limit", D(1), D(1))])


LOST = {  # faults in the middle of a chase, and whether the second order is there in the end
    "the cancel was heard": ((Fault(kind="lost", path=CANCEL),), 1),
    "the cancel was not heard": ((Fault(kind="unheard", path=CANCEL),), 1),
    "a gateway answers the cancel": ((Fault(kind="gateway", path=CANCEL),), 1),
    "the cancel is answered by nonsense": ((Fault(kind="page", path=CANCEL),), 1),
    "two cancels are lost": ((Fault(kind="lost", path=CANCEL, count=2),), 1),
    "too many requests at the cancel": ((Fault(kind="limited", path=CANCEL, seconds=30.0),), 1),
    "what it was filled is not told": ((Fault(kind="lost", path=LOOK),), 1),
    "the second order was heard": ((Fault(kind="lost", path=PLACE, after=1),), 1),
    "the second order was not heard": ((Fault(kind="unheard", path=PLACE, after=1),), 0),
    "the second order comes late": ((Fault(kind="delayed", path=PLACE, after=1, seconds=30.0),), 1),
    "too many requests at the second order": ((Fault(kind="limited", path=PLACE, after=1),), 0),
    "both answers are lost": ((Fault(kind="lost", path=CANCEL), Fault(kind="gateway", path=PLACE, after=1)), 1),
}


@pytest.mark.parametrize("name", LOST)
def test_an_answer_that_is_lost_in_the_middle_buys_nothing_twice(name):
    faults, crossed = LOST[name]
    with chasing(*faults) as it:
        assert it.order(far(it)) == "acked"
        it.wait()
        it.turns(6)
        assert it.orders() == [("limit", D(1), D(0)), *[("market", D(1), D(1))] * crossed]
        it.it.poll()
        it.it.poll(GRACE_S + 1)
        assert it.it.state() == ("filled" if crossed else "expired")
        assert it.it.held() == it.bought() == crossed
        assert it.it.fake.asked[PLACE] == 2, "sent once each"


def test_a_second_order_that_comes_after_the_next_look_is_waited_for():
    """Unknown is not ended: it was sent, its answer is lost, and the exchange does not show it yet."""
    with chasing(Fault(kind="delayed", path=PLACE, after=1, seconds=50.0)) as it:
        it.order(far(it))
        it.wait()
        it.turns(1, every_s=0.0)
        (answer,) = it.it.poll()
        assert answer.state == "acked"
        it.it.poll(55.0)
        assert (it.it.state(), it.it.held(), it.bought()) == ("filled", D(1), D(1))


def test_one_that_cannot_be_taken_back_holds_no_other_up():
    with chasing(Fault(kind="unheard", path=CANCEL)) as it:
        it.order(far(it))
        it.order(far(it), key="t-2")
        it.wait()
        it.turns(1)
        assert [kind for kind, _, _ in it.orders()] == ["limit", "limit", "market"]
        it.turns(1)
        assert it.bought() == 2


def test_a_second_order_that_is_refused_ends_the_first_at_once():
    """Nobody waits for an answer that has come."""
    with chasing(Fault(kind="limited", path=PLACE, after=1)) as it:
        it.order(far(it))
        it.wait()
        it.turns(1, every_s=61.0)
        (answer,) = it.it.poll()
        assert (answer.state, it.bought()) == ("expired", 0)


def test_an_order_that_still_works_after_the_cancel_was_taken_is_waited_for(monkeypatch):
    """Some exchanges only note the wish: what it is filled until it has ended would be bought twice."""
    with chasing() as it:
        it.order(far(it))
        it.wait()
        account = it.it.broker._account
        looks, ask = iter(("open", "open", "open")), account.order  # the first of them before it is taken back

        def order(symbol, key):
            seen = ask(symbol, key)
            return seen._replace(status=next(looks, seen.status))

        monkeypatch.setattr(account, "order", order)
        it.turns(2)
        assert it.orders() == [("limit", D(1), D(0))]
        it.turns(1)
        assert it.orders() == [("limit", D(1), D(0)), ("market", D(1), D(1))]


def test_an_order_that_was_filled_while_it_was_taken_back_leaves_nothing_to_cross(monkeypatch, caplog):
    with chasing() as it, caplog.at_level(logging.INFO):
        it.order(far(it))
        it.wait()
        account = it.it.broker._account
        ask = account.order
        monkeypatch.setattr(account, "order", lambda symbol, key: ask(symbol, key)._replace(filled=D(1)))
        it.turns(2)
        assert it.orders() == [("limit", D(1), D(0))]
        assert "an order chases" not in caplog.text


def test_a_fill_after_the_cancel_counts():
    """Seen at exchanges: taken back, and filled all the same. More is held than was asked for, and all of it booked."""
    with chasing(manners=Manners(parts=2, part_s=PASSIVE.total_seconds() + 5.0, fills_after_cancel=True)) as it:
        it.order(near(it))
        it.it.account.manners = Manners(fills_after_cancel=True, part_s=PASSIVE.total_seconds() + 5.0)
        it.wait()
        it.turns(3)
        it.it.poll()
        it.it.poll(10.0)
        assert it.bought() == it.it.held() == D("1.5")


def test_after_a_restart_in_between_the_rest_expires():
    """The new process does not know whether the rest has left."""
    sent = []

    def ended(orders):
        sent.extend(orders)
        raise KeyboardInterrupt

    with chasing() as it:
        it.order(far(it))
        it.wait()
        with pytest.raises(KeyboardInterrupt):
            it.turns(1, place=ended)
        assert [order.client_order_id for order in sent] == ["t-1x"]
        it.take_up()
        it.turns(4)
        it.it.poll()
        assert (it.it.state(), it.orders()) == ("expired", [("limit", D(1), D(0))])


def test_after_a_restart_a_lost_answer_to_a_cancel_crosses_nothing_again():
    """Seen by the simulation: that nobody knew whether this process had taken it back counted as if it had, and what the
    process before had crossed was crossed again, under the same id: the exchange takes it, once the first is filled."""
    with chasing(Fault(kind="lost", path=CANCEL, after=1)) as it:
        it.order(far(it))
        it.wait()
        it.turns(2)
        once = [("limit", D(1), D(0)), ("market", D(1), D(1))]
        assert it.orders() == once
        it.take_up()
        it.turns(4)
        assert it.orders() == once


def test_a_restart_before_its_time_goes_on_chasing():
    with chasing() as it:
        it.order(far(it))
        it.take_up()
        it.wait()
        it.turns(2)
        it.it.poll()
        assert (it.it.state(), it.bought()) == ("filled", D(1))


def test_what_a_person_takes_back_is_not_chased():
    with chasing() as it:
        it.order(far(it))
        it.wait()
        it.it.broker.cancel(["t-1"])
        it.turns(3)
        it.it.poll()
        assert (it.it.state(), it.orders()) == ("cancelled", [("limit", D(1), D(0))])


@pytest.mark.parametrize("seed", range(8))
def test_whatever_goes_wrong_no_more_is_bought_than_was_ordered_and_all_of_it_is_booked(seed):
    with chasing(share=0.3, seed=seed, manners=Manners(parts=2, part_s=1e6, late_s=7.0, doubled=True)) as it:
        price = near(it) if seed % 2 else far(it)
        it.order(price)
        it.wait()
        it.it.account.manners = Manners(part_s=1e6, late_s=7.0, doubled=True)
        for _ in range(30):
            try:
                it.turns(1)
            except Exception:  # the exchange is away: the daemon's turn fails, and the next one comes
                it.it.clock.sleep_s(20.0)
        it.it.fake.script._share = 0.0
        it.it.clock.sleep_s(300.0)
        for _ in range(3):
            it.it.poll(GRACE_S)
        assert it.bought() <= 1
        assert it.it.held() == it.bought()
        assert it.it.state() in ("filled", "expired", "not_placed", "rejected")
