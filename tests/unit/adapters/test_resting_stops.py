"""Stops that rest at an exchange, by ccxt's own class against the made-up exchange with Binance's rules for them: one for
each position, never of more than is held, whatever answer is lost."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal as D

import numpy as np
import pytest

from agents.adapters.brokers.account_broker import GRACE_S, AccountBroker
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.private_account import PrivateAccount
from agents.adapters.exchanges.recorded_market import LOW
from agents.core.errors import ServiceError
from agents.core.orders import STOPPED_MEANWHILE, Order
from agents.core.venues import WantedStop
from tests.unit.adapters.test_account_broker import MARKET, NOW, PAIR, PLACE, desk

CANCEL = "DELETE /api/v3/order"


class StopRows:
    """What a desk has on record of its stops, as a dictionary; those that were ever said to rest or to be sent."""

    def __init__(self):
        self.rows = {}

    def known(self, ids):
        return frozenset(ids) & frozenset(self.rows)

    def standing(self):
        return [stop for stop in self.rows.values() if stop.state != "ended"]

    def set_by(self, decision, symbol):
        return sum(
            s.order.decision_time == decision and s.order.symbol == symbol and s.state != "refused"
            for s in self.rows.values()
        )

    def note(self, stop):
        self.rows[stop.order.client_order_id] = stop


class Plan:
    """A desk that holds what its fills say and stops it at one price."""

    def __init__(self, it):
        self.it, self.price, self.decision, self.booked_stops = it, None, NOW, D(0)

    def held(self, _symbol):
        return self.it.record_held() - self.booked_stops

    def wanted(self, unbooked):
        held = self.held(PAIR) + sum((f.signed_quantity for f in unbooked.get(PAIR, ())), start=D(0))
        return {} if self.price is None or held <= 0 else {PAIR: WantedStop("sell", held, self.price)}

    def order_of(self, symbol, number):
        return f"s-{self.decision:%H%M}-{number}", self.decision


class Stopping:
    """A desk that holds something at the exchange and lets a stop rest there."""

    def __init__(self, it):
        self.it, self.rows, self.why, self.stopped = it, StopRows(), "", {}
        self.plan = Plan(self)
        self.take_up()

    def take_up(self):
        """As a process that starts."""
        old = self.it.broker
        self.it.broker = AccountBroker(old._account, self.it.record, (PAIR,), NOW, self.it.clock)
        self.stops = self.it.broker.keep_stops(self.rows, self.plan, lambda _order: self.why)

    def record_held(self):
        return self.it.held()

    def last(self):
        return self.it.account._last(PAIR, self.now_ms())

    def now_ms(self):
        return round(self.it.clock.now().timestamp() * 1000)

    def buy(self, quantity="1"):
        self.it.place(quantity)
        self.decide()

    def decide(self, since=NOW - timedelta(hours=1)):
        """The next decision books what is known."""
        outcomes = self.it.broker.poll(since)
        self.it.record.take([o for o in outcomes if not o.of_stop])
        for outcome in (o for o in outcomes if o.of_stop):
            for fill in outcome.fills:
                assert fill.fill_id not in self.it.record.fills, "booked twice"
                self.it.record.fills[fill.fill_id] = fill
                self.stopped[fill.fill_id] = fill
        self.plan.decision += timedelta(minutes=1)

    def turns(self, count=3, every_s=5.0):
        for _ in range(count):
            self.stops.keep(self.it.broker.place)
            self.it.clock.sleep_s(every_s)
            self.is_covered()

    def is_covered(self):
        """The oracle: what may be sold is never more than the desk has at the exchange."""
        self.it.account.advance(self.now_ms())
        may_sell = sum(
            (o.quantity - o.executed for o in self.it.account.orders.values() if o.works and o.side == "SELL"),
            start=D(0),
        )
        assert may_sell <= self.mine(), "more would be sold than the desk holds"
        return may_sell

    def mine(self):
        """The desk's own at the exchange: what it bought there less what it sold."""
        signed = [t.quantity if t.side == "BUY" else -t.quantity for t in self.it.account.trades]
        return sum(signed, start=D(0))

    def resting(self):
        """(quantity, stop) of the stops that work there."""
        self.it.account.advance(self.now_ms())
        kept = self.it.account.orders.values()
        return [(o.quantity - o.executed, o.stop) for o in kept if o.works and o.stop is not None]

    def fall_to(self, price, monkeypatch, after_s=0.0):
        """From the next candle on the market trades down to a price; so much later, and two hours after that."""
        candles = MARKET.candles[PAIR].copy()
        later = candles[:, 0] > self.now_ms() + 1000 * after_s
        candles[later, LOW] = np.minimum(candles[later, LOW], float(price))
        monkeypatch.setitem(MARKET.candles, PAIR, candles)
        self.it.clock.sleep_s(after_s + 2 * 3600.0)


@contextmanager
def stopping(*faults, held="1", price="0.8", **more):
    with desk(*faults, **more) as it:
        one = Stopping(it)
        it.account.move("BTC", D(5))  # a person's own, which no stop of the desk may sell
        if held:
            one.buy(held)
        one.plan.price = (one.last() * D(price)).quantize(D("0.01"))
        yield one


def test_one_stop_rests_for_what_is_held_at_the_step_s_price_in_ticks_and_steps():
    with stopping(held="1.23456") as it:
        it.plan.price += D("0.003")
        it.turns()
        assert it.resting() == [(D("1.23456"), it.plan.price + D("0.007"))], "reached no later than the step's"
        assert it.it.fake.asked[PLACE] == 2
        assert it.it.broker.holdings().foreign == []


def test_it_is_replaced_when_the_decision_moves_it_or_the_position_changes_and_taken_back_when_it_is_closed():
    with stopping() as it:
        it.turns()
        first, it.plan.price = it.plan.price, it.plan.price + 1
        it.turns()
        assert it.resting() == [(D(1), first + 1)]
        it.buy("0.5")
        it.turns()
        assert it.resting() == [(D("1.5"), first + 1)]
        it.it.place("0.4", "sell")
        it.turns()
        assert it.resting() == [(D("1.1"), first + 1)]
        it.decide()
        it.it.place("1.1", "sell")
        it.decide()
        it.turns()
        assert (it.resting(), it.mine()) == ([], 0)
        assert {stop.state for stop in it.rows.rows.values()} == {"ended"}
        assert max(len(o) for o in ([k for k in it.rows.rows if k == key] for key in it.rows.rows)) == 1


def test_a_restart_finds_its_stop_and_sets_no_second_one():
    with stopping() as it:
        it.turns()
        for _ in range(3):
            it.take_up()
            it.turns()
        assert (len(it.resting()), it.it.fake.asked[PLACE]) == (1, 2)


def test_while_no_desk_runs_it_sells_and_the_next_decision_books_it(monkeypatch):
    with stopping() as it:
        it.turns()
        it.fall_to(it.plan.price - 1, monkeypatch)
        it.take_up()
        it.decide()
        assert (it.mine(), it.it.held(), len(it.stopped)) == (0, 0, 1)
        assert it.it.account.balances["BTC"] == 5, "a person's own is untouched"
        it.turns()
        it.decide()
        assert {stop.state for stop in it.rows.rows.values()} == {"ended"}


def test_one_that_was_set_long_ago_is_found_by_its_id(monkeypatch):
    """The exchange's lists are read two days back, as far as the last decision."""
    with stopping() as it:
        it.turns()
        it.fall_to(it.plan.price - 1, monkeypatch, after_s=55 * 3600.0)
        it.it.clock.sleep_s(2 * 86400.0 - 7200.0)
        assert it.is_covered() == 0
        it.decide(since=it.it.clock.now() - timedelta(hours=1))
        assert (it.mine(), it.it.held(), len(it.stopped)) == (0, 0, 1)


def test_hit_between_the_decision_and_its_sale_nothing_is_sold_twice(monkeypatch):
    with stopping() as it:
        it.turns()
        it.fall_to(it.plan.price - 1, monkeypatch)
        answer = it.it.place("1", "sell")
        assert (answer.state, answer.reason) == ("not_placed", STOPPED_MEANWHILE)
        it.decide()
        assert (it.mine(), it.it.held(), it.it.account.balances["BTC"]) == (0, 0, 5)


@pytest.mark.parametrize("booked", [False, True])
def test_a_stop_that_was_filled_in_part_leaves_the_rest_to_the_sale(monkeypatch, booked):
    with stopping(manners=Manners(parts=1)) as it:
        it.it.account.manners = Manners(parts=4, part_s=1800.0)
        it.turns()
        it.fall_to(it.plan.price - 1, monkeypatch)
        it.is_covered()
        sold = 1 - it.mine()
        assert 0 < sold < 1
        if booked:
            it.decide()
        it.it.account.manners = Manners(part_s=1800.0)
        answer = it.it.place(str(1 - sold) if booked else "1", "sell")
        assert answer.state == "acked"
        it.decide()
        assert (it.mine(), it.it.held(), it.it.account.balances["BTC"]) == (0, 0, 5)


FAULTS = ["lost", "cut", "gateway", "unheard", "error", "page", "empty", "maintenance", "limited", "banned", "delayed"]


@pytest.mark.parametrize("kind", FAULTS)
def test_an_answer_lost_when_it_is_set_makes_no_second_one(kind):
    with stopping(Fault(kind=kind, path=PLACE, after=1, seconds=30.0)) as it:
        it.turns(30)
        assert it.resting() == [(D(1), it.plan.price)]
        assert it.it.account.balances["BTC"] == 6


@pytest.mark.parametrize("kind", FAULTS)
def test_an_answer_lost_when_it_is_taken_back_leaves_one_stop_in_the_end(kind):
    with stopping(Fault(kind=kind, path=CANCEL, seconds=30.0)) as it:
        it.turns()
        it.plan.price += 1
        it.turns(20)
        assert it.resting() == [(D(1), it.plan.price)]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_sale_whose_stop_cannot_be_taken_back_for_certain_sells_once_or_not_at_all(kind):
    with stopping(Fault(kind=kind, path=CANCEL, seconds=30.0)) as it:
        it.turns()
        answer = it.it.place("1", "sell")
        it.turns(20)
        it.it.clock.sleep_s(GRACE_S)
        it.decide()
        it.turns(20)
        sold = answer.state == "acked"
        assert (it.mine(), it.resting()) == ((0, []) if sold else (1, [(D(1), it.plan.price)]))
        assert it.it.held() == it.mine()
        assert sold is (kind not in ("limited", "banned")), answer


def test_a_stop_whose_answer_was_lost_and_that_comes_late_is_taken_back_after_the_sale():
    with stopping(Fault(kind="delayed", path=PLACE, after=1, seconds=30.0)) as it:
        it.turns(1)
        assert it.it.place("1", "sell").state == "acked"
        for _ in range(10):
            it.stops.keep(it.it.broker.place)
            it.it.clock.sleep_s(5.0)
        it.decide()
        it.turns(20)
        assert (it.resting(), it.mine(), it.it.account.balances["BTC"]) == ([], 0, 5)


def test_past_its_stop_already_a_position_is_closed_at_the_market():
    """Binance would refuse a stop that triggers at once."""
    with stopping() as it:
        it.plan.price = it.last() * 2
        it.turns()
        it.decide()
        assert (it.resting(), it.mine(), it.it.held(), len(it.stopped)) == ([], 0, 0, 1)


def test_a_stop_that_the_exchange_refuses_since_it_would_trigger_at_once_is_a_sale_at_the_next_look(monkeypatch):
    with stopping() as it:
        it.plan.price = it.last() * 2
        true = PrivateAccount.last_price
        monkeypatch.setattr(PrivateAccount, "last_price", lambda self, symbol: it.plan.price + 1)
        it.turns(3)
        (row,) = it.rows.standing()
        assert (row.state, "immediately" in row.reason, it.mine()) == ("refused", True, 1)
        assert it.it.fake.asked[PLACE] == 1 + 3, "asked again and again"
        assert it.it.place("0.5").state == "acked", "the symbol's orders are not held back for it"
        it.decide()
        monkeypatch.setattr(PrivateAccount, "last_price", true)
        it.turns()
        it.decide()
        assert (it.mine(), it.it.held()) == (0, 0)


def test_a_sale_that_rests_keeps_its_part_and_a_stop_the_rest():
    with stopping(held="2") as it:
        high = (it.last() * 2).quantize(D("0.01"))
        order = Order(
            client_order_id="t-9", decision_time=NOW, symbol=PAIR, side="sell", quantity=D("0.5"), kind="limit",
            limit_price=high,
        )  # fmt: skip
        it.turns()
        it.it.record.orders["t-9"] = order, "sending"
        it.it.record.take(it.it.broker.place([order]))
        it.turns()
        assert it.resting() == [(D("1.5"), it.plan.price)]
        it.decide()  # what is left of it is taken back
        it.turns()
        assert it.resting() == [(D(2), it.plan.price)]


def test_a_sale_that_chases_and_a_stop_never_sell_more_than_is_held():
    with stopping(held="2") as it:
        order = Order(
            client_order_id="t-9", decision_time=NOW, symbol=PAIR, side="sell", quantity=D("1.5"), kind="chase",
            limit_price=(it.last() * 2).quantize(D("0.01")),
        )  # fmt: skip
        it.it.record.orders["t-9"] = order, "sending"
        it.it.record.take(it.it.broker.place([order]))
        for _ in range(4):
            it.turns(1)
            it.it.broker.chases.go_on(it.it.broker.place, timedelta(seconds=10))
            it.is_covered()
        it.turns(2)
        assert (it.resting(), it.mine()) == ([(D("0.5"), it.plan.price)], D("0.5"))


def test_an_entry_that_rests_is_dropped_when_the_stop_is_reached(monkeypatch):
    with stopping() as it:
        low = (it.last() * D("0.5")).quantize(D("0.01"))
        order = Order(
            client_order_id="t-9", decision_time=NOW, symbol=PAIR, side="buy", quantity=D(1), kind="limit",
            limit_price=low,
        )  # fmt: skip
        it.it.record.orders["t-9"] = order, "sending"
        it.it.record.take(it.it.broker.place([order]))
        it.turns()
        it.fall_to(it.plan.price - 1, monkeypatch)
        it.turns()
        assert not [o for o in it.it.account.orders.values() if o.works]


@pytest.fixture
def types():
    """What orders the exchange takes, which a test changes."""
    kept = list(MARKET.order_types)
    yield MARKET.order_types
    MARKET.order_types[:] = kept


def test_where_only_stops_at_a_limit_are_taken_the_limit_stands_behind_and_what_falls_past_it_is_sold(
    types, monkeypatch
):
    types.remove("STOP_LOSS")
    with stopping() as it:
        it.turns()
        (order,) = [o for o in it.it.account.orders.values() if o.works]
        assert order.stop == it.plan.price
        assert order.price == (it.plan.price * D("0.95")).quantize(D("0.01"), rounding="ROUND_DOWN")
        monkeypatch.setattr(PrivateAccount, "last_price", lambda *_: it.plan.price * D("0.9"))
        it.turns(20)
        it.decide()
        assert (it.mine(), it.it.held(), it.resting()) == (0, 0, [])


def test_where_none_are_taken_the_price_is_watched_and_that_is_said(types, monkeypatch):
    types[:] = ["LIMIT", "MARKET"]
    with stopping() as it:
        it.turns(5, every_s=10.0)
        (row,) = it.rows.standing()
        assert (row.state, "watches the price" in row.reason, it.resting()) == ("none", True, [])
        monkeypatch.setattr(PrivateAccount, "last_price", lambda *_: it.plan.price - 1)
        it.turns(3, every_s=10.0)
        it.decide()
        assert (it.mine(), it.it.held(), len(it.stopped)) == (0, 0, 1)
        it.turns()
        assert it.rows.standing() == []


def test_what_is_worth_too_little_has_no_stop_there_and_that_is_said():
    with stopping(held="0.1", price="0.5") as it:
        it.turns()
        (row,) = it.rows.standing()
        assert (row.state, "least amount" in row.reason) == ("none", True)


def test_while_nothing_may_be_sent_what_rests_stays():
    with stopping() as it:
        it.turns()
        rests, it.why = it.resting(), "the kill file was there"
        it.plan.price += 1
        it.turns()
        assert it.resting() == rests
        it.why = ""
        it.turns(20)
        assert it.resting() == [(D(1), it.plan.price)]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_goes_wrong_never_more_is_sold_than_held_and_all_of_it_is_booked(seed):
    rng = np.random.default_rng(seed)
    manners = Manners(parts=1 + seed % 3, part_s=3.0, late_s=7.0, doubled=seed % 2 == 0, shuffled=True)
    with stopping(manners=manners, share=0.0, seed=seed) as it:
        it.it.clock.sleep_s(30.0)
        it.decide()
        it.it.fake.script = FaultScript((), share=0.2, seed=seed)
        for _ in range(40):
            try:
                if not it.it.record.open_orders() and rng.random() < 0.4 and it.it.held() == it.mine():
                    side = "sell" if it.it.held() >= 1 and rng.random() < 0.6 else "buy"
                    it.it.place("0.5", side)
                it.plan.price += D(int(rng.integers(-50, 60))) / 100
                it.turns(2)
                if rng.random() < 0.3:
                    it.it.clock.sleep_s(30.0)
                    it.decide()
                if rng.random() < 0.1:
                    it.take_up()
            except ServiceError:
                it.it.clock.sleep_s(20.0)
        it.it.fake.script = FaultScript()
        for _ in range(4):
            it.it.clock.sleep_s(GRACE_S + 20)
            it.decide()
            it.turns(3)
        assert it.it.held() == it.mine()
        assert it.it.account.balances["BTC"] == 5 + it.mine()
        held = [(it.mine(), it.plan.price)] if it.mine() else []
        assert it.resting() == held
