"""facts -> the figures of a report: equity and what became of it, risk, and what tuning added. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from agents.core.book_curves import BookCurve
from agents.core.books import BENCHMARKS, CONTROLS
from agents.core.facts import DeskFacts
from agents.core.meta_types import ReportSummary, ValueAdded
from agents.core.types import Booleans, Floats, Times, as_stamp
from agents.quant.comparison import NOTHING_TO_JUDGE, against_book, weights_differ
from agents.quant.evidence import sharpe_difference
from agents.quant.returns import max_drawdown, periods_per_year, sharpe_ratio, simple_returns

LEAST_DAYS = 60
DAY = np.timedelta64(86_400_000_000, "us")
_AHEAD = {True: "shown: ahead of holding", False: "shown: it added value"}
_BEHIND = {True: "shown: behind holding", False: "shown: it cost value"}
SEED = 20240119
SAME_RETURNS = 1e-12


@dataclass(frozen=True, slots=True)
class Curves:
    """Daily equity on one axis, float64 [T], as if no capital had come or gone, of the live book and of each control
    by its name, in the order of `core.books`; NaN on days before a control began. `differing` has for a control the
    days [T - 1] of returns on which its weights were other ones; where it is not named they always are. `earned` [T] is
    the live book's P&L since the first day in money, and `units` turn the newest equities into it."""

    time: Times
    live: Floats
    controls: Mapping[str, Floats]
    differing: Mapping[str, Booleans] = field(default_factory=dict)
    earned: Floats = field(default_factory=lambda: np.zeros(0))
    units: float = 1.0


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
    """Daily equity of the live book and of the controls; None before the second day."""
    books = {curve.book: curve for curve in facts.curves}
    live = next((curve for book, curve in books.items() if ":" not in book), None)
    if live is None or len(live.days) < 2:
        return None
    time = np.array(live.days, dtype="datetime64[D]").astype("datetime64[us]")
    controls = {name: _on_days(books[f"control:{name}"], live.days) for name in CONTROLS if f"control:{name}" in books}
    values = np.array(live.equity, dtype=np.float64)
    units = np.array(live.units or [1.0] * len(values))
    earned = _earned(facts, time, values * units)
    return Curves(time, values, controls, _differing(facts, time), earned, float(units[-1]))


def _earned(facts: DeskFacts, time: Times, money: Floats) -> Floats:
    """The live book's money at the ends of days [T], without the capital that came or went until then."""
    days = np.array([as_stamp(flow.time) for flow in facts.capital], dtype="datetime64[us]").astype("datetime64[D]")
    amounts = np.array([flow.amount for flow in facts.capital])
    came = np.array([amounts[days <= day].sum() for day in time.astype("datetime64[D]")]) if len(days) else 0.0
    return np.asarray(money - came, dtype=np.float64)


def _on_days(curve: BookCurve, days: Sequence[int]) -> Floats:
    """A book's equity on these days, NaN on others: one that came later has fewer."""
    known = dict(zip(curve.days, curve.equity, strict=True))
    return np.array([known.get(day, np.nan) for day in days], dtype=np.float64)


def _differing(facts: DeskFacts, time: Times) -> dict[str, Booleans]:
    """By control, the days after the first of `time` on which other weights were in force, for a part of them or
    all."""
    sets = [(as_stamp(applied.at), applied.weights) for applied in facts.applied]
    sets = sets or [(time[0], {name: float(w) for name, w in facts.weights.items()})]
    names = sorted({name for _, weights in sets for name in weights})
    if not names:
        return {}
    table = np.array([[weights.get(name, 0.0) for name in names] for _, weights in sets])
    others = {"equal": (table > 0.0).astype(np.float64), "first": table[:1]}
    begun = np.array([at for at, _ in sets], dtype="datetime64[us]")
    first = np.maximum(np.searchsorted(begun, time[1:], side="right") - 1, 0)  # in force as the day begins
    last = np.maximum(np.searchsorted(begun, time[1:] + DAY, side="left") - 1, first)
    result = {}
    for name, weights in others.items():
        so_far = np.concatenate([[0], np.cumsum(weights_differ(table, weights))])
        result[name] = np.asarray(so_far[last + 1] > so_far[first])
    return result


def value_added(curves: Curves | None) -> list[ValueAdded]:
    """Live against each control: what tuning added, or the desk over one that holds, with a 90 % interval and a verdict
    in plain words."""
    if curves is None:
        return []
    return [_against(curves, name) for name in curves.controls]


def _against(curves: Curves, name: str) -> ValueAdded:
    """The live book against one control, of the days since that began on which there is anything to judge."""
    control, holds = curves.controls[name], name in BENCHMARKS
    there = np.isfinite(control)
    begun = int(np.argmax(there)) if there.any() else len(control)
    live, other = simple_returns(curves.live[begun:]), simple_returns(control[begun:])
    days = curves.differing.get(name, np.ones(len(curves.live) - 1, dtype=bool))[begun:] & np.isfinite(other)
    since = f", since {str(curves.time[begun])[:10]}" if 0 < begun < len(control) else ""
    count, pace = int(days.sum()), periods_per_year(curves.time)
    row = ValueAdded(
        control=name.replace("_", " "),
        money=float(curves.live[-1] - control[-1]) * curves.units,
        days=count,
        verdict=NOTHING_TO_JUDGE,
    )
    if holds and count:
        beside = against_book(live[days], other[days], pace)
        row = replace(
            row,
            excess_return=_known(beside.excess_return),
            excess_low=_known(beside.low),
            excess_high=_known(beside.high),
            beta=_known(beside.beta),
            information_ratio=_known(beside.information_ratio),
        )
    if not count or np.max(np.abs(live[days] - other[days])) < SAME_RETURNS:
        return row
    if count < LEAST_DAYS:
        return replace(
            row, verdict=f"too early: {count} of {LEAST_DAYS} days{'' if holds else ' with other weights'}{since}"
        )
    test = sharpe_difference(live[days], other[days], np.full(count, 1.0 / count), pace, seed=SEED)
    shown = (_AHEAD if test.low > 0 else _BEHIND if test.high < 0 else {}).get(holds, "not shown either way")
    on = "" if holds or count == len(days) else f", of {count:,} days with other weights"
    return replace(row, difference=test.difference, low=test.low, high=test.high, verdict=f"{shown}{on}{since}")


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def profit(curves: Curves | None, at: datetime, days: int) -> float | None:
    """What the live book made over the `days` before `at`, in money: capital that came or went is no part of it. None
    where the desk is younger."""
    if curves is None:
        return None
    start = np.datetime64((at - timedelta(days=days)).astimezone(UTC).replace(tzinfo=None), "us")
    place = int(np.searchsorted(curves.time, start, side="right")) - 1
    return float(curves.earned[-1] - curves.earned[place]) if place >= 0 else None


def _sharpe(curves: Curves) -> float | None:
    ratio = sharpe_ratio(simple_returns(curves.live), periods_per_year(curves.time))
    return ratio if math.isfinite(ratio) else None


def _exposure(facts: DeskFacts, *, absolute: bool) -> float | None:
    """The sum of positions (or of their sizes) as a fraction of equity."""
    if facts.newest is None or not facts.newest.equity:
        return None
    values = [position.value or 0.0 for position in facts.positions]
    return sum(abs(v) if absolute else v for v in values) / facts.newest.equity
