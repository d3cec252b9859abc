"""A replay as one self-contained page: what happened, against what, why, at which cost, and from what it was made."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from agents.core.books import CONTROLS, LIVE
from agents.core.replay_types import Replayed, Run
from agents.core.types import Floats, Times
from agents.quant.measures import ROLLING_DAYS, Daily, daily_of, day_ends, monthly, rolling_sharpe
from agents.quant.replay_summary import ReplaySummary, ShadowFigures, TradingCosts
from agents.reports import charts
from agents.reports.formatting import MISSING, money, number, percent, signed_money

TEMPLATE = Path(__file__).resolve().parents[2] / "templates" / "tear_sheet.html"
CHANGES_SHOWN, FINDINGS_SHOWN = 40, 20
POINTS_DRAWN = 3000
SMOOTH_DAYS = 21
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "year")


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of words; `texts` are columns that may wrap, `signed` colours gains and losses."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: Sequence[str] = ()
    signed: bool = False


def tear_sheet(replayed: Replayed, summary: ReplaySummary, title: str) -> str:
    """The page's HTML. The same replay gives the same bytes."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    live, exposure, spent = summary.books["live"], summary.exposure, summary.costs
    days = f"{summary.period[0][:10]} to {summary.period[1][:10]}"
    kpis = (
        ("Return", percent(live.total_return, sign=True), f"{percent(live.annual_return, sign=True)} a year"),
        ("Sharpe", number(live.sharpe), f"90 % [{number(live.sharpe_low)}, {number(live.sharpe_high)}]"),
        ("Max drawdown", percent(live.max_drawdown), f"Calmar {number(live.calmar)}"),
        ("Volatility", percent(live.volatility), f"Sortino {number(live.sortino)}"),
        ("Gross exposure", percent(exposure.gross_mean, 0), f"net {percent(exposure.net_mean, 0)} on average"),
        (
            "Turnover",
            f"{number(spent.turnover_a_year, 1)} a year",
            f"of the weights {number(spent.tuning_turnover_a_year)}",
        ),
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        title=title,
        kpis=kpis,
        verdict=summary.verdict[0].upper() + summary.verdict[1:] + ".",
        subtitle=" · ".join(
            (days, f"{len(summary.symbols)} symbols", f"{summary.symbol_bars:,} bars", _tried(summary.trials))
        ),
        pictures=_pictures(replayed, summary),
        tables=_tables(replayed, summary, daily_of(replayed.run)),
        notes=_notes(replayed),
        manifest=json.dumps(replayed.manifest, indent=1, sort_keys=True),
    )


def _tables(replayed: Replayed, summary: ReplaySummary, daily: Daily) -> dict[str, Table]:
    years, months = monthly(daily)
    spent = summary.costs
    cards: dict[str, Mapping[str, Any]] = {c.agent_name: c.figures for c in replayed.scorecards if c.window_days == 0}
    month_rows = [
        [str(year), *("" if np.isnan(v) else percent(v, sign=True) for v in row)]
        for year, row in zip(years, months, strict=True)
    ]
    return {
        "books": Table(
            (
                "book",
                "equity",
                "return",
                "a year",
                "volatility",
                "Sharpe",
                "Sortino",
                "Calmar",
                "max drawdown",
                "worst day",
                "days up",
            ),
            [
                [
                    name.replace("_", " "),
                    money(b.equity),
                    percent(b.total_return, sign=True),
                    percent(b.annual_return, sign=True),
                    percent(b.volatility),
                    number(b.sharpe),
                    number(b.sortino),
                    number(b.calmar),
                    percent(b.max_drawdown),
                    percent(b.worst_day),
                    percent(b.days_up),
                ]
                for name, b in summary.books.items()
            ],
        ),
        "added": Table(
            ("against", "Sharpe", "90 % interval", "p", "verdict"),
            [
                [
                    name.replace("_", " "),
                    number(c.difference, sign=True),
                    f"[{number(c.low)}, {number(c.high)}]",
                    number(c.p, 3),
                    c.words,
                ]
                for name, c in summary.value_added.items()
            ],
            texts=("verdict",),
        ),
        "months": Table(("", *MONTHS), month_rows, signed=True),
        "changes": _changes(replayed),
        "agents": Table(
            ("agent", "Sharpe", "90 % interval", "weight", "hits", "factor", "sure", "turnover a year"),
            [
                [
                    name,
                    number(a.sharpe),
                    f"[{number(a.low)}, {number(a.high)}]",
                    percent(summary.final_weights[name]),
                    percent(cards.get(name, {}).get("win_rate")),
                    number(cards.get(name, {}).get("profit_factor")),
                    percent(cards.get(name, {}).get("deflated_sharpe"), 0),
                    number(a.turnover_a_year, 1),
                ]
                for name, a in sorted(summary.agents.items(), key=_best_first)
            ],
        ),
        "contributions": Table(
            ("agent", "profit"), [[n, signed_money(v)] for n, v in summary.contributions.items()], signed=True
        ),
        "costs": Table(
            ("fills", "notional", "fees", "spread", "impact", "delay", "together, of notional"),
            [
                [
                    f"{spent.fills:,.0f}",
                    *(money(v) for v in (spent.notional, spent.fees, spent.spread, spent.impact, spent.delay)),
                    _share(spent),
                ]
            ],
        ),
        "findings": Table(
            ("what", "severity", "from", "to", "reports"),
            [
                [
                    f.title,
                    f.severity,
                    f"{f.opened_at:%Y-%m-%d}",
                    f"{f.closed_at:%Y-%m-%d}" if f.closed_at else "still",
                    f"{f.reports:,}",
                ]
                for f in sorted(replayed.findings, key=lambda f: -f.reports)[:FINDINGS_SHOWN]
            ],
            texts=("what",),
        ),
    }


def _best_first(agent: tuple[str, ShadowFigures]) -> float:
    sharpe = agent[1].sharpe
    return -sharpe if math.isfinite(sharpe) else math.inf


def _tried(trials: int) -> str:
    return "no other settings tried on this history" if trials == 1 else f"{trials:,} settings tried on this history"


def _share(spent: TradingCosts) -> str:
    paid = spent.fees + spent.spread + spent.impact
    return f"{1e4 * paid / spent.notional:.1f} bp" if spent.notional else MISSING


def _changes(replayed: Replayed) -> Table:
    changed = [(v, d) for v, d in enumerate(replayed.decisions, 1) if d.status in ("apply", "revert")]
    rows = []
    for version, d in changed:
        before = d.previous or {}
        moves = {n: float(w - before.get(n, w)) for n, w in d.weights.items()}
        told = ", ".join(
            f"{n} {percent(m, sign=True)}"
            for n, m in sorted(moves.items(), key=lambda item: -abs(item[1]))[:3]
            if abs(m) > 5e-4
        )
        if not told:
            continue  # a change of less than a twentieth of a point
        later = number(replayed.realised.get(version), sign=True)
        rows.append([f"{d.at:%Y-%m-%d}", str(version), told, number(d.sharpe_improvement, sign=True), later, d.reason])
    return Table(
        ("when", "version", "largest moves", "expected", "realised", "why"),
        rows[-CHANGES_SHOWN:],
        texts=("largest moves", "why"),
    )


def _notes(replayed: Replayed) -> dict[str, str]:
    held = sum(d.status == "hold" for d in replayed.decisions)
    changed = sum(d.status == "apply" for d in replayed.decisions)
    last = next((d for d in reversed(replayed.decisions) if d.status == "hold"), None)
    why = f" The last one, because {last.reason}." if last else ""
    told = (
        f"{len(replayed.decisions):,} decisions about the weights: {changed:,} changed them, {held:,} held them.{why}"
    )
    return {
        "books": "All books trade the same signals at the same costs and differ in their weights only; first: the weights of the first day.",
        "added": "Live less the control, annual Sharpe ratio, paired by day, block bootstrap; p is one-sided and corrected for the settings tried.",
        "changes": told if replayed.decisions else "The weights were not tuned.",
        "costs": "Delay is the way from the price decided on to the open that was traded; it is no fee, and may be a gain.",
    }


# ---------------------------------------------------------------- pictures


def _pictures(replayed: Replayed, summary: ReplaySummary) -> dict[str, tuple[str, str]]:
    run, daily = replayed.run, daily_of(replayed.run)
    time = daily.date.astype("datetime64[us]")
    curves = daily.equity[1:]
    picked = _thinned(len(time))
    found: dict[str, tuple[bytes, str]] = {}
    if len(time) > 1:
        controls = {name: curves[picked, k] for k, name in enumerate(CONTROLS, 1)}
        found["equity"] = (
            charts.equity_chart(time[picked], curves[picked, LIVE], controls, width=charts.PAGE_INCHES),
            "Growth of 100: live and controls",
        )
        found["drawdown"] = (
            charts.drawdown_chart(time[picked], curves[picked, LIVE], controls["equal"], width=charts.PAGE_INCHES),
            "Below the last peak",
        )
        gross, net = (_smooth(_by_day(run, values)) for values in (run.gross, run.net))
        found["exposure"] = (
            charts.exposure_chart(time[picked], gross[picked], net[picked]),
            f"Share of equity held at the day's end, mean of {SMOOTH_DAYS} days",
        )
    if len(time) > ROLLING_DAYS:
        live, equal = rolling_sharpe(daily, LIVE), rolling_sharpe(daily, 1)
        found["rolling"] = (
            charts.rolling_chart(time[picked], live[picked], equal[picked], ROLLING_DAYS),
            f"Of the last {ROLLING_DAYS} days, annual",
        )
    weights = _by_day(run, run.weights)
    if len(time) > 1:
        found["weights"] = (
            charts.weights_chart(
                time[picked], {n: weights[picked, k] for k, n in enumerate(run.agents)}, width=charts.PAGE_INCHES
            ),
            "Weights in force",
        )
    known = {n: a for n, a in summary.agents.items() if np.isfinite([a.sharpe, a.low, a.high]).all()}
    if known:
        columns = zip(*((a.sharpe, a.low, a.high) for a in known.values()), strict=True)
        found["sharpe"] = charts.sharpe_chart(list(known), *columns), "Shadow books: Sharpe ratio and its 90 % interval"
    parts = summary.contributions
    found["waterfall"] = (
        charts.waterfall_chart(list(parts), list(parts.values())),
        "How the agents' parts make the profit",
    )
    return {name: (base64.b64encode(png).decode(), caption) for name, (png, caption) in found.items()}


def _by_day(run: Run, values: Floats) -> Floats:
    return np.asarray(values[day_ends(run.time)])


def _smooth(values: Floats) -> Floats:
    totals = np.concatenate([[0.0], np.cumsum(values)])
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(0, stop - SMOOTH_DAYS)
    return np.asarray((totals[stop] - totals[start]) / (stop - start))


def _thinned(count: int) -> Times:
    return np.unique(np.linspace(0, count - 1, min(count, POINTS_DRAWN)).astype(np.int64))
