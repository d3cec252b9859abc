"""Out of every position while the database is away: what reduces leaves once, and all of it is on record afterwards."""

from __future__ import annotations

import os
import signal
import warnings
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from sqlalchemy import text

from agents.adapters.database.broker_accounts import open_breaks
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.core.clock import SystemClock
from agents.core.errors import DataError, ServiceError
from agents.core.exits import ExitWord, book_of
from agents.core.orders import EXITING, Order
from agents.orchestrator.exit_gate import ExitGate
from agents.wiring.desk_record import exit_files
from agents.wiring.integrity import check_record
from agents.wiring.job_settings import tuning_of
from agents.wiring.parity import CheckedDesk, check_parity
from tests.conftest import SERVICES
from tests.daemons import until
from tests.exchange import KEY, SECRET, account_at, recorded
from tests.faults import frozen_server, superuser
from tests.integration.test_exchange_orders import (
    HOLDING,
    MARKET,
    PLACE,
    SYMBOLS,
    agrees,
    hour,
    key,
    quiet,
    trading,
)
from tests.integration.test_live_prices import store_of
from tests.program import call, start

__all__ = ["key"]
CLOCK = SystemClock()


@contextmanager
def server_away(name):
    """The server answers nobody who asks for this database, and has ended its sessions."""
    with superuser(SERVICES) as session:
        session.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        session.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host=str(SERVICES.run), user="quorum_trader", dbname=name)
    try:
        yield
    finally:
        with superuser(SERVICES) as session:
            session.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def away(desk):
    return server_away(desk.connections.database)


def say(desk, reason="leaving"):
    """`quorum halt --flatten --offline`, without its waiting."""
    letter, _ = exit_files(desk.settings, desk.connections.database)
    letter.write(ExitWord(desk.clock.now(), reason, desk.settings.desk.name))


def look(desk, times=1, after_s=3.0):
    """What the daemon's thread does beside its loop."""
    for _ in range(times):
        desk.clock.sleep_s(after_s)
        desk.daemon._around.exits.look()


def spool(desk):
    return exit_files(desk.settings, desk.connections.database)[1]


def held(desk):
    return {s: desk.account.balances.get(s.partition("/")[0], Decimal(0)) for s in SYMBOLS}


def booked(desk):
    return dict(desk.rows("SELECT symbol, quantity FROM positions"))


def sold(desk):
    """The exits at the exchange, by symbol."""
    ids = {row[0]: row[1] for row in desk.rows("SELECT client_order_id, symbol FROM orders WHERE kind = 'exit'")}
    return sorted(ids[order.client_id] for order in desk.account.orders.values() if order.client_id in ids)


def sound(desk):
    """The record after it: both books agree without a word, the chain and the parity check are clean."""
    assert open_breaks(desk.connections.trader) == []
    assert check_record(desk.connections.trader, desk.clock.now(), whole=True).differences == []
    checked = CheckedDesk(desk.settings, desk.connections.meta, store_of(desk), tuning_of(desk.settings))
    found = check_parity(checked, desk.clock.now(), keep=False)
    wrong = {kind for kind, count in found["counts"].items() if count} - {"fill"}  # which the model makes otherwise
    assert not wrong, found["examples"]


def holding(desk):
    until(desk, hour(2) + timedelta(minutes=5))
    assert all(held(desk).values())


def states(desk):
    return [exit_.state for exit_ in book_of(spool(desk).facts()).exits]


def afterwards(desk, restarts=(), fills=3):
    """The database is back, the desk goes on: all is on record, once, and nothing is open."""
    now = desk.clock.now()
    until(desk, now.replace(minute=0) + timedelta(hours=2, minutes=5), restarts=restarts)
    assert not spool(desk).there and len(list(spool(desk).path.parent.glob("*-2*.spool"))) == 1
    assert desk.rows("SELECT to_state, reason FROM risk_events WHERE actor = 'person'") == [("flattening", "leaving")]
    assert desk.rows("SELECT risk_state FROM v_health") == [("halted",)]
    quiet(desk)
    assert agrees(desk) >= fills
    assert desk.rows("SELECT * FROM positions") == []
    there = {order.client_id for order in desk.account.orders.values()}
    for sent, state in desk.rows("SELECT client_order_id, state FROM orders WHERE kind = 'exit'"):
        assert (state == "filled") is (sent in there), "the record says what became of it"
    sound(desk)


def test_a_person_closes_every_position_while_the_database_is_away(tmp_path):
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        with away(desk):
            say(desk)
            look(desk)
            assert not any(held(desk).values()), "closed within one look"
            assert book_of(spool(desk).facts()).settled and states(desk) == ["acked", "acked"]
            asked = desk.fake.asked[PLACE]
            look(desk, 3)
            assert desk.fake.asked[PLACE] == asked, "once"
            with pytest.raises(ServiceError):
                desk.turn()
        desk.turn()
        (told,) = desk.rows("SELECT reason FROM risk_events WHERE actor = 'desk'")
        assert told[0].startswith("while the database was away: sell ") and told[0].count(" acked") == 2
        assert sold(desk) == sorted(SYMBOLS)
        afterwards(desk)


def test_where_the_database_answers_it_is_an_ordinary_halt(tmp_path):
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        say(desk)
        look(desk)
        assert all(held(desk).values()) and not spool(desk).there
        assert desk.rows("SELECT to_state, reason FROM risk_events") == [("flattening", "leaving")]
        look(desk, 3)
        until(desk, hour(3) + timedelta(minutes=5))
        assert not any(held(desk).values()), "by the next decision"
        assert desk.scalar("SELECT count(*) FROM orders WHERE kind = 'exit'") == 0


def test_a_server_that_stands_still_is_away_too(tmp_path):
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        say(desk)
        begun_s = CLOCK.monotonic_s()
        with frozen_server(SERVICES):
            look(desk)
            assert not any(held(desk).values())
            assert CLOCK.monotonic_s() - begun_s < 15.0
        afterwards(desk)


def test_nothing_leaves_while_the_kill_file_is_there(tmp_path):
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        desk.settings.risk.kill_file.touch()
        with away(desk):
            say(desk)
            look(desk, 4, 20.0)
            assert all(held(desk).values()) and states(desk) == []
            desk.settings.risk.kill_file.unlink()
            look(desk)
            assert not any(held(desk).values())
        afterwards(desk)


def test_never_more_than_is_known_and_never_more_than_is_held(tmp_path):
    """Coins of the user's own stay, bought before the desk began or while the database is away; what somebody else has
    sold is not sold again."""
    with trading(tmp_path, **HOLDING) as desk:
        desk.account.move("BTC", Decimal(3))
        holding(desk)
        own = {"BTC/USDT": Decimal(3), "ETH/USDT": Decimal(0)}
        position = {symbol: quantity - own[symbol] for symbol, quantity in held(desk).items()}
        with away(desk):
            desk.account.move("BTC", Decimal(2))
            desk.account.move("ETH", -position["ETH/USDT"] / 2)
            say(desk)
            look(desk)
            assert held(desk) == {"BTC/USDT": 5, "ETH/USDT": pytest.approx(Decimal(0), abs=Decimal("0.0001"))}
            sizes = {e.order.symbol: e.order.quantity for e in book_of(spool(desk).facts()).exits}
            assert sizes == {"BTC/USDT": position["BTC/USDT"], "ETH/USDT": position["ETH/USDT"] / 2}


def test_what_was_bought_since_the_last_decision_is_closed_too(tmp_path):
    """No decision has booked it yet: it is known from the order that the desk sent."""
    with trading(tmp_path) as desk:
        hours = iter(range(1, 6))
        while not any(held(desk)[s] > booked(desk).get(s, 0) for s in SYMBOLS):
            until(desk, hour(next(hours)) + timedelta(minutes=2))
        with away(desk):
            say(desk)
            look(desk)
            assert not any(held(desk).values())
        afterwards(desk)


@pytest.mark.parametrize("restarts", [(), (hour(3) + timedelta(minutes=20),)], ids=["goes on", "starts anew"])
def test_what_works_is_taken_back_first_and_an_exit_that_waits_is_not(tmp_path, restarts):
    """Orders wait twenty minutes, as for a session: those of the last decision when a person speaks, and the exits when
    the database is back, whose halt takes back whatever works."""
    with trading(tmp_path, manners=Manners(first_s=1200.0)) as desk:
        until(desk, hour(3) + timedelta(minutes=2))
        working = [order for order in desk.account.orders.values() if order.works]
        assert working and any(held(desk).values())
        with away(desk):
            say(desk)
            look(desk)
            assert {order.status for order in working} == {"CANCELED"}
            exits = [order for order in desk.account.orders.values() if order.works]
            assert exits and {order.side for order in exits} == {"SELL"}
        until(desk, desk.clock.now() + timedelta(seconds=12))
        assert desk.rows("SELECT risk_state FROM v_health") == [("flattening",)]
        assert {order.status for order in exits} == {"NEW"}, "what was asked for is on its way"
        afterwards(desk, restarts)
        assert {order.status for order in exits} == {"FILLED"}


LOST = {
    "reply lost": ((Fault(kind="lost", path=PLACE),), 2),
    "never came": ((Fault(kind="unheard", path=PLACE),), 3),
    "placed half a minute later": ((Fault(kind="delayed", path=PLACE, seconds=30.0),), 2),
    "a gateway's words": ((Fault(kind="gateway", path=PLACE),), 2),
    "limited": ((Fault(kind="limited", path=PLACE, seconds=5.0),), 3),
}


@pytest.mark.parametrize("case", LOST)
def test_a_lost_answer_is_asked_about_and_what_never_left_leaves_again(tmp_path, case):
    faults, sent = LOST[case]
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        before = desk.fake.asked[PLACE]
        with away(desk):
            desk.fake.script = FaultScript(faults)
            say(desk)
            look(desk, 8, 31.0)
            assert not any(held(desk).values())
            assert desk.fake.asked[PLACE] - before == sent
            assert book_of(spool(desk).facts()).settled
        afterwards(desk)
        assert len(sold(desk)) == 2, "one order for each position"


def test_what_is_refused_is_tried_three_times(tmp_path):
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        with away(desk):
            MARKET.closed.update(SYMBOLS)
            try:
                say(desk)
                look(desk, 8, 40.0)
            finally:
                MARKET.closed.clear()
            assert states(desk) == ["rejected"] * 6 and book_of(spool(desk).facts()).settled
            assert "refused: BTC/USDT, ETH/USDT" in book_of(spool(desk).facts()).said
            say(desk)  # again, and now it is taken
            look(desk)
            assert not any(held(desk).values())


def test_a_decision_that_was_under_way_sends_nothing_beside_it(tmp_path, monkeypatch):
    """Its record is committed, the database goes, a person speaks, the database is back, and it goes on."""
    with trading(tmp_path) as desk:
        until(desk, hour(3) - timedelta(minutes=1))
        sizes, met = held(desk), []

        def between(name):
            if name == "order.before_send" and not met:
                met.append(name)
                with away(desk):
                    say(desk)
                    desk.daemon._around.exits.look()

        monkeypatch.setattr("agents.orchestrator.orchestrator.killpoint", between)
        until(desk, hour(3) + timedelta(minutes=5))
        assert met and any(sizes.values())
        found = desk.rows(
            "SELECT DISTINCT state FROM orders WHERE decision_time = '2026-03-04T13:00Z' AND kind <> 'exit'"
        )
        assert found == [("not_placed",)]
        afterwards(desk)


def test_no_other_order_leaves_until_exits_are_on_record(tmp_path):
    """Asked of the last thing before the account: whatever lies before it, the way is shut."""
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        gate = desk.daemon._desk.broker
        while not isinstance(gate, ExitGate):
            gate = gate._broker
        order = Order(
            client_order_id="t-more", decision_time=hour(2), symbol="BTC/USDT", side="buy", quantity=Decimal("0.5")
        )
        with away(desk):
            say(desk)
            look(desk)
            asked = desk.fake.asked[PLACE]
            (answer,) = gate.place([order])
            assert (answer.state, answer.reason) == ("not_placed", EXITING) and desk.fake.asked[PLACE] == asked
        until(desk, desk.clock.now() + timedelta(seconds=12))
        assert gate.place([order])[0].state == "acked" and desk.fake.asked[PLACE] == asked + 1


# ---------------------------------------------------------------- crashes

STEPS = {
    "exit.word_kept": 0,
    "exit.intended": 0,
    "exit.sending": 0,
    "order.after_accept": 1,
    "exit.sent": 1,
}
"""Where the daemon is killed, and how many exits have left by then."""


def killed_at(desk, step):
    """A copy of this process looks, and is killed there; only the exchange and the files know of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the copy has none of our threads, and needs none
        pid = os.fork()
    if pid == 0:
        os.environ["KILLPOINT"] = f"{step}:1"
        desk.daemon._around.exits.look()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, step


@pytest.mark.fault
@pytest.mark.parametrize("still", [False, True], ids=["back", "still away"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step_nothing_leaves_twice_and_nothing_is_forgotten(tmp_path, step, still):
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        before, earlier = desk.fake.asked[PLACE], set(desk.account.orders)
        with away(desk):
            say(desk)
            killed_at(desk, step)
            assert desk.fake.asked[PLACE] - before == STEPS[step]
            desk.end()
            if still:
                with pytest.raises(ServiceError):
                    desk._start()
                assert desk.fake.asked[PLACE] - before == STEPS[step], "who knows nothing sends nothing"
        desk._start()
        afterwards(desk, fills=4)
        assert len(sold(desk)) == STEPS[step]
        closing = Counter(order.symbol for n, order in desk.account.orders.items() if n not in earlier)
        assert closing == dict.fromkeys(SYMBOLS, 1), "each position is closed once, by an exit or by a decision"


def test_what_was_on_record_already_when_the_daemon_was_killed_is_not_put_there_twice(tmp_path, monkeypatch):
    class KilledError(BaseException):
        pass

    def killed(name):
        if name == "exit.taken_in":
            raise KilledError

    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        with away(desk):
            say(desk)
            look(desk)
            with pytest.raises(ServiceError):
                desk.turn()
        monkeypatch.setattr("agents.orchestrator.offline_exits.killpoint", killed)
        with pytest.raises(KilledError):
            desk.turn()
        monkeypatch.undo()
        monkeypatch.setenv("EXCHANGE_API_KEY", KEY)
        monkeypatch.setenv("EXCHANGE_API_SECRET", SECRET)
        assert desk.scalar("SELECT count(*) FROM orders WHERE kind = 'exit'") == 2 and spool(desk).there
        desk.restart()
        afterwards(desk)
        assert desk.scalar("SELECT count(*) FROM risk_events WHERE actor = 'desk'") == 1


# ---------------------------------------------------------------- what cannot be trusted


def test_a_spool_that_was_changed_stops_the_desk_with_one_line(tmp_path):
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        with away(desk):
            say(desk)
            look(desk)
        path = spool(desk).path
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:2], lines[2].replace(b"BTC", b"ETH"), *lines[3:]]))
        asked = desk.fake.asked[PLACE]
        with pytest.raises(DataError, match=r"changed or damaged in line 3; nothing is sent.*quorum reconcile"):
            desk.turn()
        look(desk)
        assert desk.fake.asked[PLACE] == asked
        path.write_bytes(b"".join(lines))
        afterwards(desk)


def test_a_word_for_another_desk_is_not_taken(tmp_path, caplog):
    with trading(tmp_path, **HOLDING) as desk:
        holding(desk)
        letter, _ = exit_files(desk.settings, desk.connections.database)
        letter.write(ExitWord(desk.clock.now(), "leaving", "other"))
        look(desk, 3)
        assert letter.path.stat().st_mode & 0o777 == 0o600
        assert letter.read() is not None and all(held(desk).values()) and not spool(desk).there
        assert [r.getMessage() for r in caplog.records].count("exits without the database wait") == 1, "told once"


def test_a_desk_on_paper_says_plainly_that_it_cannot(tmp_path):
    environment = {"PATH": "/usr/bin", "QUORUM_RISK__KILL_FILE": str(tmp_path / "KILL")}
    environment |= {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}
    refused = call("halt", "--flatten", "--offline", "--reason", "x", cwd=tmp_path, environment=environment, code=None)
    assert refused.returncode == 2 and "trades on paper" in refused.stderr
    assert not (tmp_path / "exits").exists()
    refused = call("halt", "--offline", "--reason", "x", cwd=tmp_path, environment=environment, code=None)
    assert refused.returncode == 2 and "goes with --flatten" in refused.stderr


# ---------------------------------------------------------------- as its user runs it

DAEMON = """
[desk]
name = "t"
broker = "ccxt:binance"
broker_url = "{url}"
initial_cash = 100000
profile = "crypto-spot"
[data]
feed = "ccxt:binance"
exchange_url = "{url}"
symbols = ["BTC/USDT", "ETH/USDT"]
interval = "1h"
time_means = "open"
stream_wait_s = 0
poll_s = 0.2
[agents]
enabled = ["MarketHold"]
[execution]
lot_size = 0.0001
"""


@pytest.mark.fault
@pytest.mark.slow
def test_a_real_daemon_obeys_and_what_it_did_outlives_it(database, owner, redis_url, tmp_path):
    """Two processes and the command: flattened while the database is away, killed, and taken up when it is back."""
    market, clock = recorded(CLOCK.now(), before=400, after=4), CLOCK
    account = account_at(market, "100000")
    with FakeExchange(market, clock, FaultScript()) as fake, closing_processes() as processes:
        fake.accounts = [account]
        (tmp_path / "quorum.toml").write_text(DAEMON.format(url=fake.url))
        environment = {
            **os.environ,
            "DATABASE_URL": SERVICES.database_url(database, "quorum_owner"),
            "REDIS_URL": redis_url,
            "QUORUM_STATE_DIR": str(tmp_path / "state"),
        }

        def daemon():
            processes.append(start("trade", cwd=tmp_path, environment=environment))
            return processes[-1]

        def wait_for(condition, what):
            deadline_s = CLOCK.monotonic_s() + 120.0
            while not condition():
                log = tmp_path / "logs" / "orchestrator.log"
                assert CLOCK.monotonic_s() < deadline_s, f"{what}: {log.read_text()[-2000:] if log.exists() else ''}"
                CLOCK.sleep_s(0.1)

        def has(count):
            return sum(account.balances.get(base, 0) > 0 for base in ("BTC", "ETH")) == count

        first = daemon()
        wait_for(lambda: has(2), "it buys with its first decision")
        wait_for(lambda: "(acked)" in orders_of(owner), "which is on record")
        with server_away(database):
            said = call("halt", "--flatten", "--offline", "--reason", "out, now", cwd=tmp_path, environment=environment)
            assert has(0) and "BTC/USDT: accepted" in said.stdout and "sent: sell" in said.stdout, said
            first.kill()
            first.wait()
        assert orders_of(owner).count("exit") == 0, "nothing of it is on record"
        daemon()
        wait_for(lambda: orders_of(owner).count("exit") == 2, "the spool is taken in")
        obeyed = {("flattening",), ("halted",)}  # the one until the next decision, which comes with the next whole hour
        wait_for(lambda: obeyed & set(rows_of(owner, "SELECT risk_state FROM v_health")), "and its halt obeyed")
        CLOCK.sleep_s(1.0)
        left = rows_of(
            owner, "SELECT kind FROM orders WHERE state IN ('acked', 'filled')"
        )  # of one or of two decisions
        assert left.count(("exit",)) == 2 and has(0), "each position was closed once"
        assert fake.asked[PLACE] == len(left), "nothing left twice, and all that left is on record"
        assert rows_of(owner, "SELECT to_state, reason FROM risk_events WHERE actor = 'person'") == [
            ("flattening", "out, now")
        ]
        assert rows_of(owner, "SELECT name FROM v_breaks") == []
        status = call("status", cwd=tmp_path, environment=environment)
        assert "halted" in status.stdout or "flattening" in status.stdout


def orders_of(owner):
    return " ".join(f"{kind} ({state})" for kind, state in rows_of(owner, "SELECT kind, state FROM orders"))


def rows_of(owner, query):
    with owner.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


@contextmanager
def closing_processes():
    processes = []
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()
