"""CSV, CSV.gz and Parquet files -> columns of text or numbers with their row numbers; whole files are refused here.

A file that may have lost something (no last newline, cut gzip, NUL bytes, no rows, a column missing) is refused as
a whole: corrupt data is worse than no data. Rows of the wrong length are quarantined; values are judged in
`bar_columns` and `bar_rows`. pyarrow is loaded by the functions that parse, so that importing this module is cheap.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from agents.adapters.files.dialects import delimiter_of, looks_like_data, not_utf8, whole_text
from agents.core.errors import DataError
from agents.core.types import Booleans, Integers

if TYPE_CHECKING:
    import pyarrow as pa

FILE_LIMIT_BYTES = 1 << 30
UNPACKED_LIMIT_BYTES = 2 << 30
GZIP_RATIO_LIMIT = 200
CHUNK_BYTES = 1 << 22
ALIASES = {
    "symbol": ("symbol", "ticker", "sym", "instrument", "pair"),
    "time": ("time", "timestamp", "datetime", "date", "open_time"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "close/last", "price"),
    "volume": ("volume", "vol", "v", "vol."),
    "adj_close": ("adj_close", "adjclose", "adjusted_close", "close_adjusted"),
    "split": ("split", "split_ratio", "split_coefficient"),
    "dividend": ("dividend", "dividends", "dividend_amount"),
}
REQUIRED = ("time", "open", "high", "low", "close")
SUFFIXES = (".csv", ".csv.gz", ".parquet")
CONTENT_LIMIT = 500
"""So many characters of a refused row are kept."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was not loaded: where it stood (1 = the first row after the header), why, and its content."""

    row_number: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True)
class RawTable:
    """Columns by our names (pyarrow arrays of equal length), physical row numbers, rows already refused, and whether
    the file writes 1,5 for one and a half."""

    file: str
    sha256: str
    columns: Mapping[str, pa.Array]
    row_numbers: Integers
    bad: list[BadRow] = field(default_factory=list)
    decimal_comma: bool = False


class JudgedRows:
    """The rows of a table: which are `good` still, and a note in `bad` on each that is not."""

    def __init__(self, table: RawTable) -> None:
        self.table = table
        self.good: Booleans = np.ones(len(table.row_numbers), dtype=bool)
        self.bad = list(table.bad)

    def refuse(self, where: Booleans, reason: str) -> None:
        """Quarantine the rows of the mask `where` [rows] that are still good."""
        self.note(where, reason)
        self.good &= ~where

    def note(self, where: Booleans, reason: str) -> None:
        """Tell of the rows of the mask `where` [rows] that are good, and stay so."""
        for index in np.nonzero(where & self.good)[0]:
            content = ",".join(str(column[int(index)].as_py()) for column in self.table.columns.values())
            self.bad.append(BadRow(int(self.table.row_numbers[index]), reason, content[:CONTENT_LIMIT]))


def read_table(path: Path, mapping: Mapping[str, str]) -> RawTable:
    """The columns of a bar file; `mapping` is our name -> the file's name, on top of the usual aliases.

    DataError, naming the file and the remedy, where the file as a whole cannot be trusted.
    """
    return parse_table(path, read_bytes(path), mapping)


def parse_table(path: Path, data: bytes, mapping: Mapping[str, str]) -> RawTable:
    """As `read_table`, from the file's (unpacked) content."""
    digest = hashlib.sha256(data).hexdigest()
    table, numbers, bad = parse_any(path, data)
    names = _match_columns(path, table.column_names, mapping)
    if len(numbers) == 0 and not bad:
        raise DataError(f"{path}: holds a header but no rows")
    columns = {ours: _one_chunk(table.column(theirs)) for ours, theirs in names.items()}
    return RawTable(path.name, digest, columns, numbers, bad, _has_decimal_commas(path, data, columns))


def _has_decimal_commas(path: Path, data: bytes, columns: Mapping[str, pa.Array]) -> bool:
    """A comma in a price is a decimal one where commas do not separate cells, and no price says otherwise."""
    if path.suffix == ".parquet" or delimiter_of(data) == ",":
        return False
    import pyarrow.compute as pc

    prices = [columns[name] for name in ("open", "high", "low", "close")]
    with_comma = any(pc.any(pc.match_substring(price, ",")).as_py() for price in prices)
    return with_comma and not any(pc.any(pc.match_substring_regex(price, r",.*\.")).as_py() for price in prices)


def parse_any(path: Path, data: bytes) -> tuple[pa.Table, Integers, list[BadRow]]:
    """(table with the file's own column names, row numbers, rows of a wrong length) of a CSV or Parquet file."""
    return _parse_parquet(path, data) if path.suffix == ".parquet" else _parse_csv(path, data)


def read_bytes(path: Path) -> bytes:
    """The content of a bar file, unpacked; DataError where it cannot be read or is unreasonably large."""
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path}: expected a file ending in {', '.join(SUFFIXES)}")
    try:
        with open_regular(path) as stream:
            return _unpacked(path, stream)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def open_regular(path: Path) -> BinaryIO:
    """A file, open to be read. DataError for a folder, a pipe or a device, which would be waited for or never end;
    OSError where it cannot be opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe's opening would wait for a writer
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path}: is no ordinary file but a folder, a pipe or a device")
    return os.fdopen(descriptor, "rb")


def size_to_hold(path: Path, stream: BinaryIO) -> int:
    """The size of a file that is to be held in memory; DataError where that is too large."""
    size = os.fstat(stream.fileno()).st_size
    if size > FILE_LIMIT_BYTES:
        raise DataError(f"{path}: {size >> 20} MiB is over the limit of {FILE_LIMIT_BYTES >> 20} MiB; split the file")
    return size


def _unpacked(path: Path, packed: BinaryIO) -> bytes:
    size = size_to_hold(path, packed)
    if not path.name.endswith(".gz"):
        return packed.read()
    parts, total = [], 0
    limit = min(UNPACKED_LIMIT_BYTES, max(size * GZIP_RATIO_LIMIT, CHUNK_BYTES))
    try:
        with gzip.GzipFile(fileobj=packed, mode="rb") as stream:
            while part := stream.read(CHUNK_BYTES):
                total += len(part)
                if total > limit:
                    raise DataError(f"{path}: unpacks to more than {limit >> 20} MiB; refused as a decompression bomb")
                parts.append(part)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip stream is damaged or cut off ({error}); fetch the file again") from None
    return b"".join(parts)


def _parse_csv(path: Path, data: bytes) -> tuple[pa.Table, Integers, list[BadRow]]:
    data = whole_text(path, data)
    table, bad = _csv_table(path, data)
    skipped = np.array([row.row_number for row in bad], dtype=np.int64)
    numbers = np.arange(1, len(table) + len(bad) + 1, dtype=np.int64)
    numbers = np.setdiff1d(numbers, skipped, assume_unique=True)
    if b"\n\n" in data or b"\n\r\n" in data:  # empty lines count as rows, but hold nothing
        table, numbers = _without_blank_rows(table, numbers)
    return table, numbers, bad


def _csv_table(path: Path, data: bytes) -> tuple[pa.Table, list[BadRow]]:
    """(table of texts, rows of a wrong length)."""
    import pyarrow as pa  # reads a column of text at a time, without a Python object for each cell
    import pyarrow.csv

    bad: list[BadRow] = []

    def quarantine(row: pa.csv.InvalidRow) -> str:
        reason = f"{row.actual_columns} fields instead of {row.expected_columns}"
        bad.append(BadRow(row.number - 1, reason, row.text[:CONTENT_LIMIT]))
        return "skip"

    try:
        delimiter = delimiter_of(data)
        first_line = io.BytesIO(data[: data.index(b"\n") + 1] * 2)
        names = pa.csv.open_csv(first_line, parse_options=pa.csv.ParseOptions(delimiter=delimiter)).schema.names
        if looks_like_data(names):
            above = ",".join(REQUIRED)
            raise DataError(f"{path}: has no header; put a line with the columns' names above it, such as {above}")
        if len(set(names)) != len(names):
            raise DataError(f"{path}: two columns have the same name: {', '.join(names)}")
        table = pa.csv.read_csv(
            io.BytesIO(data),
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=CHUNK_BYTES),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, invalid_row_handler=quarantine, ignore_empty_lines=False
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        problem = not_utf8(data) or str(error)[:200]
        raise DataError(f"{path}: is not a UTF-8 CSV file with a header: {problem}") from None
    return table, bad


def _without_blank_rows(table: pa.Table, numbers: Integers) -> tuple[pa.Table, Integers]:
    import pyarrow as pa
    import pyarrow.compute as pc

    blank = np.logical_and.reduce([pc.equal(column, "").to_numpy() for column in table.columns])
    return table.filter(pa.array(~blank)), numbers[~blank]


def _parse_parquet(path: Path, data: bytes) -> tuple[pa.Table, Integers, list[BadRow]]:
    import pyarrow as pa  # the only reader of Parquet here
    import pyarrow.parquet

    try:
        table = pa.parquet.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise DataError(f"{path}: is not a complete Parquet file: {str(error)[:200]}") from None
    return table, np.arange(1, len(table) + 1, dtype=np.int64), []


def _match_columns(path: Path, present: list[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Our name -> the file's, by the given mapping, then by alias."""
    simple = {name.strip().strip("<>").lower().replace(" ", "_"): name for name in present}
    names: dict[str, str] = {}
    if {"date", "time"} <= simple.keys() and "time" not in mapping:
        raise DataError(
            f"{path}: has a column {simple['date']} and a column {simple['time']}; join them (2024-01-31 09:30), or say"
            f' that one is enough: [data.columns] time = "{simple["date"]}"'
        )
    for ours, theirs in mapping.items():
        if ours not in ALIASES:
            raise DataError(f"column mapping: '{ours}' is none of {', '.join(ALIASES)}")
        if theirs not in present:
            raise DataError(f"{path}: has no column '{theirs}' for {ours}; it has {', '.join(present)}")
        names[ours] = theirs
    for ours, aliases in ALIASES.items():
        theirs = next((simple[alias] for alias in aliases if alias in simple), "")
        if ours not in names and theirs:
            names[ours] = theirs
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise DataError(f"{path}: {_no_columns(missing, present)}")
    return names


def _no_columns(missing: list[str], present: list[str]) -> str:
    """Why columns were not found, and what to do."""
    last = missing[-1]
    return (
        f"no column for {', '.join(missing)}; it has {', '.join(present)[:CONTENT_LIMIT]}. Say which is which, once for"
        f' all files in [data.columns] ({last} = "NAME"), or for one import: --map {last}=NAME'
    )


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
