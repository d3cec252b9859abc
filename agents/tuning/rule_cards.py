"""Scorecards with the figures that rules read, and no others: a replay makes them at every simulated report, and whole
ones at its end."""

from __future__ import annotations

import math
from datetime import date

import numpy as np

from agents.core.meta_types import AgentDays, Scorecard
from agents.core.types import to_decimal
from agents.quant.confidence_sequence import sharpe_sequence
from agents.quant.returns import periods_per_year, sharpe_ratio
from agents.quant.scores import column_sums

UNJUDGED = "not judged: made for rules"


def cards_for_rules(days: AgentDays) -> list[Scorecard]:
    """Of each agent over all history; a test holds the figures to those of `analyze`. None where there are no days."""
    if not len(days.date):
        return []
    last, per_year = date.fromisoformat(str(days.date[-1])), periods_per_year(days.date.astype("datetime64[us]"))
    annual = math.sqrt(per_year) if per_year > 0 else math.nan
    signals, pnl = column_sums(days.signals), column_sums(days.pnl)
    cards = []
    for k, name in enumerate(days.agents):
        returns = days.returns[np.isfinite(days.returns[:, k]), k]
        low, high = sharpe_sequence(returns)
        raw = {
            "sharpe_ratio": sharpe_ratio(returns, per_year),
            "sharpe_always_low": low * annual,
            "sharpe_always_high": high * annual,
        }
        figures = {key: value if math.isfinite(value) else None for key, value in raw.items()}
        cards.append(
            Scorecard(
                date=last,
                agent_name=name,
                window_days=0,
                figures={"total_signals": int(signals[k]), **figures},
                undefined={},
                pnl=to_decimal(float(pnl[k])),
                verdict=UNJUDGED,
            )
        )
    return cards
