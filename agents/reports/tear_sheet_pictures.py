"""A replay -> the pictures of its tear sheet, with their captions. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

import numpy as np

from agents.core.believed import believed
from agents.core.books import CONTROLS, LIVE
from agents.core.replay_types import Replayed, Run
from agents.core.types import Floats, Integers, Times
from agents.quant.measures import ROLLING_DAYS, Daily, daily_of, rolling_sharpe
from agents.quant.replay_summary import ReplaySummary
from agents.quant.returns import day_ends
from agents.reports import charts
from agents.reports.belief_chart import AgentPast, beliefs_chart

POINTS_DRAWN, BELIEFS_DRAWN = 3000, 400
Of = TypeVar("Of")
SMOOTH_DAYS = 21


class Picture(NamedTuple):
    """A PNG in base64, as a page holds it."""

    png: str
    caption: str


def pictures_of(replayed: Replayed, summary: ReplaySummary) -> dict[str, Picture]:
    """Each picture that there are data for: curves need two days, the rolling ratio its window."""
    run, daily = replayed.run, daily_of(replayed.run)
    time = daily.date.astype("datetime64[us]")
    drawn: dict[str, Picture] = {}
    if len(time) > 1:
        drawn |= _over_time(run, daily, time)
    pasts = _beliefs_over_time(replayed)
    if pasts:
        caption = "Believed Sharpe above the average agent, with 80 % (left), and weight (grey, right)"
        drawn["beliefs"] = _picture(beliefs_chart(pasts, width=charts.PAGE_INCHES), caption)
    ratios = {
        name: (shadow.sharpe, shadow.low, shadow.high)
        for name, shadow in summary.agents.items()
        if np.isfinite([shadow.sharpe, shadow.low, shadow.high]).all()
    }
    if ratios:
        columns = zip(*ratios.values(), strict=True)
        picture = charts.sharpe_chart(list(ratios), *columns)
        drawn["sharpe"] = _picture(picture, "Shadow books: Sharpe ratio and its 90 % interval")
    parts = summary.contributions
    waterfall = charts.waterfall_chart(list(parts), list(parts.values()))
    drawn["waterfall"] = _picture(waterfall, "How the agents' parts make the profit")
    return drawn


def _over_time(run: Run, daily: Daily, time: Times) -> dict[str, Picture]:
    """Equity, drawdown, exposure, rolling Sharpe ratio and weights on the days' axis."""
    places, width = _places(len(time)), charts.PAGE_INCHES
    days, curves = time[places], daily.equity[1:][places]
    controls = {name: curves[:, row] for row, name in enumerate(CONTROLS, LIVE + 1)}
    gross, net = (_smooth(_by_day(run, values))[places] for values in (run.gross, run.net))
    weights = _by_day(run, run.weights)[places]
    named = {name: weights[:, k] for k, name in enumerate(run.agents)}
    drawn = {
        "equity": _picture(
            charts.equity_chart(days, curves[:, LIVE], controls, width=width), "Growth of 100: live and controls"
        ),
        "drawdown": _picture(
            charts.drawdown_chart(days, curves[:, LIVE], beside(controls), width=width), "Below the last peak"
        ),
        "exposure": _picture(
            charts.exposure_chart(days, gross, net),
            f"Share of equity held at the day's end, mean of {SMOOTH_DAYS} days",
        ),
        "weights": _picture(charts.weights_chart(days, named, width=width), "Weights in force"),
    }
    if len(time) > ROLLING_DAYS:
        ratios = {name: rolling_sharpe(daily, row)[places] for name, row in beside(_rows()).items()}
        rolling = charts.rolling_chart(days, rolling_sharpe(daily, LIVE)[places], ratios, ROLLING_DAYS)
        drawn["rolling"] = _picture(rolling, f"Of the last {ROLLING_DAYS} days, annual")
    return drawn


def _beliefs_over_time(replayed: Replayed) -> dict[str, AgentPast]:
    """What was believed of the agents, and what they weighed; those nothing was ever believed of are left out."""
    seen = [(decision.at, belief) for decision in replayed.decisions if (belief := believed(decision.evidence))]
    seen = [seen[k] for k in _places(len(seen), BELIEFS_DRAWN)] if seen else []
    run, last = replayed.run, day_ends(replayed.run.time)
    pasts = {}
    for k, name in enumerate(run.agents):
        views = [(at, belief.agents[name]) for at, belief in seen if name in belief.agents]
        if views:
            mean, low, high = np.array([(view.mean, view.low, view.high) for _, view in views]).T
            weight = run.weights[last, k]
            pasts[name] = AgentPast(_stamps([at for at, _ in views]), mean, low, high, run.time[last], weight)
    return pasts


def _stamps(moments: Sequence[datetime]) -> Times:
    return np.array([m.astimezone(UTC).replace(tzinfo=None) for m in moments], dtype="datetime64[us]")


def _rows() -> dict[str, int]:
    return {name: row for row, name in enumerate(CONTROLS, LIVE + 1)}


def beside(controls: Mapping[str, Of]) -> dict[str, Of]:
    """Those controls that a picture of one thing only shows beside the live book."""
    return {name: controls[name] for name in ("equal", "hold", "hold_at_volatility") if name in controls}


def _picture(png: bytes, caption: str) -> Picture:
    return Picture(base64.b64encode(png).decode(), caption)


def _by_day(run: Run, values: Floats) -> Floats:
    return np.asarray(values[day_ends(run.time)])


def _smooth(values: Floats) -> Floats:
    """The mean of the last `SMOOTH_DAYS` values, of fewer at the beginning."""
    totals = np.concatenate([[0.0], np.cumsum(values)])
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(0, stop - SMOOTH_DAYS)
    return np.asarray((totals[stop] - totals[start]) / (stop - start))


def _places(count: int, most: int = POINTS_DRAWN) -> Integers:
    """Where at most so many points are drawn, evenly over `count` days."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
