"""facts -> the pictures of a report, as PNG by name. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from agents.core.facts import DeskFacts
from agents.core.meta_types import Scorecard
from agents.core.types import Floats, Times
from agents.reports import charts
from agents.reports.belief_chart import AgentPast, beliefs_chart
from agents.reports.summary import curves_of
from agents.reports.tear_sheet_pictures import beside

CAPTIONS = {
    "equity": "Growth of 100: the live book and the control books",
    "drawdown": "Below its own peak",
    "weights": "Weights in force",
    "beliefs": "Believed Sharpe above the average agent, with 80 % (left), and weight (grey, right)",
    "sharpe": "Sharpe ratio of each agent's shadow book: 90 % interval, and thin the bounds that hold at every look",
}


def pictures(facts: DeskFacts) -> dict[str, bytes]:
    """Each picture of `CAPTIONS` that there are data for."""
    drawn: dict[str, bytes] = {}
    curves = curves_of(facts)
    if curves is not None:
        drawn["equity"] = charts.equity_chart(curves.time, curves.live, curves.controls)
        drawn["drawdown"] = charts.drawdown_chart(curves.time, curves.live, beside(curves.controls))
    weights = _weight_series(facts)
    if weights is not None:
        drawn["weights"] = charts.weights_chart(*weights)
    pasts = _beliefs_over_time(facts)
    if pasts:
        drawn["beliefs"] = beliefs_chart(pasts, width=charts.WIDTH_INCHES)
    cards = [card for card in facts.scorecards if card.window_days == 0 and card.figures["sharpe_low"] is not None]
    if cards:
        ratio, low, high = (
            [float(c.figures[name] or 0.0) for c in cards] for name in ("sharpe_ratio", "sharpe_low", "sharpe_high")
        )
        always = [_always(card) for card in cards]
        drawn["sharpe"] = charts.sharpe_chart([c.agent_name for c in cards], ratio, low, high, always)
    return drawn


def _weight_series(facts: DeskFacts) -> tuple[Times, dict[str, Floats]] | None:
    """Times at which weights came into force, with the end of the period, and each agent's weights from then on."""
    sets = facts.applied
    if not sets or sets[0].at >= facts.period.end:
        return None
    moments = [*(applied.at for applied in sets), facts.period.end]
    time = _stamps(moments)
    names = sorted({name for applied in sets for name in applied.weights})
    values = [*sets, sets[-1]]
    return time, {name: np.array([applied.weights.get(name, 0.0) for applied in values]) for name in names}


def _beliefs_over_time(facts: DeskFacts) -> dict[str, AgentPast]:
    """What was believed of today's agents and what they weighed, heaviest first; those nothing was ever believed of are
    left out."""
    changes = _weight_series(facts)
    pasts = {}
    for name in facts.weights:
        views = [(past.at, past.agents[name]) for past in facts.beliefs if name in past.agents]
        if views and changes and name in changes[1]:
            table = np.array([(view.mean, view.low, view.high) for _, view in views])
            mean, low, high = table.T
            pasts[name] = AgentPast(_stamps([at for at, _ in views]), mean, low, high, changes[0], changes[1][name])
    return pasts


def _stamps(moments: Sequence[datetime]) -> Times:
    return np.array([m.astimezone(UTC).replace(tzinfo=None) for m in moments], dtype="datetime64[us]")


def _always(card: Scorecard) -> tuple[float, float]:
    """Bounds of the Sharpe ratio that hold at every look; infinite where there are none yet."""
    low, high = (card.figures.get(f"sharpe_always_{end}") for end in ("low", "high"))
    return (-math.inf if low is None else low, math.inf if high is None else high)
