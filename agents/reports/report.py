"""facts and summary -> a report as HTML and text: verdict first, then figures, pictures, tables, recommendations. Pure.

The words of every value are made in `trading_sections`, `tuning_sections` and `machine_room`; the templates only place
them. What is not known reads "n/a", never 0.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from agents.core.facts import DeskFacts
from agents.core.meta_types import Report, ReportSummary, Suggestion
from agents.reports.content import AlarmLine, Content, Cut, Line, SuggestionLine, SuggestionSection, TaskLine
from agents.reports.formatting import money, significant
from agents.reports.life_section import life_lines, life_sentence
from agents.reports.machine_room import (
    freshness_sentence,
    job_line,
    parity_lines,
    system_lines,
    task_sentence,
    work_line,
)
from agents.reports.pictures import CAPTIONS
from agents.reports.regime_section import regime_lines, regime_sentence
from agents.reports.trading_sections import (
    costs_sentence,
    key_figures,
    position_line,
    profit_line,
    risk_event_line,
    trade_line,
    what_happened,
)
from agents.reports.tuning_sections import (
    added_line,
    agent_lines,
    change_lines,
    measured_sentence,
    newest_decision,
    quality_lines,
    tuner_sentence,
    weight_lines,
)
from agents.reports.verdict import verdict_of, worst_first

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
HTML_LIMIT_BYTES = 88_000
"""Gmail cuts off a mail at 102 KB, headers and quoting included."""
ROWS_SHOWN = (20, 12, 6, 3, 1)
"""Tables are cut to so many rows, further down the list until the mail is small enough."""
SUGGESTIONS_SHOWN = 6
"""At least, however large the mail: what is to be done is what it is read for."""
SUBJECT_CHARACTERS = 180
KINDS = ("architecture", "security", "performance", "strategy")
EVIDENCE_SHOWN, LIST_SHOWN, VALUE_CHARACTERS = 5, 4, 80

GLOSSARY = (
    ("Sharpe", "mean return over its deviation, a year"),
    ("[low, high]", "90 % interval by block bootstrap, for one look; where it contains 0, the sign is open"),
    (
        "Believed",
        "Sharpe above the average agent: what the weights follow, in proportion; 80 %: where an agent that differs"
        " at all lies",
    ),
    ("Better", "how probable it is that the agent is better than the average one; 50 %: nothing tells it from that"),
    ("Price", "the Sharpe ratio that the weights cost if all agents are equally good"),
    ("From replay", "seen in imported history only, which counts half, until as many live days outweigh it"),
    ("Hits", "share of positions that moved the right way"),
    ("Factor", "sum of gains over sum of losses"),
    ("IC", "correlation of what an agent said with what came; 0 is none"),
    ("Brier", "mean squared error of stated confidence; 0.25 is a coin's"),
    ("Runs", "longest series of won and of lost trades"),
    ("Shadow book", "trades one agent alone at unit size, whatever its weight"),
    (
        "Tuning added",
        "the live book's Sharpe ratio less that of a book with equal weights, of days on which they differed",
    ),
    (
        "Holding",
        "equal parts of all symbols, rebalanced monthly at the desk's costs; at volatility: as bold as the desk",
    ),
    (
        "By regime",
        "by how much a Sharpe ratio above the average agent is believed to be another one in such a market; how"
        " probable it is that it differs at all",
    ),
    ("Adds", "the belief that the agent has added to the others' mix over two years; ratio: how much, a year"),
    ("Held", "the weights that are believed in are too close to those in force to be worth a trade"),
)


class Pages(NamedTuple):
    """A report in words; `html` shows its pictures by `cid:NAME`."""

    subject: str
    html: str
    text: str


def render(
    facts: DeskFacts, summary: ReportSummary, suggestions: Sequence[Suggestion], *, desk: str, images: Sequence[str]
) -> Pages:
    """The pages of a report; `images` names the pictures to show. Rows are cut, and a note says so, until the HTML is
    under its limit."""
    shown = {"desk": desk, "pictures": [(name, CAPTIONS[name]) for name in images]}
    html = text = subject = ""
    for rows in ROWS_SHOWN:
        content = _content(facts, summary, suggestions, rows)
        placed = shown | {field.name: getattr(content, field.name) for field in fields(content)}
        html = _environment().get_template("report.html").render(placed)
        text = _environment().get_template("report.txt").render(placed)
        subject = f"[{desk}] {content.headline}; equity {money(summary.equity)}"
        if len(html.encode()) <= HTML_LIMIT_BYTES:
            break
    return Pages(" ".join(subject.split())[:SUBJECT_CHARACTERS], html, text)


def standalone_html(report: Report) -> str:
    """The same report as one file: its pictures inside."""
    html = report.html
    for name, picture in report.images.items():
        html = html.replace(f"cid:{name}", "data:image/png;base64," + base64.b64encode(picture).decode())
    return html


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _content(facts: DeskFacts, summary: ReportSummary, suggestions: Sequence[Suggestion], rows: int) -> Content:
    """All that the templates place, with at most `rows` rows of each table."""
    verdict, period, trades = verdict_of(facts), facts.period, facts.closed.newest
    return Content(
        tone=verdict.tone,
        headline=verdict.headline,
        sentence=verdict.sentence,
        period=f"{period.start:%Y-%m-%d %H:%M} to {period.end:%Y-%m-%d %H:%M} UTC",
        alarms=_cut(alarm_lines(facts), rows, command="quorum status"),
        kpis=key_figures(summary),
        happened=what_happened(facts, summary),
        recommendations=_sections(suggestions, max(rows, SUGGESTIONS_SHOWN)),
        more_recommendations=max(0, len(suggestions) - max(rows, SUGGESTIONS_SHOWN)),
        weights=weight_lines(facts),
        decision=newest_decision(facts),
        changes=change_lines(facts)[:rows],
        lives=life_lines(facts),
        life=life_sentence(facts),
        regime=regime_sentence(facts.by_regime),
        regimes=regime_lines(facts.by_regime),
        external=[*facts.external],
        tuner=tuner_sentence(facts),
        added=[added_line(row) for row in summary.tuning_value_added],
        agents=agent_lines(facts),
        quality=quality_lines(facts),
        measured=measured_sentence(facts),
        profits=[profit_line(part) for part in facts.by_agent],
        sides=[profit_line(part) for part in facts.by_side],
        symbols=_cut([profit_line(part) for part in facts.by_symbol], rows),
        costs=costs_sentence(facts),
        positions=_cut([position_line(p, summary.equity) for p in facts.positions], rows),
        trades=_cut([trade_line(trade) for trade in trades], rows, facts.trading.trades),
        risk_events=_cut([risk_event_line(event) for event in facts.risk_events], rows),
        tasks=_cut([TaskLine(task.title, task.state, task.priority) for task in facts.tasks], rows),
        task_counts=task_sentence(facts.task_counts),
        jobs=[job_line(run) for run in facts.jobs],
        work=[work_line(work) for work in facts.work],
        system=system_lines(facts),
        freshness=freshness_sentence(facts, rows),
        parity=parity_lines(facts.parity),
        glossary=GLOSSARY,
    )


def alarm_lines(facts: DeskFacts) -> list[AlarmLine]:
    """The open alarms, worst first."""
    return [
        AlarmLine(
            severity=open_alarm.alarm.severity,
            kind=open_alarm.alarm.kind.replace("_", " "),
            detail=open_alarm.alarm.detail,
            since=f"{open_alarm.opened_at:%Y-%m-%d %H:%M}",
        )
        for open_alarm in worst_first(facts.alarms)
    ]


def _sections(suggestions: Sequence[Suggestion], shown: int) -> list[SuggestionSection]:
    """One section for each kind, also where it has nothing; lines of the first `shown` suggestions."""
    return [
        SuggestionSection(
            kind,
            any(s.recommendation.kind == kind for s in suggestions),
            [_suggestion_line(s) for s in suggestions[:shown] if s.recommendation.kind == kind],
        )
        for kind in KINDS
    ]


def _suggestion_line(suggestion: Suggestion) -> SuggestionLine:
    r = suggestion.recommendation
    return SuggestionLine(r.title, r.action, r.severity, r.kind, suggestion.state, _evidence(r.evidence))


def _evidence(evidence: Mapping[str, Any]) -> str:
    shown = list(evidence.items())[:EVIDENCE_SHOWN]
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in shown)


def _short(value: object) -> str:
    if value is None or isinstance(value, float):
        return significant(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_short(v) for v in value[:LIST_SHOWN]) + "]"
    return str(value)[:VALUE_CHARACTERS]


def _cut(lines: Sequence[Line], limit: int, total: int | None = None, *, command: str = "quorum psql") -> Cut[Line]:
    """The first `limit` lines, with a note where there are more, of `total` in all (default: as many as given)."""
    whole = len(lines) if total is None else total
    note = f"{limit} of {whole:,} shown; {command} has them all" if whole > limit else ""
    return Cut(lines[:limit], note)
