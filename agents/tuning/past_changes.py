"""What past changes of the weights have brought: expected against realised."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np

from agents.core.meta_ports import OptimizerDesk, PastChange
from agents.core.meta_types import AgentDays
from agents.quant.returns import periods_per_year, sharpe_ratio


def score_past(desk: OptimizerDesk, days: AgentDays, after_days: int, at: datetime) -> None:
    """Write what changes that are old enough have brought."""
    for change in desk.unscored_changes(before=at - timedelta(days=after_days)):
        desk.score_change(change.version, realised(days, change, after_days), at)


def realised(days: AgentDays, change: PastChange, after_days: int) -> float | None:
    """Annual Sharpe ratio of the new weights less that of the old ones over the `after_days` after a change, from the
    shadow books; None where it cannot be measured."""
    start = np.datetime64(change.at.date()) + np.timedelta64(1, "D")
    rows = (days.date >= start) & (days.date < start + np.timedelta64(after_days, "D"))
    days = days.of_agents({*change.weights, *change.previous})
    returns = np.nan_to_num(days.returns[rows])
    figures = []
    for weights in (change.weights, change.previous):
        vector = np.array([float(weights.get(name, 0.0)) for name in days.agents])
        figures.append(sharpe_ratio(returns @ vector, days_in_year(days)))
    difference = figures[0] - figures[1]
    return difference if math.isfinite(difference) else None


def days_in_year(days: AgentDays) -> float:
    """Days with bars in a year; sessions of stocks where that cannot be told yet."""
    pace = periods_per_year(days.date)
    return pace if math.isfinite(pace) and pace > 0 else 252.0
