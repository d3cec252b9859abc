"""What running a desk costs, from the books of a replay: turnover, trades and costs as if for a year, and whose they
are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from agents.core.books import FIRST_SHADOW, LIVE
from agents.core.replay_types import Run

DAYS_A_YEAR = 365.25


class AgentCosts(NamedTuple):
    """One agent: its mean weight, how often a year its own book is turned over, and its part of the desk's costs, a
    fraction of equity a year."""

    weight: float
    turnover: float
    costs: float


class RunningCosts(NamedTuple):
    """Of a desk, a year: turnover in multiples of equity, fills, costs (fees, spread and impact) as a `share` of mean
    equity; from so many days. Costs are shared among agents by weight x turnover of their own books."""

    days: float
    turnover: float
    trades: float
    share: float
    agents: Mapping[str, AgentCosts]


def running_costs(run: Run) -> RunningCosts:
    """The costs of a run, brought to a year."""
    days = max(1.0, float((run.time[-1] - run.time[0]) / np.timedelta64(1, "D")))
    scale = DAYS_A_YEAR / days
    paid = run.costs["fee"] + run.costs["spread"] + run.costs["impact"]
    share = paid / float(run.equity[:, LIVE].mean()) * scale
    count = len(run.agents)
    turned = run.turnover[:, FIRST_SHADOW : FIRST_SHADOW + count].sum(axis=0) * scale
    weight = run.weights.mean(axis=0)
    load = weight * turned
    part = load / load.sum() if load.sum() > 0.0 else np.zeros(count)
    figures = np.column_stack([weight, turned, share * part]).tolist()
    agents = {name: AgentCosts(*row) for name, row in zip(run.agents, figures, strict=True)}
    return RunningCosts(days, float(run.turnover[:, LIVE].sum()) * scale, run.fill_count * scale, share, agents)
