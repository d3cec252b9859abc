"""The chain of one desk: sealed where it was recorded without links, checked, and what checks said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from agents.adapters.database.chain_check import check_chain
from agents.adapters.database.chain_rows import (
    BLOCK_LINKS,
    LISTED,
    Driver,
    all_keys,
    head_at,
    last_decided,
    lines_at,
    listed_rows,
    state_now,
    timed_rows,
)
from agents.adapters.database.chained_tables import lines_of
from agents.adapters.database.engine import driver_connection, transaction
from agents.adapters.database.journal_chain import GENESIS, LINK_COLUMNS, Covered, Head, Link, make_link
from agents.adapters.database.journal_rows import TableRows
from agents.adapters.database.journal_writes import insert_rows
from agents.core.integrity import ChainCheck, ChainDifference, ChainReport

EXAMPLES = 100
"""So many differences are kept; of an accepted check all."""
_UNSEALED = """
SELECT time FROM decisions WHERE time > coalesce(%s::timestamptz, '-infinity') ORDER BY time LIMIT %s
"""
_ALL_LISTED = "SELECT covers -> 'keys' FROM journal_chain WHERE covers -> 'keys' <> '{}'"
_GOOD = """
SELECT to_seq, digest FROM chain_checks WHERE differences = 0 OR accepted IS NOT NULL ORDER BY id DESC LIMIT 1
"""
_ACCEPTED = "SELECT examples FROM chain_checks WHERE accepted IS NOT NULL"
_OPEN = """
SELECT checked_at, differences, examples FROM chain_checks c
WHERE differences > 0 AND accepted IS NULL AND NOT EXISTS (
    SELECT 1 FROM chain_checks later
    WHERE later.id > c.id AND (later.accepted IS NOT NULL OR (later.from_seq = 0 AND later.differences = 0)))
ORDER BY id DESC LIMIT 1
"""
"""A later check of everything that is good, or a person, ends it; one of the newest links alone does not."""
_RECORD = """
INSERT INTO chain_checks (checked_at, from_seq, to_seq, digest, differences, examples, accepted)
VALUES (:at, :from_seq, :to_seq, :digest, :differences, CAST(:examples AS jsonb), :accepted)
"""


def seal_unchained(connection: Driver) -> int:
    """Link what was recorded before the chain was there, or by a program without one; how many decisions that were.

    The caller holds the desk, or nobody trades it; part of its transaction.
    """
    head = head_at(connection) or GENESIS
    since, sealed = last_decided(connection, head.seq), 0
    while times := [row[0] for row in connection.execute(_UNSEALED, (since, BLOCK_LINKS)).fetchall()]:
        rows = timed_rows(connection, since, times[-1])
        head = _add(connection, head, ((time, Covered(lines_at(rows, time), {}, None)) for time in times))
        since, sealed = times[-1], sealed + len(times)
    if sealed:
        assert since is not None
        _seal_listed(connection, head, since)
    return sealed


def _seal_listed(connection: Driver, head: Head, at: datetime) -> None:
    """Fills, trades, actions and final states that no link lists, and the desk's state behind them."""
    known: dict[str, set[str]] = {}
    for (keys,) in connection.execute(_ALL_LISTED):
        for name, listed in keys.items():
            known.setdefault(name, set()).update(listed)
    parts: list[Covered] = []
    for chained in LISTED:
        unlisted = sorted(all_keys(connection, chained.name) - known.get(chained.name, set()))
        for first in range(0, len(unlisted), BLOCK_LINKS):
            keys = unlisted[first : first + BLOCK_LINKS]
            found = listed_rows(connection, {chained.name: keys})[chained.name]
            lines = lines_of(chained.name, [row for rows in found.values() for row in rows])
            parts.append(Covered({chained.name: lines}, {chained.name: keys}))
    parts.append(Covered({}, {}, state_now(connection)))
    _add(connection, head, ((at, covered) for covered in parts), kind="outcomes")


def _add(connection: Driver, head: Head, parts: Iterable[tuple[datetime, Covered]], *, kind: str = "decision") -> Head:
    links: list[Link] = []
    for time, covered in parts:
        links.append(make_link(head, kind, time, covered))
        head = Head(links[-1].seq, links[-1].digest)
    insert_rows(connection, TableRows("journal_chain", LINK_COLUMNS, [link.row() for link in links]), large=True)
    return head


class ChainStore:
    """Checks of one desk's chain; reads with the rights of `engine`, and adds only the outcome of a check."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def check(self, *, whole: bool) -> ChainReport:
        """Check the links after the last good check, or all; differences that a person has accepted are left out."""
        with transaction(self._engine) as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            good = connection.execute(text(_GOOD)).first()
            accepted = {
                ChainDifference(**example)
                for examples in connection.execute(text(_ACCEPTED)).scalars()
                for example in examples
            }
            start = GENESIS if whole or good is None else Head(good.to_seq, bytes(good.digest))
            report = check_chain(driver_connection(connection), start)
        new = [difference for difference in report.differences if difference not in accepted]
        return ChainReport(from_seq=start.seq, to_seq=report.to_seq, digest=report.digest, differences=new)

    def record(self, at: datetime, report: ChainReport) -> None:
        """Keep the outcome of a check."""
        kept = report.differences if report.accepted is not None else report.differences[:EXAMPLES]
        values: Mapping[str, object] = {
            "at": at,
            "from_seq": report.from_seq,
            "to_seq": report.to_seq,
            "digest": report.digest,
            "differences": len(report.differences),
            "examples": json.dumps([asdict(difference) for difference in kept]),
            "accepted": report.accepted,
        }
        with transaction(self._engine) as connection:
            connection.execute(text(_RECORD), values)


def open_check(connection: Connection) -> ChainCheck | None:
    """The newest check with differences that nobody has accepted and no check of everything has refuted since."""
    row = connection.execute(text(_OPEN)).first()
    if row is None:
        return None
    first = str(ChainDifference(**row.examples[0]))
    return ChainCheck(checked_at=row.checked_at, differences=row.differences, first=first)
