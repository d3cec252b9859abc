"""What the commands show: tables for people, one JSON document for programs; figures come from the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from agents.adapters.database.reader import DeskReader, Row
from agents.core.types import REMAINDER, Floats
from agents.quant.returns import annual_return, max_drawdown, periods_per_year, sharpe_ratio, simple_returns
from agents.reports.formatting import cell, exact, literal, money, number, percent, quantity

UNBROKEN = frozenset({"agent", "agent_name", "job", "90 %"})
"""Columns of names and intervals, which read badly in pieces."""


class Screen:
    """Where a command writes: results to stdout, progress and remarks to stderr; with `as_json` one document only."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False, width=None if Console().is_terminal else 110)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """A remark on what is going on."""
        self.err.print(f"[dim]·[/dim] {literal(line)}")

    def result(self, document: object, *tables: Table | Text | str) -> None:
        """The answer: `document` as JSON, or the tables; a str is shown as it is, brackets and all."""
        if self.as_json:
            print(json.dumps(document, default=_jsonable, indent=2, allow_nan=False))
            return
        for table in tables:
            self.out.print(table, soft_wrap=not isinstance(table, Table), markup=False)

    def progress(self) -> Progress:
        """A progress display on stderr."""
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("bars"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[date]}  equity {task.fields[equity]}"),
            console=self.err,
            transient=False,
        )


def performance(equity: Floats, time: np.ndarray[Any, Any]) -> Row:
    """Figures of one equity curve; what is undefined is None."""
    periods = periods_per_year(time)
    figures = {
        "equity": float(equity[-1]) if len(equity) else float("nan"),
        "total_return": float(equity[-1] / equity[0] - 1.0) if len(equity) and equity[0] > 0 else float("nan"),
        "annual_return": annual_return(equity, periods),
        "sharpe": sharpe_ratio(simple_returns(equity), periods)
        if len(equity) > 1 and (equity > 0).all()
        else float("nan"),
        "max_drawdown": max_drawdown(equity),
    }
    return {name: _finite(value) for name, value in figures.items()}


def summary(reader: DeskReader) -> Row:
    """Everything that `demo` and `status` show about a desk's performance."""
    curves = reader.curves()
    books = {book: performance(equity, curves.time) for book, equity in sorted(curves.equity.items())}
    live = next((book for book in books if ":" not in book), None)
    return {
        "period": [str(curves.time[0]) + "Z", str(curves.time[-1]) + "Z"] if len(curves.time) else None,
        "book": live,
        "live": books.get(live) if live else None,
        "controls": {book.split(":")[1]: figures for book, figures in books.items() if book.startswith("control:")},
        "counts": reader.counts(),
        "agents": reader.scorecards(),
    }


def summary_tables(document: Row) -> list[Table | str]:
    """The tables of `summary`."""
    if document["live"] is None:
        return ["no decisions yet"]
    start, end = (stamp[:10] for stamp in document["period"])
    books = Table(title=f"Books, {start} to {end}", title_justify="left")
    for name in ("book", "equity", "return", "a year", "Sharpe", "max drawdown"):
        books.add_column(name, justify="left" if name == "book" else "right")
    for name, figures in ((document["book"], document["live"]), *document["controls"].items()):
        label = Text(name, style="bold") if name == document["book"] else Text(f"control: {name}")
        books.add_row(
            label,
            money(figures["equity"]),
            percent(figures["total_return"]),
            percent(figures["annual_return"]),
            number(figures["sharpe"]),
            percent(figures["max_drawdown"]),
        )
    agents = Table(title="Agents", title_justify="left")
    for name in ("agent", "weight", "contribution", "shadow Sharpe", "hit rate", "opinions"):
        agents.add_column(name, justify="left" if name == "agent" else "right")
    for row in document["agents"]:
        rest = row["agent_name"] == REMAINDER
        agents.add_row(
            Text(REMAINDER, style="dim") if rest else row["agent_name"],
            "" if rest else percent(row["weight"]),
            money(row["contribution"]),
            "" if rest else number(row["shadow_sharpe"]),
            "" if rest else percent(row["hit_rate"]),
            "" if rest else f"{row['signals'] or 0:,}",
        )
    counts = document["counts"]
    won = percent(counts["winning_trades"])
    line = (
        f"{counts['decisions']:,} decisions, {counts['orders']:,} orders ({counts['unfilled_orders']:,} not filled), "
        f"{counts['fills']:,} fills, {counts['trades']:,} trades ({won} won); "
        f"fees {money(counts['fees'])}, spread and impact {money(counts['slippage'])}"
    )
    return [books, agents, line]


def tuning_line(tuning: Row) -> str:
    """What became of the weights."""
    if not tuning["decisions"]:
        return "the optimizer has not decided anything yet"
    text = (
        f"{tuning['decisions']:,} weight decisions: {tuning['changes']:,} changes, {tuning['holds']:,} holds,"
        f" {tuning['fallbacks']:,} without an answer"
    )
    return text + (f"; the last change: {tuning['last_reason']}" if tuning["last_reason"] else "")


def why_tables(row: Row) -> list[Table | str]:
    """One decision about one symbol: votes, combination, limits, order, fills."""
    weights = row["weights"]
    votes = Table(title=f"{row['symbol']} at {row['time']:%Y-%m-%d %H:%M} UTC", title_justify="left")
    for name in ("agent", "weight", "strength", "confidence", "forecast", "reason"):
        votes.add_column(name, justify="left" if name in ("agent", "reason") else "right", overflow="fold")
    for vote in row["votes"]:
        silent = vote["abstained"]
        votes.add_row(
            vote["agent_name"],
            percent(weights.get(vote["agent_name"])),
            "" if silent else number(vote["strength"], sign=True),
            "" if silent else number(vote["confidence"]),
            "" if silent else number(vote["forecast"], sign=True),
            literal(vote["reason"]),
        )
    lines = [
        f"combined forecast {number(row['combined'], sign=True)} (diversification x{number(row['multiplier'])}),"
        f" weights version {row['weights_version']} from {row['weights_level']}, risk state {row['risk_state']}",
        f"asked for {percent(row['raw_weight'])} of equity, after buffer and limits {percent(row['target_weight'])}"
        + (f" (limited by: {row['clamps']})" if row["clamps"] else "")
        + f"; held {quantity(row['position'])}",
    ]
    if row["no_trade"]:
        lines.append(f"no order: {row['no_trade']}")
    for order in row["placed_orders"]:
        outcome = f" ({order['reason']})" if order["reason"] else ""
        lines.append(
            f"order {order['client_order_id']}: {order['side']} {exact(order['quantity'])} -> {order['state']}{outcome}"
        )
    for fill in row["fills"]:
        lines.append(
            f"fill {fill['time']:%Y-%m-%d %H:%M}: {exact(fill['quantity'])} at {exact(fill['price'])}, fee {exact(fill['fee'])},"
            f" spread {exact(fill['spread_cost'])}, impact {exact(fill['impact_cost'])}"
        )
    return [votes, *lines]


def rows_table(title: str, rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """A plain table of dictionaries."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column in UNBROKEN)
    for row in rows:
        table.add_row(*(literal(cell(row.get(column))) for column in columns))
    return table


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _jsonable(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
