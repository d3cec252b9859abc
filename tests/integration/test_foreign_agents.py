"""A daemon with agents of a user's own, one of which misbehaves in another way at every bar."""

from __future__ import annotations

import shutil
import signal
import socket
import threading

import psutil
import pytest

from agents.adapters.database.engine import open_engine
from agents.core.clock import SystemClock
from agents.core.settings import Settings
from tests import hostile_agents
from tests.conftest import SERVICES
from tests.daemons import HandClock, day, line, moment, running, walk
from tests.integration import test_parity
from tests.integration.test_daemon import SETTINGS, WAIT_S, Daemon, csv_of
from tests.market import make_bars

BARS = make_bars(16, 2, 31)
OWN = """
[agents]
timeout_s = 5.0
breaker_failures = 100
[agents.own]
Good = "mine.py:Decent"
Bad = "mine.py:Turncoat"
"""


@pytest.fixture
def daemon(tmp_path, database, redis_url, owner):
    made = Daemon(tmp_path, SERVICES.database_url(database, "quorum_owner"), redis_url, owner)
    shutil.copy(hostile_agents.__file__, tmp_path / "mine.py")
    (tmp_path / "quorum.toml").write_text(SETTINGS + OWN)
    yield made
    made.kill()


@pytest.fixture
def told(tmp_path):
    """What the service manager is told, as it comes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "n"))
    words: list[bytes] = []

    def listen() -> None:
        while words[-1:] != [b"the end"]:
            words.append(listener.recv(100))

    thread = threading.Thread(target=listen)
    thread.start()
    yield words
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
        last.sendto(b"the end", str(tmp_path / "n"))
    thread.join(10)
    listener.close()


def workers_of(daemon: Daemon) -> list[psutil.Process]:
    assert daemon.process is not None
    return [p for p in psutil.Process(daemon.process.pid).children(recursive=True) if "agents" in " ".join(p.cmdline())]


@pytest.mark.fault
def test_the_desk_trades_on_whatever_an_agent_does_and_leaves_no_worker(daemon, told, tmp_path):
    """Killed in the middle, started again, told to stop: every bar decided once, the good agent heard at each, the
    bad one's cause on record, the service manager told before each decision."""
    clock = SystemClock()
    daemon.write(csv_of(BARS, 0, 6))
    daemon.start(NOTIFY_SOCKET=str(tmp_path / "n"))
    daemon.wait_for(3)
    workers = workers_of(daemon)
    daemon.stop(signal.SIGKILL)
    assert workers and not psutil.wait_procs(workers, timeout=5.0)[1]
    daemon.write(csv_of(BARS, 6, 16))
    daemon.start(NOTIFY_SOCKET=str(tmp_path / "n"))
    daemon.wait_for(16)
    workers, started_s = workers_of(daemon), clock.monotonic_s()
    code, log = daemon.stop()
    assert code == 0 and "Traceback" not in log
    assert clock.monotonic_s() - started_s < 10.0
    assert workers and not psutil.wait_procs(workers, timeout=5.0)[1]
    assert told.count(b"WATCHDOG=1") >= 16
    assert daemon.scalar("SELECT count(*) FROM decisions") == 16
    heard = dict(daemon.rows("SELECT agent_name, count(*) FILTER (WHERE ok) FROM agent_work_log GROUP BY 1"))
    assert (heard["Good"], heard["Bad"], heard["TrendFollower"]) == (16, 0, 16)
    causes = {
        detail.partition(";")[0]
        for (detail,) in daemon.rows("SELECT detail FROM agent_work_log WHERE agent_name = 'Bad'")
    }
    assert {"its process was ended by SIGSEGV", "ValueError: no such column"} & causes, causes
    assert daemon.scalar("SELECT count(*) FROM signals WHERE agent_name = 'Bad' AND NOT abstained") == 0
    said = daemon.rows("SELECT DISTINCT agent_name, left(reason, 5) FROM signals WHERE agent_name IN ('Good', 'Bad')")
    assert sorted(said) == [("Bad", "faile"), ("Good", "close")]


DECIDED = (
    "SELECT time, weights_version, weights_level, weights, risk_state, equity, cash, orders, reason FROM decisions",
    "SELECT * FROM decision_details",
    "SELECT client_order_id, decision_time, symbol, side, quantity, state, reason FROM orders",
    "SELECT fill_id, time, symbol, side, quantity, price, fee, spread_cost, impact_cost FROM fills",
    "SELECT * FROM positions",
    "SELECT * FROM equity WHERE book <> 'shadow:Bad'",
    "SELECT time, agent_name, symbol, strength, confidence, reason FROM signals WHERE agent_name <> 'Bad'",
)


@pytest.mark.fault
def test_a_shadow_that_fails_in_every_way_changes_nothing_that_a_live_daemon_decides(services, tmp_path):
    """Its worker crashes, ends, raises, hangs, floods and fills the memory, another at each bar: each table of the
    desk without it holds the same rows, and what it did is on record."""
    shadow = {"own": {"Bad": f"{hostile_agents.__file__}:Turncoat"}, "shadow": ("Bad",), "timeout_s": 1.0}
    told = []
    for agents in ({}, shadow | {"breaker_failures": 100}):
        folder = tmp_path / f"with_{len(agents)}"
        (folder / "bars").mkdir(parents=True)
        known = {name: walk(260, seed) for seed, name in enumerate("AB")}
        with running(folder, HandClock(moment(250, 21, 1)), complete_within_s=0.0, AGENTS=agents) as desk:
            for t in range(250, 258):
                first = 0 if t == 250 else t
                for name, prices in known.items():
                    desk.write(f"{name}.csv", "".join(line(name, day(k), prices[k]) for k in range(first, t + 1)))
                desk.clock.sleep_s((moment(t, 21, 1) - desk.clock.now()).total_seconds())
                while desk.turn():
                    pass
            told.append([sorted(map(repr, desk.rows(query))) for query in DECIDED])
            work = desk.rows("SELECT ok, split_part(detail, ';', 1) FROM agent_work_log WHERE agent_name = 'Bad'")
    assert told[0] == told[1]
    assert len(told[0][0]) >= 8 and len(told[0][3]) > 0
    assert len(work) >= 8 and not any(ok for ok, _ in work)
    assert {"no answer within 1 s", "ValueError: no such column", "its process was ended by SIGSEGV"} <= {
        detail for _, detail in work
    }


def test_without_its_file_the_desk_says_so_in_a_line_and_does_not_start(daemon):
    (daemon.folder / "mine.py").unlink()
    daemon.start()
    assert daemon.process is not None
    _, said = daemon.process.communicate(timeout=WAIT_S)
    assert daemon.process.returncode == 2
    assert "agents.own.Bad" in said and "mine.py: no such file" in said and "Traceback" not in said


def test_an_agent_that_answers_differently_each_time_is_found_by_parity(
    database, owner, trader, redis_url, monkeypatch
):
    """J10: live, nobody can tell; the nightly check asks again, names the agent, and finds the steady one unchanged."""
    own = {name: f"{hostile_agents.__file__}:{name}" for name in ("Decent", "Dice")}
    settings = Settings(desk={"name": "t"}, data={"clock": "bars"}, agents={"own": own, "enabled": ["Breakout", *own]})
    monkeypatch.setattr(test_parity, "SETTINGS", settings)
    monkeypatch.setattr(test_parity, "START", {})
    meta = open_engine(SERVICES.database_url(database, "quorum_meta"))
    desk = test_parity.LiveDesk(owner, trader, meta, redis_url)
    desk.trade(120, 140)
    found = test_parity.parity(desk, settings)
    desk.plane.cache.close()
    meta.dispose()
    assert found["decisions"] == 20 and found["counts"]["signal"] > 20
    assert {example["subject"].split()[0] for example in found["examples"] if example["kind"] == "signal"} == {"Dice"}
