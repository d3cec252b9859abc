"""`quorum agents`: how good each agent is, and whether that is shown or may be luck."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from agents.adapters.database.engine import Row
from agents.adapters.database.reader import DeskReader
from agents.cli.performance import added_words, summary
from agents.cli.screen import Screen, rows_table
from agents.cli.weights import newest_belief
from agents.core.believed import AgentView
from agents.core.books import BENCHMARKS
from agents.core.errors import UsageError
from agents.core.settings import load_settings
from agents.reports.formatting import number, percent
from agents.wiring.connections import connect_to_read

ALL_HISTORY = 0
WINDOWS_DAYS = (7, 30, 90, ALL_HISTORY)
FITS_FROM = {"factor": 120, "IC": 120, "signals": 104, "hits": 104, "better": 90}
"""Columns that a terminal narrower than so many characters does not show: all that is shown can be read."""
NEWEST = (
    "SELECT * FROM agent_scorecards WHERE window_days = :w AND date = (SELECT max(date) FROM agent_scorecards)"
    " ORDER BY sharpe_ratio DESC NULLS LAST, agent_name"
)


def agents(options: Namespace, screen: Screen) -> int:
    """The newest scorecards over one window."""
    if options.window not in WINDOWS_DAYS:
        raise UsageError(f"--window {options.window}: windows are 7, 30, 90 and 0 for all history")
    connections = connect_to_read(load_settings(options.settings), demo=options.demo, say=screen.say)
    try:
        reader = DeskReader(connections.meta)
        rows, belief = reader.rows(NEWEST, w=options.window), newest_belief(reader)
        added, beside = reader.value_added(options.window), summary(reader)
    finally:
        connections.close()
    if not rows:
        screen.result(rows, "no scorecards yet; run: quorum meta --once --only performance_analyzer")
        return 0
    views = belief.agents if belief else {}
    for row in rows:
        row["value_added"] = added.get(row["agent_name"])
    cells = [_cells(row, views.get(row["agent_name"])) for row in rows]
    span = "all history" if options.window == ALL_HISTORY else f"{options.window} days"
    books = f"; measured: {rows[0]['measured']}" if rows[0]["measured"] else ""
    table = card_table(f"Agents, {span} to {rows[0]['date']}{books}", cells, screen.out.width)
    screen.result(rows, table, Text(books_beside(beside)))
    return 0


def card_table(title: str, cells: Sequence[Row], width: int) -> Table | Text:
    """The cards on a terminal so many characters wide."""
    return rows_table(title, cells, [name for name in cells[0] if width >= FITS_FROM.get(name, 0)])


def books_beside(document: Row) -> str:
    """What the desk and those that only hold made meanwhile, for comparison; "" before the first decision."""
    if document["live"] is None:
        return ""
    books = {"the desk": document["live"]} | {
        name.replace("_", " "): document["controls"][name] for name in BENCHMARKS if name in document["controls"]
    }
    return "Sharpe over all history: " + ", ".join(f"{name} {number(row['sharpe'])}" for name, row in books.items())


def _cells(row: Row, view: AgentView | None) -> Row:
    """Of one agent: its own result, and how probable it is that it is better than the average one."""
    interval = f"{number(row['sharpe_low'])}..{number(row['sharpe_high'])}" if row["sharpe_low"] is not None else ""
    return {
        "agent": row["agent_name"],
        "signals": row["total_signals"],
        "Sharpe": number(row["sharpe_ratio"]),
        "90 %": interval,
        "better": percent(view.better, 0) if view else "",
        "adds a year": added_words(row["value_added"]),
        "hits": percent(row["win_rate"], 0),
        "factor": number(row["profit_factor"]),
        "IC": number(row["information_coefficient"]),
        "verdict": _short(row["verdict"]),
    }


def _short(verdict: str) -> str:
    """The verdict's word, and whether it is shown."""
    word = verdict.split(":")[0].removesuffix(" yet")
    if ", significant" in verdict:
        return f"{word}, shown"
    return f"{word}, not shown" if "not significant" in verdict else word
