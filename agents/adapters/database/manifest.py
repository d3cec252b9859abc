"""What a backup holds, counted in the very snapshot that is dumped, so that a restored one can be held against it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from agents.core.errors import UsageError

_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
_HEAD = "SELECT seq, encode(digest, 'hex') FROM journal_chain ORDER BY seq DESC LIMIT 1"
_VERSIONS = """
SELECT (SELECT version_num FROM alembic_version), current_setting('server_version'),
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), (SELECT max(time)::text FROM decisions)
"""
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Rows by table, the newest link of the chain, and the versions of schema and servers."""

    schema: str
    server: str
    timescaledb: str | None
    newest_decision: str | None
    chain_link: int
    chain_digest: str
    rows: Mapping[str, int]

    def differs_from(self, other: Contents) -> list[str]:
        """What is not the same in both, in words."""
        tables = sorted(self.rows.keys() | other.rows.keys())
        pairs = [(f"rows of {name}", self.rows.get(name), other.rows.get(name)) for name in tables]
        pairs += [
            (name, getattr(self, name), getattr(other, name)) for name in ("schema", "chain_link", "chain_digest")
        ]
        return [f"{what}: {mine} and {theirs}" for what, mine, theirs in pairs if mine != theirs]


def contents_of(session: psycopg.Connection[Any]) -> Contents:
    """Of the session's database; ServiceError is the caller's matter."""
    tables = [row[0] for row in session.execute(_TABLES).fetchall()]
    if "alembic_version" not in tables:
        raise UsageError(f"the database {session.info.dbname!r} holds no desk")
    rows = {}
    for table in tables:
        counted = session.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608 - names from the catalogue
        rows[table] = int(counted[0]) if counted else 0
    head = session.execute(_HEAD).fetchone() if "journal_chain" in tables else None
    versions = session.execute(_VERSIONS).fetchone()
    assert versions is not None
    schema, server, timescaledb, newest = versions
    link, digest = head if head else (0, "")
    return Contents(
        schema=schema,
        server=server,
        timescaledb=timescaledb,
        newest_decision=newest,
        chain_link=link,
        chain_digest=digest,
        rows=rows,
    )


def manifest_file(dump: Path) -> Path:
    """Where the contents of a dump are told: beside it."""
    return dump.with_name(dump.name + ".json")


def write_manifest(dump: Path, contents: Contents, made_at: str) -> dict[str, Any]:
    """Tell the contents of a dump beside it, with its digest; returns what was written."""
    document = {
        "file": dump.name,
        "bytes": dump.stat().st_size,
        "sha256": _digest(dump),
        "made_at": made_at,
        **asdict(contents),
    }
    manifest_file(dump).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return document


def read_manifest(dump: Path) -> Contents:
    """The contents of a dump; UsageError where it or its manifest is missing or is not what was written."""
    file = manifest_file(dump)
    for needed in (dump, file):
        if not needed.is_file():
            raise UsageError(f"{needed} is not there; a backup is a dump and its .json")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        said = document["sha256"]
        contents = Contents(**{name: document[name] for name in Contents.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is no manifest of a backup: {error}") from None
    if _digest(dump) != said:
        raise UsageError(f"{dump} is not the file that was written (its SHA-256 differs); fetch it again")
    return contents


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
