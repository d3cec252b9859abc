"""What a check of the journal's chain says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class ChainDifference:
    """A row that is not what was recorded: its table, its key, and what is wrong with it."""

    table: str
    key: str
    problem: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """A check of the links after `from_seq` up to `to_seq`, whose digest is `digest`; `accepted` says why a person goes
    on with the differences."""

    from_seq: int
    to_seq: int
    digest: bytes
    differences: Sequence[ChainDifference]
    accepted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainCheck:
    """A check that found differences, as alarms need it; `first` names one of them."""

    checked_at: datetime
    differences: int
    first: str
