"""How good each agent is and whether that is shown, what it says of itself, how alike they are, who comes and goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from agents.adapters.database.engine import Row
from agents.core.facts import DeskFacts
from agents.core.types import Floats, Times
from agents.reports.formatting import number, percent
from agents.reports.life_section import life_lines, life_sentence
from agents.reports.svg_charts import Line, agent_style, calibration_chart, interval_chart, line_chart
from agents.reports.trading_sections import profit_line
from agents.reports.tuning_sections import agent_lines, measured_sentence, quality_lines
from agents.web.site import Query, Site

DECISIONS, LEAST_CALLS = 500, 20
"""Calibration is of so many newest decisions, and of tenths with so many calls."""
ALIKE_DAYS = 365
LEAST_DAYS = 20


class Cell(NamedTuple):
    """A correlation in words, and the class of its colour."""

    words: str
    style: str


def agents_page(site: Site, _query: Query) -> dict[str, Any]:
    """Scorecards, pictures and lives of the newest facts."""
    facts, dashboard = site.snapshots.newest().facts, site.view.dashboard
    days, returns = returns_of(dashboard.shadow_returns())
    return {
        "agents": agent_lines(facts),
        "measured": measured_sentence(facts),
        "quality": quality_lines(facts),
        "sharpe": sharpe_chart(facts),
        "calibration": calibration(dashboard.calibration(DECISIONS, LEAST_CALLS)),
        "growth": growth(days, returns),
        "alike": alike(returns),
        "life": life_sentence(facts),
        "lives": life_lines(facts),
        "profits": [profit_line(part) for part in facts.by_agent],
    }


def returns_of(rows: list[Row]) -> tuple[Times, dict[str, Floats]]:
    """Days [D] and each agent's returns on them, NaN where it had no book."""
    if not rows:
        return np.array([], dtype="datetime64[us]"), {}
    days = np.unique(np.concatenate([np.array(row["days"], dtype=np.int64) for row in rows]))
    returns = {}
    for row in rows:
        values = np.full(len(days), np.nan)
        values[np.searchsorted(days, row["days"])] = row["returns"]
        returns[row["agent_name"]] = values
    return days.astype("datetime64[D]").astype("datetime64[us]"), returns


def growth(days: Times, returns: Mapping[str, Floats]) -> str:
    """What each shadow book made of its constant capital so far."""
    lines = [
        Line(name, agent_style(k), np.where(np.isfinite(values), np.nancumsum(values), np.nan))
        for k, (name, values) in enumerate(returns.items())
    ]
    return line_chart(days, lines, lambda v: percent(v, 0), label="sum of returns of each shadow book over time")


def sharpe_chart(facts: DeskFacts) -> str:
    """Sharpe ratios of shadow books over all history with their 90 % intervals, best first."""
    rows = []
    for card in facts.scorecards:
        if card.window_days == 0 and card.figures["sharpe_low"] is not None:
            ratio, low, high = (
                float(card.figures[name] or 0.0) for name in ("sharpe_ratio", "sharpe_low", "sharpe_high")
            )
            rows.append((card.agent_name, ratio, low, high))
    return interval_chart(sorted(rows, key=lambda row: -row[1]), label="Sharpe ratio by agent, with 90 % intervals")


def calibration(rows: list[Row]) -> str:
    """Stated confidence against how often it came true."""
    agents: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        agents.setdefault(row["agent_name"], []).append((row["stated"], row["came"]))
    return calibration_chart(agents, label="stated confidence against how often it came true, by agent")


def alike(returns: Mapping[str, Floats]) -> list[tuple[str, list[Cell]]]:
    """Correlations of the shadow books' daily returns over the last year, a row for each agent that had any."""
    newest = {name: values[-ALIKE_DAYS:] for name, values in returns.items()}
    moving = {name: v for name, v in newest.items() if np.isfinite(v).sum() >= LEAST_DAYS and np.nanstd(v) > 0.0}
    return [(name, [_correlation(values, other) for other in moving.values()]) for name, values in moving.items()]


def _correlation(first: Floats, second: Floats) -> Cell:
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < LEAST_DAYS or not (first[both].std() > 0.0 and second[both].std() > 0.0):
        return Cell("", "")
    value = float(np.corrcoef(first[both], second[both])[0, 1])
    return Cell(number(value), f"{'plus' if value >= 0 else 'minus'}{min(4, int(abs(value) * 5))}")
