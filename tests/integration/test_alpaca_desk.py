"""A desk of stocks whose orders go to Alpaca: bars from files at each close, fills at the next open, and both books the
same, whatever is lost between."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from decimal import Decimal

import numpy as np
import pytest

from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.recorded_market import RecordedMarket
from agents.adapters.feeds.folder_feed import FolderFeed
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError, SettingsError
from agents.core.ports import Arrival
from agents.core.settings import Settings, load_settings
from agents.wiring.venue import require_tradable
from tests.alpaca_server import AlpacaServer
from tests.daemons import HEAD, HandClock, day, line, moment, running, walk
from tests.exchange import KEY, SECRET, recorded
from tests.program import call
from tests.terminal import Terminal

SYMBOLS = ("AAPL", "MSFT")
WARM_UP, DAYS = 320, 12
TO_OPEN_S = 17.4 * 3600
"""From some minutes after a close to the next day's open."""
PRICES = {symbol: walk(WARM_UP + DAYS + 2, seed) for seed, symbol in enumerate(SYMBOLS)}
DAY_MS = 86_400_000


def market():
    """The same prices at the broker."""
    candles = {}
    for symbol in SYMBOLS:
        price = np.round(PRICES[symbol], 2)
        opened = np.datetime64(day(0)).astype("datetime64[ms]").astype(float) + np.arange(len(price)) * DAY_MS
        columns = (opened, price, price * 1.01, price * 0.99, np.round(price * 1.002, 2), np.full(len(price), 1e5))
        candles[f"{symbol}/USD"] = np.column_stack(columns)
    return RecordedMarket("1d", DAY_MS, candles, lots={f"{symbol}/USD": 1.0 for symbol in SYMBOLS})


@contextmanager
def trading(folder, *faults):
    clock = HandClock(moment(WARM_UP - 1, 20, 50))
    account = FakeAccount(
        market(), KEY, SECRET, {"USD": Decimal(150_000)}, manners=Manners(fee=Decimal(0), first_s=TO_OPEN_S)
    )
    with AlpacaServer(account, clock, FaultScript(faults)) as server:
        sections = {
            "DESK": {"broker": "alpaca", "broker_url": server.url, "initial_cash": 100_000},
            "AGENTS": {"enabled": ("TrendFollower", "MeanReversion")},
            "EXECUTION": {"buffer": 0.0, "buffer_by_cost": False},
            "RISK": {"allow_short": False, "kill_file": folder / "KILL"},
        }
        (folder / "bars").mkdir()
        with running(folder, clock, symbols=SYMBOLS, complete_within_s=0.0, **sections) as desk:
            desk.account, desk.server = account, server
            yield desk


def bars(desk, first, last, dividend=0.0):
    """Days from `first` to before `last`; on the last one all shares go without the next dividend."""
    for symbol in SYMBOLS:
        path = desk.folder / f"{symbol}.csv"
        rows = [f"{line(symbol, day(t), PRICES[symbol][t]).rstrip()},0\n" for t in range(first, last)]
        rows[-1] = rows[-1][:-2] + f"{dividend}\n"
        text = path.read_text() if path.exists() else HEAD.rstrip() + ",dividend\n"
        path.write_text(text + "".join(rows))


def trade(desk, restart_at=None, each_day=lambda _t: 0.0):
    """Day by day, each bar at its close, with the dividend that `each_day` says; how many turns failed."""
    failed = 0
    for t in range(WARM_UP - 1, WARM_UP + DAYS):
        desk.clock.sleep_s((moment(t, 21, 1) - desk.clock.now()).total_seconds())
        bars(desk, 0 if t == WARM_UP - 1 else t, t + 1, each_day(t))
        for _ in range(8):
            try:
                desk.turn(40.0)
            except ServiceError:
                failed += 1
        if t == restart_at:
            desk.restart()
    return failed


def agrees(desk):
    """Nothing twice, nothing missing, and the money to the cent; how many fills."""
    ours = {row[0] for row in desk.rows("SELECT client_order_id FROM orders")}
    placed = Counter(order.client_id for order in desk.account.orders.values())
    assert max(placed.values()) == 1 and set(placed) <= ours
    fills = desk.rows("SELECT fill_id FROM fills")
    still_open = [o for o in desk.account.orders.values() if o.works]
    assert len(fills) == len(desk.account.trades) and not still_open
    held = dict(desk.rows("SELECT symbol, quantity FROM positions"))
    assert {s: Decimal(held.get(s, 0)) for s in SYMBOLS} == {s: desk.account.balances.get(s, 0) for s in SYMBOLS}
    cash = Decimal(repr(desk.scalar("SELECT cash FROM equity WHERE book = 'live' ORDER BY time DESC LIMIT 1")))
    assert abs(cash + 50_000 - desk.account.balances["USD"]) < Decimal("0.00001"), "the rest is not the desk's"
    assert desk.scalar("SELECT count(*) FROM reconciliation_breaks") == 0
    return len(fills)


def end(desk):
    """No new orders, and what is at the broker is filled and booked."""
    desk.settings.risk.kill_file.touch()
    desk.server.script = FaultScript()
    for t in (WARM_UP + DAYS, WARM_UP + DAYS + 1):
        desk.clock.sleep_s((moment(t, 21, 1) - desk.clock.now()).total_seconds())
        bars(desk, t, t + 1)
        for _ in range(4):
            desk.turn(40.0)


@pytest.fixture(autouse=True)
def key(monkeypatch, services):
    monkeypatch.setenv("EXCHANGE_API_KEY", KEY)
    monkeypatch.setenv("EXCHANGE_API_SECRET", SECRET)
    poll = FolderFeed.poll

    def just_now(feed, at):
        """The files' own times are of today, the test's clock is not: whatever is read was written just now."""
        return Arrival(poll(feed, at).bars, 0.0)

    monkeypatch.setattr(FolderFeed, "poll", just_now)


FAULTS = {
    "none": ((), None),
    "answers lost, and a restart": (
        (Fault(kind="lost", path="POST /v2/orders"), Fault(kind="gateway", path="POST /v2/orders", after=2)),
        WARM_UP + 4,
    ),
    "orders that never came": ((Fault(kind="unheard", path="POST /v2/orders", after=1, count=2),), None),
    "maintenance": ((Fault(kind="maintenance", count=30, after=60),), WARM_UP + 2),
    "a limit of requests": ((Fault(kind="limited", path="POST /v2/orders", after=1),), None),
}


@pytest.mark.parametrize("case", FAULTS)
def test_the_desk_and_alpaca_agree(tmp_path, case):
    faults, restart_at = FAULTS[case]
    with trading(tmp_path, *faults) as desk:
        trade(desk, restart_at)
        met = sum(desk.server.script.met.values())
        end(desk)
        assert agrees(desk) > 1
        assert met >= sum(fault.count for fault in faults), "there was something to survive"


def test_dividends_and_fees_are_no_difference_and_hold_no_purchase_up(tmp_path):
    """Seen: from the day a dividend goes ex until Alpaca pays it nothing could be bought; and after it was paid less a
    tax, until a person adopted the difference."""
    tax = Decimal("-1.33")
    with trading(tmp_path) as desk:
        booked = "SELECT sum(cash) FROM corporate_actions WHERE kind = 'dividend'"

        def each_day(t):
            if t == WARM_UP + 10:
                desk.server.pay("DIV", f"{desk.scalar(booked):.2f}", "MSFT")  # in whole cents
                desk.server.pay("DIVNRA", str(tax), "MSFT")
                desk.server.pay("FEE", "-0.03")
            return 0.123 if t == WARM_UP + 8 else 0.0

        trade(desk, each_day=each_day)
        assert desk.scalar(booked) % Decimal("0.01") != 0, "cents are not all of it"
        assert desk.rows("SELECT name FROM reconciliation_breaks") == []
        flows = desk.rows("SELECT kind, amount, symbol FROM cash_flows ORDER BY id")
        assert flows == [("fee", tax, "MSFT"), ("fee", Decimal("-0.03"), None)], "each by its id, once"
        assert len(desk.rows("SELECT 1 FROM cash_flows WHERE taken_at IS NOT NULL AND refused IS NULL")) == 2


def test_an_account_is_connected_with_a_key_that_is_typed(tmp_path):
    account = FakeAccount(recorded(SystemClock().now(), symbols=("AAPL/USD",)), KEY, SECRET, {"USD": Decimal(5000)})
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("QUORUM_", "EXCHANGE_"))}
    with AlpacaServer(account, SystemClock()) as server:
        place = {"QUORUM_DESK__BROKER_URL": server.url, "XDG_CONFIG_HOME": str(tmp_path / "config"), "COLUMNS": "200"}
        environment = kept | place
        told = call("connect", "alpaca", cwd=tmp_path, environment=environment, code=2)
        assert "quorum connect alpaca --trade" in told.stderr
        told = call(
            "connect", "alpaca", "--symbols", "BTC/USDT", "--trade", cwd=tmp_path, environment=environment, code=2
        )
        assert "BTC/USDT is a pair of currencies" in told.stderr
        terminal = Terminal("connect", "alpaca", "--trade", "--symbols", "AAPL", cwd=tmp_path, environment=environment)
        terminal.expect("A key of alpaca's paper account")
        terminal.expect("  key: ")
        terminal.type(KEY)
        terminal.expect("  secret: ")
        terminal.type(SECRET)
        terminal.expect(r"holds 5000 USD. How much of it may the desk use\?")
        terminal.type("1000")
        terminal.expect(r"Keep the key in .*alpaca_sandbox_key.toml")
        terminal.type("yes")
        assert terminal.end() == 0, terminal.shown
        assert KEY not in terminal.shown and SECRET not in terminal.shown
        written = load_settings(tmp_path / "quorum.toml")
        assert (written.desk.broker, written.desk.broker_mode, written.desk.initial_cash) == ("alpaca", "sandbox", 1000)
        assert (written.data.symbols, written.execution.minimum_commission) == (("AAPL",), 0.0)
        require_tradable(written)
        told = call("connect", "alpaca", "--trade", "--symbols", "APPL", cwd=tmp_path, environment=environment, code=2)
        assert "has no market APPL" in told.stderr


WRONG = {
    "a pair": ({"data": {"symbols": ("BTC/USDT",)}}, "stocks, such as"),
    "a chase": ({"data": {"symbols": ("AAPL",)}, "execution": {"order_type": "chase"}}, "'market' or 'limit'"),
    "short sales": ({"data": {"symbols": ("AAPL",)}, "risk": {"allow_short": True}}, "desk.profile = 'stocks'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_alpaca_does_not_trade_is_refused_at_the_start(case):
    sections, words = WRONG[case]
    usual = {"desk": {"broker": "alpaca"}, "risk": {"allow_short": False}, "data": {"symbols": ("AAPL",)}}
    require_tradable(Settings(**usual, execution={"order_type": "limit"}))
    settings = Settings(**usual | sections)
    with pytest.raises(SettingsError, match=words):
        require_tradable(settings)
