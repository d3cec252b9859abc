"""A desk whose orders go to an exchange: whatever is lost, doubled, late or said wrongly, the exchange's own book and
the desk's say the same, and no decision has two orders there."""

from __future__ import annotations

import logging
import subprocess
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from agents.adapters.database.broker_accounts import ask, open_breaks
from agents.adapters.database.report_store import ReportStore
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fake_orders import FakeMove, Manners
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.recorded_market import OPEN, OPENED, VOLUME
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.alarm_types import AlarmLimits
from agents.core.orders import TOO_FAR
from agents.tuning.alarms import desk_alarms
from agents.wiring import backup as wiring
from agents.wiring.backup import backup
from agents.wiring.integrity import check_record
from agents.wiring.job_settings import tuning_of
from agents.wiring.meta import MetaPlane
from agents.wiring.parity import CheckedDesk, check_parity
from agents.wiring.ramp import plan_ramp
from tests.conftest import SERVICES
from tests.daemons import HandClock, running, until
from tests.exchange import KEY, SECRET, SYMBOLS, account_at, recorded
from tests.faults import refused
from tests.integration.test_backup import occasion
from tests.integration.test_live_prices import store_of
from tests.integration.test_secrets import CommandLines

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
            "stream_wait_s": 0.0,
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


def alarms(desk):
    """What the meta plane's look now opens, and what it closes: each is a row, and a mail."""
    at = desk.clock.now()
    store = ReportStore(desk.connections.meta, MemoryWeightCache(), desk.clock, desk.folder)
    wrong = desk_alarms(store.alarm_facts(at, at), AlarmLimits(stale_after=timedelta(days=9)))
    ours = [alarm for alarm in wrong if alarm.kind in ("reconciliation", "orders_sending", "orders_refused")]
    return tuple([(alarm.kind, alarm.subject) for alarm in edge] for edge in store.sync_alarms(at, ours))


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


@pytest.mark.parametrize("restarts", [(), (hour(2) + timedelta(minutes=1),)], ids=["goes on", "starts anew"])
def test_fills_that_could_not_be_written_are_asked_for_again(tmp_path, restarts):
    """Nothing is spooled: what the exchange filled while the database took no fills stands in the exchange's own list,
    which is read again, also by a daemon that was started since."""
    with trading(tmp_path, manners=Manners(parts=2, part_s=3.0)) as desk:
        until(desk, hour(2) - timedelta(minutes=1))
        before, traded = desk.scalar("SELECT count(*) FROM fills"), len(desk.account.trades)
        with refused(SERVICES, desk.connections.owner.url.database, "fills"):
            assert until(desk, hour(2) + timedelta(minutes=2), restarts=restarts) > 0, "each turn fails"
            assert desk.scalar("SELECT count(*) FROM fills") == before
            assert len(desk.account.trades) > before, "the exchange has filled what is not on record"
        until(desk, hour(HOURS))
        quiet(desk)
        assert agrees(desk) > traded
        assert desk.fake.asked[PLACE] <= left(desk), "nothing is sent twice"


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
        assert alarms(desk) == ([("reconciliation", "USDT")], [])
        assert alarms(desk) == ([], []), "once, however long it lasts"
        assert desk.rows("SELECT open_breaks FROM v_health") == [(1,)]
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
        assert alarms(desk) == ([], [("reconciliation", "USDT")])
        desk.restart()
        desk.turn()
        assert desk.rows("SELECT name FROM v_breaks") == []


def told(desk, move_id, amount, minutes=0.0, **more):
    """The account's money moves, and the exchange tells of it as of so many minutes from now."""
    move = FakeMove(
        move_id=move_id,
        currency="USDT",
        amount=abs(Decimal(amount)),
        time_ms=round((desk.clock.now() + timedelta(minutes=minutes)).timestamp() * 1000),
        withdrawn=Decimal(amount) < 0,
        **more,
    )
    desk.account.moves.append(move)
    if move.done:
        desk.account.move("USDT", Decimal(amount) - move.fee)


FLOWS = "SELECT kind, amount, source, key, state FROM v_cash_flows WHERE state <> 'planned' ORDER BY time"


def books_differ(desk):
    return desk.rows("SELECT kind, name, difference FROM v_breaks")


def test_what_the_exchange_tells_of_is_booked_by_its_id_and_the_rest_stays_a_difference(tmp_path):
    with trading(tmp_path) as desk:
        told(desk, "before", "700")
        desk.account.move("USDT", Decimal(-700))  # all that was before the first look is not the desk's
        until(desk, hour(1) + timedelta(minutes=5))
        told(desk, "d1", "5000")
        told(desk, "d2", "90", done=False)  # on its way
        told(desk, "w1", "-1200", fee=Decimal(3))
        desk.account.move("USDT", Decimal("2.5"))  # nobody tells of this
        until(desk, hour(3) + timedelta(minutes=5), restarts=(hour(2) + timedelta(minutes=30),))
        booked = [
            ("deposit", 5000, "exchange", "binance-deposit-d1", "taken"),
            ("withdrawal", -1203, "exchange", "binance-withdrawal-w1", "taken"),
        ]
        assert desk.rows(FLOWS) == booked
        assert books_differ(desk) == [("cash", "USDT", Decimal("2.5"))]
        assert ask(desk.connections.trader, "USDT", "adopt", "interest of the wallet") == 1
        desk.turn()
        desk.turn()
        assert books_differ(desk) == []
        assert desk.rows(FLOWS)[2][:3] == ("deposit", Decimal("2.5"), "person")
        assert desk.scalar("SELECT resolution FROM reconciliation_breaks") == "adopted: interest of the wallet"
        quiet(desk)
        assert agrees(desk) > 1 and books_differ(desk) == []
        checked = CheckedDesk(desk.settings, desk.connections.meta, store_of(desk), tuning_of(desk.settings))
        found = check_parity(checked, desk.clock.now(), keep=False)
        wrong = {kind for kind, count in found["counts"].items() if count} - {"fill"}  # which the model makes otherwise
        assert found["decisions"] >= HOURS and not wrong, found["examples"]


def test_a_ramp_at_an_exchange_makes_no_difference_of_books(tmp_path):
    """What is not used yet is on the account all the while."""
    with trading(tmp_path) as desk:
        assert plan_ramp(desk.settings, desk.connections.trader, desk.clock.now(), Decimal("0.2"), 0.1) == 11
        until(desk, hour(1) + timedelta(minutes=5))
        assert desk.equities()[0] == pytest.approx(CASH / 5, rel=0.01) and books_differ(desk) == []
        until(desk, hour(HOURS), restarts=(hour(2) + timedelta(minutes=30),))
        assert desk.rows("SELECT count(*), count(taken_at) FROM cash_flows") == [(11, 11)]
        assert desk.equities()[-1] == pytest.approx(CASH, rel=0.1) and books_differ(desk) == []
        quiet(desk)
        assert agrees(desk) > 1


def test_an_exchange_that_does_not_tell_leaves_a_difference(tmp_path):
    """A key without the right to ask, or a page that is no answer: nothing breaks, and nothing is made up."""
    with trading(tmp_path) as desk:
        until(desk, hour(1) + timedelta(minutes=5))
        told(desk, "d1", "5000")
        desk.fake.script = FaultScript((Fault(kind="page", path="capital/deposit", count=99),))
        until(desk, hour(3) + timedelta(minutes=5))
        assert books_differ(desk) == [("cash", "USDT", 5000)] and desk.rows(FLOWS) == []
        desk.fake.script = FaultScript()
        until(desk, hour(4) + timedelta(minutes=5))
        assert books_differ(desk) == [] and len(desk.rows(FLOWS)) == 1


def test_an_order_that_is_being_sent_for_too_long_is_told(tmp_path):
    with trading(tmp_path) as desk:
        until(desk, hour(2) + timedelta(minutes=5))
        desk.end()
        key = desk.scalar("SELECT client_order_id FROM orders ORDER BY decision_time DESC LIMIT 1")
        stuck = "UPDATE orders SET state = 'sending', updated_at = {} WHERE client_order_id = '{}'"
        for since, told in (("now()", 0), ("'2026-03-04T12:00Z'", 1)):
            with desk.connections.owner.begin() as connection:
                connection.execute(text(stuck.format(since, key)))
            assert desk.rows("SELECT long_sending_orders, open_orders FROM v_health") == [(told, 1)]
            assert alarms(desk)[0] == [("orders_sending", "orders")] * told
        with desk.connections.owner.begin() as connection:
            connection.execute(text(f"UPDATE orders SET state = 'filled' WHERE client_order_id = '{key}'"))
        assert alarms(desk) == ([], [("orders_sending", "orders")])
        desk.restart()


HOLDING = {"AGENTS": {"enabled": ("MarketHold",)}}


def test_a_position_that_the_report_leaves_out_is_a_difference_and_not_flat(tmp_path):
    with trading(tmp_path, **HOLDING) as desk:
        until(desk, hour(2) + timedelta(minutes=5))
        symbol = desk.scalar("SELECT symbol FROM positions ORDER BY symbol")
        base = symbol.partition("/")[0]
        desk.account.hidden.add(base)
        until(desk, hour(4) + timedelta(minutes=5))
        assert desk.rows("SELECT kind, name FROM v_breaks") == [("position", symbol)]
        late = "SELECT DISTINCT state FROM orders WHERE symbol = '{}' AND decision_time > '2026-03-04T12:30Z'"
        assert desk.rows(late.format(symbol)) in ([], [("not_placed",)])
        held = dict(desk.rows("SELECT symbol, quantity FROM positions"))
        assert held[symbol] == desk.account.balances[base], "no fill was made up"
        desk.account.hidden.clear()
        quiet(desk)
        assert open_breaks(desk.connections.trader) == []
        assert agrees(desk) > 1


def test_a_coin_that_becomes_ten_makes_nobody_rich(tmp_path, monkeypatch):
    """The price is a tenth, the account holds ten times as much, and no file says why."""
    with trading(tmp_path, **HOLDING) as desk:
        until(desk, hour(2) + timedelta(minutes=5))
        symbol = desk.scalar("SELECT symbol FROM positions ORDER BY symbol")
        base = symbol.partition("/")[0]
        held = desk.account.balances[base]
        candles = MARKET.candles[symbol].copy()
        candles[candles[:, OPENED] >= hour(2).timestamp() * 1000, OPEN:VOLUME] /= 10.0
        monkeypatch.setitem(MARKET.candles, symbol, candles)
        desk.account.move(base, 9 * held)
        before = desk.equities()[-1]
        until(desk, hour(4) + timedelta(minutes=5))
        assert ("position", symbol) in desk.rows("SELECT kind, name FROM v_breaks")
        assert all(equity < before * 1.05 for equity in desk.equities()), "marked at the more cautious price"
        assert desk.rows(f"SELECT quantity FROM positions WHERE symbol = '{symbol}'") == [(held,)]
        late = "SELECT DISTINCT state FROM orders WHERE symbol = '{}' AND decision_time >= '2026-03-04T13:00Z'"
        assert desk.rows(late.format(symbol)) in ([], [("not_placed",)])


def with_limit(folder, **limits):
    return {"RISK": {"allow_short": False, "kill_file": folder / "KILL", "limits": limits}}


EDGES = "SELECT reason FROM risk_events WHERE actor = 'desk' AND reason LIKE '%{}' ORDER BY id"


@pytest.mark.parametrize(
    ("factor", "action"), [(1.2, "off"), (1.2, "warn"), (1.2, "enforce"), (0.8, "enforce"), (1.05, "enforce")]
)
def test_an_order_far_from_the_last_trusted_price_is_not_sent(tmp_path, monkeypatch, factor, action):
    """The limit is 10 % of the close that was decided at."""
    for symbol in SYMBOLS:
        monkeypatch.setitem(MARKET.moved, symbol, factor)
    with trading(tmp_path, **with_limit(tmp_path, price_distance={"action": action})) as desk:
        until(desk, hour(2) + timedelta(minutes=5))
        far = abs(factor - 1.0) > 0.1
        kept = far and action == "enforce"
        assert (desk.fake.asked[PLACE] == 0) is kept
        reasons = {reason for (reason,) in desk.rows("SELECT reason FROM orders WHERE state = 'not_placed'")}
        assert reasons == ({TOO_FAR} if kept else set())
        told = [("limit reached: price distance",)] if far and action != "off" else []
        assert desk.rows(EDGES.format("price distance")) == told


@pytest.mark.parametrize("action", ["warn", "enforce"])
def test_a_clock_that_drifts_lets_positions_only_shrink_where_that_is_enforced(tmp_path, action):
    with trading(tmp_path, **HOLDING, **with_limit(tmp_path, clock_drift={"action": action})) as desk:
        desk.fake.skew = timedelta(seconds=9)
        until(desk, hour(2) + timedelta(minutes=5))
        held = "SELECT count(*) FROM positions"
        assert (desk.scalar(held) == 0) is (action == "enforce")
        assert desk.rows(EDGES.format("clock drift")) == [("limit reached: clock drift",)]
        desk.fake.skew = timedelta(0)
        until(desk, hour(4) + timedelta(minutes=5))
        assert desk.scalar(held) > 0
        both = [("limit reached: clock drift",), ("limit over: clock drift",)]
        assert desk.rows(EDGES.format("clock drift")) == both


def test_no_log_row_report_backup_or_command_line_has_the_key_whatever_an_exchange_quotes(tmp_path, caplog):
    """Seen: the exchange's words about a request, the key in them, in the log and in orders.reason."""
    caplog.set_level(logging.DEBUG)
    faults = [Fault(kind="quoted", path=path, after=n) for path in ("POST", "myTrades", "account") for n in (1, 4)]
    with (
        CommandLines(KEY, SECRET) as lines,
        trading(tmp_path, *faults, Fault(kind="lost", path=PLACE, after=2)) as desk,
    ):
        until(desk, hour(HOURS))
        assert desk.fake.script.met["quoted"] >= 4
        (tmp_path / "report.txt").write_text(report_of(desk))
        (tmp_path / "backup.sql").write_text(dumped(desk, tmp_path / "backup.dump"))
        said = caplog.text + "".join(str(getattr(record, "facts", "")) for record in caplog.records)
        tables = [name for (name,) in desk.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        kept = [row for table in tables for (row,) in desk.rows(f"SELECT t::text FROM {table} t")]
        written = [path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
        for secret in (KEY, SECRET):
            assert secret not in said
            assert not [row for row in (*kept, *written) if secret in row]
        assert [row for row in kept if "***" in row]
        assert "***" in (tmp_path / "backup.sql").read_text(), "the dump has what the exchange quoted"
    assert lines.found == set()
    assert any(b"pg_dump" in line for line in lines.seen), "the programs that were started were looked at"


def report_of(desk):
    """The report's page and text, with all that went wrong."""
    plane = MetaPlane(desk.settings, desk.connections, desk.clock, with_pictures=False)
    try:
        report = plane.report(desk.clock.now(), keep=False).report
        return report.subject + report.html + report.text
    finally:
        plane.cache.close()


def dumped(desk, file):
    """A backup of the desk's database, in words."""
    name = desk.connections.owner.url.database
    backup(occasion(name), file, verify=False)
    program = wiring._server(occasion(name).settings, False)[0]._program("pg_restore")
    return subprocess.run([program, "-f", "-", file], capture_output=True, text=True, check=True).stdout


def test_orders_of_others_that_are_adopted_leave_the_record_whole(tmp_path):
    """Red before: `quorum verify` found an order that no link of the chain covers."""
    with trading(tmp_path, **HOLDING) as desk:
        until(desk, hour(2) + timedelta(minutes=5))
        symbol = desk.scalar("SELECT symbol FROM positions ORDER BY symbol")
        quantity = desk.account.balances[symbol.partition("/")[0]]
        wanted = {"symbol": symbol.replace("/", ""), "side": "SELL", "quantity": f"{quantity:f}", "type": "MARKET"}
        desk.account.place(wanted | {"newClientOrderId": "by-hand"}, round(desk.clock.now().timestamp() * 1000))
        desk.clock.sleep_s(70.0)
        desk.turn()
        assert ask(desk.connections.trader, symbol, "adopt", "I sold by hand") == 1
        desk.turn()
        until(desk, hour(4) + timedelta(minutes=5))
        assert desk.rows("SELECT state FROM orders WHERE kind = 'adopted'") == [("filled",)]
        assert check_record(desk.connections.trader, desk.clock.now(), whole=True).differences == []
