"""facts -> the pictures of a report, as PNG by name. Pure."""

from __future__ import annotations

from datetime import UTC

import numpy as np

from agents.core.facts import DeskFacts
from agents.core.types import Floats, Times
from agents.reports import charts
from agents.reports.summary import curves_of

CAPTIONS = {
    "equity": "Growth of 100: the live book and the control books",
    "drawdown": "Below its own peak",
    "weights": "Weights in force",
    "sharpe": "Sharpe ratio of each agent's shadow book, with its 90 % interval",
}


def pictures(facts: DeskFacts) -> dict[str, bytes]:
    """Each picture of `CAPTIONS` that there are data for."""
    drawn: dict[str, bytes] = {}
    curves = curves_of(facts)
    if curves is not None:
        drawn["equity"] = charts.equity_chart(curves.time, curves.live, curves.controls)
        drawn["drawdown"] = charts.drawdown_chart(curves.time, curves.live, curves.controls.get("equal"))
    weights = _weight_series(facts)
    if weights is not None:
        drawn["weights"] = charts.weights_chart(*weights)
    ratios = _sharpe_intervals(facts)
    if ratios:
        names, *columns = zip(*ratios, strict=True)
        drawn["sharpe"] = charts.sharpe_chart(names, *columns)
    return drawn


def _weight_series(facts: DeskFacts) -> tuple[Times, dict[str, Floats]] | None:
    """Times at which weights came into force, with the end of the period, and each agent's weights from then on."""
    sets = facts.applied
    if not sets or sets[0].at >= facts.period.end:
        return None
    moments = [*(applied.at for applied in sets), facts.period.end]
    time = np.array([m.astimezone(UTC).replace(tzinfo=None) for m in moments], dtype="datetime64[us]")
    names = sorted({name for applied in sets for name in applied.weights})
    values = [*sets, sets[-1]]
    return time, {name: np.array([applied.weights.get(name, 0.0) for applied in values]) for name in names}


def _sharpe_intervals(facts: DeskFacts) -> list[tuple[str, float, float, float]]:
    """(agent, Sharpe ratio, low, high) over all history, of agents that have all three."""
    rows = []
    for card in facts.scorecards:
        ratio, low, high = (card.figures[name] for name in ("sharpe_ratio", "sharpe_low", "sharpe_high"))
        if card.window_days == 0 and ratio is not None and low is not None and high is not None:
            rows.append((card.agent_name, ratio, low, high))
    return rows
