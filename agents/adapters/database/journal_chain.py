"""The chain of hashes over the journal: which rows one link covers, and how it is computed; pure.

A decision adds a link, and so does what a broker answers between two decisions. A link holds the SHA-256 of its rows,
of the link before it and of its own words, so nobody changes, removes or adds a row without breaking the chain from
there on; and a short tag of each row, by which a check names the row. Covered is what is final: of an order its
quantity from the decision on, its state once that is final.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Boolean, DateTime, Double, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB

from agents.adapters.database.journal_rows import Row, TableRows
from agents.adapters.database.tables import metadata
from agents.core.orders import MONEY_STEP

FORM = 1
"""Of the rows' bytes: other columns are another form, whose links are then checked by their own list."""
TAG_BYTES = 4
WIDE = Context(prec=60)
Lines = dict[str, list[bytes]]
"""Chained name -> its rows as bytes."""


class Covered(NamedTuple):
    """What a link covers: rows by name, the keys of those that no time finds, and the digests of the desk's state."""

    lines: Lines
    keys: Mapping[str, Sequence[str]]
    state: bytes | None = None


class Head(NamedTuple):
    """The newest link."""

    seq: int
    digest: bytes


GENESIS = Head(0, bytes(32))


@dataclass(frozen=True, slots=True)
class Chained:
    """Rows of `table` under a `name`. The first `keys` columns name a row. With `time`, a link covers all rows of its
    decision's time; without, those that it lists by their first `listed_by` columns."""

    name: str
    columns: tuple[str, ...]
    keys: int
    time: str | None = "time"
    listed_by: int = 0
    source: str = ""

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
        ),
        0,
    ),
    Chained("orders", ("client_order_id", "symbol", "side", "quantity"), 1, "decision_time"),
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
    Chained("bar_contributions", ("agent_name", "contribution"), 1),
    Chained("agent_work_log", ("agent_name", "action", "duration_ms", "opinions", "ok", "detail"), 2),
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
)
BY_NAME = {chained.name: chained for chained in CHAINED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One row of journal_chain. `rows` counts the covered rows by name, `keys` lists those that no time finds; `tags`
    are theirs, in the order of `CHAINED`, sorted. `state` are the digests of the desk's state and positions after it,
    where it is the last of a transaction. `content` is the digest of the rows, `digest` that of everything."""

    seq: int
    kind: str
    time: datetime
    rows: Mapping[str, int]
    keys: Mapping[str, Sequence[str]]
    tags: bytes
    state: bytes | None
    content: bytes
    digest: bytes

    def row(self) -> Row:
        """In the order of `LINK_COLUMNS`."""
        return (
            self.seq,
            self.kind,
            self.time,
            FORM,
            json.dumps({"rows": self.rows, "keys": self.keys}),
            self.tags,
            self.state,
            self.content,
            self.digest,
        )


LINK_COLUMNS = ("seq", "kind", "time", "form", "covers", "tags", "state", "content", "digest")


def make_link(head: Head, kind: str, time: datetime, covered: Covered) -> Link:
    """The link after `head`."""
    lines, state = covered.lines, covered.state
    counts = {chained.name: len(lines[chained.name]) for chained in CHAINED if lines.get(chained.name)}
    content, tags = digest_of(lines)
    keys = {name: list(listed) for name, listed in covered.keys.items() if listed}
    seq = head.seq + 1
    digest = link_digest(head.digest, (seq, kind, time, counts, keys), tags, state, content)
    return Link(
        seq=seq,
        kind=kind,
        time=time,
        rows=counts,
        keys=keys,
        tags=tags,
        state=state,
        content=content,
        digest=digest,
    )


def link_digest(before: bytes, words: Sequence[Any], tags: bytes, state: bytes | None, content: bytes) -> bytes:
    """Of a link whose words are (seq, kind, time, counts, keys), behind the digest `before`."""
    seq, kind, time, counts, keys = words
    plain = json.dumps([FORM, seq, kind, _moment(time), counts, keys], sort_keys=True)
    parts = (before, plain.encode(), tags, state or b"", content)
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def digest_of(lines: Lines) -> tuple[bytes, bytes]:
    """The digest of rows and their tags; sorts the rows."""
    digest, tags = hashlib.sha256(), []
    for chained in CHAINED:
        rows = lines.get(chained.name)
        if rows:
            rows.sort()
            digest.update(f"{chained.name} {len(rows)}\n".encode())
            digest.update(b"\n".join(rows))
            tags += [zlib.crc32(row).to_bytes(TAG_BYTES, "big") for row in rows]
    return digest.digest(), b"".join(tags)


def state_digests(state: bytes, positions: Iterable[Row]) -> bytes:
    """Of the desk's state and of its open positions (symbol, quantity, cost, carried, opened_at)."""
    plain = sorted(_line(_POSITION, row) for row in positions)
    return hashlib.sha256(state).digest() + hashlib.sha256(b"\n".join(plain)).digest()


def lines_by_time(part: TableRows) -> dict[datetime, list[bytes]]:
    """Rows that are about to be written to a table with a time, as bytes, by their time."""
    chained = BY_NAME[part.table]
    assert chained.time is not None
    at, pick = part.columns.index(chained.time), itemgetter(*map(part.columns.index, chained.columns))
    converters = _CONVERTERS[chained.name]
    result: dict[Any, list[bytes]] = {}
    for row in part.rows:
        result.setdefault(row[at], []).append(_line(converters, pick(row)))
    return result


def lines_of(name: str, rows: Iterable[Row]) -> list[bytes]:
    """Rows in the order of the chained columns as bytes."""
    converters = _CONVERTERS[name]
    return [_line(converters, row) for row in rows]


def key_of(name: str, row: Row) -> str:
    """How a link lists a row that no time finds."""
    chained = BY_NAME[name]
    return " ".join(str(f(v)) for f, v in zip(_CONVERTERS[name][: chained.listed_by], row, strict=False))


def name_of(name: str, row: Row) -> str:
    """The key of a row as a person reads it."""
    return " ".join(str(f(v)) for f, v in zip(_CONVERTERS[name][: BY_NAME[name].keys], row, strict=False))


# ---------------------------------------------------------------- values as they come back from the database


def _line(converters: Sequence[Callable[[Any], object]], row: Row) -> bytes:
    return ascii(tuple([f(v) for f, v in zip(converters, row, strict=True)])).encode()


def _real(value: float | None) -> float | None:
    return None if value is None else float(value)


def _money(value: Decimal) -> str:
    """As NUMERIC keeps it: eight places, half away from zero, no negative zero."""
    return format(WIDE.plus(value.quantize(MONEY_STEP, ROUND_HALF_UP, WIDE)), "f")


def _exact(value: Decimal) -> str:
    """As NUMERIC without a scale keeps it, however many zeros it ends with."""
    return format(WIDE.normalize(value), "f")


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()


def _numbers(value: str) -> list[tuple[str, str]]:
    """A JSON object of exact numbers."""
    parsed = json.loads(value, parse_float=Decimal, parse_int=Decimal)
    return sorted((name, format(number, "f")) for name, number in parsed.items())


_BY_TYPE: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (Boolean, bool),
    (Integer, int),
    (Double, _real),
    (Numeric, _money),
    (DateTime, _moment),
    (JSONB, _numbers),
    (Text, str),
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
