"""Where commands write: tables for people, one JSON document for programs, remarks and progress beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.reports.formatting import cell, literal

if TYPE_CHECKING:
    from contextlib import ExitStack

PIPE_WIDTH = 110
"""Columns of a table where stdout is no terminal."""
UNBROKEN = frozenset({"agent", "agent_name", "job", "90 %"})
"""Columns of names and intervals, which read badly in pieces."""


class Progress(Protocol):
    """Shows how many of how many are done, and a remark beside them."""

    def __call__(self, done: int, total: int, remark: str = "") -> None: ...


class Screen:
    """Where a command writes: results to stdout, progress and remarks to stderr; with `as_json` one document only."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False, width=None if Console().is_terminal else PIPE_WIDTH)
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

    def progress(self, stack: ExitStack, what: str, unit: str = "") -> Progress:
        """Shows a bar on stderr until `stack` ends; returns what to call with (done, total, remark)."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Display  # here: most commands are over before anybody could watch

        columns = (TextColumn(what), BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn(unit))
        display = stack.enter_context(
            Display(
                *columns, TimeElapsedColumn(), TextColumn("{task.fields[remark]}"), console=self.err, transient=False
            )
        )
        task = display.add_task(what, total=None, remark="")

        def show(done: int, total: int, remark: str = "") -> None:
            display.update(task, completed=done, total=total, remark=remark)

        return show


def rows_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """A plain table of dictionaries."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column in UNBROKEN)
    for row in rows:
        table.add_row(*(literal(cell(row.get(column))) for column in columns))
    return table


def _jsonable(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    item = getattr(value, "item", None)  # a number of numpy
    return item() if callable(item) else str(value)
