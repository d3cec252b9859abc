"""Where commands write: tables for people, one JSON document for programs, remarks and progress beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.reports.formatting import cell, literal

if TYPE_CHECKING:
    from contextlib import ExitStack

SHORT_CHARACTERS = 24
"""A column whose values are no longer than this is not broken into lines."""


class Progress(Protocol):
    """Shows how many of how many are done, and a remark beside them."""

    def __call__(self, done: int, total: int, remark: str = "") -> None: ...


class Screen:
    """Where a command writes: results to stdout, progress and remarks to stderr; with `as_json` one document only."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """A remark on what is going on."""
        self.err.print(f"[dim]·[/dim] {literal(line)}")

    def result(self, document: object, *tables: Table | Text | str) -> None:
        """The answer: `document` as JSON, or the tables; a Text is broken between words where a terminal ends, a str is
        shown as it is, brackets and all, and can be copied."""
        if self.as_json:
            print(json.dumps(document, default=_jsonable, indent=2, allow_nan=False))
            return
        for before, table in zip((None, *tables), tables, strict=False):
            if isinstance(before, Table) or (before is not None and isinstance(table, Table)):
                self.out.print()
            whole = isinstance(table, str) or (isinstance(table, Text) and not self.out.is_terminal)
            self.out.print(table, soft_wrap=whole, markup=False)

    def progress(self, stack: ExitStack, what: str, unit: str = "") -> Progress:
        """Shows a bar on stderr until `stack` ends; returns what to call with (done, total, remark)."""
        (show,) = self.progresses(stack, (what,), unit)
        return show

    def progresses(self, stack: ExitStack, parts: Sequence[str], unit: str = "") -> list[Progress]:
        """As `progress`, for parts that go on beside each other: a bar for each, one below the other."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Display  # here: most commands are over before anybody could watch

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn(unit))
        display = stack.enter_context(
            Display(
                *columns, TimeElapsedColumn(), TextColumn("{task.fields[remark]}"), console=self.err, transient=False
            )
        )

        def bar(what: str) -> Progress:
            task = display.add_task(what, total=None, remark="", visible=False)  # until it is known how many there are

            def show(done: int, total: int, remark: str = "") -> None:
                display.update(task, completed=done, total=total, remark=remark, visible=True)

            return show

        return [bar(what) for what in parts]


def remark_on(at: datetime, equity: float) -> str:
    """Beside the progress of a replay: the simulated date, and what the desk owns there."""
    return f"{at:%Y-%m-%d}  equity {equity:,.0f}"


def new_table(title: str) -> Table:
    """An empty table in the style of all."""
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )


def rows_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table | Text:
    """A table of dictionaries: numbers to the right, short values on one line, long ones broken between words; one line
    where there are no rows."""
    if not rows:
        return Text(f"{title}: none")
    table = new_table(title)
    for column in columns:
        values = [row.get(column) for row in rows]
        numeric = all(value is None or isinstance(value, (int, float, Decimal)) for value in values)
        short = all(len(cell(value)) <= SHORT_CHARACTERS for value in values)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        table.add_column(column.replace("_", " "), justify=justify, overflow="fold", no_wrap=short)
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    return table


def _jsonable(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    item = getattr(value, "item", None)  # a number of numpy
    return item() if callable(item) else str(value)
