"""facts -> what a report says: verdict first, then figures, pictures, tables, recommendations. Pure; `render` makes the
HTML and the text of it, `message` the very mail.

The words of every value are made in `report_content`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from agents.core.meta_types import Report
from agents.core.types import Floats, Times
from agents.quant.evidence import sharpe_difference
from agents.quant.returns import max_drawdown, periods_per_year, sharpe_ratio, simple_returns
from agents.reports import charts
from agents.reports.formatting import money
from agents.reports.report_content import Row, content_of

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
HTML_LIMIT_BYTES = 88_000
ROWS_SHOWN = (20, 12, 6, 3, 1)
"""Tables are cut to so many rows, further down the list until the mail is small enough."""
TUNING_LEAST_PERIODS = 60
SEED = 20240119


@dataclass(frozen=True, slots=True)
class Curves:
    """Daily equity on one axis, float64 [T]."""

    time: Times
    live: Floats
    controls: Mapping[str, Floats]


# ---------------------------------------------------------------- what is said


def curves_of(facts: Mapping[str, Any]) -> Curves | None:
    """Daily equity of the live book and the controls; None before the second day."""
    books = {row["book"]: row for row in facts["curves"]}
    live = next((row for book, row in books.items() if ":" not in book), None)
    if live is None or len(live["days"]) < 2:
        return None
    time = np.array(live["days"], dtype="datetime64[D]").astype("datetime64[us]")
    controls = {
        book.split(":")[1]: np.array(row["equity"], dtype=np.float64)
        for book, row in sorted(books.items())
        if ":" in book and row["days"] == live["days"]
    }
    return Curves(time, np.array(live["equity"], dtype=np.float64), controls)


def value_added(curves: Curves | None) -> list[Row]:
    """Live against each control: what tuning added, with a 90 % interval, and a verdict in plain words."""
    rows: list[Row] = []
    if curves is None:
        return rows
    pace = periods_per_year(curves.time)
    for name, control in curves.controls.items():
        live, other = simple_returns(curves.live), simple_returns(control)
        row: Row = {
            "control": name.replace("_", " "),
            "money": float(curves.live[-1] - control[-1]),
            "difference": None,
            "low": None,
            "high": None,
        }
        if len(live) < TUNING_LEAST_PERIODS:
            row["verdict"] = f"too early: {len(live)} of {TUNING_LEAST_PERIODS} days"
        elif np.max(np.abs(live - other)) < 1e-12:
            row |= {"difference": 0.0, "low": 0.0, "high": 0.0, "verdict": "the same so far"}
        else:
            test = sharpe_difference(live, other, np.full(len(live), 1.0 / len(live)), pace, seed=SEED)
            shown = "added" if test.low > 0 else "cost" if test.high < 0 else ""
            row |= {
                "difference": test.difference,
                "low": test.low,
                "high": test.high,
                "verdict": f"shown: it {shown} value" if shown else "not shown either way",
            }
        rows.append(row)
    return rows


def profit(curves: Curves | None, at: datetime, days: int) -> float | None:
    """Change of equity over the last `days`; None where the desk is younger."""
    if curves is None:
        return None
    start = np.datetime64((at - timedelta(days=days)).astimezone(UTC).replace(tzinfo=None), "us")
    place = int(np.searchsorted(curves.time, start, side="right")) - 1
    return float(curves.live[-1] - curves.live[place]) if place >= 0 else None


def summary_of(facts: Mapping[str, Any], alarms: Sequence[Mapping[str, Any]], suggestions: Sequence[Row]) -> Row:
    """The figures that project_reports keeps as JSON."""
    curves, at = curves_of(facts), facts["period_end"]
    now = facts["now"][0] if facts["now"] else {}
    returns = simple_returns(curves.live) if curves else np.array([])
    return {
        "equity": now.get("equity"),
        "cash": now.get("cash"),
        "risk_state": now.get("risk_state"),
        "pnl_day": profit(curves, at, 1),
        "pnl_week": profit(curves, at, 7),
        "pnl_month": profit(curves, at, 30),
        "drawdown": float(1.0 - curves.live[-1] / curves.live.max()) if curves else None,
        "max_drawdown": max_drawdown(curves.live) if curves else None,
        "sharpe": _finite(sharpe_ratio(returns, periods_per_year(curves.time))) if curves else None,
        "gross_exposure": _exposure(facts, absolute=True),
        "net_exposure": _exposure(facts, absolute=False),
        "decisions": facts["decisions"][0]["decisions"],
        "trades": facts["trade_totals"][0]["trades"],
        "alarms": [dict(alarm) for alarm in alarms],
        "weights": {row["agent_name"]: float(row["weight"]) for row in facts["weights"]},
        "tuning_value_added": value_added(curves),
        "open_suggestions": len(suggestions),
        "newest_decision": now.get("time"),
    }


def _exposure(facts: Mapping[str, Any], *, absolute: bool) -> float | None:
    equity = facts["now"][0]["equity"] if facts["now"] else None
    if not equity:
        return None
    values = [float(row["value"] or 0.0) for row in facts["positions"]]
    return sum(abs(v) if absolute else v for v in values) / float(equity)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# ---------------------------------------------------------------- pictures and pages


def pictures(facts: Mapping[str, Any]) -> dict[str, bytes]:
    """PNG of each picture that there are data for."""
    found: dict[str, bytes] = {}
    curves = curves_of(facts)
    if curves is not None:
        found["equity"] = charts.equity_chart(curves.time, curves.live, curves.controls)
        found["drawdown"] = charts.drawdown_chart(curves.time, curves.live, curves.controls.get("equal"))
    weights = _weight_series(facts)
    if weights is not None:
        found["weights"] = charts.weights_chart(*weights)
    cards = [
        c
        for c in facts["scorecards"]
        if c["window_days"] == 0 and None not in (c["sharpe_ratio"], c["sharpe_low"], c["sharpe_high"])
    ]
    if cards:
        found["sharpe"] = charts.sharpe_chart(
            *([c[k] for c in cards] for k in ("agent_name", "sharpe_ratio", "sharpe_low", "sharpe_high"))
        )
    return found


def _weight_series(facts: Mapping[str, Any]) -> tuple[Times, dict[str, Floats]] | None:
    rows = facts["changes"]
    if not rows or rows[0]["timestamp"] >= facts["period_end"]:
        return None
    names = sorted({name for row in rows for name in row["agent_weights"]})
    moments = [row["timestamp"] for row in rows] + [facts["period_end"]]
    values = [*rows, rows[-1]]
    time = np.array([m.astimezone(UTC).replace(tzinfo=None) for m in moments], dtype="datetime64[us]")
    return time, {name: np.array([float(row["agent_weights"].get(name, 0)) for row in values]) for name in names}


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


CAPTIONS = {
    "equity": "Growth of 100: the live book and what fixed weights would have made",
    "drawdown": "Below its own peak",
    "weights": "Weights in force",
    "sharpe": "Sharpe ratio of each agent's shadow book, with its 90 % interval",
}


def render(
    facts: Mapping[str, Any],
    summary: Row,
    alarms: Sequence[Mapping[str, Any]],
    suggestions: Sequence[Row],
    *,
    desk: str,
    images: Sequence[str],
) -> tuple[str, str, str]:
    """(subject, HTML with `cid:` pictures, text). Rows are cut, and the cut is said, until the HTML is under its limit."""
    environment = _environment()
    html = text = subject = ""
    for rows in ROWS_SHOWN:
        content = content_of(facts, summary, alarms, suggestions, desk=desk, rows=rows)
        content["pictures"] = [(name, CAPTIONS[name]) for name in images]
        html = environment.get_template("report.html").render(content)
        text = environment.get_template("report.txt").render(content)
        subject = f"[{desk}] {content['headline']}; equity {money(summary['equity'])}"
        if len(html.encode()) <= HTML_LIMIT_BYTES:
            break
    return " ".join(subject.split())[:180], html, text


def standalone_html(report: Report) -> str:
    """The same report as one file: its pictures inside."""
    html = report.html
    for name, picture in report.images.items():
        html = html.replace(f"cid:{name}", "data:image/png;base64," + base64.b64encode(picture).decode())
    return html


def message_id(desk: str, report: Report) -> str:
    """The same report always has the same id, so that a repeated delivery is recognised."""
    return f"<report.{desk}.{report.period_end:%Y%m%dT%H%M%S}@quorum.invalid>"


def message(report: Report, *, desk: str, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The mail: text part first, then HTML with its pictures by content id. ValueError for an address with control characters."""
    mail = EmailMessage(policy=SMTP)
    for address in (sender, *recipients):
        if any(ord(c) < 32 for c in address) or "@" not in parseaddr(address)[1]:
            raise ValueError(f"{address!r} is no mail address")
    mail["Subject"] = report.subject
    mail["From"], mail["To"] = sender, ", ".join(recipients)
    mail["Date"] = format_datetime(report.generated_at)
    mail["Message-ID"] = message_id(desk, report)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(report.text)
    mail.add_alternative(report.html, subtype="html")
    page = mail.get_payload()[1]  # type: ignore[index]  # a multipart message has a list of parts
    for name, picture in report.images.items():
        page.add_related(picture, "image", "png", cid=f"<{name}>", filename=f"{name}.png", disposition="inline")  # type: ignore[union-attr]  # an EmailMessage
    return mail
