"""What a desk's books were worth day by day, and the capital that came or went meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BookCurve:
    """A book's equity at the end of each day as if no capital had come or gone; `days` count from 1970-01-01. Times
    `units` it is money of that day (none: it always was)."""

    book: str
    days: Sequence[int]
    equity: Sequence[float]
    units: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CapitalFlow:
    """Money that came to the desk's capital, or left it (negative), with the decision at this time."""

    time: datetime
    amount: float
