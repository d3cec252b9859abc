"""Orders at the made-up exchange, as ccxt's own class sees them: its rules, its manners, and what gets lost."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import ccxt
import pytest

from agents.adapters.exchanges.fake_account import THIRD
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from tests.daemons import HandClock
from tests.exchange import KEY, SECRET, account_at, recorded
from tests.unit.adapters.test_fake_exchange import pointed

NOW = datetime(2026, 3, 4, 10, 24, tzinfo=UTC)
MARKET = recorded(NOW)
PAIR, PLACE = "BTC/USDT", "POST /api/v3/order"


@contextmanager
def trading(manners=None, *faults, secret=SECRET, **more):
    """(account, client, clock) at an exchange with these faults."""
    account, clock = account_at(MARKET, manners=manners or Manners(), **more), HandClock(NOW)
    with FakeExchange(MARKET, clock, FaultScript(faults)) as fake:
        fake.accounts = [account]
        client = ccxt.binance({"apiKey": KEY, "secret": secret, "enableRateLimit": False, "timeout": 5000})
        client.urls["api"] = pointed(client.urls["api"], fake.url)
        client.milliseconds = lambda: round(clock.now().timestamp() * 1000)
        client.options["fetchMarkets"]["types"] = ["spot"]
        client.fake = fake
        client.load_markets()
        try:
            yield account, client, clock
        finally:
            client.session.close()


def buy(client, quantity="1", key="one", **more):
    return client.create_order(PAIR, "market", "buy", quantity, None, {"clientOrderId": key, **more})


def test_a_market_order_is_filled_and_paid():
    with trading() as (account, client, _):
        order = buy(client, "0.5")
        price = account.trades[0].price
        assert (order["status"], order["clientOrderId"], order["filled"]) == ("closed", "one", 0.5)
        balance = client.fetch_balance()
        fee = (price / 2 * Decimal("0.001")).quantize(Decimal("1e-8"))
        assert balance["total"]["BTC"] == 0.5
        assert balance["total"]["USDT"] == pytest.approx(float(1_000_000 - price / 2 - fee))
        trade = client.fetch_my_trades(PAIR)[0]
        assert (trade["order"], trade["fee"]["currency"], trade["fee"]["cost"]) == (order["id"], "USDT", float(fee))
        assert client.fetch_order("", PAIR, {"origClientOrderId": "one"})["id"] == order["id"]
        with pytest.raises(ccxt.OrderNotFound):
            client.fetch_order("", PAIR, {"origClientOrderId": "two"})


def test_parts_come_over_time_and_what_is_left_can_be_cancelled():
    with trading(Manners(parts=4, part_s=10.0)) as (account, client, clock):
        assert buy(client, "1")["status"] == "open"
        clock.sleep_s(10.0)
        assert [o["filled"] for o in client.fetch_open_orders(PAIR)] == [0.5]
        client.cancel_order("", PAIR, {"origClientOrderId": "one"})
        clock.sleep_s(100.0)
        assert client.fetch_order("", PAIR, {"origClientOrderId": "one"})["status"] == "canceled"
        assert account.balances["BTC"] == Decimal("0.5")
        with pytest.raises(ccxt.OrderNotFound):
            client.cancel_order("", PAIR, {"origClientOrderId": "one"})


def test_a_limit_order_waits_until_the_market_trades_through_it():
    with trading() as (_, client, clock):
        last = client.fetch_ticker(PAIR)["last"]
        client.create_order(PAIR, "limit", "buy", "1", f"{last * 0.5:.2f}", {"clientOrderId": "far"})
        client.create_order(PAIR, "limit", "buy", "1", f"{last * 1.01:.2f}", {"clientOrderId": "near"})
        clock.sleep_s(7200.0)
        assert {o["clientOrderId"]: o["status"] for o in client.fetch_orders(PAIR)} == {"far": "open", "near": "closed"}
        assert client.fetch_balance()["used"]["USDT"] == pytest.approx(round(last * 0.5, 2))


REFUSED = {
    "too small": ({"quantity": "0.0001"}, ccxt.BadRequest),
    "no multiple of the lot": ({"quantity": "0.000015"}, ccxt.BaseError),
    "not enough money": ({"quantity": "20000"}, ccxt.InsufficientFunds),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_exchange_refuses(case):
    asked, error = REFUSED[case]
    with trading() as (account, client, _):
        with pytest.raises(error):
            client.private_post_order(
                {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "newClientOrderId": "x", **asked}
            )
        assert not account.orders


def test_an_id_is_unique_among_open_orders_only():
    """Binance's rule: a second order of an id is accepted once the first is filled."""
    with trading(Manners(parts=2, part_s=60.0)) as (account, client, clock):
        buy(client)
        with pytest.raises(ccxt.InvalidOrder, match="Duplicate"):
            buy(client)
        clock.sleep_s(61.0)
        assert buy(client)["status"] == "open"
        assert len(account.orders) == 2


def test_keys_signatures_and_rights():
    with pytest.raises(ccxt.AuthenticationError), trading(secret="another"):
        pass
    with trading(rights=frozenset({"read"})) as (_, client, _clock):
        assert client.fetch_balance()["total"]["USDT"] == 1_000_000
        with pytest.raises((ccxt.AuthenticationError, ccxt.DDoSProtection)):  # ccxt's: a key that has worked before
            buy(client)
    with trading(rights=frozenset({"read", "trade", "withdraw"})) as (_, client, _clock):
        assert client.sapi_get_account_apirestrictions()["enableWithdrawals"] is True


def test_a_clock_that_is_wrong_is_refused_until_it_is_compared():
    with trading() as (account, client, _):
        client.fake.skew = timedelta(seconds=12)
        with pytest.raises(ccxt.InvalidNonce):
            buy(client)
        client.load_time_difference()
        buy(client)
        assert len(account.orders) == 1


LOST = {  # fault -> orders at the exchange then, and a minute later
    "lost": (1, 1),
    "cut": (1, 1),
    "gateway": (1, 1),
    "unheard": (0, 0),
    "error": (0, 0),
    "delayed": (0, 1),
}


@pytest.mark.parametrize("kind", LOST)
def test_an_order_whose_answer_is_lost(kind):
    with trading(None, Fault(kind=kind, path=PLACE, seconds=30.0)) as (account, client, clock):
        with pytest.raises(ccxt.NetworkError):
            buy(client)
        now = len(account.orders)
        clock.sleep_s(60.0)
        client.fetch_balance()
        assert (now, len(account.orders)) == LOST[kind]
        assert client.fake.asked[PLACE] == 1, "nothing below sends it again"


def test_trades_may_come_late_double_and_in_any_order():
    manners = Manners(parts=3, part_s=1.0, late_s=20.0, doubled=True, shuffled=True)
    with trading(manners) as (account, client, clock):
        buy(client, "3")
        clock.sleep_s(5.0)
        client.fetch_balance()
        assert (len(account.trades), client.fetch_my_trades(PAIR)) == (3, [])
        clock.sleep_s(20.0)
        seen = [row["id"] for row in client.private_get_mytrades({"symbol": "BTCUSDT"})]
        assert sorted(seen) == sorted(2 * [t.trade_id for t in account.trades])
        assert seen != sorted(seen)


def test_a_fill_after_the_cancel():
    with trading(Manners(parts=2, part_s=10.0, fills_after_cancel=True)) as (account, client, clock):
        buy(client, "1")
        assert client.cancel_order("", PAIR, {"origClientOrderId": "one"})["filled"] == 0.5
        clock.sleep_s(11.0)
        assert client.fetch_order("", PAIR, {"origClientOrderId": "one"})["filled"] == 1.0
        assert account.balances["BTC"] == 1


@pytest.mark.parametrize(("fee_in", "currency"), [("base", "BTC"), ("received", "BTC"), ("third", THIRD)])
def test_fees_in_other_currencies(fee_in, currency):
    with trading(Manners(fee_in=fee_in)) as (account, client, _):
        account.move(THIRD, Decimal(1))
        buy(client, "1")
        trade = client.fetch_my_trades(PAIR)[0]
        assert trade["fee"]["currency"] == currency
        before = {"BTC": Decimal(1), THIRD: Decimal(1)}[currency]
        assert account.balances[currency] == before - Decimal(str(trade["fee"]["cost"]))
