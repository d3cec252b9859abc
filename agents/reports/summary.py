"""facts -> the figures of a report: equity and what became of it, risk, and what tuning added. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from agents.core.facts import DeskFacts
from agents.core.meta_types import ReportSummary, ValueAdded
from agents.core.types import Floats, Times
from agents.quant.evidence import sharpe_difference
from agents.quant.returns import max_drawdown, periods_per_year, sharpe_ratio, simple_returns

TUNING_LEAST_PERIODS = 60
SEED = 20240119
SAME_RETURNS = 1e-12


@dataclass(frozen=True, slots=True)
class Curves:
    """Daily equity on one axis, float64 [T], of the live book and of each control by its name."""

    time: Times
    live: Floats
    controls: Mapping[str, Floats]


def summary_of(facts: DeskFacts, *, open_suggestions: int) -> ReportSummary:
    """The figures that a report shows first and that project_reports keeps."""
    curves, at, newest = curves_of(facts), facts.period.end, facts.newest
    return ReportSummary(
        equity=newest.equity if newest else None,
        cash=newest.cash if newest else None,
        risk_state=newest.risk_state if newest else None,
        pnl_day=profit(curves, at, 1),
        pnl_week=profit(curves, at, 7),
        pnl_month=profit(curves, at, 30),
        drawdown=float(1.0 - curves.live[-1] / curves.live.max()) if curves else None,
        max_drawdown=max_drawdown(curves.live) if curves else None,
        sharpe=_sharpe(curves) if curves else None,
        gross_exposure=_exposure(facts, absolute=True),
        net_exposure=_exposure(facts, absolute=False),
        decisions=facts.trading.decisions,
        orders=facts.trading.orders,
        trades=facts.trading.trades,
        alarms=tuple(facts.alarms),
        weights={name: float(weight) for name, weight in facts.weights.items()},
        tuning_value_added=tuple(value_added(curves)),
        open_suggestions=open_suggestions,
        newest_decision=newest.time if newest else None,
    )


def curves_of(facts: DeskFacts) -> Curves | None:
    """Daily equity of the live book and of the controls that have the same days; None before the second day."""
    books = {curve.book: curve for curve in facts.curves}
    live = next((curve for book, curve in books.items() if ":" not in book), None)
    if live is None or len(live.days) < 2:
        return None
    time = np.array(live.days, dtype="datetime64[D]").astype("datetime64[us]")
    controls = {
        book.split(":")[1]: np.array(curve.equity, dtype=np.float64)
        for book, curve in sorted(books.items())
        if ":" in book and curve.days == live.days
    }
    return Curves(time, np.array(live.equity, dtype=np.float64), controls)


def value_added(curves: Curves | None) -> list[ValueAdded]:
    """Live against each control: what tuning added, with a 90 % interval, and a verdict in plain words."""
    if curves is None:
        return []
    return [_against(curves, name, control) for name, control in curves.controls.items()]


def _against(curves: Curves, name: str, control: Floats) -> ValueAdded:
    live, other = simple_returns(curves.live), simple_returns(control)
    title, money = name.replace("_", " "), float(curves.live[-1] - control[-1])
    if len(live) < TUNING_LEAST_PERIODS:
        verdict = f"too early: {len(live)} of {TUNING_LEAST_PERIODS} days"
        return ValueAdded(control=title, money=money, verdict=verdict)
    if np.max(np.abs(live - other)) < SAME_RETURNS:
        return ValueAdded(control=title, money=money, difference=0.0, low=0.0, high=0.0, verdict="the same so far")
    even = np.full(len(live), 1.0 / len(live))
    test = sharpe_difference(live, other, even, periods_per_year(curves.time), seed=SEED)
    shown = "added" if test.low > 0 else "cost" if test.high < 0 else ""
    return ValueAdded(
        control=title,
        money=money,
        difference=test.difference,
        low=test.low,
        high=test.high,
        verdict=f"shown: it {shown} value" if shown else "not shown either way",
    )


def profit(curves: Curves | None, at: datetime, days: int) -> float | None:
    """Change of equity over the `days` before `at`; None where the desk is younger."""
    if curves is None:
        return None
    start = np.datetime64((at - timedelta(days=days)).astimezone(UTC).replace(tzinfo=None), "us")
    place = int(np.searchsorted(curves.time, start, side="right")) - 1
    return float(curves.live[-1] - curves.live[place]) if place >= 0 else None


def _sharpe(curves: Curves) -> float | None:
    ratio = sharpe_ratio(simple_returns(curves.live), periods_per_year(curves.time))
    return ratio if math.isfinite(ratio) else None


def _exposure(facts: DeskFacts, *, absolute: bool) -> float | None:
    """The sum of positions (or of their sizes) as a fraction of equity."""
    if facts.newest is None or not facts.newest.equity:
        return None
    values = [position.value or 0.0 for position in facts.positions]
    return sum(abs(v) if absolute else v for v in values) / facts.newest.equity
