"""Alarms: each trouble has its own, worst first, and a healthy desk has none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agents.core.alarm_types import (
    AlarmFacts,
    AlarmLimits,
    FutureRuns,
    LateBars,
    OpenBreak,
    PausedTuning,
    UndecidedBars,
    WaitingMail,
)
from agents.core.endurance import Outage
from agents.core.facts import NewestDecision, ParityCheck, SuspectSymbol, SystemState
from agents.core.meta_types import Alarm, Heartbeat, JobRun, ScheduledJob
from agents.core.types import RiskState, WeightsLevel
from agents.tuning.alarms import desk_alarms, job_alarms, worst_first
from agents.tuning.schedule import slot

NOW = datetime(2024, 6, 14, 12, 0, tzinfo=UTC)
DAILY = ScheduledJob(name="weight_optimizer", every=timedelta(hours=24), deadline_s=600.0)


def heartbeat(age=timedelta(0), state="running"):
    return Heartbeat(daemon="trading", at=NOW - age, started_at=NOW - timedelta(days=1), pid=1, state=state, detail="")


SYSTEM = SystemState(
    cpu_percent=3.0,
    load_1m=0.1,
    cpus=2,
    memory_percent=20.0,
    disk_free_bytes=100_000_000_000,
    database_bytes=50_000_000,
    slow_queries=0,
    commits=0,
    rollbacks=0,
    redis_alive=True,
)


def newest(risk_state=RiskState.ACTIVE, weights_level=WeightsLevel.REDIS):
    return NewestDecision(time=NOW, equity=1e6, cash=1e5, risk_state=risk_state, weights_level=weights_level)


LIMITS = AlarmLimits(stale_after=timedelta(days=2))
HEALTHY = AlarmFacts(
    at=NOW,
    newest=newest(),
    freshness={"A": NOW - timedelta(hours=1)},
    weights_published=False,
    unknown_orders=[],
    waiting_mail=None,
    parity=None,
    system=SYSTEM,
)
DIFFERS = ParityCheck(
    checked_from=NOW,
    checked_to=NOW,
    decisions=9,
    differences=3,
    counts={"signal": 0, "order": 3},
    examples=[],
    slippage={},
)
OUTAGE = Outage(plane="trading", began_at=NOW - timedelta(hours=2), ended_at=NOW, attempts=9, reason="away")
WRONG = [
    ({"outages": [OUTAGE, replace(OUTAGE, reason="before")]}, "outage", "medium"),
    ({"limits_reached": {"daily loss": NOW}}, "risk_limit", "medium"),
    ({"freshness": {"A": NOW - timedelta(days=9)}}, "data_stale", "high"),
    ({"freshness": {"A": None}}, "data_stale", "high"),
    (
        {"suspects": [SuspectSymbol(symbol="A", time=NOW, price=30.0, accepted_at=NOW, accepted=100.0, bars=1)]},
        "price_suspect",
        "high",
    ),
    ({"newest": newest(RiskState.HALTED)}, "risk_state", "critical"),
    ({"newest": newest(RiskState.REDUCING)}, "risk_state", "medium"),
    (
        {"newest": newest(weights_level=WeightsLevel.EQUAL), "weights_published": True},
        "weights_fallback",
        "medium",
    ),
    ({"unknown_orders": ["x"]}, "orders_unknown", "critical"),
    ({"long_sending": ["x"]}, "orders_sending", "critical"),
    ({"refused_orders": {"A": "too small"}}, "orders_refused", "high"),
    (
        {"breaks": [OpenBreak(name="A", kind="position", ours=Decimal(1), theirs=Decimal(2), since=NOW)]},
        "reconciliation",
        "critical",
    ),
    ({"parity": DIFFERS}, "parity", "high"),
    ({"system": replace(SYSTEM, redis_alive=False)}, "redis_down", "medium"),
    ({"system": replace(SYSTEM, disk_free_bytes=100_000_000)}, "disk_full", "high"),
    ({"system": replace(SYSTEM, memory_percent=99.0)}, "memory_full", "medium"),
    ({"undecided": UndecidedBars(bars=3, since=NOW - timedelta(hours=1), newest=NOW)}, "decision_late", "critical"),
    (
        {"newest": None, "undecided": UndecidedBars(bars=1, since=NOW - timedelta(hours=1), newest=NOW)},
        "decision_late",
        "critical",
    ),
    ({"heartbeats": [heartbeat(timedelta(minutes=6))]}, "daemon_silent", "critical"),
    ({"heartbeats": [heartbeat(-timedelta(days=365))]}, "daemon_silent", "critical"),
    ({"heartbeats": [heartbeat(state="stopped")]}, "daemon_stopped", "medium"),
    ({"heartbeats": [heartbeat(timedelta(days=9), state="stopped")]}, "daemon_stopped", "medium"),
    ({"future_runs": FutureRuns(runs=4, latest=NOW + timedelta(days=365))}, "clock", "high"),
    ({"refused": {"x@y.z": "550 no such user"}}, "mail_refused", "medium"),
    ({"late_bars": LateBars(bars=1, symbols=["A"], undecided=0, newest=NOW)}, "bars_late", "medium"),
    ({"late_bars": LateBars(bars=9, symbols=["A", "B"], undecided=4, newest=NOW)}, "bars_late", "high"),
    ({"waiting_mail": WaitingMail(mails=3, oldest=NOW - timedelta(hours=9))}, "mail_late", "medium"),
]


def test_a_healthy_desk_has_no_alarm():
    assert desk_alarms(HEALTHY, LIMITS) == []


@pytest.mark.parametrize(("change", "kind", "severity"), WRONG)
def test_each_trouble_has_its_alarm(change, kind, severity):
    (alarm,) = desk_alarms(replace(HEALTHY, **change), LIMITS)
    assert (alarm.kind, alarm.severity) == (kind, severity)
    assert alarm.detail


@pytest.mark.parametrize(
    ("price", "held", "said"),
    [
        (30.0, 200.0, "the position has lost 14,000"),
        (130.0, -200.0, "the position has lost 6,000"),
        (130.0, 200.0, ""),
        (30.0, 0.0, ""),
    ],
)
def test_a_suspect_price_says_what_the_position_has_lost_if_it_is_true(price, held, said):
    suspect = SuspectSymbol(symbol="A", time=NOW, price=price, accepted_at=NOW, accepted=100.0, bars=1, held=held)
    (alarm,) = desk_alarms(replace(HEALTHY, suspects=[suspect]), LIMITS)
    assert said in alarm.detail and ("has lost" in alarm.detail) == bool(said)


def test_a_daemon_that_was_stopped_is_told_with_its_time_and_what_waits_for_it():
    """Somebody has stopped it and knows; only what then fails to happen (`decision_late`) is critical."""
    (stopped,) = desk_alarms(replace(HEALTHY, heartbeats=[heartbeat(timedelta(hours=3), state="stopped")]), LIMITS)
    assert stopped.detail == (
        "the trading daemon was stopped at 2024-06-14 09:00:00 UTC; until it is started nothing is decided"
    )
    (vanished,) = desk_alarms(replace(HEALTHY, heartbeats=[heartbeat(timedelta(hours=3))]), LIMITS)
    assert vanished.detail == "the trading daemon was last heard of at 2024-06-14 09:00:00 UTC"


@pytest.mark.parametrize(
    "change",
    [
        {"undecided": UndecidedBars(bars=1, since=NOW - timedelta(minutes=14), newest=NOW)},
        {"heartbeats": [heartbeat(timedelta(minutes=4))]},
        {"heartbeats": [heartbeat(-timedelta(minutes=4))]},
        {"waiting_mail": WaitingMail(mails=1, oldest=NOW - timedelta(hours=5))},
    ],
)
def test_what_is_only_a_little_late_is_no_alarm(change):
    assert desk_alarms(replace(HEALTHY, **change), LIMITS) == []


def test_everything_wrong_at_once_is_all_there_and_the_worst_is_first():
    changes = {}
    for change, *_ in WRONG:
        changes = change | changes
    alarms = worst_first(desk_alarms(replace(HEALTHY, **changes), LIMITS))
    ranks = ["critical", "high", "medium"]
    assert [ranks.index(a.severity) for a in alarms] == sorted(ranks.index(a.severity) for a in alarms)
    assert len(alarms) == len({(a.kind, a.subject) for a in alarms}) >= 9


def test_an_old_unknown_order_counts_among_many():
    """Seen: only the newest twenty were read, so the oldest, which nobody asked about any more, was lost."""
    (alarm,) = desk_alarms(replace(HEALTHY, unknown_orders=[f"o{k}" for k in range(35)]), LIMITS)
    assert alarm == Alarm(
        kind="orders_unknown",
        subject="orders",
        severity="critical",
        detail="35 orders whose outcome is not known, the oldest o0",
    )


def test_failed_and_late_jobs_alarm():
    at = slot(DAILY.every, NOW)
    failed = JobRun(job=DAILY.name, due_at=at, started_at=at, finished_at=None, status="failed", detail="", attempts=1)
    kinds = {a.kind for a in job_alarms((DAILY,), {DAILY.name: failed}, at + timedelta(hours=20))}
    assert kinds == {"job_failed", "job_late"}
    (late,) = job_alarms((DAILY,), {DAILY.name: None}, at + timedelta(hours=20))
    assert late.detail.startswith(f"{DAILY.name} has not succeeded"), "the detail is all that some screens show"
    assert job_alarms((DAILY,), {}, at + timedelta(hours=20), at + timedelta(hours=19)) == []


def test_paused_tuning_is_an_alarm_that_says_since_when_and_why():
    paused = PausedTuning(since=NOW - timedelta(days=2), reason="tuning is paused: ...; quorum weights resume --reason")
    (alarm,) = desk_alarms(replace(HEALTHY, tuning_paused=paused), LIMITS)
    assert (alarm.kind, alarm.severity) == ("tuning_paused", "high")
    assert "since 2024-06-12" in alarm.detail and "quorum weights resume" in alarm.detail
