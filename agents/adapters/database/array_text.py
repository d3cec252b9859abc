"""Values as a PostgreSQL array, in its text form or, floats, its binary one, and rows as COPY's text. A decision sends
thousands of values, for which the driver's own way takes several milliseconds: it looks at each for its type and its
quotes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple

import numpy as np
import psycopg
from psycopg import postgres
from psycopg.adapt import Dumper
from psycopg.pq import Format

_DOUBLE = np.dtype([("length", ">i4"), ("value", ">f8")])


class Doubles(NamedTuple):
    """A float8[] in PostgreSQL's binary form."""

    binary: bytes


class _DoublesDumper(Dumper):
    """Tells the driver what `Doubles` are."""

    format = Format.BINARY
    oid = postgres.types["float8"].array_oid

    def dump(self, obj: Doubles) -> bytes:
        return obj.binary


psycopg.adapters.register_dumper(Doubles, _DoublesDumper)


def array_of(values: Sequence[object]) -> Doubles | str:
    """As `array_text`; floats alone in the binary form, which takes a tenth of the time."""
    if set(map(type, values)) != {float}:
        return array_text(values)
    block = np.empty(len(values), dtype=_DOUBLE)
    block["length"], block["value"] = 8, values
    # Source: PostgreSQL, array_recv: dimensions, whether there are NULLs, the kind; the length, the first index.
    header = struct.pack(">iiiii", 1, 0, postgres.types["float8"].oid, len(values), 1)
    return Doubles(header + block.tobytes())


def array_text(values: Sequence[object]) -> str:
    """One dimension; numbers come back as they are to the last bit. TypeError for a kind of value that no column of
    the journal has."""
    kinds = set(map(type, values))
    if kinds <= _AS_LISTED:
        return "{" + repr(list(values))[1:-1] + "}"  # in one call, as `_WORDS` would write each of them
    if len(kinds) == 1:
        (kind,) = kinds
        word = _WORDS.get(kind, _other)
        if kind is str:
            whole = '","'.join(values)  # type: ignore[arg-type]  # all of them are str
            if "\\" not in whole and whole.count('"') == 2 * (len(values) - 1):
                return '{"' + whole + '"}'  # nothing in them is to be escaped
        if kind in _REPEATED:
            words = {value: word(value) for value in set(values)}
            return "{" + ",".join([words[value] for value in values]) + "}"
        return "{" + ",".join(map(word, values)) + "}"
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
    date: date.isoformat,
    bytes: lambda value: f'"\\\\x{value.hex()}"',
}
_AS_LISTED = frozenset((bool, int, float))
_REPEATED = frozenset((str, datetime, date))
"""Times, names and short words, of which a column has few; equal ones are the same text (but for a datetime's zone,
which the database does not keep)."""


def copy_text(rows: Sequence[Sequence[object]]) -> str:
    """Rows as COPY reads them in its text format, made column by column. TypeError as `array_text`."""
    columns = map(_copied, zip(*rows, strict=True))
    return "".join(f"{line}\n" for line in map("\t".join, zip(*columns, strict=True)))


def _copied(values: Sequence[object]) -> list[str]:
    kinds = set(map(type, values))
    if len(kinds) == 1:
        (kind,) = kinds
        word = _COPIED.get(kind)
        if word is not None and kind in _REPEATED:
            words = {value: word(value) for value in set(values)}
            return [words[value] for value in values]
        if word is not None:
            return list(map(word, values))
    return [_COPIED.get(type(value), _other)(value) for value in values]


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES)


_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
"""Source: PostgreSQL manual, COPY, "Text Format"."""
_COPIED: dict[type, Callable[[Any], str]] = _WORDS | {
    NoneType: lambda _value: r"\N",
    str: _escaped,
    datetime: datetime.isoformat,
    bytes: lambda value: rf"\\x{value.hex()}",
}
