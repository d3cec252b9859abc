"""A replay as one self-contained page: what happened, against what, why, at which cost, and from what it was made."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2

from agents.core.replay_types import Replayed
from agents.quant.replay_summary import ReplaySummary
from agents.reports.content import KeyFigure
from agents.reports.formatting import interval, number, percent, sentence
from agents.reports.life_section import TWO_WINDOWS
from agents.reports.tear_sheet_pictures import pictures_of
from agents.reports.tear_sheet_tables import tables_of

TEMPLATE = Path(__file__).resolve().parents[2] / "templates" / "tear_sheet.html"
NOTES = {
    "books": (
        "The live book and the first three controls trade the same signals at the same costs and differ in their"
        " weights only (first: those of the first day). Hold has equal parts of the universe, rebalanced monthly at the"
        " same costs; at volatility: scaled, a month late, to be as volatile as the desk."
    ),
    "added": (
        "Live less the control, annual Sharpe ratio, paired by day, of days on which weights differed; block bootstrap;"
        " p is one-sided and corrected for the settings tried."
    ),
    "agents": (
        "Shadow books trade one agent alone at unit size, in the directions the desk may trade. Adds a year: the desk"
        " less the same desk without the agent, its weight given to the others (with it at the floor where that is 0),"
        f" over the whole replay; its interval holds for one look. {TWO_WINDOWS} Better: how probable it is believed at"
        " the end that the agent is better than the average one; 50 %: nothing tells it from that."
    ),
    "costs": "Delay is the way from the price decided on to the open that was traded; it is no fee, and may be a gain.",
}


def tear_sheet(replayed: Replayed, summary: ReplaySummary, title: str) -> str:
    """The page's HTML. The same replay gives the same bytes."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        title=title,
        kpis=_key_figures(summary),
        verdict=sentence(summary.verdict),
        subtitle=_subtitle(summary),
        pictures=pictures_of(replayed, summary),
        tables=tables_of(replayed, summary),
        notes=NOTES | {"changes": _tuning_note(replayed)},
        manifest=json.dumps(replayed.manifest, indent=1, sort_keys=True),
    )


def _key_figures(summary: ReplaySummary) -> list[KeyFigure]:
    live, exposure, costs = summary.books["live"], summary.exposure, summary.costs
    total, annual = (percent(value, sign=True) for value in (live.total_return, live.annual_return))
    return [
        KeyFigure("Return", total, f"{annual} a year"),
        KeyFigure("Sharpe", number(live.sharpe), f"90 % {interval(live.sharpe_low, live.sharpe_high)}"),
        KeyFigure("Max drawdown", percent(live.max_drawdown), f"Calmar {number(live.calmar)}"),
        KeyFigure("Volatility", percent(live.volatility), f"Sortino {number(live.sortino)}"),
        KeyFigure("Gross exposure", percent(exposure.gross_mean, 0), f"net {percent(exposure.net_mean, 0)} on average"),
        KeyFigure(
            "Turnover",
            f"{number(costs.turnover_a_year, 1)} a year",
            f"of the weights {number(costs.tuning_turnover_a_year)}",
        ),
    ]


def _subtitle(summary: ReplaySummary) -> str:
    first, last = (stamp[:10] for stamp in summary.period)
    tried = f"{summary.trials:,}" if summary.trials > 1 else "no other"
    bars = f"{len(summary.symbols)} symbols · {summary.symbol_bars:,} bars"
    return f"{first} to {last} · {bars} · {tried} settings tried on this history"


def _tuning_note(replayed: Replayed) -> str:
    """How many decisions changed the weights, and why the last one did not."""
    decisions = replayed.decisions
    if not decisions:
        return "The weights were not tuned."
    held = [decision for decision in decisions if decision.status == "hold"]
    changed = sum(decision.status == "apply" for decision in decisions)
    why = f" The last one, because {held[-1].reason}." if held else ""
    return f"{len(decisions):,} decisions about the weights: {changed:,} changed them, {len(held):,} held them.{why}"
