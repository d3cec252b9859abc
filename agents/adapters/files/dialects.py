"""How people and programs write tables: what stands between cells, decimal commas, thousands, currencies, dates.

What can mean two things is never guessed: a number or a date that does is refused, and the line says what to set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agents.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = (",", ";", "\t", "|")
DECORATION = "[\\s\u00a0\u202f'\u2019_$\u20ac\u00a3\u00a5\u20b9]"
"""Signs of currencies, and what is put between thousands beside commas and points."""
GROUPED = {".": r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$", ",": r"^[+-]?\d{1,3}(\.\d{3})+(,\d*)?$"}
"""Numbers with thousands, by the decimal sign."""
UNITS = {"K": "e3", "M": "e6", "B": "e9"}
DATE_FORMATS = (
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%b-%y",
    "%Y.%m.%d",
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
"""What may follow a date."""


def whole_text(path: Path, data: bytes) -> bytes:
    """`data` without a byte order mark; DataError where it is no text or may have been cut off."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: is UTF-16; save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise DataError(f"{path}: is empty")
    if b"\0" in data:
        raise DataError(f"{path}: holds NUL bytes, so it is damaged or not text; fetch the file again")
    if data.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        raise DataError(f"{path}: is a web page and no CSV file; fetch it again")
    if not data.endswith(b"\n"):
        raise DataError(f"{path}: the last line has no end, so the file was cut off or is still being written")
    return data


def not_utf8(data: bytes) -> str:
    """Where a content is no UTF-8 and what to do; "" where it is."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = f"byte {error.start + 1} is 0x{data[error.start]:02x}"
        return f"{wrong}, perhaps it is Latin-1 or Windows-1252; save it as UTF-8"
    return ""


def delimiter_of(data: bytes) -> str:
    """What separates the cells of a CSV, by its first line: a comma, where it holds none of the others."""
    header = data[: data.find(b"\n") + 1].decode("utf-8", "replace")
    outside = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=outside.count)


def looks_like_data(names: Sequence[str]) -> bool:
    """Whether what should be the names of columns are numbers and dates: the file has no header."""
    return all(re.fullmatch(r"[-+\d.,:/ TZ]+", name) for name in names)


def plain_numbers(texts: pa.Array, *, decimal_comma: bool, units: bool) -> pa.Array:
    """Numbers as a machine writes them: "1.234,50 €" (with `decimal_comma`) and "$1,234.50" become "1234.50"; with
    `units` "1.2M" is 1.2e6. What cannot be told stays as it is, and is no number then."""
    import pyarrow.compute as pc

    bare = pc.replace_substring_regex(texts, DECORATION, "")
    if units:
        for unit, exponent in UNITS.items():
            bare = pc.replace_substring_regex(bare, f"(?i){unit}$", exponent)
    sign, group = (",", ".") if decimal_comma else (".", ",")
    grouped = pc.match_substring_regex(bare, GROUPED[sign])
    bare = pc.if_else(grouped, pc.replace_substring(bare, group, ""), bare)
    return pc.replace_substring(bare, ",", ".") if decimal_comma else bare


def time_formats(examples: Sequence[str]) -> list[str]:
    """The formats (of strptime) that all these times are written in; several where day and month cannot be told."""
    return [
        date + clock for clock in CLOCKS for date in DATE_FORMATS if all(_fits(text, date + clock) for text in examples)
    ]


def _fits(text: str, wanted: str) -> bool:
    try:
        datetime.strptime(text, wanted)  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True
