"""Scorecards with the figures that rules read, and no others: a replay makes them at every simulated report, and whole
ones at its end."""

from __future__ import annotations

import math
from datetime import date

from agents.core.meta_types import AgentDays, Scorecard
from agents.core.types import to_decimal
from agents.quant.confidence_sequence import ratios_and_sequences
from agents.quant.returns import periods_per_year
from agents.quant.scores import column_sums

UNJUDGED = "not judged: made for rules"
FIGURES = ("sharpe_ratio", "sharpe_always_low", "sharpe_always_high")


def cards_for_rules(days: AgentDays) -> list[Scorecard]:
    """Of each agent over all history; a test holds the figures to those of `analyze`. None where there are no days."""
    if not len(days.date):
        return []
    last, per_year = date.fromisoformat(str(days.date[-1])), periods_per_year(days.date.astype("datetime64[us]"))
    annual = math.sqrt(per_year) if per_year > 0 else math.nan
    signals, pnl = column_sums(days.signals).tolist(), column_sums(days.pnl).tolist()
    ratios = (ratios_and_sequences(days.returns) * annual).tolist()
    return [
        Scorecard(
            date=last,
            agent_name=name,
            window_days=0,
            figures={
                "total_signals": int(signals[k]),
                **{figure: v if math.isfinite(v) else None for figure, v in zip(FIGURES, ratios[k], strict=True)},
            },
            undefined={},
            pnl=to_decimal(pnl[k]),
            verdict=UNJUDGED,
        )
        for k, name in enumerate(days.agents)
    ]
