"""A desk's equity -> the figures of its books, for `quorum status` and the demo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

import numpy as np
from rich.text import Text

from agents.adapters.database.engine import Row
from agents.adapters.database.reader import DeskReader, EquityCurves
from agents.core.books import BENCHMARKS, CONTROLS
from agents.core.types import Floats, Times
from agents.quant.comparison import against_book
from agents.quant.returns import (
    annual_return,
    day_ends,
    max_drawdown,
    periods_per_year,
    sharpe_ratio,
    simple_returns,
)
from agents.reports.formatting import number, percent


def summary(reader: DeskReader, fresh_since: datetime | None = None) -> Row:
    """Everything that `demo` and `status` show about a desk's performance; nobody is heard without a bar since
    `fresh_since`."""
    curves = reader.curves()
    books = {
        book: _performance(values, curves.time[len(curves.time) - len(values) :], curves.units[book])
        for book, values in ((book, curves.unit_values[book]) for book in _in_order(curves.unit_values))
    }
    live = next((book for book in books if ":" not in book), None)
    return {
        "period": [str(curves.time[0]) + "Z", str(curves.time[-1]) + "Z"] if len(curves.time) else None,
        "book": live,
        "live": books.get(live) if live else None,
        "controls": {book.split(":")[1]: figures for book, figures in books.items() if book.startswith("control:")},
        "benchmark": _against_benchmark(curves, live),
        "counts": reader.counts(),
        "agents": reader.scorecards(),
        "value_added": reader.value_added(),
        "mute": reader.mute(),
        "retired": reader.retired(),
        "effective": {
            name: one._asdict() | {"why": one.why}
            for name, one in sorted(reader.effective_weights(fresh_since).items())
        },
    }


def _in_order(equity: Mapping[str, Floats]) -> list[str]:
    """Books as they are listed: controls in the order of `core.books`, then by name."""
    places = {f"control:{name}": k for k, name in enumerate(CONTROLS)}
    return sorted(equity, key=lambda book: (places.get(book, len(places)), book))


def _against_benchmark(curves: EquityCurves, live: str | None) -> dict[str, Row]:
    """What the live book did beside those that hold, by day, from the day on which these began."""
    found: dict[str, Row] = {}
    for name in BENCHMARKS:
        held = curves.unit_values.get(f"control:{name}")
        if live is None or held is None or len(held) < 2:
            continue
        time = curves.time[len(curves.time) - len(held) :]
        books = np.column_stack([curves.unit_values[live][-len(held) :], held])[day_ends(time)]
        first, second = (simple_returns(books[:, k]) for k in (0, 1))
        if len(first) and (books > 0.0).all():
            pace = periods_per_year(time[day_ends(time)])
            found[name] = {"since": str(time[0])[:10], **_known(asdict(against_book(first, second, pace)))}
    return found


def _performance(equity: Floats, time: Times, units: float) -> dict[str, float | None]:
    """Figures of one book's equity [T], as if no capital had come or gone, and what that is in money now; what is
    undefined is None."""
    periods = periods_per_year(time)
    solvent = len(equity) > 1 and bool((equity > 0).all())
    figures = {
        "equity": float(equity[-1]) * units if len(equity) else math.nan,
        "total_return": float(equity[-1] / equity[0] - 1.0) if len(equity) and equity[0] > 0 else math.nan,
        "annual_return": annual_return(equity, periods),
        "sharpe": sharpe_ratio(simple_returns(equity), periods) if solvent else math.nan,
        "max_drawdown": max_drawdown(equity),
    }
    return _known(figures)


def _known(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def added_words(row: Row | None) -> str:
    """What an agent adds to the desk a year, with its interval; words before there is one, "" before any check."""
    if row is None:
        return ""
    if row["return_low"] is None:
        return str(row["verdict"])
    ends = f"[{number(100.0 * row['return_low'], 1, sign=True)}, {percent(row['return_high'], sign=True)}]"
    return f"{percent(row['return_a_year'], sign=True)} {ends}"


def effective_lines(effective: Mapping[str, Row]) -> list[Text]:
    """Whom the desk does not listen to as much as was earned, or more, and why; one line for each reason."""
    reasons: dict[str, list[str]] = {}
    for name, row in effective.items():
        if row["why"]:
            change = f"{name} {percent(row['earned'], 0)} -> {percent(row['effective'], 0)}"
            reasons.setdefault(row["why"], []).append(change)
    return [Text(f"In effect: {', '.join(names)}: {why}") for why, names in reasons.items()]
