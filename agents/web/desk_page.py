"""The first page: is all well, what is it worth, what is held, what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.adapters.database.engine import Row
from agents.core.types import Floats, Times, as_stamp
from agents.reports.formatting import number, percent
from agents.reports.report import alarm_lines
from agents.reports.summary import Curves, curves_of
from agents.reports.svg_charts import Line, line_chart
from agents.reports.trading_sections import key_figures, position_line, risk_event_line, trade_line, what_happened
from agents.reports.tuning_sections import added_line
from agents.reports.verdict import verdict_of
from agents.web.site import Query, Site

POINTS = 300
TRADES, DECIDED = 8, 40


def desk_page(site: Site, _query: Query) -> dict[str, Any]:
    """Words and pictures of the newest facts."""
    snapshot = site.snapshots.newest()
    facts, summary = snapshot.facts, snapshot.summary
    if facts.newest is None:
        return {"empty": True, "alarms": alarm_lines(facts), "verdict": verdict_of(facts)}
    curves = curves_of(facts)
    return {
        "empty": False,
        "verdict": verdict_of(facts),
        "alarms": alarm_lines(facts),
        "kpis": key_figures(summary),
        "decided_at": facts.newest.time,
        "risk_state": facts.newest.risk_state,
        "happened": what_happened(facts, summary),
        "equity": "" if curves is None else growth(curves),
        "drawdown": "" if curves is None else drawdown(curves),
        "exposure": exposure(site.view.dashboard.exposure(POINTS)),
        "positions": [position_line(position, summary.equity) for position in facts.positions],
        "decided": site.view.dashboard.newest_details(DECIDED),
        "trades": [trade_line(trade) for trade in facts.closed.newest[:TRADES]],
        "risk_events": [risk_event_line(event) for event in facts.risk_events],
        "added": [added_line(row) for row in summary.tuning_value_added],
    }


def growth(curves: Curves) -> str:
    """Growth of 100: the live book and the controls; one that began later starts where the live book stood then."""
    lines = [Line("live", "live", 100.0 * curves.live / curves.live[0])]
    for name, values in curves.controls.items():
        start = values[0] if np.isfinite(values[0]) else curves.live[0]
        grown = 100.0 * values / start
        same = next((k for k, line in enumerate(lines) if np.array_equal(line.values, grown, equal_nan=True)), None)
        if same is None:
            lines.append(Line(name.replace("_", " "), f"c-{name}", grown))
        else:  # a line that lies under another is named with it
            lines[same] = lines[same]._replace(name=f"{lines[same].name} = {name.replace('_', ' ')}")
    return line_chart(curves.time, lines, lambda v: number(v, 0), label="growth of 100 over time, by book")


def drawdown(curves: Curves) -> str:
    """How far below its own peak the live book stood, and one that holds at its volatility."""
    books: Mapping[str, tuple[str, Floats]] = {"live": ("live", curves.live)} | {
        name.replace("_", " "): (f"c-{name}", values)
        for name, values in curves.controls.items()
        if name in ("equal", "hold_at_volatility")
    }
    lines = [Line(name, style, values / np.fmax.accumulate(values) - 1.0) for name, (style, values) in books.items()]
    return line_chart(curves.time, lines, lambda v: percent(v, 0), area="live", label="drawdown over time")


def exposure(rows: list[Row]) -> str:
    """Gross and net exposure as shares of equity."""
    if not rows:
        return ""
    time: Times = np.array([as_stamp(row["time"]) for row in rows], dtype="datetime64[us]")
    columns = {
        name: np.array([row[name] if row[name] is not None else np.nan for row in rows], dtype=np.float64)
        for name in ("net", "gross")
    }
    lines = [Line("net", "live", columns["net"]), Line("gross", "muted", columns["gross"])]
    return line_chart(time, lines, lambda v: percent(v, 0), area="gross", label="exposure over time")
