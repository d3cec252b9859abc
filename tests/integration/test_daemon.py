"""The daemon as its user runs it: a folder, a settings file, signals, SIGKILL at named points, Redis dying."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from agents.adapters.cache.redis_weights import RedisWeightCache
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import open_engine
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.migrate import upgrade
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.settings import Settings
from agents.core.types import Bars, as_datetime
from agents.core.weight_sets import StandIn, normalised
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.weights_in_force import DeskWeights
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import SimulatedTime
from agents.wiring.daemon import paper_broker
from agents.wiring.desk import plan_of
from tests.conftest import SERVICES
from tests.market import all_agents, batch_of, decide_on, make_bars
from tests.program import call
from tests.servers import start_redis
from tests.twins import MemoryJournal
from tests.unit.pipeline.test_step import T0

BARS = make_bars(110, 2, 31)
SETTINGS = """
[desk]
name = "t"
[data]
feed_folder = "bars"
clock = "bars"
poll_s = 0.1
complete_within_s = 0.3
session_open = "15:00"
session_close = "21:00"
timezone = "UTC"
[risk]
allow_short = true
"""
WAIT_S = 240.0


def csv_of(bars: Bars, first: int, last: int) -> str:
    lines = []
    for t in range(first, last):
        for s, symbol in enumerate(bars.symbols):
            values = ",".join(repr(float(getattr(bars, n)[t, s])) for n in ("open", "high", "low", "close", "volume"))
            lines.append(f"{symbol},{str(bars.time[t])[:10]},{values}\n")
    return "".join(lines)


class Daemon:
    """`quorum trade` in a folder of its own on a database of its own."""

    def __init__(self, folder: Path, url: str, redis_url: str, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        (folder / "bars").mkdir()
        (folder / "quorum.toml").write_text(SETTINGS)
        self.environment = {
            **os.environ,
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
        }
        self.process: subprocess.Popen[str] | None = None

    def write(self, text_: str, mode: str = "a") -> None:
        file = self.folder / "bars" / "all.csv"
        if not file.exists():
            file.write_text("symbol,time,open,high,low,close,volume\n")
        with file.open(mode) as stream:
            stream.write(text_)

    def start(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agents", "trade"],
            cwd=self.folder,
            env={**self.environment, **environment},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, decisions: int) -> None:
        clock = SystemClock()
        deadline = clock.monotonic_s() + WAIT_S
        while (self.reached() or 0) < decisions:
            assert self.process is not None
            assert self.process.poll() is None, self.process.communicate()[1][-3000:]
            assert clock.monotonic_s() < deadline, (self.folder / "logs" / "orchestrator.log").read_text()[-3000:]
            clock.sleep_s(0.05)

    def reached(self) -> int | None:
        """Decisions so far; None while the database is away."""
        try:
            return self.scalar("SELECT count(*) FROM decisions")
        except OperationalError:
            return None

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, err

    def kill(self) -> None:
        """End it whatever it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def died(self) -> int:
        assert self.process is not None
        self.process.communicate(timeout=WAIT_S)
        return self.process.returncode

    def scalar(self, query: str):
        with self.engine.connect() as connection:
            return connection.execute(text(query)).scalar()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


@pytest.fixture
def daemon(tmp_path: Path, database: str, redis_url: str, owner: Engine) -> Iterator[Daemon]:
    made = Daemon(tmp_path, SERVICES.database_url(database, "quorum_owner"), redis_url, owner)
    yield made
    made.kill()


def expected_of(bars: Bars) -> MemoryJournal:
    """The replay of the same bars."""
    settings = Settings()
    agents, journal = all_agents(SystemClock()), MemoryJournal()
    from tests.unit.pipeline.test_step import weights

    plan = plan_of(settings.model_copy(update={"desk": settings.desk.model_copy(update={"name": "t"})}), bars.symbols)
    desk = RecordedDesk(plan, agents, weights().current, journal)
    record_history(bars, desk, SimulatedTime(SimulatedClock(T0)), lambda *_: None)
    return journal


def test_the_daemon_trades_what_is_appended_and_equals_the_replay(daemon):
    """Bars in two portions; SIGTERM; every decision, order and fill in the database is the replay's."""
    daemon.write(csv_of(BARS, 0, 80))
    daemon.start()
    daemon.wait_for(80)
    daemon.write(csv_of(BARS, 80, 110))
    daemon.wait_for(110)
    code, log = daemon.stop()
    assert code == 0, log
    assert "stopped" in log
    assert (daemon.folder / "logs" / "orchestrator.log").read_text().count("msg=decided") == 110
    journal = expected_of(BARS)
    orders = [(o.client_order_id, o.symbol, o.side, o.quantity) for c in journal.cycles for o in c.orders]
    assert orders, "this market makes orders"
    assert sorted(daemon.rows("SELECT client_order_id, symbol, side, quantity FROM orders")) == sorted(orders)
    fills = [(f.fill_id, f.time, f.quantity, f.price, f.fee) for f in journal.fills.values()]
    assert sorted(daemon.rows("SELECT fill_id, time, quantity, price, fee FROM fills")) == sorted(fills)
    trades = [(t.trade_id, t.pnl) for c in journal.cycles for t in c.trades]
    assert sorted(daemon.rows("SELECT trade_id, pnl FROM trades")) == sorted(trades)
    equity = np.array([row[0] for row in daemon.rows("SELECT equity FROM equity WHERE book = 'paper' ORDER BY time")])
    np.testing.assert_allclose(equity, np.concatenate([c.equity[:, 0] for c in journal.cycles]), rtol=1e-9)
    states = {key: state for key, (_, state, _) in journal.orders.items()}
    assert dict(daemon.rows("SELECT client_order_id, state FROM orders")) == states


@pytest.mark.fault
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_cleanly(daemon, signal_number):
    daemon.write(csv_of(BARS, 0, 30))
    daemon.start()
    daemon.wait_for(5)
    code, log = daemon.stop(signal_number)
    assert code == 0
    assert "Traceback" not in log


@pytest.mark.fault
def test_a_second_daemon_is_refused(daemon):
    daemon.write(csv_of(BARS, 0, 10))
    daemon.start()
    daemon.wait_for(10)
    second = subprocess.run(
        [sys.executable, "-m", "agents", "trade"],
        cwd=daemon.folder,
        env=daemon.environment,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert second.returncode == 1
    assert "another quorum process trades this desk already" in second.stderr
    assert "Traceback" not in second.stderr


def assert_sound(daemon: Daemon) -> None:
    """FAULTS' oracles: nothing doubled, nothing lost, the money adds up."""
    assert daemon.scalar("SELECT count(*) FROM decisions") == 110
    assert daemon.scalar("SELECT count(*) - count(DISTINCT (decision_time, symbol)) FROM orders") == 0
    assert (
        daemon.scalar("SELECT count(*) FROM (SELECT client_order_id FROM fills GROUP BY 1 HAVING count(*) > 1) d") == 0
    )
    assert (
        daemon.scalar(
            "SELECT count(*) FROM orders o WHERE quantity < (SELECT coalesce(sum(quantity), 0) FROM fills f"
            " WHERE f.client_order_id = o.client_order_id)"
        )
        == 0
    )
    assert (
        daemon.scalar(
            "SELECT count(*) FROM orders o JOIN (SELECT client_order_id, sum(quantity) AS done FROM fills GROUP BY 1) f"
            " USING (client_order_id) WHERE NOT (state = 'filled' AND done = quantity OR state = 'partial'"
            " OR state = 'expired' AND done < quantity AND reason LIKE 'the rest expired%')"
        )
        == 0
    ), "what was filled in part says so"
    assert (
        daemon.scalar(
            "SELECT count(*) FROM orders o WHERE state IN ('filled', 'partial') AND NOT EXISTS (SELECT 1 FROM fills f"
            " WHERE f.client_order_id = o.client_order_id)"
        )
        == 0
    )
    cash = daemon.scalar(
        "SELECT 1000000 - coalesce(sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END * price + fee), 0) FROM fills"
    )
    assert float(cash) == pytest.approx(
        daemon.scalar("SELECT cash FROM decisions ORDER BY time DESC LIMIT 1"), abs=1e-4
    )
    held = daemon.rows(
        "SELECT symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS q FROM fills GROUP BY 1"
        " HAVING sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) <> 0 ORDER BY 1"
    )
    assert held == daemon.rows("SELECT symbol, quantity FROM positions ORDER BY 1")
    assert (
        daemon.scalar(
            "SELECT count(*) FROM trades t WHERE pnl <> (SELECT sum(contribution) FROM trade_attribution a"
            " WHERE a.trade_id = t.trade_id)"
        )
        == 0
    )


@pytest.mark.fault
@pytest.mark.parametrize(
    ("point", "not_placed"),
    [("decision.before_commit:60", 0), ("order.before_send:40", 1), ("order.before_ack_commit:40", 0)],
)
def test_killed_at_a_named_point_nothing_is_lost_or_doubled(daemon, point, not_placed):
    """A01, A02, A04: SIGKILL, start again; orders that never left are NOT_PLACED, those that did are adopted."""
    daemon.write(csv_of(BARS, 0, 110))
    daemon.start(KILLPOINT=point)
    assert daemon.died() == -signal.SIGKILL
    reached = daemon.scalar("SELECT count(*) FROM decisions")
    assert 0 < reached < 110
    daemon.start()
    daemon.wait_for(110)
    assert daemon.stop()[0] == 0
    assert_sound(daemon)
    placed = daemon.rows("SELECT state, count(*) FROM orders GROUP BY 1")
    assert (dict(placed).get("not_placed", 0) > 0) == bool(not_placed)
    if not not_placed:
        fills = {f.fill_id for f in expected_of(BARS).fills.values()}
        assert {row[0] for row in daemon.rows("SELECT fill_id FROM fills")} == fills, "as if nothing had happened"


@pytest.mark.fault
def test_a_halted_desk_waits_for_a_person(daemon):
    daemon.write(csv_of(BARS, 0, 70))
    daemon.start()
    daemon.wait_for(70)
    daemon.stop()
    for command in (["halt", "--reason", "test"], ["status", "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "agents", *command],
            cwd=daemon.folder,
            env=daemon.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=WAIT_S,
        )
    shown = json.loads(done.stdout)
    assert shown["health"]["risk_state"] == "active", "no desk runs that could obey"
    assert [(row["state"], row["reason"]) for row in shown["waiting_commands"]] == [("halted", "test")]
    daemon.write(csv_of(BARS, 70, 90))
    daemon.start()
    daemon.wait_for(90)
    daemon.stop()
    states = [row[0] for row in daemon.rows("SELECT risk_state FROM decisions ORDER BY time")]
    assert states[:70] == ["active"] * 70
    assert states[70:] == ["halted"] * 20
    sizes = np.array(
        [
            row[0]
            for row in daemon.rows(
                "SELECT sum(abs(position)) FROM decision_details WHERE symbol = 'S0' GROUP BY time ORDER BY time"
            )
        ]
    )
    assert (np.diff(sizes[71:]) <= 0).all()
    subprocess.run(
        [sys.executable, "-m", "agents", "resume", "--reason", "checked"],
        cwd=daemon.folder,
        env=daemon.environment,
        check=True,
        capture_output=True,
        timeout=WAIT_S,
    )
    daemon.write(csv_of(BARS, 90, 110))
    daemon.start()
    daemon.wait_for(110)
    daemon.stop()
    assert daemon.scalar("SELECT risk_state FROM decisions ORDER BY time DESC LIMIT 1") == "active"
    assert_sound(daemon)


@pytest.mark.fault
def test_a_halt_between_bars_is_obeyed_at_the_next_poll_and_takes_back_what_works(daemon):
    """F22: no new bar comes; `status` shows it at once, before and after a restart."""
    bars = bars_until_orders_work()
    daemon.write(csv_of(BARS, 0, bars))
    daemon.start()
    daemon.wait_for(bars)
    assert daemon.scalar("SELECT count(*) FROM orders WHERE state IN ('intent', 'acked')") > 0
    call("halt", "--reason", "test", cwd=daemon.folder, environment=daemon.environment)
    clock = SystemClock()
    deadline = clock.monotonic_s() + 10.0
    while daemon.scalar("SELECT risk_state FROM v_health") != "halted":
        assert clock.monotonic_s() < deadline, "within one poll"
        clock.sleep_s(0.05)
    assert daemon.scalar("SELECT count(*) FROM orders WHERE state IN ('intent', 'acked')") == 0
    assert daemon.scalar("SELECT count(*) FROM orders WHERE state = 'expired' AND reason = 'cancelled'") > 0
    shown = json.loads(call("status", "--json", cwd=daemon.folder, environment=daemon.environment).stdout)
    assert shown["health"]["risk_state"] == "halted"
    assert shown["waiting_commands"] == []
    assert daemon.stop()[0] == 0
    daemon.write(csv_of(BARS, bars, 110))
    daemon.start()
    daemon.wait_for(110)
    assert daemon.stop()[0] == 0
    states = [row[0] for row in daemon.rows("SELECT risk_state FROM decisions ORDER BY time")]
    assert set(states[:bars]) == {"active"}
    assert set(states[bars:]) == {"halted"}
    assert_sound(daemon)


def bars_until_orders_work() -> int:
    """So many bars, that the last decision of their replay made orders."""
    decided = {order.decision_time for cycle in expected_of(BARS).cycles for order in cycle.orders}
    return next(t + 1 for t in range(40, 100) if as_datetime(BARS.time[t]) in decided)


@pytest.mark.fault
def test_the_database_dies_and_returns(tmp_path, fresh):
    """C03, C04: every server process is killed; the daemon waits, takes the desk up again, and nothing is doubled."""
    fresh.up(lambda _line: None)
    fresh.ensure_database("mortal")
    url = fresh.database_url("mortal", "quorum_owner")
    daemon = Daemon(tmp_path, url, fresh.redis_url, open_engine(url))
    upgrade(daemon.engine, interval_s=86400)
    try:
        daemon.write(csv_of(BARS, 0, 70))
        daemon.start()
        daemon.wait_for(40)
        pid = fresh.postgres.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        daemon.engine.dispose()
        fresh.up(lambda _line: None)
        daemon.write(csv_of(BARS, 70, 110))
        daemon.wait_for(110)
        code, log = daemon.stop()
        assert code == 0
        assert "Traceback" not in log
        assert_sound(daemon)
        # Orders that were decided, but not sent, when the server died are never sent; until then, all is as ever.
        lost = daemon.rows("SELECT DISTINCT decision_time FROM orders WHERE state = 'not_placed'")
        assert len(lost) <= 1, "one death, one decision"
        until = lost[0][0] if lost else as_datetime(BARS.time[-1])
        recorded = daemon.rows("SELECT fill_id, time FROM fills")
        expected = {f.fill_id for f in expected_of(BARS).fills.values() if f.time <= until}
        assert {fill_id for fill_id, time in recorded if time <= until} == expected
    finally:
        daemon.kill()
        daemon.engine.dispose()


def test_stale_history_is_warm_up_only(daemon):
    """With the system's clock, bars of 2001 are no reason to trade."""
    (daemon.folder / "quorum.toml").write_text(SETTINGS.replace('clock = "bars"', 'clock = "system"'))
    daemon.write(csv_of(BARS, 0, 60))
    daemon.start()
    clock = SystemClock()
    deadline = clock.monotonic_s() + WAIT_S
    log = daemon.folder / "logs" / "orchestrator.log"
    while not (log.exists() and "warm-up only" in log.read_text()):
        assert clock.monotonic_s() < deadline
        clock.sleep_s(0.1)
    assert daemon.stop()[0] == 0
    assert daemon.scalar("SELECT count(*) FROM decisions") == 0
    assert daemon.scalar("SELECT count(*) FROM bars") == 120


@pytest.mark.fault
def test_killing_redis_changes_only_the_recorded_level(owner, trader, tmp_path):
    """D01: Redis is killed with -9 in the middle; the same orders, and the level falls from redis to database."""
    socket = tmp_path / "redis.sock"
    process = start_redis(SERVICES.prefix, socket)
    try:
        orders, levels = _cycles_with_redis(owner, trader, f"unix://{socket}", process)
    finally:
        process.kill()
        process.wait()
    assert levels[0] == "redis"
    assert levels[-1] == "database"
    assert set(levels) == {"redis", "database"}
    assert levels.index("database") >= 80
    assert orders == [o for c in expected_of(BARS).cycles for o in c.orders]


def _cycles_with_redis(owner, trader, url, process):
    clock = SystemClock()
    agents, settings = all_agents(clock), Settings()
    store = BarsStore(trader, BARS.symbols)
    store.load(batch_of(BARS))
    cache = RedisWeightCache(url, f"{trader.url.database}:t", clock)
    weights_store = PostgresWeightStore(owner)
    published = weights_store.publish(
        normalised(dict.fromkeys(agents.names, 1.0), agents.names), at=T0, method="equal", reason="start"
    )
    assert cache.write(published)
    journal = PostgresJournal(trader)
    journal.hold_desk()
    plan = plan_of(settings.model_copy(update={"desk": settings.desk.model_copy(update={"name": "t"})}), BARS.symbols)
    desk = Orchestrator(
        plan, agents, DeskWeights(agents.names, weights_store, cache, StandIn({}, 0.05), 3600.0), journal
    )
    broker = paper_broker(desk, journal)
    desk.recover(broker, BARS.rows(0, 0), T0)
    orders, levels = [], []
    for t in range(len(BARS.time)):
        if t == 80:
            process.kill()
            process.wait()
        at = as_datetime(BARS.time[t])
        cycle = decide_on(desk, broker, store.window(until=at, count=desk.bars_needed), T0)
        orders += cycle.orders
        levels.append(str(cycle.weights[0].level))
    assert desk._get_agent_weights("S0") == published.weights
    journal.release()
    cache.close()
    return orders, levels


def test_a_desk_that_goes_on_or_whose_symbols_are_named_does_not_wait_for_more_files(daemon):
    """Only a new desk without `data.symbols` waits, and says so: it keeps the symbols that it opens with."""
    patient = SETTINGS.replace("complete_within_s = 0.3", "complete_within_s = 600.0")
    (daemon.folder / "quorum.toml").write_text(patient.replace("[data]", '[data]\nsymbols = ["S0", "S1"]'))
    daemon.write(csv_of(BARS, 0, 30))
    daemon.start()
    daemon.wait_for(30)
    assert daemon.stop()[0] == 0
    (daemon.folder / "quorum.toml").write_text(patient)
    daemon.write(csv_of(BARS, 30, 40))
    daemon.start()
    daemon.wait_for(40)
    assert daemon.stop()[0] == 0
    assert "waits for all of its files" not in (daemon.folder / "logs" / "orchestrator.log").read_text()


def test_a_renamed_symbol_goes_on_under_its_alias(daemon):
    """The files call S1 NEW from day 60 on: with the alias the desk trades as if nothing had been renamed."""
    daemon.write(csv_of(BARS, 0, 60))
    daemon.start()
    daemon.wait_for(60)
    assert daemon.stop()[0] == 0
    (daemon.folder / "quorum.toml").write_text(SETTINGS + '[data.aliases]\nNEW = "S1"\n')
    daemon.write(csv_of(BARS, 60, 110).replace("S1,", "NEW,"))
    daemon.start()
    daemon.wait_for(110)
    assert daemon.stop()[0] == 0
    fills = [(f.fill_id, f.quantity, f.price) for f in expected_of(BARS).fills.values()]
    assert sorted(daemon.rows("SELECT fill_id, quantity, price FROM fills")) == sorted(fills)
    assert daemon.rows("SELECT DISTINCT symbol FROM bars ORDER BY 1") == [("S0",), ("S1",)]
