"""The report under bad luck: nothing known, far too much, and names that try to break out."""

from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pytest

from agents.core.book_curves import BookCurve
from agents.core.facts import (
    AgentWork,
    AppliedWeights,
    ClosedTrades,
    NewestDecision,
    Period,
    RecordedDecision,
    ScoredChanges,
    SystemState,
)
from agents.core.meta_types import (
    Alarm,
    JobRun,
    OpenAlarm,
    Recommendation,
    Report,
    Scorecard,
    Suggestion,
    WeightDecision,
)
from agents.core.types import RiskState, Trade, WeightsLevel
from agents.core.value_added import AgentValueAdded, CostsOfPeriod, OlderRules, ProfitPart, SlippageOfKind
from agents.reports import charts, formatting
from agents.reports.life_section import TWO_WINDOWS
from agents.reports.mail_message import message
from agents.reports.pictures import CAPTIONS, pictures
from agents.reports.report import KINDS, render, standalone_html
from agents.reports.summary import curves_of, summary_of, value_added
from agents.reports.tear_sheet import NOTES
from agents.reports.verdict import verdict_of
from agents.tuning.recommendations import RULES, recommend
from tests.believing_desks import blank_facts, tuned_desk

AT = datetime(2024, 6, 14, 12, 0, tzinfo=UTC)
NAMES = ("TrendFollower", "MeanReversion")


SYSTEM = SystemState(
    cpu_percent=3.0,
    load_1m=0.1,
    cpus=2,
    memory_percent=20.0,
    disk_free_bytes=90_000_000_000,
    database_bytes=50_000_000,
    slow_queries=0,
    commits=0,
    rollbacks=0,
    redis_alive=True,
)
NOTHING = Decimal(0)


def empty_facts():
    return blank_facts(Period(AT - timedelta(hours=2), AT), SYSTEM)


def card(name, window=0, **changes):
    figures = {
        "sharpe_ratio": 0.4,
        "sharpe_low": -0.2,
        "sharpe_high": 1.0,
        "win_rate": 0.51,
        "profit_factor": 1.1,
        "deflated_sharpe": 0.4,
        "total_signals": 500,
    }
    return Scorecard(
        date=AT.date(),
        agent_name=name,
        window_days=window,
        figures=figures | changes,
        undefined={},
        pnl=NOTHING,
        verdict="under: Sharpe 0.40, not significant",
    )


def curve(book, days, equity):
    return BookCurve(book=book, days=days, equity=equity.tolist())


def trade(k):
    return Trade(
        trade_id=str(k),
        symbol=f"S{k}",
        side="long",
        quantity=Decimal(10),
        opened_at=AT,
        closed_at=AT,
        entry_price=Decimal("1.5"),
        exit_price=Decimal("1.6"),
        fees=Decimal("0.1"),
        pnl=Decimal("0.9"),
    )


def decision(weights, previous, **changes):
    values = {
        "at": AT - timedelta(days=20),
        "decided_for": None,
        "weights": weights,
        "previous": previous,
        "method": "adaptive",
        "status": "apply",
        "reason": "the candidate is better",
        "sharpe_improvement": 0.1,
    }
    return WeightDecision(**(values | changes))


def full_facts(trades=30, name="TrendFollower"):
    facts = empty_facts()
    days = list(range(19000, 19200))
    rng = np.random.default_rng(0)
    live = 1e6 * np.cumprod(1 + rng.normal(0.001, 0.01, 200))
    equal = 1e6 * np.cumprod(1 + rng.normal(0, 0.01, 200))
    weights = {name: Decimal("0.5"), "MeanReversion": Decimal("0.5")}
    previous = {name: Decimal("0.45"), "MeanReversion": Decimal("0.55")}
    change = decision(weights, previous, causes={name: {"mean": 0.04, "guard": 0.01}})
    nothing_known = dict.fromkeys(
        ("sharpe_ratio", "sharpe_low", "sharpe_high", "win_rate", "profit_factor", "deflated_sharpe")
    )
    return replace(
        facts,
        curves=[curve("paper", days, live), curve("control:equal", days, equal)],
        newest=NewestDecision(
            time=AT - timedelta(hours=1),
            equity=float(live[-1]),
            cash=1e5,
            risk_state=RiskState.ACTIVE,
            weights_level=WeightsLevel.REDIS,
        ),
        trading=replace(facts.trading, decisions=5, orders=7, trades=trades, pnl=Decimal(trades)),
        closed=ClosedTrades(
            won=trades,
            best=Decimal("0.9"),
            worst=Decimal("0.9"),
            newest=[trade(k) for k in range(min(trades, 500))],
        ),
        scorecards=[card(name), card("MeanReversion", **nothing_known)],
        weights=weights,
        weight_history=[
            RecordedDecision(version=3, decision=change, realised_improvement=None, realised_at=None),
        ],
        recent_decisions=[change],
        applied=[
            AppliedWeights(at=at, weights={name: 0.5, "MeanReversion": 0.5})
            for at in (AT - timedelta(days=60), change.at)
        ],
        tuner=replace(facts.tuner, decisions=9, changes=1, holds=8),
        freshness={"S1": AT},
    )


def rendered(facts, suggestions=(), images=()):
    summary = summary_of(facts, open_suggestions=len(suggestions))
    return render(facts, summary, suggestions, desk="desk", images=list(images))


class Checker(HTMLParser):
    """Collects what mail clients choke on."""

    def __init__(self):
        super().__init__()
        self.tags, self.images = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))


def test_an_empty_desk_gets_a_report_that_says_so():
    """I07: n/a, never blank or 0."""
    subject, html, text = rendered(empty_facts())
    assert "No decision has been made yet" in subject
    assert "n/a" in html and "n/a" in text
    assert "None" not in re.sub(r">None\.<", "", html).replace("none", "")
    assert "nan" not in text.lower().replace("finance", "")


def recommendation(kind, title):
    return Suggestion(
        recommendation=Recommendation(
            fingerprint=title, kind=kind, severity="high", title=title, action=f"mend {title}", evidence={}
        )
    )


def test_recommendations_stand_in_four_sections_also_where_one_is_empty():
    _, html, text = rendered(
        full_facts(), [recommendation("security", "open door"), recommendation("strategy", "loss")]
    )
    todo = text[text.index("TO DO") : text.index("WEIGHTS, AND WHY")]
    assert [line for line in todo.split("\n") if line.endswith((":", "found"))] == [
        "Architecture: nothing found",
        "Security:",
        "Performance: nothing found",
        "Strategy:",
    ]
    assert todo.index("Security:") < todo.index("open door") < todo.index("Performance") < todo.index("mend loss")
    assert html.count(": nothing found") == 2
    assert rendered(empty_facts())[1].count(": nothing found") == 4


def test_tasks_are_counted_by_status_and_priority():
    assert "There are no tasks" in rendered(empty_facts())[2]
    counts = {("open", "high"): 2, ("open", "low"): 1, ("in_progress", "high"): 1, ("done", "critical"): 7}
    facts = replace(empty_facts(), task_counts=counts)
    for page in rendered(facts)[1:]:
        assert "3 open, 1 in progress, 7 done. Waiting, by priority: 3 high, 1 low." in page


def test_the_quality_of_signals_is_shown_beside_trades():
    measured = card(
        "TrendFollower",
        information_coefficient=0.0312,
        brier_score=0.2471,
        total_trades=41,
        trade_win_rate=0.5366,
        trade_profit_factor=1.21,
        longest_winning_trades=6,
        longest_losing_trades=4,
    )
    facts = replace(full_facts(), scorecards=[card("Silent", total_signals=0), measured])
    _, html, text = rendered(facts)
    (line,) = [line for line in text.split("\n") if line.startswith("TrendFollower") and "Brier" in line]
    assert "IC +0.031" in line and "Brier 0.247" in line
    assert "trades 41, won 54 %, factor 1.21, longest runs 6, 4" in line
    assert text.index("TrendFollower         signals") < text.index("Silent                signals"), "the best first"
    assert "Signals and trades" in html and "0.247" in html


def test_five_thousand_trades_fit_into_a_mail():
    """I06: under 90 KB, a text part, and a note of what was cut."""
    _, html, text = rendered(full_facts(trades=5000))
    assert len(html.encode()) < 90_000
    assert "of 5,000 shown" in html and "of 5,000 shown" in text


def test_a_mail_of_twelve_agents_stays_below_what_gmail_shows():
    """Seen: 84 KB; Gmail cuts at 102 KB, quoting and headers included."""
    full, many = full_facts(), tuned_desk([2.0, -2.0, *[0.0] * 10], 200, every=20)
    full_card = {"information_coefficient": 0.0312, "brier_score": 0.2471, "total_trades": 411}
    facts = replace(
        full,
        weights=many.facts.weights,
        weight_history=many.facts.weight_history,
        applied=many.facts.applied,
        scorecards=[card(name, window, **full_card) for name in many.names for window in (0, 30)],
        contributions=dict.fromkeys(many.names, 1234.5),
        by_agent=[ProfitPart(name=n, trades=9, gross=1e4, costs=1e3, net=9e3) for n in (*many.names, "remainder")],
        by_symbol=[ProfitPart(name=f"S{k}", trades=9, gross=1e4, costs=1e3, net=9e3) for k in range(30)],
        work=[
            AgentWork(agent_name=n, cycles=9, opinions=99, failures=0, mean_ms=1.5, longest_ms=3.0, failure=None)
            for n in many.names
        ],
    )
    suggestions = [recommendation(kind, f"{kind} {k} that a person should do") for kind in KINDS for k in range(4)]
    _, html, _ = rendered(facts, suggestions, images=list(CAPTIONS))
    assert len(html.encode()) < 90_000
    assert ": nothing found" not in html, "where there is something that the mail has no room for"
    for name in many.names:
        assert html.count(name) >= 4


def test_an_agent_that_never_spoke_is_said_to_be_unknown():
    desk = tuned_desk([1.0, 0.0, 0.0], 200, every=20).facts
    mute = desk.scorecards[0].agent_name
    cards = [
        replace(c, figures={**c.figures, "total_signals": 0}) if c.agent_name == mute else c for c in desk.scorecards
    ]
    _, html, text = rendered(replace(desk, scorecards=cards))
    (line,) = [line for line in text.split("\n") if line.startswith(mute) and "opinion" in line]
    assert "nothing is known of it" in line and "believed" not in line
    assert html.count("has had no opinion on any symbol") == 1
    assert "has had no opinion" not in rendered(desk)[2]


def test_days_that_were_measured_by_older_rules_are_marked():
    facts = replace(full_facts(), older_rules=OlderRules(days=1234, until=AT.date()))
    for page in rendered(facts)[1:]:
        assert f"1,234 days up to {AT.date()} were measured by the rules of an older version" in page
    assert "older version" not in rendered(full_facts())[2]


def test_the_verdict_comes_first_in_subject_and_body():
    facts = full_facts()
    alarm = Alarm(kind="orders_unknown", subject="orders", severity="critical", detail="2 orders")
    subject, html, text = rendered(replace(facts, alarms=[OpenAlarm(alarm=alarm, opened_at=AT)]))
    assert "Look now: 1 alarm" in subject
    assert text.startswith("Look now: 1 alarm")
    assert "2 orders" in text[:700]
    assert verdict_of(facts).tone == "good"
    older = OpenAlarm(alarm=replace(alarm, kind="redis_down", severity="medium"), opened_at=AT - timedelta(days=1))
    assert verdict_of(replace(facts, alarms=[older])).tone == "watch"
    both = [older, OpenAlarm(alarm=alarm, opened_at=AT)]
    assert verdict_of(replace(facts, alarms=both)).tone == "alarm", "the worst counts, not the oldest"
    assert html.index("Look now") < html.index("Equity")


@pytest.mark.parametrize(
    ("change", "tone", "headline"),
    [
        ({}, "good", "All well: desk active, last decision 60 min ago"),
        ({"risk_state": RiskState.HALTED}, "alarm", "Look now: desk halted"),
        ({"risk_state": RiskState.REDUCING}, "watch", "Keep an eye on it: desk reducing"),
        (
            {"time": AT - timedelta(days=8250)},
            "alarm",
            "Look now: the last decision was made 8250 days ago; desk active",
        ),
    ],
)
def test_a_desk_is_not_well_only_because_nobody_raised_an_alarm(change, tone, headline):
    """Seen: "All well: desk active, last decision 8250 days ago"."""
    facts = full_facts()
    found = verdict_of(replace(facts, newest=replace(facts.newest, **change)))
    assert (found.tone, found.headline) == (tone, headline)


SEVERITY_ORDERS = list(itertools.permutations(("medium", "critical", "high")))


@pytest.mark.parametrize("severities", SEVERITY_ORDERS)
def test_the_worst_alarm_is_named_whatever_came_first(severities):
    """Seen: a halted desk with an older alarm about Redis was "Keep an eye on it"."""
    made = [
        OpenAlarm(
            alarm=Alarm(kind=f"{severity}_trouble", subject="x", severity=severity, detail="d"),
            opened_at=AT - timedelta(hours=k),
        )
        for k, severity in enumerate(severities)
    ]
    facts = replace(full_facts(), alarms=made)
    found = verdict_of(facts)
    assert found.headline == "Look now: 3 alarms, first critical trouble (x); desk active"
    _, _, text = rendered(facts)
    places = [text.index(f"! {severity}") for severity in ("critical", "high", "medium")]
    assert places == sorted(places)


def test_hundreds_of_alarms_are_counted_and_the_worst_are_shown():
    """Seen: the list had no end, and a mail of any size."""
    made = [
        OpenAlarm(alarm=Alarm(kind="job_late", subject=f"job {k}", severity="low", detail="x" * 300), opened_at=AT)
        for k in range(500)
    ]
    worst = OpenAlarm(alarm=Alarm(kind="risk_state", subject="HALTED", severity="critical", detail="!"), opened_at=AT)
    subject, html, text = rendered(replace(full_facts(), alarms=[*made, worst]))
    assert "501 alarms, first risk state (HALTED)" in subject
    assert len(html.encode()) < 90_000
    assert "of 501 shown; quorum status has them all" in text and "of 501 shown" in html
    assert text.index("risk state") < text.index("job late")


HOSTILE = ["<script>alert(1)</script>", "{{7*7}}", "a\r\nBcc: x@y.z", "=cmd()", "x" * 10_000, "\x00\x07"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_break_out(name):
    """I05."""
    recommendation = Recommendation(
        fingerprint="f", kind="strategy", severity="low", title=name, action=name, evidence={"n": name}
    )
    suggestion = Suggestion(recommendation=recommendation)
    subject, html, text = rendered(full_facts(name=name), [suggestion])
    assert "<script>" not in html and "49" not in html.replace("49", "", 0)[:0]
    assert "\n" not in subject and "\r" not in subject
    report = Report(
        id=1, generated_at=AT, period_start=AT, period_end=AT, subject=subject, html=html, text=text, images={}
    )
    raw = message(report, desk="desk", sender="a@b.example", recipients=("c@d.example",)).as_bytes()
    head = raw.split(b"\r\n\r\n")[0]
    assert b"\r\nBcc" not in head


def test_html_is_fit_for_mail():
    """I09: inline styles, tables, pictures by content id with alt text and width; no script, form, font or remote image."""
    facts = full_facts()
    images = pictures(facts)
    assert set(images) == {"equity", "drawdown", "weights", "sharpe"}
    assert all(png.startswith(b"\x89PNG") for png in images.values())
    _, html, _ = rendered(facts, images=images)
    checker = Checker()
    checker.feed(html)
    assert not {"script", "form", "link", "iframe", "object", "video"} & set(checker.tags)
    assert [i["src"] for i in checker.images] == ["cid:equity", "cid:drawdown", "cid:weights", "cid:sharpe"]
    assert all(i["alt"] and i["width"] for i in checker.images)
    assert not re.search(r"(src|href)=\"https?:", html)
    report = Report(
        id=1, generated_at=AT, period_start=AT, period_end=AT, subject="s", html=html, text="t", images=images
    )
    page = standalone_html(report)
    assert "cid:" not in page and page.count("data:image/png;base64,") == 4
    assert sum(map(len, images.values())) < 400_000


def test_value_added_says_what_is_shown():
    """A live book that earns 30 % a year more than equal weights at the same risk is shown to add; a twin is not."""
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 0.005, 900)
    days = list(range(18000, 18900))
    good = 1e6 * np.cumprod(1 + noise + 0.0015)
    base = 1e6 * np.cumprod(1 + noise * 0.8 + rng.normal(0, 0.002, 900))
    books = {"paper": good, "control:equal": base, "control:first": good}
    facts = replace(full_facts(), curves=[curve(book, days, equity) for book, equity in books.items()])
    unlike = [AppliedWeights(at=AT - timedelta(days=5000), weights={"TrendFollower": 0.6, "MeanReversion": 0.4})]
    facts = replace(facts, applied=unlike)
    added = {row.control: row for row in value_added(curves_of(facts))}
    assert added["equal"].verdict == "shown: it added value" and added["equal"].low > 0
    assert added["first"].verdict == "nothing to judge yet" and added["first"].difference is None
    never = replace(facts, applied=[replace(unlike[0], weights={"TrendFollower": 0.5, "MeanReversion": 0.5})])
    alike = {row.control: row for row in value_added(curves_of(never))}
    assert alike["equal"].verdict == "nothing to judge yet", "seen: shown: it added value, on weights never changed"
    assert alike["equal"].difference is None
    young = replace(facts, curves=[curve(book, days[:30], equity[:30]) for book, equity in books.items()])
    assert "too early" in value_added(curves_of(young))[0].verdict


def test_the_report_says_what_agents_add_what_it_cost_and_where_it_was_earned():
    row = AgentValueAdded(
        date=AT.date(),
        agent_name="TrendFollower",
        window_days=0,
        compared="the desk without it",
        days=300,
        days_differing=200,
        return_a_year=0.012,
        return_low=-0.004,
        return_high=0.031,
        sharpe_difference=0.1,
        sharpe_low=-0.1,
        sharpe_high=0.3,
        verdict="not shown either way",
    )
    costs = CostsOfPeriod(
        period="all", fees=100.0, spread=200.0, impact=50.0, percent_of_equity_a_year=0.85, turnover_a_year=12.0
    )
    facts = replace(
        full_facts(),
        value_added=[row, replace(row, agent_name="MeanReversion", return_low=None, verdict="nothing to judge yet")],
        by_agent=[ProfitPart(name="TrendFollower", trades=17, gross=951.0, costs=112.0, net=839.0)],
        by_side=[ProfitPart(name="long", trades=20, gross=900.0, costs=100.0, net=800.0)],
        by_symbol=[ProfitPart(name="AAPL", trades=20, gross=900.0, costs=100.0, net=800.0)],
        yearly_costs=[costs],
        slippage=[
            SlippageOfKind(
                kind="market",
                orders=9,
                filled=1.0,
                slippage_bps=5.04,
                fees_bps=1.0,
                missed_bps=None,
                shortfall_bps=6.04,
                median_bps=5.5,
                doubted=0,
            ),
            SlippageOfKind(
                kind="limit",
                orders=1200,
                filled=0.924,
                slippage_bps=-5.0,
                fees_bps=1.0,
                missed_bps=141.6,
                shortfall_bps=7.1,
                median_bps=-4.0,
                doubted=2,
            ),
        ],
        scorecards=[replace(card("TrendFollower"), measured="long-only books"), card("MeanReversion")],
    )
    pages = rendered(facts)
    for page in (pages.html, pages.text):
        words = " ".join(re.sub("<[^>]*>", " ", page).split())
        assert "+1.2 % [−0.4, +3.1 %]" in words
        assert "nothing to judge yet" in words
        assert "shadow books (long-only books)" in words
        assert "Costs took 0.85 % of equity a year: fees 100" in words
        assert (
            "9 market orders: 100.0 % filled, +5.0 basis points from the close decided on, fees 1.0; in all +6.0,"
            " the median order +5.5." in words
        )
        assert (
            "1,200 limit orders: 92.4 % filled, −5.0 basis points from the close decided on, fees 1.0, the rest ran away"
            " by +141.6; in all +7.1, the median order −4.0. 2 more met a price that was not believed." in words
        )
        assert re.search(r"TrendFollower 17 (trades gross )?\+951 (costs )?112 (net )?\+839", words)
        assert "long" in words and "AAPL" in words and "+800" in words and "+900" in words


def test_both_windows_are_told_where_somebody_comes_or_goes():
    """An agent can be retired by what it added in two years, and have added over all of them: the page says of each
    figure which it is."""
    lives = {
        name: {"state": state, "days": 9, "belief": 0.5, "periods": 0}
        for name, state in (("A", "full"), ("B", "retired"))
    }
    facts = full_facts()
    newest = facts.weight_history[0]
    told = replace(newest, decision=replace(newest.decision, evidence={"life": lives}))
    page = rendered(replace(facts, weight_history=[told]))
    assert TWO_WINDOWS in page.text and TWO_WINDOWS in page.html.replace("&#39;", "'")
    assert "over the whole replay" in NOTES["agents"] and TWO_WINDOWS in NOTES["agents"]
    assert TWO_WINDOWS not in rendered(facts).text, "where nobody does, there is nothing to confuse"


def test_holding_is_in_the_figures_and_sentences_of_a_report():
    """Beta, excess return and information ratio against both books that hold, and from when, where they came later."""
    rng = np.random.default_rng(4)
    days, market = list(range(18000, 18400)), rng.normal(0.0003, 0.01, 400)
    live = 1e6 * np.cumprod(1 + 0.5 * market + 0.001)
    hold = 1e6 * np.cumprod(1 + market)
    curves = [curve("paper", days, live), curve("control:hold", days, hold), curve("control:equal", days, live)]
    late = curve("control:hold_at_volatility", days[100:], (1e6 * np.cumprod(1 + 0.5 * market))[100:])
    facts = replace(full_facts(), curves=[*curves, late])
    summary = summary_of(facts, open_suggestions=0)
    rows = {row.control: row for row in summary.tuning_value_added}
    assert list(rows) == ["equal", "hold", "hold at volatility"]
    assert rows["hold"].beta == pytest.approx(0.5, abs=0.01) and rows["hold"].excess_return > 0.1
    assert rows["hold"].excess_low < rows["hold"].excess_return < rows["hold"].excess_high
    assert rows["hold at volatility"].verdict == "shown: ahead of holding, since 2019-07-23"
    assert rows["hold at volatility"].days == 299 and rows["equal"].verdict == "nothing to judge yet"
    words = " ".join(rendered(facts).text.split())
    assert "The desk earned +" in words and "a year over hold [" in words and "(beta 0.50" in words
    assert pictures(facts)["equity"] and pictures(facts)["drawdown"]


def test_the_summary_is_kept_as_plain_values():
    """The words of project_reports.summary: what a user's query reads must not change its names."""
    alarm = Alarm(kind="redis_down", subject="redis", severity="medium", detail="d")
    facts = replace(full_facts(), alarms=[OpenAlarm(alarm=alarm, opened_at=AT)])
    plain = json.loads(json.dumps(summary_of(facts, open_suggestions=2).as_plain(), default=str))
    assert list(plain) == [
        "equity",
        "cash",
        "risk_state",
        "pnl_day",
        "pnl_week",
        "pnl_month",
        "drawdown",
        "max_drawdown",
        "sharpe",
        "gross_exposure",
        "net_exposure",
        "decisions",
        "orders",
        "trades",
        "alarms",
        "weights",
        "tuning_value_added",
        "open_suggestions",
        "newest_decision",
    ]
    assert plain["risk_state"] == "active" and plain["open_suggestions"] == 2
    assert plain["alarms"] == [
        {"kind": "redis_down", "subject": "redis", "severity": "medium", "detail": "d", "opened_at": str(AT)}
    ]
    assert list(plain["tuning_value_added"][0]) == [
        *("control", "money", "difference", "low", "high", "verdict", "days"),
        *("excess_return", "excess_low", "excess_high", "beta", "information_ratio"),
    ]


def test_every_rule_can_fire_and_a_good_desk_fires_none():
    good = full_facts()
    assert recommend(good) == []
    failed = JobRun(
        job="x", due_at=AT, started_at=AT, finished_at=AT, status="failed", detail="d", attempts=1, missed=3
    )
    work = AgentWork(
        agent_name="A", cycles=100, failures=9, opinions=5, mean_ms=2000.0, longest_ms=9000.0, failure="boom"
    )
    facts = replace(
        good,
        scorecards=[
            card("A", sharpe_ratio=-1.0, sharpe_high=-0.2, sharpe_always_low=-1.9, sharpe_always_high=-0.1),
            card("B", sharpe_ratio=-0.5, total_signals=0, sharpe_high=0.3),
        ],
        work=[work],
        job_runs=[failed],
        trading=replace(good.trading, orders=0, costs=replace(good.trading.costs, fees=Decimal(900))),
        quarantined_rows=4,
        system=replace(SYSTEM, database_bytes=90_000_000_000, slow_queries=2, load_1m=9.0),
        acts_as_owner=True,
        scored=ScoredChanges(count=20, gained=2),
        recent_decisions=[decision({}, None, status="fallback", reason="r")] * 7,
        period=Period(AT - timedelta(days=9), AT),
    )
    recommendations = recommend(facts)
    assert len({r.fingerprint for r in recommendations}) == len(recommendations)
    for rule in RULES:
        assert list(rule(facts)), rule.__name__
    assert {r.kind for r in recommendations} == {"architecture", "security", "performance", "strategy"}
    assert recommendations[0].severity == "high"


def test_charts_draw_one_agent_and_many():
    assert charts.sharpe_chart(["A"], [1.0], [0.5], [1.5]).startswith(b"\x89PNG")
    time = np.array(["2024-01-01", "2024-02-01", "2024-03-01"], dtype="datetime64[us]")
    weights = {f"Agent{k}": np.full(3, 1 / 14) for k in range(14)}
    assert charts.weights_chart(time, weights).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (formatting.money(Decimal("-1234567.6")), "−1,234,568"),
        (formatting.signed_money(12.4), "+12"),
        (formatting.percent(0.1234), "12.3 %"),
        (formatting.percent(-0.1234, 0, sign=True), "−12 %"),
        (formatting.number(-0.126), "−0.13"),
        (formatting.number(-0.004), "0.00"),
        (formatting.number(-0.004, sign=True), "+0.00"),
        (formatting.money(-0.4), "0"),
        (formatting.signed_money(-0.4), "+0"),
        (formatting.percent(-0.0001), "0.0 %"),
        (formatting.number(math.nan), "n/a"),
        (formatting.quantity(-1234.5), "−1,234.5"),
        (formatting.exact(Decimal("-1.500")), "−1.5"),
        (formatting.exact(Decimal(100)), "100"),
        (formatting.cell(-1e-5), "−1e-05"),
        (formatting.cell(None), "n/a"),
        (formatting.ago(None, AT), "never"),
        (formatting.ago(AT - timedelta(hours=3), AT), "3 h ago"),
        (formatting.ago(AT + timedelta(hours=3), AT), "just now"),
    ],
)
def test_numbers_are_written_in_one_style(written, expected):
    assert written == expected


def test_the_formatter_costs_nothing_to_import():
    code = "import sys, agents.reports.formatting; print(*{'numpy', 'jinja2', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
