"""The times of a bar file's rows as instants: ISO 8601, numbers since 1970, or as the settings say.

Importing this module loads pyarrow, so it is imported where a file is read.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.adapters.files.bar_files import JudgedRows
from agents.adapters.files.dialects import time_formats
from agents.core.errors import DataError
from agents.core.settings import DataSettings
from agents.core.types import Floats, Times

EPOCH_UNITS = ((1e8, 1e10, "s"), (1e11, 1e13, "ms"), (1e14, 1e16, "us"), (1e17, 1e19, "ns"))
TIME_WITH_ZONE = r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:Z|[+-]\d\d:?\d\d)$"
EXAMPLES = 1000
"""So many times are looked at to say how they are written."""


def read_stamps(rows: JudgedRows, settings: DataSettings) -> tuple[Times, bool]:
    """Times as datetime64[us] (UTC where zoned), and whether they carried a zone. Text must be ISO 8601, or as
    data.time_format says; whole numbers are seconds, milli-, micro- or nanoseconds since 1970 by their size, the same
    for a whole file."""
    column = rows.table.columns["time"]
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        zoned = getattr(column.type, "tz", None) is not None
        stamps = column.cast(pa.timestamp("us", "UTC" if zoned else None)).to_numpy(zero_copy_only=False)
        return _there(rows, stamps, "time is missing"), zoned
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _epoch(rows, column.cast(pa.float64()).to_numpy(zero_copy_only=False)), True
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    if settings.time_format:
        return _there(rows, _formatted(text, settings.time_format), f"time is not like {settings.time_format}"), False
    digits = pc.match_substring_regex(text, r"^\d{9,19}(\.0*)?$").to_numpy(zero_copy_only=False)
    if digits.any():
        rows.refuse(~digits, "time is not a number like the file's other times")
        return _epoch(rows, pc.if_else(pa.array(digits), text, "0").cast(pa.float64()).to_numpy()), True
    _require_iso(rows, text)
    return _iso_stamps(rows, text, dates=settings.time_means == "session")


def _formatted(text: pa.Array, wanted: str) -> Times:
    """Texts as data.time_format reads them; NaT for those that it does not."""
    import pandas as pd  # it parses what it can and marks the rest

    parsed = pd.to_datetime(pd.Series(text.to_pylist(), dtype=object), format=wanted, errors="coerce")
    return np.asarray(parsed.to_numpy().astype("datetime64[us]"))


def _require_iso(rows: JudgedRows, text: pa.Array) -> None:
    """DataError where most times are written in another way: then a setting is missing, not a row wrong."""
    like_iso = pc.match_substring_regex(text, r"^\d{4}([-/]\d|\d{4})").to_numpy(zero_copy_only=False)
    if like_iso.mean() > 0.5:
        return
    examples = [example for example in text.filter(pa.array(~like_iso)).to_pylist() if example][:EXAMPLES]
    fitting = time_formats(examples) if examples else []
    if not fitting:
        return
    remedy = " or ".join(f'"{each}"' for each in fitting)
    both = "; day and month cannot be told apart" if len(fitting) > 1 else ""
    raise DataError(
        f"{rows.table.file}: times such as {examples[0]} are not ISO 8601 (2024-01-31){both}; set data.time_format ="
        f" {remedy}"
    )


def _iso_stamps(rows: JudgedRows, text: pa.Array, *, dates: bool) -> tuple[Times, bool]:
    """As `read_stamps`, of texts in ISO 8601; all of a file carry a zone or none does. Where only the `dates` count,
    they are those that are written, in whatever zone."""
    has_zone = pc.match_substring_regex(text, r"(Z|[+-]\d{2}:?\d{2})$").to_numpy(zero_copy_only=False) & (
        pc.utf8_length(text).to_numpy(zero_copy_only=False) > 10
    )
    zoned = bool(has_zone.mean() > 0.5) if len(has_zone) else False
    if zoned:
        rows.refuse(~has_zone, "time has no zone, unlike the file's other times")
    else:
        rows.refuse(has_zone, "time has a zone, unlike the file's other times")
    if dates and zoned:
        text = pc.replace_substring_regex(text, TIME_WITH_ZONE, r"\1")
        zoned = False
    try:
        stamps = text.cast(pa.timestamp("us", "UTC" if zoned else None)).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        import pandas as pd  # it parses what it can and marks the rest; only a file with a bad time needs it

        likely = pc.if_else(pc.match_substring_regex(text, r"^\d"), text, "")  # to pandas "now" is a time too
        parsed = pd.to_datetime(pd.Series(likely.to_pylist()), format="ISO8601", utc=True, errors="coerce")
        stamps = parsed.dt.tz_localize(None).to_numpy()
    return _there(rows, stamps, "time is not an ISO 8601 date or time"), zoned


def _there(rows: JudgedRows, stamps: Times, reason: str) -> Times:
    """Times to the microsecond; missing ones are refused, and stand at 1970 from then on."""
    stamps = stamps.astype("datetime64[us]")
    missing = np.isnat(stamps)
    rows.refuse(missing, reason)
    return np.where(missing, np.datetime64(0, "us"), stamps)


def _epoch(rows: JudgedRows, numbers: Floats) -> Times:
    """Numbers since 1970 as times; DataError where no unit makes them times of our age."""
    typical = float(np.nanmedian(numbers))
    unit = next((name for low, high, name in EPOCH_UNITS if low <= typical < high), None)
    if unit is None:
        raise DataError(f"{rows.table.file}: times such as {typical:.0f} are no count of s, ms, us or ns since 1970")
    low, high = next((low, high) for low, high, name in EPOCH_UNITS if name == unit)
    inside = (numbers >= low) & (numbers < high)
    rows.refuse(~inside, f"time is not in {unit} like the file's other times")
    whole = np.where(inside, numbers, 0.0).astype(np.int64)
    return whole.astype(f"datetime64[{unit}]").astype("datetime64[us]")
