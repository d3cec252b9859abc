"""What several commands understand in the same way: times, pairs, names of methods."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import UTC, datetime, time
from typing import get_args

from agents.core.errors import UsageError
from agents.quant.allocation import Method

METHODS: tuple[str, ...] = get_args(Method)
WHOLE_DAY = len("2008-10-10")


def moment(text: str) -> datetime:
    """A time in UTC where no zone is given; a date means its beginning."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"'{text}' is no ISO 8601 time such as 2008-10-10 or 2008-10-10T14:30") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def moment_after(text: str) -> datetime:
    """As `moment`; a date means its end."""
    found = moment(text)
    return datetime.combine(found.date(), time.max, UTC) if len(text) <= WHOLE_DAY else found


def column_pair(text: str) -> tuple[str, str]:
    """OURS=THEIRS, a column's name here and in a file."""
    ours, sign, theirs = text.partition("=")
    if not (ours and sign and theirs):
        raise UsageError(f"--map {text}: expected OURS=THEIRS, for example close=Last")
    return ours, theirs
