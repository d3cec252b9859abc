"""What running a desk costs, from the books of a replay: turnover, trades and costs as if for a year, and whose they
are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from agents.core.books import FIRST_SHADOW, LIVE
from agents.core.replay_types import Run
from agents.quant.replay_summary import profit_by_agent

DAYS_A_YEAR = 365.25


class AgentCosts(NamedTuple):
    """One agent: its mean weight, its part of the desk's costs, a fraction of equity a year, and how often a year it
    would turn over a book of its own, which follows every change of its opinion: no other agent's trades are set off
    against it there, and none is left out for its costs."""

    weight: float
    turnover: float
    costs: float


class RunningCosts(NamedTuple):
    """Of a desk, a year: turnover in multiples of equity, fills, costs (fees, spread and impact) as a `share` of mean
    equity; from so many days. An agent's costs are those of the desk's own fills that its opinion caused; what the desk
    caused as a whole, as by its limits, is nobody's."""

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
    turned = run.turnover[:, FIRST_SHADOW : FIRST_SHADOW + len(run.agents)].sum(axis=0) * scale
    weight, parts = run.weights.mean(axis=0), profit_by_agent(run)
    agents = {
        name: AgentCosts(float(weight[k]), float(turned[k]), share * parts[name].costs / paid if paid > 0.0 else 0.0)
        for k, name in enumerate(run.agents)
    }
    return RunningCosts(days, float(run.turnover[:, LIVE].sum()) * scale, run.fill_count * scale, share, agents)
