"""Whether the journal is what was recorded: every link of the chain is computed again from the rows as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from agents.adapters.database.chain_rows import (
    LISTED,
    Driver,
    all_keys,
    blocks_of_links,
    chained_state,
    head_at,
    last_decided,
    listed_rows,
    state_now,
    timed_rows,
)
from agents.adapters.database.chained_tables import BY_NAME, CHAINED, key_of, lines_of, name_of
from agents.adapters.database.journal_chain import GENESIS, TAG_BYTES, Head, Link, digest_of, link_digest
from agents.adapters.database.journal_rows import Row
from agents.core.integrity import ChainDifference, ChainReport

NO_LINK = "no link of the chain covers it"


def check_chain(connection: Driver, after: Head = GENESIS) -> ChainReport:
    """Check the links later than `after`, the last one that is known to be good, and all rows that are newer.

    From the beginning, rows that no link lists are found too. The caller's transaction must see one moment.
    """
    differences = _anchor(connection, after)
    since = last_decided(connection, after.seq)
    head = after
    listed: dict[str, set[str]] = {chained.name: set() for chained in LISTED}
    for links in blocks_of_links(connection, after):
        decided = [link.time for link in links if link.kind == "decision"]
        timed = timed_rows(connection, since, decided[-1]) if decided else {}
        found = listed_rows(connection, _all_listed(links))
        for link in links:
            differences += _link_itself(head, link)
            differences += _rows_of(link, timed, found)
            head = Head(link.seq, link.digest)
            for name, keys in link.keys.items():
                listed[name].update(keys)
        differences += _without_link(timed, set(decided))
        since = decided[-1] if decided else since
    differences += _without_link(timed_rows(connection, since, None), set())
    differences += _state(connection)
    if after == GENESIS:
        differences += _unlisted(connection, listed)
    return ChainReport(from_seq=after.seq, to_seq=head.seq, digest=head.digest, differences=sorted(set(differences)))


def _anchor(connection: Driver, after: Head) -> list[ChainDifference]:
    if after == GENESIS or head_at(connection, after.seq) == after:
        return []
    return [ChainDifference("journal_chain", str(after.seq), "is not the link that was verified before")]


def _all_listed(links: Sequence[Link]) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for link in links:
        for name, listed in link.keys.items():
            keys.setdefault(name, []).extend(listed)
    return keys


def _link_itself(before: Head, link: Link) -> list[ChainDifference]:
    if link.seq != before.seq + 1:
        return [ChainDifference("journal_chain", str(link.seq), f"the links after {before.seq} are missing")]
    words = (link.seq, link.kind, link.time, link.rows, link.keys)
    if link.digest != link_digest(before.digest, words, link.tags, link.state, link.content):
        return [ChainDifference("journal_chain", str(link.seq), "the link was changed")]
    return []


def _rows_of(
    link: Link, timed: Mapping[str, Mapping[datetime, Sequence[Row]]], found: Mapping[str, Mapping[str, Sequence[Row]]]
) -> list[ChainDifference]:
    """Compare one link with its rows; names those that differ."""
    rows: dict[str, list[Row]] = {}
    if link.kind == "decision":
        rows.update({name: list(by_time.get(link.time, ())) for name, by_time in timed.items()})
    for name, keys in link.keys.items():
        rows[name] = [row for key in keys for row in found[name].get(key, ())]
    lines = {name: lines_of(name, part) for name, part in rows.items()}
    if digest_of({name: list(part) for name, part in lines.items()})[0] == link.content:
        return []
    named: list[ChainDifference] = []
    place = 0
    for chained in CHAINED:
        name, end = chained.name, place + TAG_BYTES * link.rows.get(chained.name, 0)
        tags = [link.tags[k : k + TAG_BYTES] for k in range(place, end, TAG_BYTES)]
        place = end
        pairs = sorted(zip(lines.get(name, []), rows.get(name, []), strict=True), key=lambda pair: pair[0])
        named += _compare(link, name, tags, pairs)
    return named or [ChainDifference("decisions", _at(link.time), "its rows are not those that were recorded")]


def _compare(link: Link, name: str, tags: list[bytes], pairs: list[tuple[bytes, Row]]) -> Iterator[ChainDifference]:
    now = [digest_of({name: [line]})[1] for line, _ in pairs]
    if len(now) == len(tags):
        for was, tag, (_, row) in zip(tags, now, pairs, strict=True):
            if was != tag:
                yield _difference(link, name, row, "changed")
        return
    rest = Counter(tags)
    for tag, (_, row) in zip(now, pairs, strict=True):
        if rest[tag] > 0:
            rest[tag] -= 1
        else:
            yield _difference(link, name, row, "changed or added")
    missing = sum(rest.values())
    if missing and name in link.keys:
        there = {key_of(name, row) for _, row in pairs}
        for key in link.keys[name]:
            if key not in there:
                yield ChainDifference(BY_NAME[name].table, key, "missing")
    elif missing:
        yield ChainDifference(BY_NAME[name].table, _at(link.time), f"{missing} rows changed or missing")


def _difference(link: Link, name: str, row: Row, problem: str) -> ChainDifference:
    chained = BY_NAME[name]
    key = name_of(name, row)
    if chained.time is not None:
        key = f"{_at(link.time)} {key}".strip()
    return ChainDifference(chained.table, key, problem)


def _without_link(timed: Mapping[str, Mapping[datetime, Any]], decided: set[datetime]) -> list[ChainDifference]:
    """Rows of a time at which nothing was decided."""
    return [
        ChainDifference(BY_NAME[name].table, _at(time), NO_LINK)
        for name, by_time in timed.items()
        for time in by_time
        if time not in decided
    ]


def _state(connection: Driver) -> list[ChainDifference]:
    """The desk's state and positions against the newest link that knows them, however long ago that was checked."""
    chained = chained_state(connection)
    if chained is None:
        return []
    (seq, was), now = chained, state_now(connection) or b""
    half, key = len(was) // 2, f"after link {seq}"
    parts = (("desk_state", was[:half], now[:half]), ("positions", was[half:], now[half:]))
    return [ChainDifference(table, key, "changed") for table, before, after in parts if before != after]


def _unlisted(connection: Driver, listed: Mapping[str, set[str]]) -> list[ChainDifference]:
    """Rows that nobody chained. An order's final state may be older than its link only while nobody trades."""
    return [
        ChainDifference(chained.table, key, NO_LINK)
        for chained in LISTED
        if chained.name != "outcomes"
        for key in sorted(all_keys(connection, chained.name) - listed[chained.name])
    ]


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"
