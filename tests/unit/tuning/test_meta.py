"""The meta plane's pure parts: scorecards, decisions, due times, alarms, recommendations, quiet hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.meta_ports import PastChange
from agents.core.meta_types import AgentDays, JobRun, MailSettings, ScheduledJob
from agents.core.types import WeightSet, WeightsLevel
from agents.quant.returns import first_of_window
from agents.tuning.delivery import reason_not_to_mail
from agents.tuning.past_changes import realised
from agents.tuning.rule_cards import cards_for_rules
from agents.tuning.schedule import ATTEMPTS, EPOCH, due, lateness, slot
from agents.tuning.scorecards import Thresholds, analyze, verdict
from agents.tuning.tuning_settings import Tuning
from agents.tuning.weight_decision import DecisionInputs, Occasion, decide, grounds_of, inputs_hash
from agents.wiring.jobs_between_bars import JobsBetweenBars

NOW = datetime(2024, 6, 14, 12, 0, tzinfo=UTC)
NAMES = ("Good", "Bad", "Middling", "Silent")
PER_DAY = ("returns", "signals", "hits", "calls", "trades", "pnl", "turnover")


def make_days(count=400, *, seed=0, skills=(3.0, -3.0, 0.0, 0.0)):
    rng = np.random.default_rng(seed)
    shape = (count, len(NAMES))
    returns = 0.01 * (np.array(skills) / np.sqrt(252) + rng.standard_normal(shape))
    signals = np.full(shape, 5)
    returns[:, 3], signals[:, 3] = 0.0, 0
    calls = np.where(signals > 0, 5, 0)
    hits = np.where(returns > 0, np.minimum(calls, 3), np.minimum(calls, 2))
    end = np.datetime64("2024-06-13")
    return AgentDays(
        date=end - np.arange(count - 1, -1, -1),
        agents=NAMES,
        returns=returns,
        signals=signals,
        hits=hits,
        calls=calls,
        trades=signals // 5,
        pnl=returns * 1e6,
        turnover=np.abs(returns),
        correlation_sums=np.zeros((6, *shape)),
        brier_sums=np.zeros((2, *shape)),
        trade_shares=np.empty((3, 0)),
    )


def equal_weights(version=1):
    return WeightSet(
        version=version,
        weights=dict.fromkeys(NAMES, Decimal("0.25")),
        created_at=NOW,
        valid_until=None,
        level=WeightsLevel.DATABASE,
        reason="",
    )


# ---------------------------------------------------------------- analyzer


def test_a_scorecard_for_each_agent_and_window():
    cards = analyze(make_days(), Thresholds(), trials=4)
    assert {(c.agent_name, c.window_days) for c in cards} == {(n, w) for n in NAMES for w in (7, 30, 90, 0)}
    assert all(c.date == date(2024, 6, 13) for c in cards)


def test_windows_are_calendar_days_and_totals_are_sums():
    days = make_days()
    cards = {(c.agent_name, c.window_days): c for c in analyze(days, Thresholds(), trials=4)}
    assert cards["Good", 7].figures["total_signals"] == 7 * 5
    assert cards["Good", 0].figures["total_signals"] == 400 * 5
    assert float(cards["Good", 30].pnl) == pytest.approx(days.pnl[-30:, 0].sum(), abs=1e-4)
    assert cards["Good", 90].figures["win_rate"] == pytest.approx(days.hits[-90:, 0].sum() / days.calls[-90:, 0].sum())


HOLIDAYS = (
    "2023-11-23",
    "2023-12-25",
    "2024-01-01",
    "2024-01-15",
    "2024-11-28",
    "2024-12-25",
    "2025-01-01",
    "2025-01-09",
)


def test_a_month_has_a_sharpe_ratio_on_every_session_around_holidays_too():
    """Seen: 30 days that ended on 2 or 16 January held 19 or 18 sessions, and agent_performance lacked these rows."""
    sessions = np.arange("2023-09-01", "2025-03-01", dtype="datetime64[D]")
    sessions = sessions[np.is_busday(sessions, holidays=list(HOLIDAYS))]
    days = make_days(len(sessions), skills=(1.0, 1.0, 1.0, 1.0))
    made = {}
    for n in range(20, len(sessions) + 1):
        of_n = replace(days, **{k: getattr(days, k)[:n] for k in PER_DAY}, date=sessions[:n])
        card = analyze(
            replace(of_n, correlation_sums=days.correlation_sums[:, :n], brier_sums=days.brier_sums[:, :n]),
            Thresholds(),
            trials=4,
            windows=(30,),
        )[0]
        made[card.date] = card.figures["sharpe_ratio"]
    assert [str(day) for day, ratio in made.items() if ratio is None] == []


@pytest.mark.parametrize(
    ("step", "window", "held"),
    [(1, 30, 30), (1, 7, 7), (1, 90, 90), (2, 30, 20), (3, 30, 10), (7, 30, 5), (1, 0, 300)],
)
def test_a_window_is_as_long_as_it_says_and_by_half_longer_where_twenty_days_need_it(step, window, held):
    """Bars of every day, every second one, every third (45 days hold but 15), or of weeks."""
    date = np.datetime64("2024-01-01") + step * np.arange(300)
    assert len(date) - first_of_window(window, date) == held
    assert first_of_window(window, date[:0]) == 0
    assert first_of_window(window, date[:1]) == 0


def test_annualisation_follows_the_calendar_of_the_days():
    """These days have no weekends off: about 365 a year; the Sharpe ratio scales by its root."""
    days = make_days()
    card = next(c for c in analyze(days, Thresholds(), trials=4) if c.agent_name == "Good" and c.window_days == 0)
    per_year = card.figures["periods_per_year"]
    assert per_year == pytest.approx(365.25, rel=1e-6)
    raw = days.returns[:, 0].mean() / days.returns[:, 0].std(ddof=1)
    assert card.figures["sharpe_ratio"] == pytest.approx(raw * np.sqrt(per_year), rel=1e-9)
    assert card.figures["sharpe_low"] < card.figures["sharpe_ratio"] < card.figures["sharpe_high"]


def test_undefined_is_none_with_a_reason():
    cards = {(c.agent_name, c.window_days): c for c in analyze(make_days(), Thresholds(), trials=4)}
    silent = cards["Silent", 0]
    for name in ("sharpe_ratio", "win_rate", "profit_factor", "max_drawdown", "brier_score"):
        assert silent.figures[name] is None
        assert silent.undefined[name] == "no signals in this window"
    week = cards["Good", 7]
    assert week.figures["sharpe_ratio"] is None
    assert "fewer than 20 days" in week.undefined["sharpe_ratio"]
    assert cards["Bad", 0].figures["minimum_track_record"] is None
    assert "not positive" in cards["Bad", 0].undefined["minimum_track_record"]
    for card in cards.values():
        assert set(card.undefined) == {name for name, value in card.figures.items() if value is None}


def test_deflation_grows_with_trials():
    few = {c.agent_name: c for c in analyze(make_days(), Thresholds(), trials=2) if c.window_days == 0}
    many = {c.agent_name: c for c in analyze(make_days(), Thresholds(), trials=500) if c.window_days == 0}
    assert (
        many["Good"].figures["deflated_sharpe"]
        < few["Good"].figures["deflated_sharpe"]
        < few["Good"].figures["probabilistic_sharpe"]
    )


@pytest.mark.parametrize(
    ("sharpe", "low", "high", "hits", "expected"),
    [
        (2.0, 1.6, 2.4, 0.5, "top: Sharpe 2.00, significant at one look: 90 %"),
        (2.0, 0.5, 3.5, 0.5, "top: Sharpe 2.00, not significant"),
        (0.2, -1.0, 1.0, 0.5, "under: Sharpe 0.20, not significant"),
        (-1.0, -2.0, -0.1, 0.5, "under: Sharpe -1.00, significant at one look"),
        (1.0, 0.0, 2.0, 0.44, "under: win rate 44.0% below 45%"),
        (1.0, 0.0, 2.0, 0.50, "middle"),
        (None, None, None, None, "not measurable yet"),
    ],
)
def test_verdicts(sharpe, low, high, hits, expected):
    figures = {"sharpe_ratio": sharpe, "sharpe_low": low, "sharpe_high": high, "win_rate": hits}
    assert verdict(figures, Thresholds()).startswith(expected)
    if ", significant" in expected:
        always = figures | {"sharpe_always_low": low, "sharpe_always_high": high}
        assert ", significant: 90 %" in verdict(always, Thresholds()), "bounds that hold at every look"


def test_no_days_no_cards():
    empty = make_days(0)
    assert analyze(empty, Thresholds(), trials=1) == cards_for_rules(empty) == []


@pytest.mark.parametrize("count", [1, 30, 70, 400])
def test_what_rules_read_is_what_the_analyzer_says(count):
    """A replay makes only these figures between bars: they are the whole scorecard's, to the bit."""
    days = make_days(count)
    days.returns[: count // 2, 1] = np.nan  # one that joins late
    whole = analyze(days, Thresholds(), trials=4, windows=(0,))
    for card, full in zip(cards_for_rules(days), whole, strict=True):
        assert (card.agent_name, card.window_days, card.date, card.pnl) == (full.agent_name, 0, full.date, full.pnl)
        assert dict(card.figures) == {name: full.figures[name] for name in card.figures}


# ---------------------------------------------------------------- optimizer


def test_a_shown_difference_moves_the_weights_and_says_why():
    made = decide(DecisionInputs(make_days(700), equal_weights(), Tuning()), Occasion(NOW, NOW, 1))
    assert made.status == "apply"
    assert made.weights["Good"] == pytest.approx(Decimal("0.285"), abs=Decimal("0.02"))
    assert sum(made.weights.values()) == 1
    assert made.previous["Good"] == Decimal("0.25")
    assert "the largest wish is" in made.reason
    for name in NAMES:
        assert sum(made.causes[name].values()) == pytest.approx(
            float(made.weights[name] - made.previous[name]), abs=1e-9
        )


def test_four_decisions_on_a_day_move_no_weight_further_than_one():
    """B22. Seen: 17 points on a day, where the README says 5."""
    first = decide(DecisionInputs(make_days(700), equal_weights(), Tuning()), Occasion(NOW, NOW, 1))
    start, made, moves = equal_weights().weights, first, []
    for _ in range(3):
        moved = round(max(abs(float(made.weights[n] - start[n])) for n in NAMES), 6)
        moves.append(moved)
        inputs = DecisionInputs(make_days(700), replace(equal_weights(), weights=made.weights), Tuning(), moved)
        made = decide(inputs, Occasion(NOW, NOW, 1))
    assert first.status == "apply" and moves[0] > 0.02
    assert max(moves) <= 0.05 + 1e-6
    assert max(abs(float(made.weights[n] - start[n])) for n in NAMES) <= 0.05 + 1e-6
    assert made.status in ("hold", "apply")


def test_a_day_whose_step_is_spent_holds_and_says_so():
    spent = decide(DecisionInputs(make_days(700), equal_weights(), Tuning(), 0.05), Occasion(NOW, NOW, 1))
    assert (spent.status, spent.weights) == ("hold", equal_weights().weights)
    assert "has moved by 5.0% today" in spent.reason
    fresh = decide(DecisionInputs(make_days(700), equal_weights(), Tuning()), Occasion(NOW, NOW, 1))
    assert fresh.inputs_hash != spent.inputs_hash and "moved_today" not in fresh.evidence


def test_the_first_decision_gives_the_weights_a_version():
    inputs = DecisionInputs(make_days(60, skills=(0, 0, 0, 0)), equal_weights(version=0), Tuning())
    made = decide(inputs, Occasion(NOW, NOW, 1))
    assert made.status == "initial"
    assert made.weights == equal_weights().weights


def test_the_same_inputs_have_the_same_hash():
    inputs = DecisionInputs(make_days(), equal_weights(), Tuning())
    days = inputs.days
    first = inputs_hash(grounds_of(inputs))
    assert first == inputs_hash(grounds_of(inputs._replace(days=replace(days, returns=days.returns.copy()))))
    assert first != inputs_hash(grounds_of(inputs._replace(days=replace(days, returns=days.returns * 1.0000001))))
    assert first != inputs_hash(grounds_of(inputs._replace(tuning=Tuning(method="equal"))))


def test_a_change_is_scored_on_the_days_after_it():
    """From the days after the change only: returns before it are turned to garbage and change nothing."""
    days = make_days(200)
    change = PastChange(3, datetime(2024, 4, 1, tzinfo=UTC), {"Good": 1.0, "Bad": 0.0}, {"Good": 0.0, "Bad": 1.0})
    value = realised(days, change, 30)
    after = (days.date > np.datetime64("2024-04-01")) & (days.date <= np.datetime64("2024-05-01"))
    pace = np.sqrt(365.25)
    expected = [days.returns[after, k].mean() / days.returns[after, k].std(ddof=1) * pace for k in (0, 1)]
    assert value == pytest.approx(expected[0] - expected[1], rel=1e-3)
    spoiled = days.returns.copy()
    spoiled[days.date <= np.datetime64("2024-04-01")] = 9.0
    days.returns[:] = spoiled
    assert realised(days, change, 30) == pytest.approx(value)


def test_a_change_that_cannot_be_measured_scores_none():
    assert realised(make_days(200), PastChange(1, NOW, {"Good": 1.0}, {"Bad": 1.0}), 30) is None


# ---------------------------------------------------------------- schedule

DAILY = ScheduledJob(name="weight_optimizer", every=timedelta(hours=24), deadline_s=600.0)
TWO_HOURS = ScheduledJob(name="project_manager", every=timedelta(hours=2), deadline_s=600.0)


def run(due_at, status="succeeded", *, started=None, finished=None, attempts=1, job=DAILY):
    return JobRun(
        job=job.name,
        due_at=due_at,
        started_at=started or due_at,
        finished_at=finished,
        status=status,
        detail="",
        attempts=attempts,
    )


def simulate(job, starts, *, step, end, begin=NOW):
    """Due times that ran, for a daemon that is up during `starts` = [(from, to)] and ticks every `step`."""
    newest, ran, at = None, [], begin
    while at < end:
        if any(a <= at < b for a, b in starts):
            due_run = due(job, newest, at)
            if due_run is not None:
                ran.append((due_run.due_at, due_run.missed))
                newest = run(due_run.due_at, job=job, finished=at)
        at += step
    return ran


def test_a_daemon_that_restarts_every_20_hours_runs_its_daily_job_daily():
    """E01; ten days."""
    ups = [(NOW + timedelta(hours=20 * k), NOW + timedelta(hours=20 * k + 19.9)) for k in range(12)]
    ran = simulate(DAILY, ups, step=timedelta(minutes=10), end=NOW + timedelta(days=10))
    assert len(ran) == len({slot_ for slot_, _ in ran}) == 11
    assert all(missed == 0 for _, missed in ran)


def test_three_days_down_is_one_run_that_says_so():
    """E02."""
    ups = [(NOW, NOW + timedelta(hours=1)), (NOW + timedelta(days=3, hours=1), NOW + timedelta(days=3, hours=2))]
    ran = simulate(TWO_HOURS, ups, step=timedelta(minutes=5), end=NOW + timedelta(days=4))
    assert len(ran) == 2
    assert ran[1] == (slot(TWO_HOURS.every, NOW + timedelta(days=3, hours=1)), 35)


@given(st.lists(st.integers(-120, 240), min_size=5, max_size=60))
def test_no_due_time_runs_twice_whatever_the_clock_does(steps):
    """E03, E04: the clock jumps to and fro by up to hours between ticks."""
    newest, ran, at = None, [], NOW
    for minutes in steps:
        at += timedelta(minutes=minutes)
        due_run = due(TWO_HOURS, newest, at)
        if due_run is not None:
            ran.append(due_run.due_at)
            newest = run(due_run.due_at, job=TWO_HOURS, finished=at)
    assert ran == sorted(set(ran))


def test_a_jump_of_a_year_is_one_catch_up():
    newest = run(slot(DAILY.every, NOW))
    later = NOW + timedelta(days=365)
    due_run = due(DAILY, newest, later)
    assert due_run.missed == 364
    assert due(DAILY, run(due_run.due_at, finished=later), later + timedelta(hours=1)) is None


def test_failure_is_tried_again_thrice_then_left_to_the_next_slot():
    at = slot(DAILY.every, NOW) + timedelta(minutes=1)
    failed = run(slot(DAILY.every, NOW), "failed", finished=at)
    assert due(DAILY, failed, at + timedelta(minutes=4)) is None
    assert due(DAILY, failed, at + timedelta(minutes=6)).due_at == failed.due_at
    spent = run(slot(DAILY.every, NOW), "failed", finished=at, attempts=ATTEMPTS)
    assert due(DAILY, spent, at + timedelta(hours=1)) is None
    assert due(DAILY, spent, at + timedelta(hours=24)).due_at == failed.due_at + timedelta(days=1)


def test_a_killed_run_is_taken_up_after_its_deadline():
    started = slot(DAILY.every, NOW) + timedelta(minutes=1)
    dead = run(slot(DAILY.every, NOW), "running", started=started)
    assert due(DAILY, dead, started + timedelta(seconds=601)) is None
    assert due(DAILY, dead, started + timedelta(seconds=700)).due_at == dead.due_at


def test_due_times_are_multiples_since_1970_in_utc():
    """E05, E06: no time zone and no daylight saving is in it."""
    assert slot(timedelta(hours=6), datetime(2024, 3, 31, 1, 30, tzinfo=UTC)) == datetime(2024, 3, 31, 0, 0, tzinfo=UTC)
    assert (slot(timedelta(hours=5), NOW) - EPOCH) % timedelta(hours=5) == timedelta(0)
    with pytest.raises(ValueError, match="naive"):
        slot(timedelta(hours=5), datetime(2024, 1, 1))  # noqa: DTZ001 - the point


def test_what_is_due_next_between_bars_is_the_first_of_all_jobs():
    jobs = JobsBetweenBars((DAILY, TWO_HOURS), lambda _at: None)
    assert jobs.next_due(NOW) == NOW + timedelta(hours=2)
    for minutes in (0, 1, 119, 120, 121, 719, 720, 5000, 5000, 90000):
        after = NOW + timedelta(minutes=minutes)
        assert jobs.next_due(after) == min(slot(job.every, after) + job.every for job in (DAILY, TWO_HOURS))


@pytest.mark.parametrize(
    "at",
    [
        "2024-02-29T23:59:59+00:00",
        "2038-01-19T03:14:08+00:00",
        "2016-12-31T23:59:59.999999+00:00",
        "1970-01-01T00:00:00+00:00",
    ],
)
def test_odd_days_have_due_times_like_any_other(at):
    """E10: leap days, the end of 32-bit time, the second before a leap second."""
    moment = datetime.fromisoformat(at)
    due_run = slot(TWO_HOURS.every, moment)
    assert timedelta(0) <= moment - due_run < TWO_HOURS.every
    assert slot(TWO_HOURS.every, due_run) == due_run


def test_lateness_alarms_after_a_grace():
    at = slot(DAILY.every, NOW)
    assert lateness(DAILY, run(at), at + timedelta(hours=3)) is None
    old = run(at - timedelta(days=1))
    assert lateness(DAILY, old, at + timedelta(hours=11)) is None
    assert lateness(DAILY, old, at + timedelta(hours=13)) == timedelta(hours=13)
    failed = run(at, "failed")
    assert lateness(DAILY, failed, at + timedelta(hours=13)) is not None


def test_nothing_is_late_on_a_desk_that_is_minutes_old():
    """Seen: a daily job of a desk that began at 20:00 was late by 20 hours, and an alarm, before it could run."""
    at = slot(DAILY.every, NOW) + timedelta(hours=20)
    assert lateness(DAILY, None, at) == timedelta(hours=20)
    for newest in (None, run(slot(DAILY.every, NOW), "running")):
        assert lateness(DAILY, newest, at, at - timedelta(minutes=3)) is None
        assert lateness(DAILY, newest, at, at - timedelta(hours=13)) == timedelta(hours=13)


# ---------------------------------------------------------------- quiet hours


def mail_settings(**changes):
    values = {
        "server": "localhost",
        "port": 465,
        "security": "tls",
        "account": "",
        "sender": "a@b.c",
        "secret_file": None,
        "recipients": ("x@y.z",),
        "mode": "every_report",
        "frequency_s": 7200,
        "quiet_hours": None,
    }
    return MailSettings(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "hour", "last_hours_ago", "silent"),
    [
        ({}, 12, None, False),
        ({}, 12, 1.0, True),
        ({}, 12, 2.0, False),
        ({"quiet_hours": ("22:00", "07:00")}, 23, None, True),
        ({"quiet_hours": ("22:00", "07:00")}, 6, None, True),
        ({"quiet_hours": ("22:00", "07:00")}, 7, None, False),
        ({"quiet_hours": ("22:00", "07:00"), "timezone": "America/New_York"}, 3, None, True),
        ({"mode": "daily_digest"}, 12, 20.0, True),
        ({"mode": "daily_digest"}, 12, 24.0, False),
    ],
)
def test_quiet_hours_and_frequency(changes, hour, last_hours_ago, silent):
    at = NOW.replace(hour=hour)
    last = at - timedelta(hours=last_hours_ago) if last_hours_ago else None
    assert bool(reason_not_to_mail(mail_settings(**changes), at=at, last_left=last)) is silent


@pytest.mark.parametrize("method", ["adaptive", "min_variance"])
def test_at_least_ten_signals_counts_signals(method):
    """Seen: days on which an agent's book moved were counted, so one call held for a month was "ten signals", and
    thirty calls in a week were none."""
    days = make_days(40, skills=(1.0, -1.0, 0.5, 0.0))
    tuning = Tuning(method=method)

    def reason(signals):
        said = np.broadcast_to(signals, days.signals.shape) * (np.arange(40) < 3)[:, None]
        inputs = DecisionInputs(replace(days, signals=said), equal_weights(), tuning)
        return decide(inputs, Occasion(NOW, None, 1))

    few = reason(np.array([3, 3, 1, 0]))
    assert (few.status, few.reason) == ("fallback", "0 of 4 agents have 10 signals or more; 2 are needed")
    assert reason(np.array([4, 3, 1, 0])).reason.startswith("1 of 4 agents have 10 signals")
    enough = reason(np.array([4, 4, 1, 0]))
    assert enough.status in ("hold", "apply")
    assert "signals or more" not in enough.reason
