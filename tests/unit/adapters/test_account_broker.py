"""The broker of a real account, by ccxt's own class against the made-up exchange: what each answer proves of an order,
what is booked of it, and that nothing is sent twice."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest

from agents.adapters.brokers.account_broker import GRACE_S, AccountBroker
from agents.adapters.exchanges.account_keys import AccountKey, key_of
from agents.adapters.exchanges.fake_account import THIRD, THIRD_PRICE
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.key_rights import QUESTIONS
from agents.adapters.exchanges.private_account import PrivateAccount
from agents.adapters.exchanges.public_prices import ExchangeAwayError
from agents.core.errors import ServiceError, SettingsError
from agents.core.orders import FINAL_ORDER_STATES, NEXT_STATES, Order
from tests.daemons import HandClock
from tests.exchange import KEY, SECRET, account_at, recorded

NOW = datetime(2026, 3, 4, 10, 24, tzinfo=UTC)
MARKET = recorded(NOW)
PAIR, PLACE = "BTC/USDT", "POST /api/v3/order"


class Record:
    """What a desk has on record, as a dictionary."""

    def __init__(self):
        self.orders, self.fills = {}, {}

    def open_orders(self):
        return [(order, state) for order, state in self.orders.values() if state not in FINAL_ORDER_STATES]

    def booked(self, fill_ids):
        return frozenset(key for key in fill_ids if key in self.fills)

    def known(self, client_order_ids):
        return frozenset(key for key in client_order_ids if key in self.orders)

    def take(self, outcomes):
        """As a journal does."""
        for outcome in outcomes:
            order, state = self.orders[outcome.client_order_id]
            if outcome.state in NEXT_STATES.get(state, ()):
                self.orders[outcome.client_order_id] = order, outcome.state
            for fill in outcome.fills:
                assert fill.fill_id not in self.fills, "booked twice"
                self.fills[fill.fill_id] = fill


class Desk:
    """A broker, its record, the account at the exchange, and the clock of all."""

    def __init__(self, broker, record, account, fake, clock):
        self.broker, self.record, self.account, self.fake, self.clock = broker, record, account, fake, clock
        self.number = 0

    def place(self, quantity="1", side="buy"):
        self.number += 1
        order = Order(
            client_order_id=f"t-{self.number}",
            decision_time=self.clock.now(),
            symbol=PAIR,
            side=side,
            quantity=D(quantity),
        )
        self.record.orders[order.client_order_id] = order, "sending"
        (answer,) = self.broker.place([order])
        self.record.take([answer])
        return answer

    def poll(self, after_s=0.0):
        self.clock.sleep_s(after_s)
        outcomes = self.broker.poll(NOW - timedelta(hours=1))
        self.record.take(outcomes)
        return outcomes

    def state(self, number=1):
        return self.record.orders[f"t-{number}"][1]

    def held(self):
        return sum((fill.signed_quantity for fill in self.record.fills.values()), start=D(0))


@contextmanager
def desk(*faults, manners=None, share=0.0, seed=0):
    clock, record = HandClock(NOW), Record()
    account = account_at(MARKET, manners=manners or Manners(), seed=seed)
    with FakeExchange(MARKET, clock, FaultScript(faults, share=share, seed=seed)) as fake:
        fake.accounts = [account]
        venue = PrivateAccount("binance", AccountKey(KEY, SECRET), clock, sandbox=False, url=fake.url)
        venue._exchange.timeout = 3000
        yield Desk(AccountBroker(venue, record, (PAIR,), NOW, clock), record, account, fake, clock)
        venue.close()


def test_an_order_is_sent_filled_and_booked_once():
    with desk() as it:
        assert it.place("0.123456789").state == "acked"
        (answer,) = it.poll()
        assert (answer.state, it.state(), it.held()) == ("filled", "filled", D("0.12345"))
        (fill,) = answer.fills
        trade = it.account.trades[0]
        assert (fill.price, fill.fee, fill.fee_currency) == (trade.price, trade.fee, "")
        assert it.poll() == [], "however often it is asked"


LOST = {  # fault -> the order's state at once, after a while, and how many the exchange has in the end
    "lost": ("unknown", "filled", 1),
    "cut": ("unknown", "filled", 1),
    "gateway": ("unknown", "filled", 1),
    "delayed": ("unknown", "filled", 1),
    "unheard": ("unknown", "not_placed", 0),
    "error": ("unknown", "not_placed", 0),
    "page": ("unknown", "not_placed", 0),
    "empty": ("unknown", "not_placed", 0),
    "maintenance": ("unknown", "not_placed", 0),
    "limited": ("rejected", "rejected", 0),
    "banned": ("rejected", "rejected", 0),
}


@pytest.mark.parametrize("kind", LOST)
def test_what_a_fault_at_placing_proves(kind):
    at_once, in_the_end, orders = LOST[kind]
    with desk(Fault(kind=kind, path=PLACE, seconds=30.0)) as it:
        assert it.place().state == at_once
        it.clock.sleep_s(31.0 if at_once == "rejected" else 0.0)  # left alone for as long as it asked
        it.poll()
        it.poll(GRACE_S / 2 + 1)
        if in_the_end == "not_placed":
            assert it.state() == "unknown", "it may still be on its way"
        it.poll(GRACE_S / 2)
        assert (it.state(), len(it.account.orders), it.fake.asked[PLACE]) == (in_the_end, orders, 1)
        assert it.held() == it.account.balances.get("BTC", 0)


def test_after_a_lost_answer_no_other_order_leaves():
    with desk(Fault(kind="lost", path=PLACE)) as it:
        orders = [
            Order(client_order_id=f"t-{k}", decision_time=NOW, symbol=PAIR, side=side, quantity=D(1))
            for k, side in ((1, "buy"), (2, "sell"))
        ]
        it.record.orders.update({order.client_order_id: (order, "sending") for order in orders})
        answers = it.broker.place(orders)
        assert [answer.state for answer in answers] == ["not_placed", "unknown"], "the sale goes first"
        assert it.fake.asked[PLACE] == 1


@pytest.mark.parametrize("kind", ["limited", "banned"])
def test_at_a_limit_of_requests_it_is_left_alone_and_sales_went_first(kind):
    """Seen: each order and each poll asked again, by which a limit becomes a ban."""
    with desk(Fault(kind=kind, path=PLACE, seconds=40.0)) as it:
        orders = [
            Order(client_order_id=f"t-{k}", decision_time=NOW, symbol=PAIR, side=side, quantity=D(1))
            for k, side in ((1, "buy"), (2, "sell"), (3, "buy"))
        ]
        it.record.orders.update({order.client_order_id: (order, "sending") for order in orders})
        answers = it.broker.place(orders)
        it.record.take(answers)
        assert [answer.state for answer in answers] == ["not_placed", "rejected", "not_placed"]
        before = sum(it.fake.asked.values())
        for _ in range(9):
            with pytest.raises(ExchangeAwayError, match="left alone"):
                it.poll(4.0)
        assert (sum(it.fake.asked.values()), it.fake.asked[PLACE]) == (before, 1)
        it.clock.sleep_s(5.0)
        it.number = 3
        assert it.place().state == "acked"


@pytest.fixture
def rules():
    """The exchange's rules, which a test changes; as they were afterwards."""
    yield MARKET
    for kept in (MARKET.lots, MARKET.closed, MARKET.gone):
        kept.clear()


def test_rules_that_changed_are_asked_for_and_the_order_is_sent_as_they_are_now(rules):
    """Seen: refused at every decision from then on, by steps of the start."""
    with desk() as it:
        assert it.place("1").state == "acked"
        rules.lots[PAIR] = 0.01
        assert it.place("0.12345").state == "acked"
        assert [order.quantity for order in it.account.orders.values()] == [D(1), D("0.12")]
        assert it.fake.asked[PLACE] == 3, "refused once, sent once"


def test_what_is_refused_again_and_again_is_sent_no_more_until_the_rules_change(rules):
    with desk() as it:
        it.place("1")
        it.fake.told = rules.information(0)  # what it says of its rules is not what it does
        rules.lots[PAIR] = 0.01
        states = [it.place("0.12345").state for _ in range(5)]
        assert (states, it.fake.asked[PLACE]) == (["rejected"] * 5, 1 + 2)
        it.fake.told = None
        assert it.place("0.12345").state == "acked"


def test_a_market_that_is_closed_takes_no_order_and_one_that_is_gone_holds_up_no_other(rules):
    """Seen: one symbol that was taken off the exchange ended every look at the account."""
    with desk() as it:
        it.place("1")
        it.poll()
        rules.closed.add(PAIR)
        assert [it.place("1").state for _ in range(3)] == ["rejected"] * 3
        assert it.fake.asked[PLACE] == 2, "the first refusal is believed"
        rules.closed.clear()
        assert it.place("1").state == "acked"
        rules.gone.add(PAIR)
        it.poll()
        assert it.state(5) == "acked", "nothing is said about its end"
        assert it.broker.holdings().totals["BTC"] == D(2)
        assert it.place("1").state == "not_placed"
        rules.gone.clear()
        it.poll()
        assert (it.state(5), it.held()) == ("filled", D(2))


REFUSED = {
    "less than a step": ("0.000001", "step"),
    "less than the least amount": ("0.0001", "least amount"),
    "more than there is": ("30000", "insufficient"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case):
    quantity, words = REFUSED[case]
    with desk() as it:
        answer = it.place(quantity)
        assert (answer.state, words in answer.reason, len(it.account.orders)) == ("rejected", True, 0)


def test_fills_that_come_late_double_and_in_any_order_are_booked_once():
    with desk(manners=Manners(parts=4, part_s=1.0, late_s=7.0, doubled=True, shuffled=True)) as it:
        it.place("4")
        it.clock.sleep_s(4.0)
        it.poll()
        assert (it.state(), it.held()) == ("acked", 0), "it has ended; what was filled is not shown yet"
        it.poll(4.0)
        assert (it.state(), 0 < it.held() < 4) == ("partial", True)
        it.poll(10.0)
        assert (it.state(), it.held(), len(it.record.fills)) == ("filled", D(4), 4)


def test_what_is_left_at_the_next_decision_is_taken_back_and_a_fill_after_that_is_booked():
    with desk(manners=Manners(parts=4, part_s=20.0, fills_after_cancel=True)) as it:
        it.place("4")
        it.poll(25.0)
        assert (it.state(), it.held()) == ("expired", D(2))
        it.poll(20.0)
        assert (it.state(), it.held(), it.account.balances["BTC"]) == ("expired", D(3), D(3))


def test_a_lost_cancel_is_asked_again():
    with desk(Fault(kind="lost", path="DELETE /api/v3/order"), manners=Manners(parts=2, part_s=1000.0)) as it:
        it.place("2")
        with pytest.raises(ServiceError, match="taken back is not known"):
            it.broker.cancel(["t-1"])
        it.broker.cancel(["t-1"])
        it.poll()
        assert (it.state() in ("cancelled", "expired"), it.held()) == (True, D(1))


@pytest.mark.parametrize("fee_in", ["quote", "base", "third", "received"])
def test_the_money_adds_up_whatever_fees_are_paid_in(fee_in):
    with desk(manners=Manners(fee_in=fee_in)) as it:
        it.account.move(THIRD, D(10))
        it.account.move("BTC", D(1))
        before = dict(it.account.balances)
        it.place("2")
        it.place("1", "sell")
        it.broker._reading._worth.of = lambda amount, currency, quote: amount * THIRD_PRICE
        it.poll()
        fills = it.record.fills.values()
        assert it.held() == it.account.balances["BTC"] - before["BTC"]
        paid = sum(fill.signed_quantity * fill.price + fill.fee for fill in fills)
        elsewhere = sum(fill.fee for fill in fills if fill.fee_currency == THIRD)
        assert abs(before["USDT"] - paid + elsewhere - it.account.balances["USDT"]) < D("0.000001")
        assert sum(f.fee_paid for f in fills if f.fee_currency == THIRD) == before[THIRD] - it.account.balances[THIRD]


@pytest.mark.parametrize("seconds", [-12, 12])
def test_a_wrong_clock_is_compared_and_the_order_sent_once(seconds):
    with desk() as it:
        it.fake.skew = timedelta(seconds=seconds)
        assert it.place().state == "acked"
        it.poll()
        assert (it.state(), len(it.account.orders)) == ("filled", 1)


@pytest.mark.parametrize("seed", range(6))
def test_under_random_faults_both_books_agree(seed):
    manners = Manners(parts=2, part_s=3.0, late_s=2.0, doubled=seed % 2 == 0, shuffled=True)
    with desk(share=0.15, seed=seed, manners=manners) as it:
        for _ in range(6):
            try:
                if not it.record.open_orders():
                    it.place("1" if it.held() < 2 else "0.5", "buy" if it.held() < 2 else "sell")
                it.poll(20.0)
            except ServiceError:
                it.clock.sleep_s(30.0)
        it.fake.script = FaultScript()
        it.poll(GRACE_S + 1)
        it.poll(GRACE_S + 1)
        assert not it.record.open_orders()
        assert it.held() == it.account.balances.get("BTC", D(0))
        assert len({order.client_id for order in it.account.orders.values()}) == len(it.account.orders)


def test_keys_come_from_a_closed_file_credentials_or_the_environment(tmp_path):
    file, given = tmp_path / "binance_key.toml", {"key": "a", "secret": "b"}
    with pytest.raises(SettingsError, match="orders need a key"):
        key_of("binance_key.toml", tmp_path, None, {})
    assert key_of("binance_key.toml", tmp_path, None, given).key == "a"
    file.write_text("key = 'filed'\nsecret = 'hush'\n")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        key_of("binance_key.toml", tmp_path, None, given)
    file.chmod(0o600)
    kept = key_of("binance_key.toml", tmp_path, None, given)
    assert (kept.key, "filed" in repr(kept), "hush" in repr(kept)) == ("filed", False, False)
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "binance_key.toml").write_text("key = 'c'\nsecret = 'd'\n")
    assert key_of("binance_key.toml", tmp_path, tmp_path / "unit", given).key == "c"
    file.write_text("key = 'filed'\n")
    with pytest.raises(SettingsError, match="must hold key"):
        key_of("binance_key.toml", tmp_path, None, given)


def test_a_key_that_may_take_money_away_is_known():
    with desk() as it:
        assert it.broker._account.rights() == (True, False)
        it.account.rights = frozenset({"read", "trade", "withdraw"})
        assert it.broker._account.rights() == (True, True)


TOLD = {  # as the exchanges' manuals show it -> may trade, may withdraw
    "bybit": (
        {"result": {"readOnly": 0, "permissions": {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer", "Withdraw"]}}},
        (True, True),
    ),
    "okx": ({"data": [{"perm": "read_only,trade"}]}, (True, False)),
    "coinbase": ({"can_view": True, "can_trade": False, "can_transfer": True}, (False, True)),
}


@pytest.mark.parametrize("name", TOLD)
def test_other_exchanges_tell_in_their_own_words(name):
    answer, rights = TOLD[name]
    assert QUESTIONS[name].read(answer) == rights
