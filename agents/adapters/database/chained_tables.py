"""Which tables and columns the chain of hashes covers, and a row of them as bytes, written or read back.

The columns stand here although `journal_rows` names them too: links of years ago were made of them in this order, which
must not follow a change of how rows are written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from operator import itemgetter
from types import NoneType
from typing import Any

from sqlalchemy import Boolean, DateTime, Double, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB

from agents.adapters.database.journal_rows import Row, TableRows
from agents.adapters.database.tables import metadata
from agents.core.orders import MONEY_STEP

WIDE = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Chained:
    """Rows of `table` under a `name`. The first `keys` columns name a row. With `time`, a link covers all rows of its
    decision's time; without, those that it lists by their first `listed_by` columns. Rows that do not meet the
    `condition` are no part of a decision. The last `later` columns came with a later version: a row without them has
    the bytes that it had before."""

    name: str
    columns: tuple[str, ...]
    keys: int
    time: str | None = "time"
    listed_by: int = 0
    source: str = ""
    condition: str = "true"
    later: int = 0

    @property
    def selected(self) -> str:
        """Its columns in a SELECT; JSON as text, which is exact."""
        jsonb = [c.name for c in metadata.tables[self.table].c if isinstance(c.type, JSONB)]
        return ", ".join(f'"{c}"::text' if c in jsonb else f'"{c}"' for c in self.columns)

    @property
    def table(self) -> str:
        return self.source or self.name


_MONEY = ("quantity", "price", "fee", "spread_cost", "impact_cost")
CHAINED = (
    Chained(
        "decisions",
        (
            "weights_version",
            "weights_level",
            "weights",
            "risk_state",
            "equity",
            "cash",
            "orders",
            "reason",
            "data_version",
            "regime",
        ),
        0,
        later=1,
    ),
    Chained(
        "orders",
        ("client_order_id", "symbol", "side", "quantity", "kind", "limit_price"),
        1,
        "decision_time",
        condition="coalesce(kind, 'market') NOT IN ('adopted', 'exit')",  # no decision made them
        later=2,
    ),
    Chained("signals", ("agent_name", "symbol", "strength", "confidence", "abstained", "forecast", "reason"), 2),
    Chained(
        "decision_details",
        (
            "symbol",
            "combined",
            "multiplier",
            "raw_weight",
            "target_weight",
            "clamps",
            "no_trade",
            "order_quantity",
            "position",
            "mark",
        ),
        1,
    ),
    Chained("equity", ("book", "equity", "cash", "turnover"), 1),
    Chained("shadow_returns", ("agent_name", "return", "hits", "calls"), 1),
    Chained("bar_contributions", ("agent_name", "contribution", "cost"), 1, later=1),
    Chained(
        "agent_work_log",
        ("agent_name", "action", "duration_ms", "opinions", "ok", "detail"),
        2,
        condition="action <> 'job'",
    ),
    Chained("fills", ("fill_id", "client_order_id", "time", "symbol", "side", *_MONEY), 1, None, 1),
    Chained(
        "trades",
        (
            "trade_id",
            "symbol",
            "opened_at",
            "closed_at",
            "side",
            "quantity",
            "entry_price",
            "exit_price",
            "fees",
            "pnl",
        ),
        1,
        None,
        1,
    ),
    Chained("trade_attribution", ("trade_id", "agent_name", "contribution"), 2, None, 1),
    Chained("corporate_actions", ("time", "symbol", "kind", "ratio", "quantity_change", "cash"), 3, None, 3),
    Chained("outcomes", ("client_order_id", "state", "reason"), 1, None, 1, "orders"),
    Chained("fill_fees", ("fill_id", "currency", "amount"), 1, None, 1),
)
BY_NAME = {chained.name: chained for chained in CHAINED}


def lines_by_time(part: TableRows) -> dict[datetime, list[bytes]]:
    """Rows that are about to be written to a table with a time, as bytes, by their time."""
    chained = BY_NAME[part.table]
    assert chained.time is not None
    at, pick = part.columns.index(chained.time), itemgetter(*map(part.columns.index, chained.columns))
    result: dict[Any, list[bytes]] = {}
    lines = lines_of(chained.name, map(pick, part.rows))
    for time, line in zip(map(itemgetter(at), part.rows), lines, strict=True):
        result.setdefault(time, []).append(line)
    return result


def lines_of(name: str, rows: Iterable[Row]) -> list[bytes]:
    """Rows in the order of the chained columns as bytes."""
    return _lines(_CONVERTERS[name], list(map(tuple, rows)), BY_NAME[name].later)


def lines_of_positions(rows: Iterable[Row]) -> list[bytes]:
    """Open positions (symbol, quantity, cost, carried, opened_at) as bytes, sorted."""
    return sorted(_lines(_POSITION, list(map(tuple, rows))))


def key_of(name: str, row: Row) -> str:
    """How a link lists a row that no time finds."""
    chained = BY_NAME[name]
    return " ".join(str(f(v)) for f, v in zip(_CONVERTERS[name][: chained.listed_by], row, strict=False))


def name_of(name: str, row: Row) -> str:
    """The key of a row as a person reads it."""
    return " ".join(str(f(v)) for f, v in zip(_CONVERTERS[name][: BY_NAME[name].keys], row, strict=False))


def _lines(converters: Sequence[Callable[[Any], object]], rows: Sequence[Row], later: int = 0) -> list[bytes]:
    """Column by column: most hold one type of value, which is then kept, or converted by one function, as a whole. Of
    the `later` last columns a row that has none of them says nothing."""
    if not rows:
        return []
    columns = [
        column if set(map(type, column)).issubset(_KEPT.get(convert, ())) else list(map(convert, column))
        for convert, column in zip(converters, zip(*rows, strict=True), strict=True)
    ]
    made: Iterable[Row] = zip(*columns, strict=True)
    if later:
        made = (_without_silence(row, later) for row in made)
    return [ascii(row).encode() for row in made]


def _without_silence(row: Row, later: int) -> Row:
    while later and row[-1] is None:
        row, later = row[:-1], later - 1
    return row


def _words(value: str | None) -> str | None:
    return None if value is None else str(value)


def _real(value: float | None) -> float | None:
    return None if value is None else float(value)


def _money(value: Decimal) -> str:
    """As NUMERIC keeps it: eight places, half away from zero, no negative zero."""
    return format(WIDE.plus(value.quantize(MONEY_STEP, ROUND_HALF_UP, WIDE)), "f")


def _exact(value: Decimal | None) -> str | None:
    """As NUMERIC without a scale keeps it, however many zeros it ends with."""
    return None if value is None else format(WIDE.normalize(value), "f")


def moment_text(value: datetime) -> str:
    """In UTC, as text."""
    return value.astimezone(UTC).isoformat()


def _numbers(value: str) -> list[tuple[str, str]]:
    """A JSON object of exact numbers."""
    parsed = json.loads(value, parse_float=Decimal, parse_int=Decimal)
    return sorted((name, format(number, "f")) for name, number in parsed.items())


_KEPT: dict[Callable[[Any], object], tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    _words: (str, NoneType),
    _real: (float, NoneType),
}
"""Converter -> the types of values that it returns as they are."""
_BY_TYPE: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (Boolean, bool),
    (Integer, int),
    (Double, _real),
    (Numeric, _money),
    (DateTime, moment_text),
    (JSONB, _numbers),
    (Text, _words),
)


def _converters(table: str, columns: Sequence[str]) -> tuple[Callable[[Any], object], ...]:
    types = [metadata.tables[table].c[column].type for column in columns]
    return tuple(
        _exact
        if type(t) is Numeric and t.scale is None
        else next(convert for kind, convert in _BY_TYPE if isinstance(t, kind))
        for t in types
    )


_CONVERTERS = {chained.name: _converters(chained.table, chained.columns) for chained in CHAINED}
_POSITION = _converters("positions", ("symbol", "quantity", "cost", "carried", "opened_at"))
