"""The meta plane on the real database: days, scorecards, publishing, jobs in processes of their own, alarms, the commands."""

from __future__ import annotations

import email
import email.policy
import getpass
import hashlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from agents.adapters.database.agent_days import AgentDaysTable
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.chain_store import ChainStore
from agents.adapters.database.job_store import PostgresJobStore
from agents.adapters.database.reader import DeskReader
from agents.adapters.database.report_store import forget_old_metrics
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.errors import AgentsError
from agents.core.facts import Period
from agents.core.meta_ports import TuningRecord
from agents.core.meta_types import Alarm, Recommendation, ScheduledJob, WeightDecision
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.meta.meta_orchestrator import MetaOrchestrator, Ticker
from agents.meta.performance_analyzer import PerformanceAnalyzerAgent
from agents.quant.monitor import Watch
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import SimulatedTime
from agents.tuning.tuning_pause import resumed, stopped
from agents.tuning.weight_decision import try_method
from agents.wiring import desk as app
from agents.wiring import job_process
from agents.wiring import meta as meta_app
from agents.wiring.connections import Connections
from agents.wiring.desk_record import desk_journal
from agents.wiring.weights import desk_weights
from tests.conftest import SERVICES
from tests.market import batch_of, make_bars
from tests.program import ROOT, WAIT_S, call, run, start

BARS = make_bars(150, 3, 5)
END = as_datetime(BARS.time[-1])


@pytest.fixture
def plane(owner, trader, meta, redis_url):
    """A desk that has traded 150 bars, and its meta plane at the last of them."""
    store = BarsStore(trader)
    store.load(batch_of(BARS))
    settings = Settings(desk={"name": "t"}, data={"clock": "bars"})
    connections = Connections(owner, trader, meta, redis_url, (), {})
    agents = app.agents_of(settings, SystemClock())
    clock = SimulatedClock(as_datetime(BARS.time[0]))
    weights = desk_weights(settings, connections, agents)
    with desk_journal(connections) as journal:
        desk = RecordedDesk(app.plan_of(settings, BARS.symbols), agents, weights.current, journal)
        bars = store.after(None, limit=len(BARS.time))  # as a desk reads them: with the version of the data
        record_history(bars, desk, SimulatedTime(clock), lambda *_: None)
    made = meta_app.MetaPlane(settings, connections, clock)
    yield made
    made.jobs.release()
    made.cache.close()


# ---------------------------------------------------------------- days and scorecards


def test_days_are_sums_over_the_series(plane, owner):
    """Against numpy on the raw rows, agent by agent and day by day."""
    assert plane.store.refresh_days() == 150
    days = plane.store.agent_days(until=END)
    reader = DeskReader(owner)
    for k, name in enumerate(days.agents):
        shadow = reader.rows("SELECT * FROM shadow_returns WHERE agent_name = :n ORDER BY time", n=name)
        assert np.allclose(days.returns[:, k], [r["return"] for r in shadow])
        assert days.hits[:, k].tolist() == [r["hits"] for r in shadow]
        pnl = reader.rows("SELECT contribution FROM bar_contributions WHERE agent_name = :n ORDER BY time", n=name)
        assert np.allclose(days.pnl[:, k], [r["contribution"] for r in pnl])
        turnover = reader.rows("SELECT turnover FROM equity WHERE book = :b ORDER BY time", b=f"shadow:{name}")
        assert np.allclose(days.turnover[:, k], [r["turnover"] for r in turnover])
    k = days.agents.index("TrendFollower")
    votes = reader.rows(
        "SELECT time, symbol, strength, confidence FROM signals WHERE agent_name = 'TrendFollower' AND NOT abstained"
    )
    place = {as_datetime(t): i for i, t in enumerate(BARS.time)}
    pairs = [
        (v["strength"] * v["confidence"], BARS.close[place[v["time"]] + 1, s] / BARS.close[place[v["time"]], s] - 1)
        for v in votes
        if place[v["time"]] + 1 < len(BARS.time)
        for s in [BARS.symbols.index(v["symbol"])]
    ]
    n, x, y, xx, yy, xy = days.correlation_sums[:, :, k].sum(axis=1)
    a, b = np.array(pairs).T
    assert n == len(pairs)
    assert np.allclose([x, y, xx, yy, xy], [a.sum(), b.sum(), (a * a).sum(), (b * b).sum(), (a * b).sum()])
    assert days.signals[:, k].sum() == len(votes)


def test_refreshing_reads_new_days_only_and_changes_nothing_twice(plane, owner):
    plane.store.refresh_days()
    reader = DeskReader(owner)
    before = reader.rows("SELECT * FROM agent_days ORDER BY date, agent_name")
    again = meta_app.MetaPlane(plane.settings, plane.connections, plane.clock)
    assert again.store.refresh_days() == 0
    assert reader.rows("SELECT * FROM agent_days ORDER BY date, agent_name") == before
    assert np.array_equal(again.store.agent_days(until=END).returns, plane.store.agent_days(until=END).returns)
    with owner.begin() as connection:  # a late change of an old day is not read again: only the newest two days are
        connection.execute(text("UPDATE agent_days SET hits = 777 WHERE date = '2001-01-05'"))
        connection.execute(text("DELETE FROM agent_days WHERE date >= '2001-05-25'"))
    assert again.store.refresh_days() == 0, "no new bars: nothing to do"
    fresh = meta_app.MetaPlane(plane.settings, plane.connections, plane.clock)
    assert fresh.store.refresh_days() == 6
    assert reader.rows("SELECT DISTINCT hits FROM agent_days WHERE date = '2001-01-05'") == [{"hits": 777}]
    fresh.cache.close()
    again.cache.close()


def test_reading_days_bit_by_bit_equals_reading_them_at_once(plane):
    plane.store.refresh_days()
    for _ in range(3):
        repeated = plane.store.agent_days(until=END)
    whole = meta_app.MetaPlane(plane.settings, plane.connections, plane.clock).store.agent_days(until=END)
    assert np.array_equal(repeated.date, whole.date)
    assert np.array_equal(repeated.returns, whole.returns)
    assert np.array_equal(repeated.correlation_sums, whole.correlation_sums)
    yesterday = plane.store.agent_days(until=END, whole_days_only=True)
    assert yesterday.date[-1] == whole.date[-2], "a decision never sees the day that it is made on"


def test_days_from_before_an_agent_was_added_are_read_whole_however_often(plane, owner):
    """B22. Seen: rows were kept by their number, not by their day, so each repeated read lost one of an older day."""
    plane.store.refresh_days()
    with owner.begin() as connection:  # the last agent joined on the newest day
        newest = "SELECT max(date) FROM agent_days"
        connection.execute(
            text(f"DELETE FROM agent_days WHERE agent_name = :a AND date < ({newest})"), {"a": plane.agents[-1]}
        )
    table = AgentDaysTable(plane.engine, plane.agents)
    first = table.read(END.date())
    for _ in range(5):
        again = table.read(END.date())
    assert np.array_equal(first.date, again.date)
    assert np.array_equal(first.returns, again.returns, equal_nan=True)
    assert np.array_equal(first.calls, again.calls)


def test_the_analyzer_is_idempotent(plane, owner):
    first = plane.run_job("performance_analyzer", END)
    reader = DeskReader(owner)
    query = "SELECT date, agent_name, window_days, sharpe_ratio, win_rate, undefined, verdict FROM agent_scorecards ORDER BY 1, 2, 3"
    rows = reader.rows(query)
    assert first["agents_analyzed"] == list(plane.agents)
    assert len(rows) == len(plane.agents) * 4
    assert plane.run_job("performance_analyzer", END) == first
    assert reader.rows(query) == rows
    silent = reader.rows("SELECT * FROM agent_scorecards WHERE agent_name = 'OnChainAnalyst' AND window_days = 0")[0]
    assert silent["sharpe_ratio"] is None and silent["undefined"]["sharpe_ratio"] == "no signals in this window"
    assert silent["periods_per_year"] == pytest.approx(365.25, rel=0.01), "these bars are daily without weekends"


def test_variants_and_models_get_their_rows(plane, owner):
    plane.run_job("performance_analyzer", END)
    plane.run_job("performance_analyzer", END)
    reader = DeskReader(owner)
    variants = reader.rows("SELECT * FROM strategy_variants ORDER BY agent_name")
    assert [v["agent_name"] for v in variants] == sorted(plane.agents)
    assert all(v["state"] == "champion" for v in variants)
    assert next(v for v in variants if v["agent_name"] == "TrendFollower")["parameters"]["volatility_window"] == 40
    models = reader.rows("SELECT name, version, format, sha256 FROM ml_models")
    bytes_of_it = files("vaderSentiment").joinpath("vader_lexicon.txt").read_bytes()
    digest = hashlib.sha256(bytes_of_it).hexdigest()
    assert models == [{"name": "vader-sentiment", "version": 1, "format": "lexicon", "sha256": digest}]


# ---------------------------------------------------------------- weights


def test_one_decision_for_each_due_time(plane, owner):
    for _ in range(3):
        outcome = plane.run_job("weight_optimizer", END, END)
    assert outcome["decision"] in ("initial", "apply", "hold")
    rows = DeskReader(owner).rows("SELECT * FROM weight_history")
    assert len(rows) == 1
    assert rows[0]["status"] in ("initial", "apply")
    assert sum(Decimal(str(weight)) for weight in rows[0]["agent_weights"].values()) == 1
    assert plane.cache.read().version == rows[0]["version"]


def test_a_hold_keeps_the_version_in_force(plane, owner):
    plane.run_job("weight_optimizer", END, END)
    later = plane.run_job("weight_optimizer", END, END + timedelta(days=1))
    assert (later["decision"], later["weights_updated"]) == ("hold", False)
    assert later["old_weights"] == later["new_weights"]
    rows = DeskReader(owner).rows("SELECT DISTINCT version FROM v_weights_current")
    assert rows == [{"version": 1}]


def test_looking_is_a_trial(plane, owner):
    proposal, decision = try_method(plane.store, plane.tuning, "risk_parity", END)
    assert decision.status == "trial" and sum(decision.weights.values()) == 1
    assert proposal.status in ("hold", "apply")
    assert plane.store.methods_tried("adaptive") == 2
    assert DeskReader(owner).rows("SELECT count(*) AS n FROM v_weights_current WHERE source = 'weight_history'") == [
        {"n": 0}
    ]


def test_a_new_set_of_agents_starts_from_what_is_known(plane):
    known = {name: Decimal("0.2") for name in plane.agents[:5]}
    plane.store.publish(
        WeightDecision(at=END, decided_for=None, weights=known, previous=None, method="m", status="initial", reason="r")
    )
    found = plane.store.weights_in_force(END)
    assert set(found.weights) == set(plane.agents)
    assert sum(found.weights.values()) == 1
    assert found.version == 0


def test_a_pause_of_tuning_is_on_record_raises_an_alarm_and_ends_with_a_person(plane, owner):
    """What the monitor decides is read back by every later run; the role of the jobs may write and read it."""
    anchor = plane.store.weights_in_force(END).weights
    assert sum(anchor.values()) == 1
    assert plane.store.tuning_record() == TuningRecord(None, None, None)
    bet = Watch(np.array([21.0]), np.array(["2020-01-03"], dtype="datetime64[D]"), np.datetime64("2020-01-03"))
    plane.store.publish(stopped(plane.store.weights_in_force(END).weights, anchor, bet, END))
    waits = plane.run_job("weight_optimizer", END, END + timedelta(days=1))
    assert (waits["decision"], waits["method"]) == ("hold", "paused")
    assert plane.store.tuning_record()[1:] == (END, None)
    assert "tuning_paused" in [alarm.kind for alarm in plane.wrong_at(END + timedelta(days=1))]
    later = END + timedelta(days=2)
    plane.store.publish(resumed(plane.store.weights_in_force(later).weights, "mended", later))
    assert plane.store.tuning_record() == TuningRecord(later, None, later)
    assert "tuning_paused" not in [alarm.kind for alarm in plane.wrong_at(later)]
    assert plane.run_job("weight_optimizer", later, later + timedelta(days=1))["method"] == "adaptive"
    over_time = plane.store.weights_over_time()
    assert over_time.decided[0] == np.datetime64(END.date())
    assert dict(zip(over_time.agents, over_time.weights[0], strict=True)) == {n: float(w) for n, w in anchor.items()}


def test_the_meta_role_cannot_touch_orders(meta, plane):
    """C23."""
    with pytest.raises(DBAPIError, match="permission denied"), meta.begin() as connection:
        connection.execute(text("INSERT INTO orders VALUES ('x', now(), 'A', 'buy', 1, 'intent', '')"))
    with pytest.raises(DBAPIError, match="permission denied"), meta.begin() as connection:
        connection.execute(text("DELETE FROM weight_history"))


# ---------------------------------------------------------------- alarms, suggestions, metrics


def test_alarms_open_once_and_close_once(plane, owner):
    alarm = Alarm(kind="job_late", subject="x", severity="high", detail="d")
    assert plane.reports.sync_alarms(END, [alarm]) == ([alarm], [])
    assert plane.reports.sync_alarms(END, [alarm]) == ([], [])
    assert plane.reports.sync_alarms(END, []) == ([], [alarm])
    assert plane.reports.sync_alarms(END, [alarm]) == ([alarm], [])
    rows = DeskReader(owner).rows("SELECT closed_at IS NULL AS open FROM alarms ORDER BY id")
    assert [r["open"] for r in rows] == [False, True]


def test_fresh_bars_and_no_decision_are_an_alarm_whoever_looks(plane, owner, trader):
    """B20. Seen: the trading daemon dead, data fresh: no alarm, and the report said that all was well."""
    at = END + timedelta(days=1, hours=2)

    def seen_at(moment):
        return [alarm.kind for alarm in plane.wrong_at(moment) if alarm.kind not in ("job_late", "redis_down")]

    assert seen_at(END + timedelta(minutes=30)) == []
    with trader.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO bars (symbol, time, bar_open, available_at, recorded_at, open, high, low, close, volume,"
                " source) SELECT symbol, time + interval '1 day', bar_open + interval '1 day', time + interval '1 day',"
                " time + interval '1 day', open, high, low, close, volume, 'x' FROM bars WHERE time = :end"
            ),
            {"end": END},
        )
    assert seen_at(END + timedelta(days=1, minutes=10)) == [], "it has a quarter of an hour"
    assert seen_at(at) == ["decision_late"]
    plane.raise_alarms(at)
    composed = plane.report(at, END, keep=False).report
    assert composed.subject.startswith("[t] Look now: 1 alarm, decision late; desk active")
    with owner.begin() as connection:
        connection.execute(text("DELETE FROM alarms"))
    assert "Look now" in plane.report(at, END, keep=False, wrong=plane.wrong_at(at)).report.subject


def test_delay_is_measured_from_the_price_decided_on_as_it_is_after_a_split(plane, owner):
    """B22. Seen: the price of before the split was compared with the open after it: +34,502 in the report, -13,214 in
    the tear sheet. Here a fill's symbol is told to have split 2:1 at that fill's bar."""
    rows = DeskReader(owner).rows(
        "SELECT f.symbol, f.side, f.quantity, d.mark, o.decision_time FROM fills f JOIN orders o USING"
        " (client_order_id) JOIN decision_details d ON d.time = o.decision_time AND d.symbol = f.symbol ORDER BY f.time"
    )
    fill = rows[len(rows) // 2]
    before = plane.reports.facts(Period(END - timedelta(days=4000), END)).fills.delay
    with owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO market_actions (symbol, time, kind, value, factor, source, read_id) SELECT symbol, min(time),"
                " 'split', 2, 2, 'x', 0 FROM bars WHERE symbol = :s AND time > :t GROUP BY symbol"
            ),
            {"s": fill["symbol"], "t": fill["decision_time"]},
        )
    after = plane.reports.facts(Period(END - timedelta(days=4000), END)).fills.delay
    signed = fill["quantity"] if fill["side"] == "buy" else -fill["quantity"]
    assert float(after - before) == pytest.approx(float(signed) * fill["mark"] / 2)


def test_a_desk_that_decided_nothing_for_years_is_not_well(plane):
    """Seen: "All well: desk active, last decision 8250 days ago"."""
    subject = plane.report(END + timedelta(days=8250), END, keep=False).report.subject
    assert "Look now: the last decision was made 8250 days ago" in subject


def test_suggestions_live_and_die(plane, owner):
    found = Recommendation(fingerprint="f", kind="strategy", severity="low", title="t", action="a", evidence={"n": 1})
    assert [s.state for s in plane.reports.sync_suggestions(END, [found])] == ["open"]
    assert len(plane.reports.sync_suggestions(END, [found])) == 1, "not doubled"
    with owner.begin() as connection:
        connection.execute(text("UPDATE improvement_suggestions SET state = 'dismissed'"))
    assert plane.reports.sync_suggestions(END, [found]) == [], "a person said no"
    with owner.begin() as connection:
        connection.execute(text("UPDATE improvement_suggestions SET state = 'accepted'"))
    assert plane.reports.sync_suggestions(END, []) == []
    state = DeskReader(owner).rows("SELECT state FROM improvement_suggestions")
    assert state == [{"state": "done"}]
    assert [s.state for s in plane.reports.sync_suggestions(END, [found])] == ["open"], "it came back"


def test_old_metrics_go_and_a_wrong_clock_removes_nothing(plane, owner):
    """C20."""
    for days in range(0, 4000, 100):
        plane.reports.record_metrics(END - timedelta(days=days), {"x": 1.0})
    assert forget_old_metrics(plane.engine, END + timedelta(days=36500 // 10), metrics_days=400) == 0, (
        "ten years on: refused"
    )
    left = DeskReader(owner).rows("SELECT count(*) AS n FROM system_metrics")[0]["n"]
    assert left == 40


# ---------------------------------------------------------------- jobs


def scheduled(*names, every=timedelta(hours=2)):
    return tuple(ScheduledJob(name=n, every=every, deadline_s=5.0) for n in names)


def test_jobs_run_in_order_and_one_failure_stops_nobody(plane, owner):
    """E07, E09: all due at once, the second one breaks in every way."""
    for error in (RuntimeError("broken"), RecursionError(), AgentsError("one line")):
        ran = []

        def runner(job, due_at, error=error, ran=ran):
            ran.append(job.name)
            if job.name == "b":
                raise error
            return "fine"

        clock = SimulatedClock(END)
        turn = MetaOrchestrator(plane.jobs, scheduled("a", "b", "c"), runner, clock)
        done = turn.run_now()
        assert ran == ["a", "b", "c"]
        assert [r.ok for r in done] == [True, False, True]
        with owner.begin() as connection:
            connection.execute(text("DELETE FROM job_runs"))


def test_a_slot_runs_once_over_restarts_and_two_daemons(plane, meta, owner):
    ran = []
    clock = SimulatedClock(END)
    other = PostgresJobStore(meta)
    first = MetaOrchestrator(plane.jobs, scheduled("a"), lambda p, d: ran.append(d) or "ok", clock)
    second = MetaOrchestrator(other, scheduled("a"), lambda p, d: ran.append(d) or "ok", clock)
    first.tick()
    second.tick()
    assert len(ran) == 1, "the second stands by"
    plane.jobs.release()
    second.tick()
    assert len(ran) == 1, "it leads now, but the slot is done"
    clock.advance_to(END + timedelta(hours=7))
    second.tick()
    assert len(ran) == 2
    row = DeskReader(owner).rows("SELECT missed, status FROM job_runs ORDER BY due_at DESC LIMIT 1")[0]
    assert row == {"missed": 3, "status": "succeeded"}
    other.release()


def locks_held(owner):
    query = "SELECT count(*) AS n FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory'"
    return DeskReader(owner).rows(f"{query} AND datname = current_database()")[0]["n"]


def test_each_job_is_led_by_one_process(plane, meta, owner):
    """Seen: a daemon of one job took the lead of all, and that beside it ran nothing."""
    ran, watched = [], []

    def daemon(name, store, *jobs):
        runner = lambda job, _due: ran.append((name, job.name)) or "ok"  # noqa: E731
        return MetaOrchestrator(store, scheduled(*jobs), runner, clock, lambda _at: watched.append(name))

    clock, store = SimulatedClock(END), PostgresJobStore(meta)
    one, all_ = daemon("one", store, "b"), daemon("all", plane.jobs, "a", "b", "c")
    for turn in (one, all_, one, all_):
        turn.tick()
    assert ran == [("one", "b"), ("all", "a"), ("all", "c")]
    assert watched == ["one", "one"], "alarms and mail are one process's"
    held = locks_held(owner)
    store.release()
    while locks_held(owner) == held:  # the server ends the session in its own time
        SystemClock().sleep_s(0.01)
    clock.advance_to(END + timedelta(hours=2))
    all_.tick()
    assert ran[3:] == [("all", "a"), ("all", "b"), ("all", "c")], "what the other led is taken over"
    assert watched == ["one", "one", "all"]
    one.tick()
    assert len(ran) == 6
    runs = DeskReader(owner).rows(
        "SELECT job, max(attempts) AS n, count(*) AS runs FROM job_runs GROUP BY 1 ORDER BY 1"
    )
    assert [(r["job"], r["n"], r["runs"]) for r in runs] == [("a", 1, 2), ("b", 1, 2), ("c", 1, 2)]
    store.release()


def test_the_lead_is_lost_with_its_session(plane, meta):
    """B03."""
    other = PostgresJobStore(meta)
    assert plane.jobs.lead(["a", "b"]) == {"a", "b"} and not other.lead(["a", "b"])
    with psycopg.connect(host=str(SERVICES.run), user="postgres", dbname="postgres", autocommit=True) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7710006 AND granted"
        )
    assert other.lead(["a", "b"]) == {"a", "b"}
    assert not plane.jobs.lead(["a", "b"])
    other.release()


def test_meta_agents_write_the_work_log_beside_the_chain(plane, owner):
    """Also where a job ends at the very time of a decision, as on a simulated clock: no part of that decision."""
    runner = lambda job, _due: "fine" if job.name == "a" else 1 / 0  # noqa: E731
    MetaOrchestrator(plane.jobs, scheduled("a", "b"), runner, SimulatedClock(END)).tick()
    rows = DeskReader(owner).rows(
        "SELECT time, agent_name, ok, detail, duration_ms FROM agent_work_log WHERE action = 'job' ORDER BY agent_name"
    )
    assert [(r["time"], r["agent_name"], r["ok"]) for r in rows] == [(END, "a", True), (END, "b", False)]
    assert rows[0]["detail"] == "fine" and "ZeroDivisionError" in rows[1]["detail"]
    assert ChainStore(owner).check(whole=True).differences == []
    composed = plane.report(END, END - timedelta(days=30), keep=False)
    assert "failing_agent:b" not in [s.recommendation.fingerprint for s in composed.suggestions], "a job is told as one"


def test_a_report_looks_at_how_the_desk_is_exposed(plane, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    (tmp_path / ".env").write_text("DATABASE_URL=...")
    (tmp_path / ".env").chmod(0o640)
    composed = plane.report(END, keep=False)
    found = {s.recommendation.fingerprint: s.recommendation for s in composed.suggestions}
    assert found["file_modes"].evidence["modes"] == [".env 0640"]
    assert "backup_old" in found and "superuser" not in found and "listening" not in found
    assert "Security:" in composed.report.text and ".env" in composed.report.text


def test_a_claimed_run_cannot_be_claimed_again(plane):
    stale = END - timedelta(seconds=60)
    run_id = plane.jobs.claim("a", END, END, missed=0, stale_before=stale)
    assert run_id is not None
    assert plane.jobs.claim("a", END, END, missed=0, stale_before=stale) is None
    plane.jobs.finish(run_id, at=END, ok=False, detail="x")
    assert plane.jobs.claim("a", END, END, missed=0, stale_before=stale) == run_id
    assert plane.jobs.newest("a", END).attempts == 2
    plane.jobs.finish(run_id, at=END, ok=True, detail="")
    assert plane.jobs.claim("a", END, END, missed=0, stale_before=stale) is None


def test_a_job_that_hangs_is_ended_with_its_children(monkeypatch):
    """B08."""
    command = [
        sys.executable,
        "-c",
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)",
    ]
    begun = SystemClock().monotonic_s()
    with pytest.raises(job_process.JobError, match="deadline of 1 s"):
        job_process.OwnProcess(None).run(command, ScheduledJob(name="x", every=timedelta(hours=1), deadline_s=1.0))
    assert SystemClock().monotonic_s() - begun < 50


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import os; os._exit(1)", "print('no json')"])
def test_a_job_that_ends_badly_is_one_error(code):
    with pytest.raises((job_process.JobError, ValueError)):
        job_process.OwnProcess(None).run(
            [sys.executable, "-c", code], ScheduledJob(name="x", every=timedelta(hours=1), deadline_s=20.0)
        )


def test_the_supervisor_notices_a_dead_scheduler(monkeypatch):
    """B06: APScheduler's thread dies silently while `running` stays True."""
    from apscheduler.schedulers.base import BaseScheduler

    from agents.meta import meta_orchestrator

    monkeypatch.setattr(meta_orchestrator, "SUPERVISE_S", 0.1)
    monkeypatch.setattr(meta_orchestrator, "TICK_LATE_S", 2.0)
    monkeypatch.setattr(BaseScheduler, "_process_jobs", lambda self: None)  # wakes up, does nothing, for ever
    alive = []
    ticker = Ticker(lambda: None, SystemClock(), every_s=0.05, longest_turn_s=60.0, alive=lambda: alive.append(1))
    assert ticker.run() is False
    assert alive, "until then it was alive"


def test_a_turn_that_never_ends_is_noticed(monkeypatch):
    """B04: the watchdog is not fed by a thread that proves nothing."""
    from agents.meta import meta_orchestrator

    monkeypatch.setattr(meta_orchestrator, "SUPERVISE_S", 0.1)
    end = threading.Event()
    ticker = Ticker(lambda: end.wait(WAIT_S), SystemClock(), every_s=0.05, longest_turn_s=0.5, alive=lambda: None)
    assert ticker.run() is False
    assert not end.is_set(), "noticed while the turn went on"
    end.set()


def test_ticks_go_on_after_errors(monkeypatch):
    """E07, E08."""
    from agents.meta import meta_orchestrator

    monkeypatch.setattr(meta_orchestrator, "SUPERVISE_S", 0.05)
    seen = []

    def tick():
        seen.append(1)
        if len(seen) == 2:
            raise AgentsError("the database is away")
        if len(seen) == 3:
            raise RuntimeError("a defect")
        if len(seen) >= 5:
            ticker.stop()

    ticker = Ticker(tick, SystemClock(), every_s=0.05, longest_turn_s=60.0, alive=lambda: None)
    assert ticker.run() is True
    assert len(seen) >= 5


# ---------------------------------------------------------------- the commands


@pytest.fixture
def environment(database, redis_url, tmp_path):
    return {
        **os.environ,
        "DATABASE_URL": SERVICES.database_url(database, "quorum_owner"),
        "REDIS_URL": redis_url,
        "COLUMNS": "140",
        "QUORUM_DATA__CLOCK": "bars",
        "QUORUM_DESK__NAME": "t",
        "QUORUM_RISK__ALLOW_SHORT": "true",  # as the desk in this database was set
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }


def quorum(environment, folder, *arguments, code=0, program=None):
    """A command inside this process, or a program as a process of its own."""
    if program is None:
        return call(*arguments, cwd=folder, environment=environment, code=code)
    return run(*arguments, cwd=folder, environment=environment, code=code, program=program)


def test_one_cycle_by_hand_and_what_it_left(plane, environment, tmp_path):
    done = json.loads(quorum(environment, tmp_path, "meta", "--once", "--json").stdout)
    assert [(r["job"], r["outcome"]) for r in done] == [
        ("performance_analyzer", "done"),
        ("weight_optimizer", "done"),
        ("parity_check", "done"),
        ("project_manager", "done"),
    ]
    jobs = json.loads(quorum(environment, tmp_path, "jobs", "--json").stdout)
    assert {r["status"] for r in jobs["plans"]} == {"succeeded"}
    assert "Newest runs" in quorum(environment, tmp_path, "jobs").stdout
    cards = json.loads(quorum(environment, tmp_path, "agents", "--json").stdout)
    assert len(cards) == len(plane.agents)
    assert "TrendFollower" in quorum(environment, tmp_path, "agents", "--window", "30").stdout
    history = json.loads(quorum(environment, tmp_path, "weights", "history", "--json").stdout)
    assert len(history) == 1 and history[0]["status"] in ("initial", "apply")
    assert history[0]["status"] in quorum(environment, tmp_path, "weights", "why").stdout
    shown = quorum(environment, tmp_path, "weights", "propose", "--method", "hrp")
    assert "recorded as a trial" in shown.stdout
    reverted = json.loads(
        quorum(environment, tmp_path, "weights", "revert", "1", "--reason", "a test", "--json").stdout
    )
    assert reverted["version"] > 1
    assert "was never in force" in quorum(environment, tmp_path, "weights", "revert", "77", code=2).stderr
    assert "see: quorum weights history" in quorum(environment, tmp_path, "weights", "why", "99", code=2).stderr
    assert (tmp_path / "logs" / "meta_orchestrator.log").exists()
    assert (tmp_path / "logs" / "project_manager.log").exists()
    reports = DeskReader(plane.engine).rows("SELECT subject, html, text, summary, recommendations FROM project_reports")
    assert len(reports) == 1 and len(reports[0]["html"].encode()) < 90_000 and reports[0]["summary"]["equity"]


def started(environment, folder, log, *arguments):
    """A daemon that has begun its first turn."""
    daemon = start("meta", *arguments, cwd=folder, environment=environment)
    deadline = SystemClock().monotonic_s() + 60
    while not (folder / "logs" / log).exists() or "job done" not in (folder / "logs" / log).read_text():
        assert daemon.poll() is None and SystemClock().monotonic_s() < deadline, daemon.communicate()
        SystemClock().sleep_s(0.1)
    return daemon


@pytest.mark.slow
def test_the_project_manager_runs_beside_a_daemon_of_all_jobs(plane, environment, tmp_path):
    """What scripts/start_project_manager.sh and start_meta_agents.sh run, at once: each job once, by one of them."""
    environment |= {"QUORUM_META__TICK_S": "1.0", "QUORUM_META__OWN_PROCESS": "false"}
    daemons = [started(environment, tmp_path, "meta_project_manager.log", "--only", "project_manager")]
    try:
        daemons.append(started(environment, tmp_path, "meta_orchestrator.log"))
        reader, deadline = DeskReader(plane.engine), SystemClock().monotonic_s() + 60
        while SystemClock().monotonic_s() < deadline:
            runs = reader.rows("SELECT job, status, attempts FROM job_runs ORDER BY job")
            if len(runs) == 4 and all(run["status"] == "succeeded" for run in runs):
                break
            SystemClock().sleep_s(0.2)
        assert [(r["job"], r["status"], r["attempts"]) for r in runs] == [
            (job, "succeeded", 1)
            for job in ("parity_check", "performance_analyzer", "project_manager", "weight_optimizer")
        ]
    finally:
        for daemon in daemons:
            daemon.terminate()
        said = [daemon.communicate(timeout=30)[1] for daemon in daemons]
    assert "Traceback" not in "".join(said)
    assert [daemon.returncode for daemon in daemons] == [0, 0]
    theirs, ours = (
        (tmp_path / "logs" / f"meta_{name}.log").read_text() for name in ("orchestrator", "project_manager")
    )
    assert 'theirs="project_manager, watch"' in theirs
    assert "job=project_manager" in ours and "job=project_manager" not in theirs
    assert "job=weight_optimizer" in theirs and "job=weight_optimizer" not in ours


def test_suggestions_become_tasks(plane, environment, tmp_path):
    plane.run_job("performance_analyzer", END)
    plane.run_job("project_manager", END)
    listed = json.loads(quorum(environment, tmp_path, "todo", "--json").stdout)
    first, *rest = listed["suggestions"]
    assert rest and not listed["tasks"]
    assert "a task now" in quorum(environment, tmp_path, "todo", "accept", str(first["id"])).stdout
    assert "dismissed" in quorum(environment, tmp_path, "todo", "dismiss", str(rest[0]["id"])).stdout
    quorum(environment, tmp_path, "todo", "add", "rotate the keys", "--priority", "high")
    listed = json.loads(quorum(environment, tmp_path, "todo", "--json").stdout)
    assert [t["title"] for t in listed["tasks"]] == ["rotate the keys", first["title"]]
    assert rest[0]["id"] not in [s["id"] for s in listed["suggestions"]]
    done = quorum(environment, tmp_path, "todo", "done", str(listed["tasks"][0]["id"]))
    assert "done: rotate the keys" in done.stdout
    assert "there is no open one" in quorum(environment, tmp_path, "todo", "accept", str(first["id"]), code=2).stderr
    made, _, _ = plane.report(END, keep=False)
    assert "Tasks" in made.html and first["title"] in made.text


@pytest.mark.parametrize("name", ["performance_analyzer", "weight_optimizer", "project_manager"])
def test_each_job_as_a_script(plane, environment, tmp_path, name):
    done = quorum(environment, tmp_path, program=(str(ROOT / "agents" / "meta" / f"{name}.py"),))
    outcome = json.loads(done.stdout)
    expected = {
        "performance_analyzer": {"agents_analyzed", "top_performers", "underperformers"},
        "weight_optimizer": {"weights_updated", "old_weights", "new_weights", "improvement", "decision", "reason"},
        "project_manager": {"report_id", "summary", "recommendations", "mail"},
    }[name]
    assert expected <= set(outcome)


def test_the_agents_work_without_arguments(plane, environment, tmp_path, monkeypatch):
    for name in ("DATABASE_URL", "REDIS_URL", "QUORUM_DATA__CLOCK", "QUORUM_DESK__NAME"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.chdir(tmp_path)
    assert PerformanceAnalyzerAgent().execute()["agents_analyzed"] == list(plane.agents)


def test_the_orchestrator_as_a_script(plane, environment, tmp_path):
    done = quorum(environment, tmp_path, "--once", program=(str(ROOT / "agents" / "meta" / "meta_orchestrator.py"),))
    assert "project_manager" in done.stdout


def test_reports_as_text_page_and_mail(plane, environment, tmp_path):
    quorum(environment, tmp_path, "meta", "--once", "--only", "performance_analyzer")
    text_ = quorum(environment, tmp_path, "report", "--days", "9000").stdout
    assert "WHAT HAPPENED" in text_ and "AGENTS" in text_
    quorum(environment, tmp_path, "report", "--out", "r.html", "--days", "9000")
    page = (tmp_path / "r.html").read_text()
    assert "data:image/png;base64," in page and "cid:" not in page
    quorum(environment, tmp_path, "report", "--out", "r.eml")
    mail = email.message_from_bytes((tmp_path / "r.eml").read_bytes(), policy=email.policy.default)
    assert mail["Subject"].startswith("[t] All well: desk active, last decision just now"), "in its bars' time"
    assert "must end in .html or .eml" in quorum(environment, tmp_path, "report", "--out", "r.pdf", code=2).stderr
    assert "run scripts/configure_email.py" in quorum(environment, tmp_path, "report", "--send-test", code=2).stderr


def test_the_daemon_is_ready_runs_what_is_due_and_stops(plane, environment, tmp_path):
    """READY=1 and WATCHDOG=1 on the supervisor's socket; SIGTERM ends it with 0."""
    address = str(tmp_path / "notify.sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    listener.settimeout(WAIT_S)
    program = subprocess.Popen(
        [sys.executable, "-m", "agents", "meta"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": address, "QUORUM_META__TICK_S": "0.5"},
    )
    assert listener.recv(100) == b"READY=1"
    assert listener.recv(100) == b"WATCHDOG=1"
    clock, reader = SystemClock(), DeskReader(plane.engine)
    deadline = clock.monotonic_s() + WAIT_S
    while clock.monotonic_s() < deadline:
        done = reader.rows("SELECT count(*) AS n FROM job_runs WHERE status = 'succeeded'")[0]["n"]
        if done == 3:
            break
        clock.sleep_s(0.1)
    assert done == 3
    program.send_signal(signal.SIGTERM)
    _, said = program.communicate(timeout=WAIT_S)
    assert program.returncode == 0, said
    listener.close()
    assert reader.rows("SELECT count(*) AS n FROM system_metrics WHERE name = 'meta.heartbeat'")[0]["n"] >= 1


RETURNS = "date,A,B,C\n" + "".join(
    f"2024-01-{1 + k % 28:02d},{0.004 + 0.01 * np.sin(k):.6f},{-0.004 + 0.01 * np.cos(2 * k):.6f},{0.01 * np.sin(3 * k + 1):.6f}\n"
    for k in range(300)
)


def test_optimize_needs_no_database(tmp_path):
    (tmp_path / "r.csv").write_text(RETURNS)
    (tmp_path / "p.json").write_text('{"A": 0.3, "B": 0.4, "C": 0.3}')
    nowhere = {
        **os.environ,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    done = json.loads(
        quorum(nowhere, tmp_path, "weights", "optimize", "--returns", "r.csv", "--previous", "p.json", "--json").stdout
    )
    assert done["status"] == "apply"
    assert done["weights"]["A"] > 0.3 > done["weights"]["B"] - 0.1
    assert sum(done["weights"].values()) == pytest.approx(1.0)
    assert set(done["evidence"]) >= {"periods", "beliefs", "price"}
    for method in ("max_sharpe", "min_variance", "risk_parity", "hrp", "equal"):
        made = json.loads(
            quorum(nowhere, tmp_path, "weights", "optimize", "--returns", "r.csv", "--method", method, "--json").stdout
        )
        assert sum(made["candidate"].values()) == pytest.approx(1.0)


BAD_FILES = [
    ("", None, "is empty"),
    ("A,A\n0.1,0.2\n", None, "name of its own"),
    ("A,B\n0.1\n", None, "line 2: 1 cells"),
    ("A,B\n0.1,x\n", None, "line 2: B: 'x' is not a number"),
    ("A,B\n0.1,inf\n", None, "not finite"),
    ("A,B\n0.1,0.2\n", '{"A": 1}', "expected one weight for each of A, B"),
    ("A,B\n0.1,0.2\n", '{"A": 0.1, "B": 0.1}', "sum to 1"),
    ("A,B\n0.1,0.2\n", "nonsense", "cannot be read as JSON"),
]


@pytest.mark.parametrize(("returns", "previous", "message"), BAD_FILES)
def test_bad_files_are_one_line(tmp_path, returns, previous, message):
    (tmp_path / "r.csv").write_text(returns)
    arguments = ["weights", "optimize", "--returns", "r.csv"]
    if previous is not None:
        (tmp_path / "p.json").write_text(previous)
        arguments += ["--previous", "p.json"]
    assert message in quorum(dict(os.environ), tmp_path, *arguments, code=1).stderr


def test_a_desk_in_its_bars_time_gets_its_reports_in_it(plane, environment, tmp_path):
    """Seen: bars of 2001, reported on as of today: "the last decision was made 9000 days ago", nothing traded, and
    weights decided a quarter of a century after the bars that they are for."""
    for job in ("performance_analyzer", "weight_optimizer", "project_manager"):
        quorum(environment, tmp_path, "meta", "--once", "--only", job)
    reader = DeskReader(plane.engine)
    (made,) = reader.rows("SELECT generated_at, period_end, subject, text FROM project_reports")
    assert made["generated_at"] == made["period_end"] == END
    assert "days ago" not in made["subject"] and "last decision was made" not in made["text"]
    assert reader.rows("SELECT timestamp FROM weight_history") == [{"timestamp": END}]
    assert "data_stale" not in {row["kind"] for row in reader.rows("SELECT kind FROM alarms")}
    shown = quorum(environment, tmp_path, "report", "--days", "3").stdout
    assert f"to {END:%Y-%m-%d %H:%M} UTC" in shown


@pytest.fixture
def configure(environment, tmp_path, monkeypatch):
    """The script as a person uses it: `configure(answers, passwords)` gives what it printed; it must ask no more."""
    spec = importlib.util.spec_from_file_location("configure_email", ROOT / "scripts" / "configure_email.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name in ("DATABASE_URL", "REDIS_URL", "QUORUM_DATA__CLOCK", "QUORUM_DESK__NAME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.chdir(tmp_path)

    def run(answers, passwords, *flags):
        asked = []
        answers, passwords = iter(answers), iter(passwords)
        monkeypatch.setattr("sys.argv", ["configure_email.py", *flags])
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or next(answers))
        monkeypatch.setattr(getpass, "getpass", lambda _question: next(passwords))
        assert script.main() == 0
        assert next(answers, None) is None and next(passwords, None) is None
        return asked

    return run


def test_configure_email_asks_again_only_for_what_cannot_be_right(plane, configure, capsys):
    """Seen: a wrong answer was told after the last question, and all had to be given again."""
    to_gmail = ["", "ssl", "", "", "me@gmail.com", "nobody", "", "", "daily_digest", "", "late", "22:00-07:00", "", ""]
    order = [to_gmail[k] for k in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)]
    asked = configure(order, ["sixteen letters"], "--no-check")
    stored = plane.outbox.mail_settings()
    assert (stored.server, stored.port, stored.security) == ("smtp.gmail.com", 587, "starttls")
    assert (stored.sender, stored.recipients, stored.mode) == ("me@gmail.com", ("me@gmail.com",), "daily_digest")
    assert stored.quiet_hours == ("22:00", "07:00")
    assert asked[0] == "SMTP server [smtp.gmail.com]: "
    said = capsys.readouterr().out
    assert "App Password" in said and "apppasswords" in said
    assert "--security must be starttls or tls" in said and "'nobody' is no mail address" in said
    assert [q for q in asked if q.startswith("security")] == ["security: starttls or tls [starttls]: "] * 2

    again = configure([""] * 10, [""], "--no-check")
    assert plane.outbox.mail_settings() == stored, "Enter keeps what is known"
    assert "quiet hours, such as 22:00-07:00, or none [22:00-07:00]: " in again


def test_configure_email_shows_lines_for_people(plane, configure, tmp_path, capsys):
    """Seen: a Python object in a single line."""
    configure([], [], "--show")
    assert capsys.readouterr().out.endswith("nothing is configured\n")
    answers = ["localhost", "tls", "", "me", "me@example.org", "a@example.org,b@example.org", "daily_digest", "2.5"]
    configure([*answers, "22:00-07:00", "Europe/Berlin"], ["sixteen letters"], "--no-check")
    capsys.readouterr()
    configure([], [], "--show")
    shown = capsys.readouterr().out
    secret = plane.outbox.mail_settings().secret_file
    assert shown.splitlines() == [
        "server      localhost:465, tls",
        "account     me",
        f"password    in {secret}",
        "sender      me@example.org",
        "recipients  a@example.org, b@example.org",
        "when        daily digest, at most one mail in 2.5 h",
        "quiet       22:00-07:00 Europe/Berlin",
    ]
    assert "sixteen" not in shown


def test_configure_email_keeps_the_answers_where_the_server_refuses(plane, configure, tmp_path, capsys):
    """The login is tried before the rest is asked; the old password stays in use until the new one works."""
    configure(["localhost", "", "2525", "me", "me@example.org", "", "", "", "", ""], ["first"], "--no-check")
    secret = Path(plane.outbox.mail_settings().secret_file)
    with pytest.raises(StopIteration):
        configure(["", "", "1", "", "", ""], ["second", "third"])
    said = capsys.readouterr().out
    assert said.count("Your answers are kept") == 1
    assert plane.outbox.mail_settings().port == 2525
    assert secret.read_text() == "first\n" and list(secret.parent.iterdir()) == [secret]


def test_configure_email_by_flags(plane, environment, tmp_path):
    """Nothing secret in the database; the password file is for its owner only; mistakes are one line."""
    program = [str(ROOT / "scripts" / "configure_email.py")]
    flags = [
        "--server",
        "127.0.0.1",
        "--port",
        "1",
        "--account",
        "me",
        "--password-stdin",
        "--sender",
        "me@example.org",
        "--recipients",
        "a@example.org,b@example.org",
    ]

    def run(*more, code=0):
        done = subprocess.run(
            [sys.executable, *program, *flags, *more],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT)},
            input="geheim-4711\n",
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "geheim" not in done.stdout + done.stderr and "Traceback" not in done.stderr
        return done

    assert "Nothing was stored" in run(code=2).stderr
    assert plane.outbox.mail_settings() is None
    run("--no-check", "--mode", "daily_digest", "--quiet", "22:00-07:00", "--timezone", "Europe/Berlin")
    stored = plane.outbox.mail_settings()
    assert stored.recipients == ("a@example.org", "b@example.org") and stored.quiet_hours == ("22:00", "07:00")
    secret = Path(stored.secret_file)
    assert secret.read_text().strip() == "geheim-4711" and secret.stat().st_mode & 0o077 == 0
    assert "--quiet: expected" in run("--no-check", "--quiet", "late", code=2).stderr
    assert "is no mail address" in run("--no-check", "--sender", "nobody", code=2).stderr
    assert "time zone" in run("--no-check", "--timezone", "Mars/Base", code=2).stderr
