"""What holds a desk below the volatility that it aims at: the same bars traded again, each time without one limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from agents.core.books import LIVE
from agents.core.replay_types import Run
from agents.core.settings import Settings, with_changes
from agents.quant.returns import periods_per_year, simple_returns
from agents.reports.formatting import percent

NEAR = 0.8
"""A desk at this share of its target is not held back."""
MATTERS = 0.1
"""A limit without which the volatility would rise by less than this share of the target is not what holds a desk."""
LIFTED: dict[str, Mapping[str, Any]] = {
    "risk.gross_cap": {"risk.gross_cap": 10.0, "execution.leverage": 10.0},
    "risk.symbol_cap": {"risk.symbol_cap": 10.0},
    "risk.allow_short": {"risk.allow_short": True},
    "risk.reduce_drawdown": {"risk.reduce_drawdown": 0.999, "risk.halt_drawdown": 1.0},
    "execution.buffer_by_cost": {"execution.buffer_by_cost": False},
}
"""Limits by the key that a user would change, and the settings under which each holds nothing back."""
SIZE = "execution.participation"
"""Not lifted but outgrown: a share of the volume holds no desk that is small beside it, so the desk is made small."""
SMALLER = 10_000.0
THIN = "execution.participation and execution.buffer_by_cost"
"""Asked about together: where little is traded, both hold."""
CAPS, ALL = "risk.symbol_cap and risk.gross_cap", "all of them"
TOGETHER: dict[str, Mapping[str, Any]] = {
    CAPS: {**LIFTED["risk.symbol_cap"], **LIFTED["risk.gross_cap"]},
    ALL: {key: value for changes in LIFTED.values() for key, value in changes.items()},
}
"""Asked about where no single limit does it: of two caps the one holds where the other was lifted."""
WORDS = {
    "risk.gross_cap": "the cap on all positions together",
    "risk.symbol_cap": "the cap on each symbol's position",
    "risk.allow_short": "that it may not sell short",
    "risk.reduce_drawdown": "what its drawdown took off",
    "execution.buffer_by_cost": "the no-trade zone: trades that were not worth their costs",
    SIZE: "the share of a bar's volume that it may take: it is large for what is traded there",
    THIN: "the share of a bar's volume that it may take, and the no-trade zone",
    CAPS: "the caps on positions",
    ALL: "several limits",
}


def volatility_of(run: Run) -> float:
    """Of the live book, a year."""
    returns = simple_returns(run.equity[:, LIVE])
    return float(returns.std()) * math.sqrt(periods_per_year(run.time)) if len(returns) > 1 else 0.0


def without_each(settings: Settings, trade: Callable[[Settings], Run]) -> dict[str, float]:
    """The volatility that the desk would have had without each limit, and without some together; `trade` replays its
    bars under some settings."""
    small = _small(settings)
    thin = {**small, **LIFTED["execution.buffer_by_cost"]}
    every = LIFTED | {SIZE: small, THIN: thin} | TOGETHER | {ALL: {**TOGETHER[ALL], **small}}
    lifted = {key: with_changes(settings, changes) for key, changes in every.items()}
    return {key: volatility_of(trade(other)) for key, other in lifted.items() if other != settings}


def _small(settings: Settings) -> dict[str, Any]:
    """The same desk in small, lots and all, so that nothing but its part of the volume differs."""
    trading = settings.execution
    return {
        "desk.initial_cash": settings.desk.initial_cash / SMALLER,
        "execution.lot_size": trading.lot_size / SMALLER,
        "execution.lot_sizes": {symbol: lot / SMALLER for symbol, lot in trading.lot_sizes.items()},
        "execution.minimum_commission": trading.minimum_commission / SMALLER,
    }


def sentence_of(volatility: float, target: float, without: Mapping[str, float]) -> str:
    """How volatile the desk was beside what it aims at, and which limit holds it below."""
    said = f"Its volatility was {percent(volatility)} a year, {percent(target)} is aimed at"
    if volatility >= NEAR * target:
        return f"{said}."
    alone = sorted((key for key in without if key in LIFTED or key == SIZE), key=lambda key: without[key])
    for key in (*alone[-1:], CAPS, THIN, ALL):
        if without.get(key, 0.0) >= volatility + MATTERS * target:
            return f"{said}; most is held back by {WORDS[key]} ({key}): without that {percent(without[key])}."
    return f"{said}; no limit holds it there: its agents asked for no more."
