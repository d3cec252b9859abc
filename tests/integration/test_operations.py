"""What keeps watch over the desk, on the real database: jobs under a clock that jumps, heartbeats of both daemons,
alarms on decisions that do not come."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text

from agents.adapters.database.engine import open_engine
from agents.adapters.database.heartbeats import HeartbeatTable
from agents.adapters.database.job_store import PostgresJobStore
from agents.adapters.database.report_store import ReportStore
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.alarm_types import AlarmLimits
from agents.core.clock import SystemClock
from agents.core.meta_types import Heartbeat, ScheduledJob
from agents.orchestrator.pulse import BEAT_S, DaemonPulse
from agents.tuning.alarms import desk_alarms, job_alarms
from agents.tuning.job_runner import JobRunner
from tests.conftest import SERVICES

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
def meta(database):
    engine = open_engine(SERVICES.database_url(database, "quorum_meta"))
    yield engine
    engine.dispose()


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
    import time

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
