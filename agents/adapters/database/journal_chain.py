"""The chain of hashes over the journal: which rows one link covers, and how it is computed; pure.

A decision adds a link, and so does what a broker answers between two decisions. A link holds the SHA-256 of its rows,
of the link before it and of its own words, so nobody changes, removes or adds a row without breaking the chain from
there on; and a short tag of each row, by which a check names the row. Covered is what is final: of an order its
quantity from the decision on, its state once that is final.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from agents.adapters.database.chained_tables import CHAINED, lines_of_positions, moment_text
from agents.adapters.database.journal_rows import Row

FORM = 1
"""Of the rows' bytes: other columns are another form, whose links are then checked by their own list."""
TAG_BYTES = 4
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
    plain = json.dumps([FORM, seq, kind, moment_text(time), counts, keys], sort_keys=True)
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
            tags.append(struct.pack(f">{len(rows)}I", *map(zlib.crc32, rows)))
    return digest.digest(), b"".join(tags)


def state_digests(state: bytes, positions: Iterable[Row]) -> bytes:
    """Of the desk's state and of its open positions (symbol, quantity, cost, carried, opened_at)."""
    return hashlib.sha256(state).digest() + hashlib.sha256(b"\n".join(lines_of_positions(positions))).digest()
