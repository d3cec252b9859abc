"""The broker of an account at Alpaca, by its own client against a server of its shape: what each answer proves of an
order, what is booked of it, and that nothing is sent twice."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_DOWN
from decimal import Decimal as D

import pytest

from agents.adapters.brokers.account_broker import GRACE_S, AccountBroker
from agents.adapters.exchanges.account_keys import AccountKey
from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.order_errors import OrderRefusedError
from agents.adapters.exchanges.public_prices import ExchangeAwayError
from agents.adapters.stocks import alpaca_account, alpaca_requests
from agents.adapters.stocks.alpaca_account import AlpacaAccount
from agents.core.errors import DataError, ServiceError, SettingsError
from agents.core.orders import Order
from tests.alpaca_server import AlpacaServer
from tests.daemons import HandClock
from tests.exchange import KEY, SECRET, recorded
from tests.unit.adapters.test_account_broker import Record

NOW = datetime(2026, 3, 4, 15, 24, tzinfo=UTC)
STOCK, PLACE = "AAPL", "POST /v2/orders"


class Desk:
    """A broker, its record, the account at the server, and the clock of all."""

    def __init__(self, broker, venue, record, server, clock):
        self.broker, self.venue, self.record, self.server, self.clock = broker, venue, record, server, clock
        self.account, self.number = server.account, 0

    def order(self, quantity, side="buy"):
        self.number += 1
        key = f"t-{self.number}"
        order = Order(
            client_order_id=key, decision_time=self.clock.now(), symbol=STOCK, side=side, quantity=D(quantity)
        )
        self.record.orders[key] = order, "sending"
        return order

    def place(self, quantity="3", side="buy"):
        (answer,) = self.broker.place([self.order(quantity, side)])
        self.record.take([answer])
        return answer

    def poll(self, after_s=0.0):
        self.clock.sleep_s(after_s)
        self.record.take(self.broker.poll(NOW))

    def state(self, number=1):
        return self.record.orders[f"t-{number}"][1]

    def held(self):
        return sum((fill.signed_quantity for fill in self.record.fills.values()), start=D(0))

    def sent(self):
        return self.server.asked.count(PLACE)


@contextmanager
def desk(*faults, manners=None, share=0.0, seed=0, key=KEY):
    market = replace(
        recorded(NOW, symbols=("AAPL/USD", "MSFT/USD")), lots={"AAPL/USD": 1e-8, "MSFT/USD": 1.0}, closed=set()
    )
    clock, record = HandClock(NOW), Record()
    plain = Manners(fee=D(0))
    account = FakeAccount(market, KEY, SECRET, {"USD": D(100_000)}, manners=manners or plain, seed=seed)
    with AlpacaServer(account, clock, FaultScript(faults, share=share, seed=seed)) as server:
        venue = AlpacaAccount(AccountKey(key, SECRET), clock, sandbox=True, url=server.url)
        yield Desk(AccountBroker(venue, record, (STOCK, "MSFT"), NOW, clock), venue, record, server, clock)
        venue.close()


def test_an_order_is_sent_filled_and_booked_once():
    with desk() as it:
        assert it.place("3.1234567891").state == "acked"
        it.poll()
        assert (it.state(), it.held()) == ("filled", D("3.12345678"))
        (fill,), (trade,) = it.record.fills.values(), it.account.trades
        assert (fill.price, fill.fee, fill.fee_currency) == (trade.price, 0, "")
        it.poll()
        totals = it.broker.balances()
        assert totals == {"USD": D(100_000) - fill.quantity * fill.price, STOCK: fill.quantity}
        assert it.broker.positions() == {STOCK: fill.quantity}


LOST = {  # fault -> the order's state at once, after a while, and how many the broker has in the end
    "lost": ("unknown", "filled", 1),
    "cut": ("unknown", "filled", 1),
    "gateway": ("unknown", "filled", 1),
    "unheard": ("unknown", "not_placed", 0),
    "error": ("unknown", "not_placed", 0),
    "page": ("unknown", "not_placed", 0),
    "empty": ("unknown", "not_placed", 0),
    "maintenance": ("unknown", "not_placed", 0),
    "limited": ("rejected", "rejected", 0),
}


@pytest.mark.parametrize("kind", LOST)
def test_what_a_fault_at_placing_proves(kind):
    """Its own client sends an order again after a 504 that was obeyed."""
    at_once, in_the_end, orders = LOST[kind]
    with desk(Fault(kind=kind, path=PLACE)) as it:
        assert it.place().state == at_once
        it.clock.sleep_s(61.0 if at_once == "rejected" else 0.0)
        it.poll()
        it.poll(GRACE_S / 2 + 1)
        if in_the_end == "not_placed":
            assert it.state() == "unknown", "it may still be on its way"
        it.poll(GRACE_S / 2)
        assert (it.state(), len(it.account.orders), it.sent()) == (in_the_end, orders, 1)
        assert it.held() == it.account.balances.get("AAPL", 0)


def test_an_id_that_was_used_before_proves_nothing_and_is_looked_up():
    with desk() as it:
        it.place()
        it.poll()
        it.number = 0
        order = it.order("3")
        (answer,) = it.broker.place([order])
        assert (answer.state, "unique" in answer.reason) == ("unknown", True)
        it.record.take([answer])
        it.poll()
        assert (it.state(), len(it.account.orders), it.held()) == ("filled", 1, 3)


REFUSED = {"a thousandth": ("0.001", "least"), "more than there is": ("30000", "insufficient")}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case):
    quantity, words = REFUSED[case]
    with desk() as it:
        answer = it.place(quantity)
        assert (answer.state, words in answer.reason, len(it.account.orders)) == ("rejected", True, 0)


def test_a_stock_of_whole_shares_is_ordered_in_whole_shares():
    with desk() as it:
        it.server.whole.add("MSFT")
        order = replace(it.order("2.7"), symbol="MSFT")
        assert [answer.state for answer in it.broker.place([order])] == ["acked"]
        assert [placed.quantity for placed in it.account.orders.values()] == [D(2)]
        assert [trade.symbol for trade in it.venue.trades("MSFT", 0)] == ["MSFT"]
        assert it.venue.trades(STOCK, 0) == []


def test_an_order_at_a_limit_waits_for_its_price_and_is_taken_back():
    """Seen: sent at the market."""
    with desk() as it:
        price = (it.venue.last_price(STOCK) * D("0.5")).quantize(D("0.001"))
        order = replace(it.order("3"), kind="limit", limit_price=price)
        it.record.orders[order.client_order_id] = order, "sending"
        it.record.take(it.broker.place([order]))
        (placed,) = it.account.orders.values()
        assert (placed.price, placed.works) == (price.quantize(D("0.01"), ROUND_DOWN), True)
        it.poll(60.0)
        assert (it.state(), it.held()) == ("expired", 0)


def test_a_stock_that_is_not_tradable_or_not_known_takes_no_order():
    with desk() as it:
        it.account.market.closed.add("AAPL/USD")
        it.venue.terms_anew()
        assert (it.place().state, it.sent()) == ("rejected", 0)
        assert not it.venue.has_market("APPL")
        with pytest.raises(DataError, match="no stock 'APPL'"):
            it.venue.terms("APPL")


def test_fills_in_parts_late_and_shuffled_are_booked_once_and_the_rest_is_taken_back():
    with desk(manners=Manners(parts=4, part_s=20.0, late_s=7.0, doubled=True, shuffled=True, fee=D(0))) as it:
        it.place("4")
        it.poll(25.0)
        assert it.state() == "partial", "it was taken back, and what was filled is not all shown yet"
        it.poll(10.0)
        assert (it.state(), it.held(), it.account.balances["AAPL"]) == ("expired", 2, 2)


def test_an_order_that_was_filled_is_not_taken_back():
    with desk() as it:
        it.place()
        with pytest.raises(OrderRefusedError, match="not cancelable"):
            it.venue.cancel(STOCK, "t-1")
        with pytest.raises(OrderRefusedError, match="knows no order"):
            it.venue.cancel(STOCK, "t-9")


def test_orders_of_others_are_seen_and_one_by_worth_ends_no_look():
    with desk() as it:
        it.place()
        others = {"symbol": "AAPLUSD", "side": "BUY", "quantity": "5", "newClientOrderId": "by hand"}
        it.account.place(others, it.server.at_ms())
        it.server.by_worth.add("by hand")
        (foreign,) = it.broker.holdings().foreign
        assert (foreign.client_id, foreign.traded, foreign.works) == ("by hand", 5, False)


def test_books_of_many_pages_are_read_whole(monkeypatch):
    monkeypatch.setattr(alpaca_account, "ORDERS_PAGE", 3)
    monkeypatch.setattr(alpaca_account, "FILLS_PAGE", 3)
    with desk() as it:
        for _ in range(11):
            it.place("1")
            it.clock.sleep_s(0.5)
        it.poll()
        assert (it.held(), len(it.record.fills)) == (11, 11)


def test_money_that_came_or_went_is_told_and_dividends_by_stock(monkeypatch):
    monkeypatch.setattr(alpaca_account, "FILLS_PAGE", 2)
    with desk() as it:
        it.server.pay("CSD", "100")  # on the day of the last look: it may have been seen
        since = it.clock.now()
        it.clock.sleep_s(86_400.0)
        for row in (
            ("DIV", "8.88", "AAPL"),
            ("DIVNRA", "-1.33", "AAPL"),
            ("FEE", "-0.03"),
            ("CSW", "-50"),
            ("INT", "0.4"),
        ):
            it.server.pay(*row)
        it.clock.sleep_s(86_400.0)
        it.server.pay("DIV", "2", "MSFT")
        assert it.broker.dividends(since) == {"AAPL": D("8.88"), "MSFT": D(2)}, "before taxes, as the books have them"
        told = it.broker.moves("USD", since)
        kinds = [(move.kind, move.amount, move.symbol) for move in told]
        assert kinds == [
            ("fee", D("-1.33"), "AAPL"),
            ("fee", D("-0.03"), None),
            ("withdrawal", D(-50), None),
            ("interest", D("0.4"), None),
        ]
        assert len({move.key for move in told}) == 4


def test_what_the_account_may_do_is_told():
    with desk() as it:
        assert it.venue.rights() == (True, None)
        it.server.blocked = True
        assert it.venue.rights().trade is False
        it.server.currency = "EUR"
        with pytest.raises(SettingsError, match="is in EUR"):
            it.venue.rights()
    with desk(key="another") as it, pytest.raises(SettingsError, match="refuses the key"):
        it.venue.totals()


def test_questions_without_an_answer_say_so_and_a_limit_is_kept_to():
    for kind in ("error", "page", "empty", "cut", "maintenance", "unheard"):
        with desk(Fault(kind=kind, path="GET /v2/account")) as it, pytest.raises(ExchangeAwayError, match="alpaca"):
            it.venue.totals()
    with desk(Fault(kind="limited", path="GET /v2/positions")) as it:
        for _ in range(3):
            with pytest.raises(ExchangeAwayError):
                it.venue.totals()
        assert len(it.server.asked) == 1
        it.clock.sleep_s(61.0)
        assert it.venue.totals()["USD"] == 100_000


def test_a_frozen_server_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(alpaca_requests, "TIMEOUT_S", 0.2)
    with desk(Fault(kind="frozen", path="GET /v2/clock")) as it:
        began = time.monotonic()
        with pytest.raises(ExchangeAwayError):
            it.venue.time_ms()
        assert time.monotonic() - began < 10.0, "the server thaws after twenty"


def test_the_key_is_in_no_words():
    with desk(Fault(kind="quoted", path="GET /v2/account"), Fault(kind="quoted", path=PLACE)) as it:
        with pytest.raises(ExchangeAwayError) as told:
            it.venue.rights()
        assert KEY not in str(told.value)
        assert SECRET not in str(told.value)
        assert KEY not in it.place().reason


def test_last_prices_are_told_and_what_has_none_is_none():
    with desk() as it:
        assert it.venue.last_price(STOCK) == D(
            repr(float(it.account.market.seen("AAPL/USD", it.server.at_ms())[-1, 4]))
        )
        assert it.venue.last_price("APPL") is None
        assert it.venue.time_ms() == it.server.at_ms()


@pytest.mark.parametrize("seed", range(4))
def test_under_random_faults_both_books_agree(seed):
    manners = Manners(parts=2, part_s=3.0, late_s=2.0, doubled=seed % 2 == 0, shuffled=True, fee=D(0))
    with desk(share=0.1, seed=seed, manners=manners) as it:
        for _ in range(6):
            try:
                if not it.record.open_orders():
                    it.place("2" if it.held() < 4 else "1", "buy" if it.held() < 4 else "sell")
                it.poll(20.0)
            except ServiceError:
                it.clock.sleep_s(60.0)
        it.server.script = FaultScript()
        it.poll(2 * GRACE_S)
        it.poll(GRACE_S + 1)
        assert not it.record.open_orders()
        assert it.held() == it.account.balances.get("AAPL", D(0))
        assert len({order.client_id for order in it.account.orders.values()}) == len(it.account.orders)
