"""Values as the text of a PostgreSQL array. A decision sends thousands of them, for which the driver's
own way takes several milliseconds: it looks at each value for its type and its quotes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Any


def array_text(values: Iterable[object]) -> str:
    """One dimension; numbers come back as they are to the last bit. TypeError for a kind of value that no column of
    the journal has."""
    return "{" + ",".join([_WORDS.get(type(value), _other)(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _other(value: object) -> str:
    """Of a kind that is derived from one of the table's, such as a number of NumPy's."""
    word = next((_WORDS[kind] for kind in type(value).__mro__ if kind in _WORDS), None)
    if word is None:
        raise TypeError(f"no word for {type(value).__name__} in an array")
    return word(value)


_WORDS: dict[type, Callable[[Any], str]] = {
    NoneType: lambda _value: "NULL",
    bool: str,
    int: int.__repr__,
    float: float.__repr__,
    Decimal: str,
    str: _quoted,
    datetime: lambda value: f'"{value.isoformat()}"',
    bytes: lambda value: f'"\\\\x{value.hex()}"',
}
