"""The real daemons against a full disk, a defect, servers that stand still, and a signal in the midst of it."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from agents.core.clock import SystemClock
from tests.conftest import SERVICES
from tests.faults import backends, frozen, refused, superuser
from tests.integration.test_daemon import BARS, Daemon, assert_sound, csv_of, daemon, expected_of
from tests.program import ROOT

__all__ = ["daemon"]
CLOCK = SystemClock()
WAIT_S = 60.0
PROMISED_S = 10.0


def log_of(daemon: Daemon, name: str = "orchestrator") -> str:
    file = daemon.folder / "logs" / f"{name}.log"
    return file.read_text() if file.exists() else ""


def wait_until(condition, what: str) -> None:
    deadline_s = CLOCK.monotonic_s() + WAIT_S
    while not condition():
        assert CLOCK.monotonic_s() < deadline_s, what
        CLOCK.sleep_s(0.05)


def database_of(daemon: Daemon) -> str:
    return str(daemon.engine.url.database)


def assert_as_undisturbed(daemon: Daemon) -> None:
    journal = expected_of(BARS)
    orders = sorted((o.client_order_id, o.symbol, o.side, o.quantity) for c in journal.cycles for o in c.orders)
    assert sorted(daemon.rows("SELECT client_order_id, symbol, side, quantity FROM orders")) == orders
    fills = sorted((f.fill_id, f.time, f.quantity, f.price, f.fee) for f in journal.fills.values())
    assert sorted(daemon.rows("SELECT fill_id, time, quantity, price, fee FROM fills")) == fills
    assert_sound(daemon)


@pytest.mark.fault
@pytest.mark.parametrize("table", ["decisions", "bars"])
def test_a_full_disk_is_told_once_and_after_it_all_is_as_undisturbed(daemon, table):
    """C09: on whatever is written next; the daemon goes on by itself once there is room."""
    daemon.write(csv_of(BARS, 0, 50))
    daemon.start()
    daemon.wait_for(50)
    with refused(SERVICES, database_of(daemon), table):
        daemon.write(csv_of(BARS, 50, 110))
        wait_until(lambda: f"injected fault on {table}" in log_of(daemon), "the fault fires")
        CLOCK.sleep_s(2.0)
        assert daemon.process is not None
        assert daemon.process.poll() is None
        assert log_of(daemon).count('msg="cannot work now; trying again"') <= 2
    daemon.wait_for(110)
    code, err = daemon.stop()
    assert code == 0
    assert "Traceback" not in err
    assert "works again" in log_of(daemon)
    assert_as_undisturbed(daemon)


@pytest.mark.fault
def test_a_defect_is_told_with_its_place_and_the_desk_is_taken_up_again(daemon):
    """Here: a table that is not there, which no program can foresee."""
    daemon.write(csv_of(BARS, 0, 50))
    daemon.start()
    daemon.wait_for(50)
    with superuser(SERVICES, database_of(daemon)) as session:
        session.execute("ALTER TABLE risk_events RENAME TO elsewhere")
    wait_until(lambda: "unexpected error; trying again" in log_of(daemon), "the defect shows")
    CLOCK.sleep_s(1.0)
    with superuser(SERVICES, database_of(daemon)) as session:
        session.execute("ALTER TABLE elsewhere RENAME TO risk_events")
    daemon.write(csv_of(BARS, 50, 110))
    daemon.wait_for(110)
    assert daemon.stop()[0] == 0
    lines = [line for line in log_of(daemon).splitlines() if "unexpected error" in line]
    assert 1 <= len(lines) <= 3, "once for each place where it shows"
    assert "UndefinedTable" in lines[0]
    assert "agents/adapters/database/" in lines[0]
    assert_as_undisturbed(daemon)


@pytest.mark.fault
@pytest.mark.slow
def test_frozen_sessions_are_one_line_in_time_and_the_signal_ends_the_daemon(daemon):
    """C05, B16: SIGSTOP of every session that the daemon has; then SIGTERM; then a start that goes on."""
    daemon.write(csv_of(BARS, 0, 50))
    daemon.start()
    daemon.wait_for(50)
    daemon.engine.dispose()
    pids = backends(SERVICES, database=database_of(daemon), application="quorum-trader")
    assert pids
    with frozen(*pids):
        frozen_s = CLOCK.monotonic_s()
        wait_until(lambda: "the database does not answer; waiting" in log_of(daemon), "one line")
        assert CLOCK.monotonic_s() - frozen_s < PROMISED_S
        wait_until(lambda: "no answer within 12 s" in log_of(daemon), "the session is given up")
        assert CLOCK.monotonic_s() - frozen_s < 2 * PROMISED_S
        assert daemon.process is not None
        stopped_s = CLOCK.monotonic_s()
        daemon.stop()
        assert CLOCK.monotonic_s() - stopped_s < PROMISED_S + 1.0
    daemon.write(csv_of(BARS, 50, 110))
    daemon.start()
    daemon.wait_for(110)
    assert daemon.stop()[0] == 0
    assert_as_undisturbed(daemon)


@pytest.mark.fault
@pytest.mark.slow
def test_the_signal_ends_a_daemon_that_hangs_in_its_start(daemon):
    """Recovery: its sessions stand still as soon as they are there."""
    daemon.write(csv_of(BARS, 0, 30))
    daemon.start()
    name = database_of(daemon)
    wait_until(lambda: backends(SERVICES, database=name, application="quorum-trader"), "it begins")
    with frozen(*backends(SERVICES, database=name, application="quorum-trader")):
        CLOCK.sleep_s(1.0)
        started_s = CLOCK.monotonic_s()
        daemon.stop()
        assert CLOCK.monotonic_s() - started_s < PROMISED_S + 1.0
    daemon.start()
    daemon.wait_for(30)
    assert daemon.stop()[0] == 0


@pytest.mark.fault
def test_a_daemon_that_was_killed_and_is_stopped_by_force_in_its_start_does_not_run_on_record(daemon):
    """Its first turn waits for a table that is locked; told twice to stop, it is ended by force."""
    daemon.write(csv_of(BARS, 0, 30))
    daemon.start()
    daemon.wait_for(30)
    beat = "SELECT state, pid FROM heartbeats WHERE daemon = 'trading'"
    wait_until(lambda: daemon.rows(beat), "its first sign of life")
    assert daemon.process is not None
    daemon.process.kill()
    daemon.process.communicate()
    assert daemon.rows(beat) == [("running", daemon.process.pid)], "it could not tell"
    daemon.write(csv_of(BARS, 30, 40))
    with superuser(SERVICES, database_of(daemon)) as session, session.transaction():
        session.execute("LOCK TABLE bar_reads IN ACCESS EXCLUSIVE MODE")
        daemon.start()
        wait_until(lambda: daemon.rows(beat) == [("running", daemon.process.pid)], "it starts, and says so at once")
        daemon.process.send_signal(signal.SIGTERM)
        CLOCK.sleep_s(0.3)
        assert daemon.stop()[0] == 1, "by force"
    assert daemon.rows(beat) == [("stopped", daemon.process.pid)]


@pytest.mark.fault
@pytest.mark.slow
def test_the_signal_ends_the_meta_daemon_with_its_job(daemon):
    """A job that hangs in its process is ended with it; none is left behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agents", "meta"],
        cwd=daemon.folder,
        env={**daemon.environment, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    try:
        parent = psutil.Process(process.pid)
        wait_until(lambda: parent.children(), "a job runs")
        job = parent.children()[0]
        with frozen(job.pid):
            started_s = CLOCK.monotonic_s()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=WAIT_S)
            assert CLOCK.monotonic_s() - started_s < PROMISED_S + 1.0
        wait_until(lambda: not psutil.pid_exists(job.pid) or job.status() == psutil.STATUS_ZOMBIE, "no job is left")
    finally:
        process.kill()
        process.communicate()
