"""The chain and what it covers, read back from the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import psycopg

from agents.adapters.database.chained_tables import CHAINED, Chained, key_of, lines_of
from agents.adapters.database.journal_chain import Head, Link, state_digests
from agents.adapters.database.journal_rows import Row

Driver = psycopg.Connection[Any]
BLOCK_LINKS = 256
"""So many links, or decisions, are read at once."""
_LINKS = """
SELECT seq, kind, time, covers, tags, state, content, digest FROM journal_chain WHERE seq > %s ORDER BY seq LIMIT %s
"""
_LAST_DECIDED = "SELECT max(time) FROM journal_chain WHERE kind = 'decision' AND seq <= %s"
_CHAINED_STATE = "SELECT seq, state FROM journal_chain WHERE state IS NOT NULL ORDER BY seq DESC LIMIT 1"
_STATE = "SELECT state FROM desk_state"
_POSITIONS = "SELECT symbol, quantity, cost, carried, opened_at FROM positions"
TIMED = tuple(chained for chained in CHAINED if chained.time is not None)
LISTED = tuple(chained for chained in CHAINED if chained.time is None)


def blocks_of_links(connection: Driver, after: Head) -> Iterator[list[Link]]:
    """All links later than `after`, in order."""
    seq = after.seq
    while True:
        rows = connection.execute(_LINKS, (seq, BLOCK_LINKS)).fetchall()
        if not rows:
            return
        yield [_link(row) for row in rows]
        seq = rows[-1][0]


def head_at(connection: Driver, seq: int | None = None) -> Head | None:
    """The link of this number, or the newest one; None where there is none."""
    where = "ORDER BY seq DESC LIMIT 1" if seq is None else "WHERE seq = %s"
    row = connection.execute(
        f"SELECT seq, digest FROM journal_chain {where}",  # noqa: S608 - our own words
        () if seq is None else (seq,),
    ).fetchone()
    return None if row is None else Head(row[0], bytes(row[1]))


def last_decided(connection: Driver, seq: int) -> datetime | None:
    """The time of the newest decision that the links up to `seq` cover."""
    row = connection.execute(_LAST_DECIDED, (seq,)).fetchone()
    return row[0] if row else None


def timed_rows(
    connection: Driver, after: datetime | None, until: datetime | None
) -> dict[str, dict[datetime, list[Row]]]:
    """Rows with a time, by name and time; after the first moment, up to the second, where they are given."""
    result: dict[str, dict[datetime, list[Row]]] = {}
    for chained in TIMED:
        query = (
            f"SELECT {chained.time}, {chained.selected} FROM {chained.table}"  # noqa: S608 - our own names
            f" WHERE {chained.time} > coalesce(%s::timestamptz, '-infinity')"
            f" AND {chained.time} <= coalesce(%s::timestamptz, 'infinity') AND {chained.condition}"
        )
        by_time = result.setdefault(chained.name, {})
        with connection.cursor(binary=True) as cursor:
            for time, *row in cursor.execute(query, (after, until)):
                by_time.setdefault(time, []).append(tuple(row))
    return result


def listed_rows(connection: Driver, keys: Mapping[str, Iterable[str]]) -> dict[str, dict[str, list[Row]]]:
    """Rows that links list, by name and key."""
    result: dict[str, dict[str, list[Row]]] = {}
    for chained in LISTED:
        wanted = set(keys.get(chained.name, ()))
        by_key = result.setdefault(chained.name, {})
        if not wanted:
            continue
        first = sorted({key.split(" ")[0] if chained.listed_by > 1 else key for key in wanted})
        with connection.cursor(binary=True) as cursor:
            for row in cursor.execute(_by_first_column(chained), (first,)):
                if (key := key_of(chained.name, row)) in wanted:
                    by_key.setdefault(key, []).append(row)
    return result


def all_keys(connection: Driver, name: str) -> set[str]:
    """The keys of all rows that a link must list; of orders, those in a final state."""
    chained = next(c for c in LISTED if c.name == name)
    columns = ", ".join(chained.columns[: chained.listed_by])
    final = " WHERE state IN ('filled', 'cancelled', 'expired', 'rejected', 'not_placed')" if name == "outcomes" else ""
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(f"SELECT {columns} FROM {chained.table}{final}")  # noqa: S608 - our own names
        return {key_of(name, row) for row in rows}


def chained_state(connection: Driver) -> tuple[int, bytes] | None:
    """The newest link that knows the desk's state, and the digests that it holds."""
    row = connection.execute(_CHAINED_STATE).fetchone()
    return None if row is None else (row[0], bytes(row[1]))


def state_now(connection: Driver) -> bytes | None:
    """The digests of the desk's state and positions as they are; None for a new desk."""
    state = connection.execute(_STATE).fetchone()
    if state is None:
        return None
    return state_digests(bytes(state[0]), connection.execute(_POSITIONS).fetchall())


def lines_at(rows: Mapping[str, Mapping[Any, Sequence[Row]]], place: Any) -> dict[str, list[bytes]]:
    """The rows at one time or key as bytes, by name."""
    return {name: lines_of(name, at[place]) for name, at in rows.items() if place in at}


def _by_first_column(chained: Chained) -> str:
    column = chained.columns[0]
    kind = "timestamptz" if column == "time" else "text"
    return (
        f"SELECT {chained.selected} FROM {chained.table}"  # noqa: S608 - our own names
        f" WHERE {column} = ANY(%s::{kind}[])"
    )


def _link(row: Row) -> Link:
    seq, kind, time, covers, tags, state, content, digest = cast("tuple[Any, ...]", row)
    return Link(
        seq=seq,
        kind=kind,
        time=time,
        rows=covers["rows"],
        keys=covers["keys"],
        tags=bytes(tags),
        state=None if state is None else bytes(state),
        content=bytes(content),
        digest=bytes(digest),
    )
