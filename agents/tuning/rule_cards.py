"""Scorecards with the figures that rules read, and no others: a replay makes them at every simulated report, and whole
ones at its end."""

from __future__ import annotations

import math

from agents.core.meta_types import AgentDays, Scorecard
from agents.core.types import to_decimal
from agents.quant.confidence_sequence import ratios_and_sequences
from agents.quant.returns import periods_per_year
from agents.quant.scores import column_sums

UNJUDGED = "not judged: made for rules"


def cards_for_rules(days: AgentDays) -> list[Scorecard]:
    """Of each agent over all history; a test holds the figures to those of `analyze`. None where there are no days."""
    if not len(days.date):
        return []
    last, per_year = days.date[-1].item(), periods_per_year(days.date)
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
                "sharpe_ratio": _defined(ratios[k][0]),
                "sharpe_always_low": _defined(ratios[k][1]),
                "sharpe_always_high": _defined(ratios[k][2]),
            },
            undefined={},
            pnl=to_decimal(pnl[k]),
            verdict=UNJUDGED,
        )
        for k, name in enumerate(days.agents)
    ]


def _defined(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None
