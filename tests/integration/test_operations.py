"""What keeps watch over the desk, on the real database: jobs under a clock that jumps, heartbeats of both daemons,
alarms on decisions that do not come."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import socket
import subprocess
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from agents.adapters.database.engine import open_engine
from agents.adapters.database.heartbeats import HeartbeatTable
from agents.adapters.database.job_store import PostgresJobStore
from agents.adapters.database.report_store import ReportStore
from agents.adapters.mail.ping import Pinger
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.alarm_types import AlarmLimits
from agents.core.clock import SystemClock
from agents.core.errors import SettingsError
from agents.core.meta_types import Alarm, Heartbeat, MailSettings, ScheduledJob
from agents.core.settings import Settings, with_changes
from agents.orchestrator.pulse import BEAT_S, DaemonPulse
from agents.tuning.alarms import desk_alarms, job_alarms
from agents.tuning.job_runner import JobRunner
from agents.wiring.connections import Connections
from agents.wiring.meta import MetaPlane
from tests.conftest import SERVICES
from tests.program import ROOT, call

NOW = datetime(2026, 3, 27, 0, 0, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JOBS = tuple(
    ScheduledJob(name=name, every=every * HOUR, deadline_s=600.0)
    for name, every in (("performance_analyzer", 6), ("weight_optimizer", 24), ("project_manager", 2))
)


class SteppedClock:
    """A wall clock that is set to and fro, and a monotonic one that only goes on."""

    def __init__(self, at):
        self.at, self.origin = at, 0.0

    def now(self):
        return self.at

    def monotonic_s(self):
        return self.origin

    def sleep_s(self, duration_s):
        self.pass_by(timedelta(seconds=duration_s))

    def pass_by(self, duration):
        self.at += duration
        self.origin += duration.total_seconds()


@pytest.fixture
def store(meta):
    made = PostgresJobStore(meta)
    yield made
    made.release()


@pytest.fixture
def reports(meta, tmp_path):
    return ReportStore(meta, MemoryWeightCache(), SystemClock(), tmp_path)


class Watched:
    """The jobs of a desk on a clock that a test moves; `ran` is (job, due time, true hours since the start)."""

    def __init__(self, store, at=NOW):
        self.clock, self.ran, self.store = SteppedClock(at), [], store
        self.runner = JobRunner(store, JOBS, self._run, self.clock)

    def _run(self, job, due_at):
        self.ran.append((job.name, due_at, round(self.clock.origin / 3600)))
        return "done"

    def for_hours(self, hours):
        """An hour at a time, a tick in each."""
        for _ in range(hours):
            self.runner.tick()
            self.clock.pass_by(HOUR)

    def of(self, job):
        return [(due_at, hour) for name, due_at, hour in self.ran if name == job]

    def alarms(self, reports):
        at = self.clock.now()
        newest = {job.name: self.store.newest(job.name, at) for job in JOBS}
        limits = AlarmLimits(stale_after=9 * DAY)
        wrong = job_alarms(JOBS, newest, at) + desk_alarms(reports.alarm_facts(at, at), limits)
        return {alarm.kind for alarm in wrong}


# ---------------------------------------------------------------- clocks


def test_a_clock_a_year_ahead_and_back_stops_no_job(store, reports):
    """B19, E04. Seen: the runs dated a year ahead stayed the newest, and nothing was due for a year, without a word."""
    desk = Watched(store)
    desk.for_hours(24)
    before = len(desk.ran)
    assert before == 4 + 1 + 12
    assert "clock" not in desk.alarms(reports)
    desk.clock.at += 365 * DAY
    desk.for_hours(3)
    ahead = desk.ran[before:]
    assert [sum(name == job.name for name, *_ in ahead) for job in JOBS] == [1, 1, 2], "one catch-up, then their pace"
    desk.clock.at -= 365 * DAY
    begun = len(desk.ran)
    desk.for_hours(48)
    after = desk.ran[begun:]
    assert [sum(name == job.name for name, *_ in after) for job in JOBS] == [9, 3, 25], (
        "what fell due meanwhile, then their pace"
    )
    assert all(due_at < NOW + 5 * DAY for _, due_at, _ in after)
    due_times = [(name, due_at) for name, due_at, _ in desk.ran]
    assert len(due_times) == len(set(due_times)), "no due time ran twice"


def test_runs_of_the_future_are_an_alarm_for_a_day(store, reports):
    desk = Watched(store, NOW + 365 * DAY)
    desk.for_hours(1)
    desk.clock.at = NOW
    desk.for_hours(1)
    assert "clock" in desk.alarms(reports)
    desk.for_hours(26)
    assert "clock" not in desk.alarms(reports)


def test_the_year_that_was_run_ahead_of_time_is_run_when_it_comes(store):
    desk = Watched(store, NOW + 365 * DAY)
    desk.for_hours(1)
    desk.clock.at = NOW
    desk.for_hours(1)
    desk.clock.at = NOW + 365 * DAY
    begun = len(desk.ran)
    desk.for_hours(1)
    assert len(desk.ran[begun:]) == 3, "its due times count as not run"


@pytest.mark.parametrize("back", [HOUR, timedelta(minutes=59), timedelta(seconds=90)])
def test_a_clock_an_hour_back_doubles_and_skips_nothing(store, back):
    """E03: each due time once, in order; the day has an hour more."""
    desk = Watched(store)
    desk.for_hours(9)
    desk.clock.at -= back
    desk.for_hours(20)
    for job in JOBS:
        due_times = [due_at for due_at, _ in desk.of(job.name)]
        assert due_times == sorted(set(due_times))
        assert {b - a for a, b in pairwise(due_times)} <= {job.every}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", ""])
@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31"])
def test_the_zone_of_the_machine_moves_no_due_time(store, monkeypatch, zone, day):
    """E05, E06: over the nights on which the clocks of the machine's zone change."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        desk = Watched(store, datetime.fromisoformat(f"{day}T12:00:05+00:00"))
        desk.for_hours(36)
        assert [hour for _, hour in desk.of("performance_analyzer")] == [0, 6, 12, 18, 24, 30]
        assert [hour for _, hour in desk.of("weight_optimizer")] == [0, 12]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_days_down_are_one_run_of_each_job_that_says_so(store, owner):
    """E02."""
    desk = Watched(store)
    desk.for_hours(1)
    desk.clock.pass_by(3 * DAY)
    begun = len(desk.ran)
    desk.for_hours(1)
    assert len(desk.ran[begun:]) == 3
    with owner.connect() as connection:
        missed = connection.execute(text("SELECT job, missed FROM job_runs WHERE missed > 0 ORDER BY job")).all()
    assert missed == [("performance_analyzer", 11), ("project_manager", 35), ("weight_optimizer", 2)]


# ---------------------------------------------------------------- heartbeats


def test_each_daemon_sees_the_other_fall_silent_and_come_back(trader, meta, caplog):
    caplog.set_level(logging.INFO, logger="agents")
    clock = SteppedClock(NOW)
    trading = DaemonPulse(HeartbeatTable(trader), "trading", clock)
    planning = DaemonPulse(HeartbeatTable(meta), "meta", clock)
    for _ in range(30):
        trading.beat("no bars yet")
        planning.beat()
        clock.pass_by(timedelta(seconds=30))
    table = {beat.daemon: beat for beat in HeartbeatTable(meta).all()}
    assert (table["trading"].pid, table["trading"].detail) == (os.getpid(), "no bars yet")
    assert not [r for r in caplog.records if r.message == "ALARM"]
    for _ in range(12):  # the meta daemon is dead for six minutes
        trading.beat()
        clock.pass_by(timedelta(seconds=30))
    alarms = [r.facts for r in caplog.records if r.message == "ALARM"]
    assert [(a["kind"], a["subject"]) for a in alarms] == [("daemon_silent", "meta")], "once, on the edge"
    planning.beat()
    clock.pass_by(timedelta(seconds=BEAT_S))
    trading.beat()
    assert [r.facts["subject"] for r in caplog.records if r.message == "alarm is over"] == ["meta"]


def test_a_daemon_that_was_stopped_is_no_alarm_of_the_other_and_is_told(trader, meta, caplog):
    caplog.set_level(logging.INFO, logger="agents")
    clock = SteppedClock(NOW)
    trading = DaemonPulse(HeartbeatTable(trader), "trading", clock)
    planning = DaemonPulse(HeartbeatTable(meta), "meta", clock)
    planning.beat()
    planning.end()
    for _ in range(3):
        clock.pass_by(timedelta(minutes=6))
        trading.beat()
    told = [(r.levelname, r.message, r.facts.get("detail", "")) for r in caplog.records if "daemon" in str(r.facts)]
    assert told == [
        (
            "WARNING",
            "the other daemon does not run",
            "the meta daemon was stopped at 2026-03-27 00:00:05 UTC; until it is started no job runs and no mail leaves",
        )
    ]


def test_the_end_of_a_daemon_is_not_taken_for_that_of_the_one_that_runs_since(trader):
    clock = SteppedClock(NOW)
    earlier = DaemonPulse(HeartbeatTable(trader), "trading", clock)
    earlier.beat()
    clock.pass_by(timedelta(seconds=30))
    DaemonPulse(HeartbeatTable(trader), "trading", clock).beat()
    earlier.end()
    (beat,) = HeartbeatTable(trader).all()
    assert (beat.state, beat.started_at) == ("running", clock.now())


def test_two_meta_daemons_have_a_heartbeat_each_and_one_sees_the_other_die(trader, meta, reports):
    """Seen: start_meta_agents.sh and start_project_manager.sh shared one row, so the death of either went unnoticed."""
    start, table, limits = NOW, HeartbeatTable(meta), AlarmLimits(stale_after=9 * DAY)

    def alarms(at):
        facts = reports.alarm_facts(at, at - timedelta(days=1))
        return [(a.kind, a.subject) for a in desk_alarms(facts, limits) if a.kind.startswith("daemon_")]

    def beat(daemon, at, state="running"):
        table.beat(Heartbeat(daemon=daemon, at=at, started_at=start, pid=1, state=state, detail=""))

    beat("meta", start)
    beat("project_manager", start)
    later = start + timedelta(minutes=10)
    assert alarms(start) == []
    beat("project_manager", later)
    assert alarms(later) == [("daemon_silent", "meta")]
    beat("meta", later)
    assert alarms(later) == []
    assert alarms(later + timedelta(minutes=10)) == [], "nobody of them lives: nobody is there to look"
    latest = later + timedelta(minutes=10)
    beat("meta", latest)
    assert alarms(latest) == [("daemon_silent", "project_manager")]
    beat("project_manager", latest, "stopped")
    assert alarms(latest) == [], "the meta daemon runs its job"
    beat("project_manager", latest)
    beat("meta", latest, "stopped")
    assert alarms(latest) == [("daemon_stopped", "meta")]


def test_a_silent_trading_daemon_is_an_alarm_of_the_meta_plane(trader, reports):
    beats, limits = HeartbeatTable(trader), AlarmLimits(stale_after=DAY)
    beat = Heartbeat(daemon="trading", at=NOW, started_at=NOW, pid=1, state="running", detail="")
    beats.beat(beat)
    assert desk_alarms(reports.alarm_facts(NOW, NOW), limits) == []
    (alarm,) = desk_alarms(reports.alarm_facts(NOW + HOUR, NOW), limits)
    assert (alarm.kind, alarm.subject, alarm.severity) == ("daemon_silent", "trading", "critical")
    assert "2026-03-27 00:00:05" in alarm.detail


def test_a_pulse_does_not_mind_a_database_that_is_away(caplog):
    broken = open_engine("postgresql://nobody@127.0.0.1:1/none")
    pulse = DaemonPulse(HeartbeatTable(broken), "trading", SteppedClock(NOW))
    pulse.beat()
    pulse.end()
    broken.dispose()


# ---------------------------------------------------------------- the dead man's ping, and units that fail


class Watchman:
    """A web server on loopback that answers as it is told and keeps what it was asked for."""

    def __init__(self, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", drip_s=0.0):
        self.answer, self.drip_s, self.asked = answer, drip_s, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/geheim-4711?x=1"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection:
                    self.asked.append(connection.recv(4096).split(b"\r\n")[0])
                    for byte in self.answer:
                        connection.send(bytes([byte]))
                        time.sleep(self.drip_s)


@pytest.fixture
def watchman():
    """Makes servers, and closes them."""
    made = []

    def make(*arguments):
        made.append(Watchman(*arguments))
        return made[-1]

    yield make
    for one in made:
        one.listener.close()


@pytest.fixture
def plane(owner, trader, meta, redis_url):
    """A meta plane whose desk has nothing yet."""
    made = MetaPlane(Settings(desk={"name": "t"}), Connections(owner, trader, meta, redis_url, (), {}), SystemClock())
    yield made
    made.jobs.release()
    made.cache.close()


def test_a_ping_is_a_get_of_the_whole_address(watchman):
    there = watchman()
    assert Pinger(there.url).ping() == ""
    assert there.asked == [b"GET /geheim-4711?x=1 HTTP/1.1"]


@pytest.mark.parametrize(
    ("answer", "drip_s", "said"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 0.0, "status 500"),
        (b"HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0.0, "status 302"),
        (b"nonsense\r\n\r\n", 0.0, "127.0.0.1: "),
        (b"x" * 600, 0.05, "no answer within 0.5 s"),
    ],
)
def test_a_ping_that_fails_is_one_line_without_the_address(watchman, answer, drip_s, said):
    problem = Pinger(watchman(answer, drip_s).url, deadline_s=0.5).ping()
    assert said in problem and "geheim" not in problem
    assert "ConnectionRefused" in Pinger("http://127.0.0.1:1/geheim").ping()


def test_the_ping_comes_only_while_nothing_is_badly_wrong(plane, monkeypatch, watchman):
    there = watchman()
    asked = replace(plane, settings=with_changes(plane.settings, {"meta.ping_url": there.url}))
    calm = [Alarm(kind="redis_down", subject="redis", severity="medium", detail="x")]
    bad = [Alarm(kind="risk_state", subject="halted", severity="critical", detail="x")]
    for wrong, pings in (([], 1), (calm, 2), (bad, 2), ([*calm, *bad], 2), ([], 3)):
        monkeypatch.setattr(MetaPlane, "wrong_at", lambda _plane, _at, found=wrong: found)
        asked.watch(SystemClock().now())
        assert len(there.asked) == pings
    asked.cache.close()


@pytest.mark.parametrize("url", ["ftp://x/y", "file:///etc/passwd", "nonsense", "http://"])
def test_a_ping_address_is_a_web_address(url):
    with pytest.raises(SettingsError, match="ping_url") as caught:
        with_changes(Settings(), {"meta.ping_url": url})
    assert "hc-ping.com" in str(caught.value)


def test_a_unit_that_failed_is_a_mail_with_the_desks_name(plane, tmp_path, redis_url, database):
    """As systemd calls it (OnFailure=), against a server that refuses: one line, and the exit status that tells."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QUORUM_")}
    environment |= {"DATABASE_URL": SERVICES.database_url(database, "quorum_owner"), "REDIS_URL": redis_url}
    silent = call("failed", "quorum-trading.service", "--json", cwd=tmp_path, environment=environment)
    assert json.loads(silent.stdout) == {"unit": "quorum-trading.service", "mailed": False}
    plane.outbox.store_mail_settings(
        MailSettings(
            server="127.0.0.1",
            port=1,
            security="starttls",
            account="",
            sender="a@b.c",
            secret_file=None,
            recipients=("x@y.z",),
            mode="every_report",
            frequency_s=7200,
            quiet_hours=None,
        )
    )
    refused = call("failed", "quorum-trading.service", cwd=tmp_path, environment=environment, code=1)
    assert "quorum-trading.service was not sent" in refused.stderr


def test_every_daemon_has_its_on_failure():
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "install_systemd.sh"), "print", "user"],
        capture_output=True,
        text=True,
        check=True,
    )
    units = dict(re.findall(r"==> \S*/(\S+) <==\n(.*?)(?=\n==> |\Z)", done.stdout, re.DOTALL))
    assert set(units) >= {"quorum-trading.service", "quorum-meta.service", "quorum-failed@.service"}
    for name, unit in units.items():
        if name != "quorum-failed@.service":
            assert "OnFailure=quorum-failed@%n.service" in unit.split("[Service]")[0], name
    assert re.search(r"ExecStart=\S+/quorum failed %i\n", units["quorum-failed@.service"])
