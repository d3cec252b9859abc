"""The report under bad luck: nothing known, far too much, and names that try to break out."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pytest

from agents.core.meta_types import Report
from agents.reports import charts, formatting
from agents.reports.report import curves_of, message, pictures, render, standalone_html, summary_of, value_added
from agents.reports.report_content import verdict_of
from agents.tuning.recommendations import RULES, recommend

AT = datetime(2024, 6, 14, 12, 0, tzinfo=UTC)
NAMES = ("TrendFollower", "MeanReversion")


def empty_facts():
    zero = {"trades": 0, "won": 0, "pnl": Decimal(0), "worst": None, "best": None}
    costs = dict.fromkeys(("notional", "fees", "spread", "impact", "delay"), Decimal(0)) | {"fills": 0}
    tuner = dict.fromkeys(("decisions", "changes", "holds", "fallbacks", "reverts", "scored", "came_true"), 0) | {
        "expected": None,
        "realised": None,
    }
    system = {
        "cpu_percent": 3.0,
        "load_1m": 0.1,
        "cpus": 2,
        "memory_percent": 20.0,
        "disk_free_bytes": 9e10,
        "database_bytes": 5e7,
        "slow_queries": 0,
        "rollbacks": 0,
        "commits": 0,
        "redis_alive": True,
    }
    lists = (
        "curves",
        "now",
        "positions",
        "trades",
        "orders",
        "no_trade",
        "scorecards",
        "contributions",
        "weights",
        "weight_history",
        "changes",
        "jobs",
        "job_runs",
        "tasks",
        "work",
        "freshness",
        "risk_events",
        "open_orders",
        "alarms",
        "outbox",
        "parity",
    )
    return {name: [] for name in lists} | {
        "trade_totals": [zero],
        "costs": [costs],
        "decisions": [{"decisions": 0, "orders": None, "newest": None}],
        "tuner": [tuner],
        "quarantine": [{"rows": 0}],
        "system": system,
        "period_start": AT - timedelta(hours=2),
        "period_end": AT,
    }


def card(name, window=0, **changes):
    figures = {
        "sharpe_ratio": 0.4,
        "sharpe_low": -0.2,
        "sharpe_high": 1.0,
        "win_rate": 0.51,
        "profit_factor": 1.1,
        "deflated_sharpe": 0.4,
        "max_drawdown": 0.2,
        "total_signals": 500,
        "verdict": "under: Sharpe 0.40, not significant",
    }
    return {"agent_name": name, "window_days": window, **figures, **changes}


def full_facts(trades=30, name="TrendFollower"):
    facts = empty_facts()
    days = list(range(19000, 19200))
    rng = np.random.default_rng(0)
    curve = 1e6 * np.cumprod(1 + rng.normal(0.001, 0.01, 200))
    facts["curves"] = [
        {"book": "paper", "days": days, "equity": curve.tolist()},
        {"book": "control:equal", "days": days, "equity": (1e6 * np.cumprod(1 + rng.normal(0, 0.01, 200))).tolist()},
    ]
    facts["now"] = [
        {
            "time": AT - timedelta(hours=1),
            "equity": float(curve[-1]),
            "cash": 1e5,
            "risk_state": "active",
            "weights_version": 3,
            "weights_level": "redis",
            "reason": "",
            "recorded_at": AT,
        }
    ]
    facts["trades"] = [
        {
            "trade_id": str(k),
            "symbol": f"S{k}",
            "side": "long",
            "quantity": Decimal(10),
            "opened_at": AT,
            "closed_at": AT,
            "entry_price": Decimal("1.5"),
            "exit_price": Decimal("1.6"),
            "fees": Decimal("0.1"),
            "pnl": Decimal("0.9"),
        }
        for k in range(min(trades, 500))
    ]
    facts["trade_totals"] = [
        {"trades": trades, "won": trades, "pnl": Decimal(trades), "worst": Decimal("0.9"), "best": Decimal("0.9")}
    ]
    facts["decisions"] = [{"decisions": 5, "orders": 7, "newest": AT}]
    facts["scorecards"] = [
        card(name),
        card(
            "MeanReversion",
            sharpe_ratio=None,
            sharpe_low=None,
            sharpe_high=None,
            win_rate=None,
            profit_factor=None,
            deflated_sharpe=None,
        ),
    ]
    facts["weights"] = [{"agent_name": n, "weight": Decimal("0.5")} for n in (name, "MeanReversion")]
    weights = {name: 0.5, "MeanReversion": 0.5}
    row = {
        "version": 3,
        "timestamp": AT - timedelta(days=20),
        "agent_weights": weights,
        "previous_weights": {name: 0.45, "MeanReversion": 0.55},
        "method": "adaptive",
        "status": "apply",
        "reason": "the candidate is better",
        "causes": {name: {"mean": 0.04, "guard": 0.01}},
        "sharpe_improvement": 0.1,
        "realised_improvement": None,
        "realised_at": None,
        "sample_size": 200,
        "trials": 1,
        "evidence": {},
    }
    facts["weight_history"] = [row]
    facts["changes"] = [
        {"timestamp": AT - timedelta(days=60), "agent_weights": weights},
        {"timestamp": row["timestamp"], "agent_weights": weights},
    ]
    facts["tuner"] = [facts["tuner"][0] | {"decisions": 9, "changes": 1, "holds": 8}]
    facts["freshness"] = [{"symbol": "S1", "newest": AT}]
    return facts


def rendered(facts, alarms=(), suggestions=(), images=()):
    summary = summary_of(facts, alarms, suggestions)
    return render(facts, summary, alarms, suggestions, desk="desk", images=list(images))


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


def test_five_thousand_trades_fit_into_a_mail():
    """I06: under 90 KB, a text part, and a note of what was cut."""
    _, html, text = rendered(full_facts(trades=5000))
    assert len(html.encode()) < 90_000
    assert "of 5,000 shown" in html and "of 5,000 shown" in text


def test_the_verdict_comes_first_in_subject_and_body():
    facts = full_facts()
    alarms = [
        {"kind": "orders_unknown", "subject": "orders", "severity": "critical", "detail": "2 orders", "opened_at": AT}
    ]
    subject, html, text = rendered(facts, alarms)
    assert "Look now: 1 alarm" in subject
    assert text.startswith("Look now: 1 alarm")
    assert "2 orders" in text[:700]
    assert verdict_of(facts, summary_of(facts, [], []), [])[0] == "good"
    assert html.index("Look now") < html.index("Equity")


HOSTILE = ["<script>alert(1)</script>", "{{7*7}}", "a\r\nBcc: x@y.z", "=cmd()", "x" * 10_000, "\x00\x07"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_break_out(name):
    """I05."""
    facts = full_facts(name=name)
    subject, html, text = rendered(
        facts,
        suggestions=[
            {
                "kind": "strategy",
                "severity": "low",
                "state": "open",
                "title": name,
                "action": name,
                "evidence": {"n": name},
            }
        ],
    )
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
    facts = full_facts()
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 0.005, 900)
    days = list(range(18000, 18900))
    good = 1e6 * np.cumprod(1 + noise + 0.0015)
    base = 1e6 * np.cumprod(1 + noise * 0.8 + rng.normal(0, 0.002, 900))
    facts["curves"] = [
        {"book": "paper", "days": days, "equity": good.tolist()},
        {"book": "control:equal", "days": days, "equity": base.tolist()},
        {"book": "control:first", "days": days, "equity": good.tolist()},
    ]
    added = {row["control"]: row for row in value_added(curves_of(facts))}
    assert added["equal"]["verdict"] == "shown: it added value" and added["equal"]["low"] > 0
    assert added["first"]["verdict"] == "the same so far"
    facts["curves"] = [
        {"book": "paper", "days": days[:30], "equity": good[:30].tolist()},
        {"book": "control:equal", "days": days[:30], "equity": base[:30].tolist()},
    ]
    assert "too early" in value_added(curves_of(facts))[0]["verdict"]


def test_every_rule_can_fire_and_a_good_desk_fires_none():
    assert recommend(full_facts()) == []
    facts = full_facts()
    facts["scorecards"] = [
        card("A", sharpe_ratio=-1.0, sharpe_high=-0.2),
        card("B", sharpe_ratio=-0.5, total_signals=0, sharpe_high=0.3),
    ]
    facts["work"] = [
        {
            "agent_name": "A",
            "cycles": 100,
            "failures": 9,
            "opinions": 5,
            "mean_ms": 2000.0,
            "longest_ms": 9000.0,
            "failure": "boom",
        }
    ]
    facts["job_runs"] = [{"job": "x", "status": "failed", "missed": 3, "detail": "d", "due_at": AT}]
    facts["costs"] = [facts["costs"][0] | {"fees": Decimal(900), "fills": 5}]
    facts["quarantine"] = [{"rows": 4}]
    facts["system"] = facts["system"] | {"database_bytes": 9e10, "slow_queries": 2, "load_1m": 9.0}
    facts["acts_as_owner"] = True
    facts["tuner"] = [facts["tuner"][0] | {"scored": 20, "came_true": 2}]
    facts["weight_history"] = [{"status": "fallback", "reason": "r"}] * 7
    facts["period_start"] = AT - timedelta(days=9)
    facts["decisions"] = [{"decisions": 5, "orders": 0, "newest": AT}]
    fired = [r.fingerprint.split(":")[0] for r in recommend(facts)]
    assert len({r.fingerprint for r in recommend(facts)}) == len(fired)
    for rule in RULES:
        assert list(rule(facts)), rule.__name__
    assert {r.kind for r in recommend(facts)} == {"architecture", "security", "performance", "strategy"}
    assert [r.severity for r in recommend(facts)][0] == "high"


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
