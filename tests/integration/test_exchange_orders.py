"""A desk whose orders go to an exchange: whatever is lost, doubled, late or said wrongly, the exchange's own book and
the desk's say the same, and no decision has two orders there."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agents.adapters.database.broker_accounts import ask, open_breaks
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from tests.daemons import HandClock, running, until
from tests.exchange import KEY, SECRET, SYMBOLS, account_at, recorded

NOW = datetime(2026, 3, 4, 10, 24, tzinfo=UTC)
WARM_UP, HOURS = 600, 5
MARKET = recorded(NOW, before=WARM_UP, after=HOURS + 3)
PLACE, CASH = "POST /api/v3/order", 100_000


@pytest.fixture(autouse=True)
def key(monkeypatch, services):
    monkeypatch.setenv("EXCHANGE_API_KEY", KEY)
    monkeypatch.setenv("EXCHANGE_API_SECRET", SECRET)


@contextmanager
def trading(folder, *faults, manners=None, cash="100000", **more):
    """A desk on the made-up exchange, prices and orders; one clock for both."""
    clock, account = HandClock(NOW), account_at(MARKET, cash, manners=manners or Manners())
    with FakeExchange(MARKET, clock, FaultScript(faults)) as fake:
        fake.accounts = [account]
        data = {
            "feed": "ccxt:binance",
            "exchange_url": fake.url,
            "symbols": SYMBOLS,
            "interval": "1h",
            "calendar": "24/7",
            "time_means": "open",
        }
        sections = {
            "DESK": {"broker": "ccxt:binance", "broker_url": fake.url, "initial_cash": CASH},
            "AGENTS": {"enabled": ("TrendFollower", "MeanReversion")},
            "EXECUTION": {"lot_size": 0.0001, "buffer": 0.0, "buffer_by_cost": False},
            "RISK": {"allow_short": False, "kill_file": folder / "KILL"},
        }
        with running(folder, clock, **sections | more, **data) as desk:
            desk.fake, desk.account = fake, account
            yield desk


def hour(number):
    return NOW.replace(minute=0) + timedelta(hours=number)


def agrees(desk):
    """The oracles, by the exchange's own book: nothing twice, nothing missing, and the money to the unit."""
    account = desk.account
    ours = {row[0]: row for row in desk.rows("SELECT client_order_id, state, quantity FROM orders")}
    mine = [order for order in account.orders.values() if order.client_id in ours]
    assert max(Counter(order.client_id for order in mine).values(), default=0) <= 1, "two orders for one decision"
    shown = {f"binance-{t.symbol.replace('/', '')}-{t.trade_id}" for t in account.trades}
    booked = [row[0] for row in desk.rows("SELECT fill_id FROM fills")]
    assert sorted(booked) == sorted(shown), "fills are those of the exchange, each once"
    held = dict(desk.rows("SELECT symbol, quantity FROM positions"))
    for symbol in SYMBOLS:
        base = symbol.partition("/")[0]
        assert held.get(symbol, 0) == account.balances.get(base, 0), symbol
    cash = Decimal(repr(desk.scalar("SELECT cash FROM equity WHERE book = 'live' ORDER BY time DESC LIMIT 1")))
    elsewhere = desk.scalar(
        "SELECT coalesce(sum(f.fee), 0) FROM fill_fees p JOIN fills f USING (fill_id)"
        " WHERE p.currency <> split_part(f.symbol, '/', 1)"
    )
    assert abs(cash + elsewhere - account.balances["USDT"]) < Decimal("0.00001")
    assert {state for _, state, _ in ours.values()} <= {"filled", "rejected", "expired", "cancelled", "not_placed"}
    return len(booked)


def quiet(desk):
    """Nothing leaves any more, and what left is in the books."""
    desk.settings.risk.kill_file.touch()
    desk.fake.script = FaultScript()
    until(desk, desk.clock.now() + timedelta(hours=2.2))


def left(desk):
    """How many orders may have reached the exchange, by the record."""
    kept = ("%kill file%", "%order before it%", "%differ about it%", "%not known yet%", "%bar was too old%")
    return desk.scalar(
        "SELECT count(*) FROM orders WHERE " + " AND ".join(f"reason NOT LIKE '{words}'" for words in kept)
    )


def test_an_undisturbed_desk_and_the_exchange_agree(tmp_path):
    with trading(tmp_path) as desk:
        assert until(desk, hour(HOURS)) == 0
        quiet(desk)
        assert agrees(desk) > 2
        assert open_breaks(desk.connections.trader) == []


FIRST = 2  # the number of the first order's request that is met: by then something trades
LOST = {
    "reply lost": (Fault(kind="lost", path=PLACE, after=FIRST),),
    "never came": (Fault(kind="unheard", path=PLACE, after=FIRST),),
    "placed half a minute later": (Fault(kind="delayed", path=PLACE, after=FIRST, seconds=30.0),),
}


@pytest.mark.parametrize("case", LOST)
def test_a_lost_answer_is_asked_about_and_never_sent_again(tmp_path, case):
    with trading(tmp_path, *LOST[case]) as desk:
        until(desk, hour(HOURS))
        quiet(desk)
        assert agrees(desk) > 1
        assert desk.fake.asked[PLACE] <= left(desk), "nothing is sent twice"


MANNERS = {
    "late, double, in any order": Manners(parts=3, part_s=20.0, late_s=90.0, doubled=True, shuffled=True),
    "filled after it was taken back": Manners(parts=3, part_s=1500.0, fills_after_cancel=True),
    "fees in a third currency": Manners(parts=2, part_s=3.0, fee_in="third"),
}


@pytest.mark.parametrize("case", MANNERS)
def test_whatever_the_exchange_s_manners_the_books_agree(tmp_path, case):
    with trading(tmp_path, manners=MANNERS[case]) as desk:
        if "third" in case:
            desk.account.move("BNB", Decimal(100))
        until(desk, hour(HOURS), restarts=(hour(3) + timedelta(seconds=40),))
        quiet(desk)
        assert agrees(desk) > 2


def test_a_deposit_is_a_difference_until_a_person_says_what_it_is(tmp_path):
    with trading(tmp_path) as desk:
        until(desk, hour(1) + timedelta(minutes=5))
        desk.account.move("USDT", Decimal(500))
        until(desk, hour(3) + timedelta(minutes=5))
        ((kind, name, difference),) = desk.rows("SELECT kind, name, difference FROM v_breaks")
        assert (kind, name, difference) == ("cash", "USDT", 500)
        asked = desk.fake.asked[PLACE]
        until(desk, hour(4) + timedelta(minutes=5))
        bought = desk.rows("SELECT reason FROM orders WHERE side = 'buy' AND decision_time >= '2026-03-04T14:00Z'")
        assert all("differ about it" in reason for (reason,) in bought)
        assert desk.fake.asked[PLACE] - asked <= desk.scalar(
            "SELECT count(*) FROM orders WHERE side = 'sell' AND decision_time >= '2026-03-04T14:00Z'"
        )
        assert ask(desk.connections.trader, "USDT", "ignore", "my own money") == 1
        desk.turn()
        assert desk.rows("SELECT name FROM v_breaks") == []
        assert desk.scalar("SELECT resolution FROM reconciliation_breaks") == "ignored: my own money"
        desk.restart()
        desk.turn()
        assert desk.rows("SELECT name FROM v_breaks") == []
