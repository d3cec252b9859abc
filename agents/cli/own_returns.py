"""`quorum agent check` of a table of daily returns: what the strategy made, and what weight it would be advised."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from rich.text import Text

from agents.adapters.own.returns_table import read_daily_returns
from agents.cli.history import OpenHistory
from agents.cli.screen import Screen, rows_table
from agents.core.own_strategies import name_of
from agents.core.profiles import OURS
from agents.core.settings import with_changes
from agents.quant.evidence import sharpe_interval
from agents.quant.measures import SEED, plain
from agents.quant.returns import max_drawdown, periods_per_year, sharpe_ratio
from agents.reports.external_words import advice_sentence
from agents.reports.formatting import interval, number, percent
from agents.wiring.external import advice_of
from agents.wiring.history import ReplayRequest
from agents.wiring.job_settings import tuning_of
from agents.wiring.replay import replay_history


def check_returns(file: Path, opened: OpenHistory, screen: Screen) -> int:
    """The page; exit status 0: a table that is wrong is refused before."""
    table, name = read_daily_returns(file), name_of(file)
    value = table.value[np.isfinite(table.value)]
    pace = periods_per_year(table.date.astype("datetime64[us]"))
    annual = math.sqrt(pace) if pace > 0.0 else math.nan
    low, high = sharpe_interval(value, seed=SEED)
    equity = np.concatenate([[1.0], np.cumprod(1.0 + value)])
    settings = with_changes(opened.settings, {"agents.enabled": OURS, "agents.shadow": (), "agents.own": {}})
    replayed = replay_history(opened.history, ReplayRequest(settings=settings, tuning=False, report_every=None))
    days_per_year = tuning_of(settings).days_per_year
    advice = advice_of({name: str(file)}, replayed.days, {}, days_per_year=days_per_year)[0]
    figures = {
        "days": len(value),
        "first": str(table.date[0]),
        "last": str(table.date[-1]),
        "sharpe": sharpe_ratio(value, pace),
        "sharpe_low": low * annual,
        "sharpe_high": high * annual,
        "max_drawdown": max_drawdown(equity),
        "total_return": float(equity[-1] - 1.0),
    }
    rows = [
        {"what": "days", "": f"{len(value):,}", "in words": f"{figures['first']} to {figures['last']}"},
        {
            "what": "Sharpe",
            "": number(figures["sharpe"]),
            "in words": f"{interval(figures['sharpe_low'], figures['sharpe_high'])}, 90 %",
        },
        {"what": "return", "": percent(figures["total_return"]), "in words": "in all"},
        {"what": "worst fall", "": percent(figures["max_drawdown"]), "in words": ""},
    ]
    document = {"agent": name, "kind": "returns", "ok": True, "figures": plain(figures), "advice": advice.as_plain()}
    screen.result(
        document,
        rows_table(f"{name}: returns, trades elsewhere", rows, ("what", "", "in words")),
        Text(advice_sentence(advice)),
        Text("It is never traded here and has no part in the desk's weights."),
    )
    return 0
