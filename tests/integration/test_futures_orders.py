"""A desk whose orders go to a futures account: the exchange's margin book and the desk's say the same, whatever is lost,
with funding, short positions and restarts; and what only reduces never turns a position."""

from __future__ import annotations

from collections import Counter
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agents.adapters.database.broker_accounts import open_breaks
from agents.adapters.exchanges.account_keys import AccountKey
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fake_futures_account import FakeFuturesAccount
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.futures_account import FuturesAccount
from agents.adapters.exchanges.order_errors import OrderRefusedError
from agents.core.errors import SettingsError
from agents.core.orders import Order
from agents.core.settings import Settings
from agents.core.venues import FundingBooked
from agents.orchestrator.settled import not_booked_yet
from agents.wiring.venue import require_tradable
from tests.daemons import HandClock, running, until
from tests.exchange import KEY, SECRET, recorded
from tests.integration.test_wrong_prices import parity_of

NOW = datetime(2026, 3, 4, 5, 24, tzinfo=UTC)
WARM_UP, HOURS = 420, 13
SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
BTC = SYMBOLS[0]
MARKET = recorded(NOW, before=WARM_UP, after=HOURS + 5, symbols=SYMBOLS)
PLACE, CASH = "POST /fapi/v1/order", 50_000
D = Decimal


def account_with(cash: str, **more) -> FakeFuturesAccount:
    return FakeFuturesAccount(MARKET, KEY, SECRET, {"USDT": D(cash)}, **more)


@pytest.fixture
def it():
    """An account at the exchange, and its owner's view of it."""
    clock, account = HandClock(NOW), account_with("1000")
    with FakeExchange(MARKET, clock) as fake:
        fake.accounts = [account]
        with closing(
            FuturesAccount("binanceusdm", AccountKey(KEY, SECRET), clock, sandbox=False, url=fake.url)
        ) as mine:
            mine.fake, mine.book, mine.hand = fake, account, clock
            yield mine


def order(side: str, quantity: str, number: int = 1) -> Order:
    return Order(
        client_order_id=f"t-{number}", decision_time=NOW, symbol=BTC, side=side, quantity=D(quantity), kind="market"
    )


def test_totals_are_the_cash_as_if_positions_had_been_paid_for(it):
    """By hand: 1000, less what each fill costs and each fee, with what is settled; both ways, through zero, at any price
    of the moment."""
    it.prepare(SYMBOLS, 1.5)
    assert it.book.leverage == {BTC: 2, SYMBOLS[1]: 2}, "whole numbers"
    cash, held = D(1000), D(0)
    for number, (side, quantity) in enumerate((("sell", "2"), ("sell", "1.5"), ("buy", "5"), ("sell", "0.7"))):
        it.place(order(side, quantity, number), D(quantity))
        trade = it.book.trades[-1]
        signed = trade.quantity if side == "buy" else -trade.quantity
        cash, held = cash - signed * trade.price - trade.fee, held + signed
        it.hand.sleep_s(1000.0)
        totals = it.totals()
        assert totals["BTC"] == held and abs(totals["USDT"] - cash) < D("1e-7")
    it.hand.sleep_s(3 * 3600.0)  # past 08:00
    ((at_ms, paid),) = it.funding(0)
    assert datetime.fromtimestamp(at_ms / 1000, UTC).hour == 8 and paid != 0
    assert abs(it.totals()["USDT"] - cash - paid) < D("1e-7")
    it.book.move("USDT", D(25), round(it.hand.now().timestamp() * 1000))
    assert [move.amount for move in it.moves("USDT", 0)] == [D(25)], "a transfer is a deposit, funding is none"


def test_what_only_reduces_never_turns_a_position(it):
    """Also where the position shrank between the look and the order."""
    it.place(order("buy", "2", 1), D(2))
    it.place(order("sell", "0.5", 2), D("0.5"))
    assert it.book.reducing == {1001}
    it.book.positions[BTC] = D("0.3")  # a liquidation, or a hand at the exchange, right after the look
    look, it.totals = it.totals, lambda: {"BTC": D("1.5")}
    it.place(order("sell", "1.5", 3), D("1.5"))
    assert it.book.positions[BTC] == 0, "not -1.2"
    with pytest.raises(OrderRefusedError, match="ReduceOnly"):
        it.place(order("sell", "1", 4), D(1))
    it.totals = look
    it.place(order("sell", "1", 5), D(1))
    assert it.book.positions[BTC] == -1, "what opens says nothing of the kind"


def test_hedge_mode_is_refused_and_too_much_has_no_margin(it):
    it.book.hedged = True
    with pytest.raises(SettingsError, match="hedge mode; a desk needs one-way mode: set it there"):
        it.prepare(SYMBOLS, 1.0)
    it.book.hedged = False
    it.prepare(SYMBOLS, 1.0)
    with pytest.raises(OrderRefusedError, match="Margin is insufficient"):
        it.place(order("buy", "100", 1), D(100))


def test_the_exchange_liquidates_and_says_where(it):
    """Short, closed where equity is the maintenance margin: E - 50 (p - m) = 0.004 x 50 m, by hand."""
    it.prepare(SYMBOLS, 20)
    it.place(order("sell", "50", 1), D(50))
    mark, at = it.liquidations()[BTC]
    equity = it.book.equity(round(it.hand.now().timestamp() * 1000))
    assert at == pytest.approx(mark + (equity - D("0.2") * mark) / 50, abs=D("1e-7"))
    it.book.balances["USDT"] = D(1)
    assert "BTC" not in it.totals() and it.book.liquidations == 1


def test_what_is_settled_is_on_its_way_until_the_next_decision_only():
    booked = FundingBooked(D("-3"), 2, NOW)
    before, later = NOW - timedelta(hours=8), NOW + timedelta(seconds=1)
    assert not_booked_yet([(before, D("-3")), (later, D("0.5"))], booked) == D("0.5")
    assert not_booked_yet([(before, D("-3.00000003")), (NOW, D("0.5"))], booked) == D("0.49999997")
    assert not_booked_yet([(before, D("-4")), (later, D("0.5"))], booked) == D("0.5"), "a difference stays one"


def test_settings_that_fit_no_futures_account_are_refused():
    def settings(symbols, broker="ccxt:binanceusdm", **more) -> Settings:
        return Settings(desk={"broker": broker}, data={"symbols": symbols}, **more)

    require_tradable(settings(SYMBOLS))
    with pytest.raises(SettingsError, match="trades symbols such as BTC/USDT:USDT, and no others"):
        require_tradable(settings(("BTC/USDT",)))
    with pytest.raises(SettingsError, match="trades symbols such as BTC/USDT, and no others"):
        require_tradable(settings(SYMBOLS, "ccxt:binance"))
    with pytest.raises(SettingsError, match="may liquidate"):
        require_tradable(settings(SYMBOLS, risk={"gross_cap": 3.0}, execution={"leverage": 3.0}))


# ---------------------------------------------------------------- a desk


@contextmanager
def trading(folder, *faults, manners=None):
    (folder / "bars").mkdir()
    clock, account = HandClock(NOW), account_with("60000", manners=manners or Manners())
    with FakeExchange(MARKET, clock, FaultScript(faults)) as fake:
        fake.accounts = [account]
        data = {
            "feed": "ccxt:binanceusdm",
            "exchange_url": fake.url,
            "symbols": SYMBOLS,
            "interval": "1h",
            "calendar": "24/7",
            "session_open": "00:00",
            "session_close": "24:00",
            "time_means": "open",
            "stream_wait_s": 0.0,
        }
        sections = {
            "DESK": {"broker": "ccxt:binanceusdm", "broker_url": fake.url, "initial_cash": CASH},
            "AGENTS": {"enabled": ("TrendFollower", "MeanReversion")},
            "EXECUTION": {"lot_size": 0.001, "buffer": 0.0, "buffer_by_cost": False, "commission_bps": 5.0},
            "RISK": {"allow_short": True, "kill_file": folder / "KILL"},
        }
        with running(folder, clock, **sections, **data) as desk:
            desk.fake, desk.account = fake, account
            yield desk


CASES = {
    "none": (),
    "answers lost": (Fault(kind="lost", path=PLACE, after=1), Fault(kind="gateway", path=PLACE, after=3)),
    "orders that never came": (Fault(kind="unheard", path=PLACE, after=2),),
    "maintenance": (Fault(kind="maintenance", after=90, count=20),),
}


@pytest.mark.parametrize("case", CASES)
def test_the_desk_and_the_futures_account_agree(tmp_path, monkeypatch, services, case):
    """To the unit, through a restart: each order once, each fill once, positions, and the cash with all that was settled.
    A difference was never there."""
    monkeypatch.setenv("EXCHANGE_API_KEY", KEY)
    monkeypatch.setenv("EXCHANGE_API_SECRET", SECRET)
    with trading(tmp_path, *CASES[case]) as desk:
        until(desk, NOW + timedelta(hours=HOURS), restarts=[NOW + timedelta(hours=4)])
        desk.settings.risk.kill_file.touch()
        desk.fake.script = FaultScript()
        until(desk, desk.clock.now() + timedelta(hours=2.2))
        account = desk.account
        ours = {row[0] for row in desk.rows("SELECT client_order_id FROM orders")}
        assert max(Counter(o.client_id for o in account.orders.values()).values()) == 1
        assert {o.client_id for o in account.orders.values()} <= ours
        assert desk.scalar("SELECT count(*) FROM fills") == len(account.trades) > 3
        held = dict(desk.rows("SELECT symbol, quantity FROM positions"))
        assert {s: held.get(s, 0) for s in SYMBOLS} == {s: account.positions.get(s, 0) for s in SYMBOLS}
        assert min(desk.rows("SELECT min(position) FROM decision_details"))[0] < 0, "it was short"
        settled = [i for i in account.incomes if i.kind == "FUNDING_FEE"]
        booked = desk.rows("SELECT cash FROM corporate_actions WHERE kind = 'funding'")
        assert len(settled) == len(booked) >= 1
        assert abs(sum(i.amount for i in settled) - sum(row[0] for row in booked)) <= D("2e-8") * len(booked)
        cash = D(repr(desk.scalar("SELECT cash FROM equity WHERE book = 'live' ORDER BY time DESC LIMIT 1")))
        at_ms = round(desk.clock.now().timestamp() * 1000)
        theirs = account.equity(at_ms) - sum(account.notionals(at_ms).values())
        assert abs(cash + (60_000 - CASH) - theirs) < D("0.00001")
        assert desk.scalar("SELECT count(*) FROM reconciliation_breaks") == 0
        assert open_breaks(desk.connections.trader) == []
        assert account.reducing and account.liquidations == 0
        found = parity_of(desk)["counts"]
        assert not {kind for kind, count in found.items() if count} - {"fill"}, "which the model makes otherwise"
