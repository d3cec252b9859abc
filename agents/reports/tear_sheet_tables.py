"""A replay -> the tables of its tear sheet, in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agents.core.believed import newest_belief
from agents.core.meta_types import WeightDecision
from agents.core.replay_types import Finding, Replayed
from agents.quant.leave_one_out import Added
from agents.quant.measures import BookFigures, Daily, daily_of, monthly
from agents.quant.replay_summary import Profit, ReplaySummary, ShadowFigures, TradingCosts
from agents.reports.formatting import MISSING, interval, money, number, percent, signed_money, true_minuses

CHANGES_SHOWN, FINDINGS_SHOWN = 40, 20
MOVES_NAMED, MOVE_LEAST = 3, 5e-4
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "year")


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of words; `texts` are columns that may wrap, `signed` colours gains and losses."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: Sequence[str] = ()
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables of a tear sheet, by their place on it."""

    books: Table
    added: Table
    benchmark: Table
    months: Table
    changes: Table
    agents: Table
    contributions: Table
    costs: Table
    profits: Table
    findings: Table


def tables_of(replayed: Replayed, summary: ReplaySummary) -> Tables:
    """All tables."""
    return Tables(
        books=_books(summary.books),
        added=_added(summary),
        benchmark=_benchmark(summary),
        months=_months(daily_of(replayed.run)),
        changes=_changes(replayed),
        agents=_agents(replayed, summary),
        contributions=_profits("agent", summary.by_agent),
        costs=_costs(summary.costs),
        profits=_profits("side or symbol", {**summary.by_side, **summary.by_symbol}),
        findings=_findings(replayed.findings),
    )


def _books(books: Mapping[str, BookFigures]) -> Table:
    columns = ("book", "equity", "return", "a year", "volatility", "Sharpe", "Sortino", "Calmar")
    rows = [
        [
            name.replace("_", " "),
            money(book.equity),
            percent(book.total_return, sign=True),
            percent(book.annual_return, sign=True),
            percent(book.volatility),
            number(book.sharpe),
            number(book.sortino),
            number(book.calmar),
            percent(book.max_drawdown),
            percent(book.worst_day),
            percent(book.days_up),
        ]
        for name, book in books.items()
    ]
    return Table((*columns, "max drawdown", "worst day", "days up"), rows)


def _added(summary: ReplaySummary) -> Table:
    rows = [
        [
            name.replace("_", " "),
            number(claim.difference, sign=True),
            interval(claim.low, claim.high),
            number(claim.p, 3),
            true_minuses(claim.words),
        ]
        for name, claim in summary.value_added.items()
    ]
    return Table(("against", "Sharpe", "90 % interval", "p", "verdict"), rows, texts=("verdict",))


def _benchmark(summary: ReplaySummary) -> Table:
    rows = [
        [
            name.replace("_", " "),
            percent(figures.excess_return, sign=True),
            f"[{percent(figures.low, sign=True)}, {percent(figures.high, sign=True)}]",
            number(figures.beta),
            number(figures.information_ratio, sign=True),
        ]
        for name, figures in summary.benchmark.items()
    ]
    return Table(("the desk against", "excess return a year", "90 % interval", "beta", "information ratio"), rows)


def _months(daily: Daily) -> Table:
    """Returns by month, a row for each year; a month without a day is empty."""
    rows = [
        [str(year), *("" if np.isnan(value) else percent(value, sign=True) for value in values)]
        for year, values in zip(*monthly(daily), strict=True)
    ]
    return Table(("", *MONTHS), rows, signed=True)


def _agents(replayed: Replayed, summary: ReplaySummary) -> Table:
    """Shadow books, best first, with the figures of the last scorecards over all history."""
    cards = {card.agent_name: card.figures for card in replayed.scorecards if card.window_days == 0}
    belief = newest_belief(reversed(replayed.decisions))
    views, rows = belief.agents if belief else {}, []
    for name, shadow in sorted(summary.agents.items(), key=_best_first):
        figures = cards.get(name, {})
        rows.append(
            [
                name,
                number(shadow.sharpe),
                interval(shadow.low, shadow.high),
                percent(summary.final_weights[name]),
                percent(figures.get("win_rate")),
                number(figures.get("profit_factor")),
                percent(views[name].better, 0) if name in views else MISSING,
                number(shadow.turnover_a_year, 1),
                *_added_by(summary.agents_added.get(name)),
            ]
        )
    columns = ("agent", "Sharpe", "90 % interval", "weight", "hits", "factor", "better", "turnover a year")
    return Table((*columns, "adds a year", "90 %", "verdict"), rows, texts=("verdict",))


def _added_by(added: Added | None) -> list[str]:
    """What an agent added to the desk, with its interval and in words."""
    if added is None:
        return [MISSING, "", ""]
    ends = (percent(added.return_low, sign=True), percent(added.return_high, sign=True))
    known = math.isfinite(added.return_low)
    return [percent(added.return_a_year, sign=True), f"[{ends[0]}, {ends[1]}]" if known else "", added.verdict]


def _best_first(agent: tuple[str, ShadowFigures]) -> float:
    sharpe = agent[1].sharpe
    return -sharpe if math.isfinite(sharpe) else math.inf


def _costs(costs: TradingCosts) -> Table:
    paid = costs.fees + costs.spread + costs.impact
    amounts = (costs.notional, costs.fees, costs.spread, costs.impact, costs.delay)
    share = f"{1e4 * paid / costs.notional:.1f} bp" if costs.notional else MISSING
    columns = ["fills", "notional", "fees", "spread", "impact", "delay", "together, of notional", "of equity a year"]
    row = [f"{costs.fills:,.0f}", *map(money, amounts), share, percent(costs.of_equity_a_year, 2)]
    if costs.funding:  # of perpetual futures only
        columns.append("funding")
        row.append(signed_money(-costs.funding))
    return Table(tuple(columns), [row])


def _profits(what: str, parts: Mapping[str, Profit]) -> Table:
    """The profit by its parts, before and after costs."""
    rows = [[n, signed_money(part.gross), money(part.costs), signed_money(part.net)] for n, part in parts.items()]
    return Table((what, "gross", "costs", "net"), rows)


def _changes(replayed: Replayed) -> Table:
    """The newest changes of weights; one that moved every weight by less than a twentieth of a point is left out."""
    rows = []
    for version, decision in enumerate(replayed.decisions, 1):
        moves = _largest_moves(decision) if decision.status in ("apply", "revert") else ""
        if moves:
            expected = number(decision.sharpe_improvement, sign=True)
            realised = number(replayed.realised.get(version), sign=True)
            rows.append([f"{decision.at:%Y-%m-%d}", str(version), moves, expected, realised, decision.reason])
    columns = ("when", "version", "largest moves", "expected", "realised", "why")
    return Table(columns, rows[-CHANGES_SHOWN:], texts=("largest moves", "why"))


def _largest_moves(decision: WeightDecision) -> str:
    before = decision.previous or {}
    moves = [(name, float(weight - before.get(name, weight))) for name, weight in decision.weights.items()]
    moves.sort(key=lambda move: -abs(move[1]))
    named = [f"{name} {percent(move, sign=True)}" for name, move in moves[:MOVES_NAMED] if abs(move) > MOVE_LEAST]
    return ", ".join(named)


def _findings(findings: Sequence[Finding]) -> Table:
    """Those that held longest, first."""
    rows = [
        [
            finding.title,
            finding.severity,
            f"{finding.opened_at:%Y-%m-%d}",
            f"{finding.closed_at:%Y-%m-%d}" if finding.closed_at else "still",
            f"{finding.reports:,}",
        ]
        for finding in sorted(findings, key=lambda finding: -finding.reports)[:FINDINGS_SHOWN]
    ]
    return Table(("what", "severity", "from", "to", "reports"), rows, texts=("what",))
