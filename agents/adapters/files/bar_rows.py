"""columns of a file -> validated bars with exact instants; every refused row says why.

`time` in a file may mean the bar's open, its close, or the date of a session (then the settings' time zone and
session hours give the instants). All bars come out with open, close and the moment from which they may be used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from agents.adapters.files.bar_files import BadRow, RawTable
from agents.core.errors import DataError
from agents.core.settings import INTERVALS_S, DataSettings
from agents.core.types import Booleans, Floats, Integers, Times

SPIKE_FACTOR = 5.0
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
SYMBOL = r"^[A-Za-z0-9^][A-Za-z0-9_./^:-]{0,31}$"
EPOCH_UNITS = ((1e8, 1e10, "s"), (1e11, 1e13, "ms"), (1e14, 1e16, "us"), (1e17, 1e19, "ns"))
SPLIT_TOLERANCE = 0.02
SMALLEST_SPLIT = 1.15
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarBatch:
    """Good bars of one file, sorted by symbol and time, one row each; `symbol` [n] are indexes into `symbols`."""

    file: str
    sha256: str
    symbols: tuple[str, ...]
    symbol: Integers
    row_numbers: Integers
    bar_open: Times
    time: Times
    available_at: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    adjustment: Floats
    split: Floats
    dividend: Floats
    bad: list[BadRow] = field(default_factory=list)
    equal_duplicates: int = 0
    not_closed: int = 0
    splits_inferred: int = 0


class Rows:
    """The rows still standing, and a note on each that fell."""

    def __init__(self, table: RawTable) -> None:
        self.table = table
        self.good: Booleans = np.ones(len(table.row_numbers), dtype=bool)
        self.bad = list(table.bad)

    def refuse(self, where: Booleans, reason: str) -> None:
        """Quarantine the rows of `where` that are still good."""
        for index in np.nonzero(where & self.good)[0]:
            content = ",".join(str(column[int(index)].as_py()) for column in self.table.columns.values())
            self.bad.append(BadRow(int(self.table.row_numbers[index]), reason, content[:500]))
        self.good &= ~where


def validate_rows(
    table: RawTable, settings: DataSettings, *, at: datetime, last_close: dict[str, float] | None = None
) -> BarBatch:
    """Judge every row; `at` is now (bars not yet closed are left out), `last_close` the last price seen of each
    symbol, for spikes at the file's start; it is brought up to date."""
    rows = Rows(table)
    names = _symbols(table, rows)
    bar_open, time = _instants(table, rows, settings)
    values = {name: _number(table, rows, name) for name in PRICES}
    for name in PRICES:
        rows.refuse(~np.isfinite(values[name]), f"{name} is not finite")
        rows.refuse(values[name] <= 0.0, f"{name} is not positive")
    rows.refuse(values["high"] < values["low"], "high below low")
    for name in ("open", "close"):
        outside = (values[name] < values["low"]) | (values[name] > values["high"])
        rows.refuse(outside, f"{name} outside low to high")
    volume = _number(table, rows, "volume", empty_is_nan=True)
    rows.refuse(np.isinf(volume) | (volume < 0.0), "volume is negative or infinite")
    adjustment = _adjustment(table, rows, values["close"])
    split = _number(table, rows, "split", default=1.0, empty_is_default=True)
    dividend = _number(table, rows, "dividend", default=0.0, empty_is_default=True)
    rows.refuse(~(np.isfinite(split) & (split > 0.0)), "split is not a positive ratio")
    split = _exact_ratios(split)
    rows.refuse(~(np.isfinite(dividend) & (dividend >= 0.0)), "dividend is negative or not finite")
    now = np.datetime64(at.replace(tzinfo=None), "us")
    interval = np.timedelta64(INTERVALS_S[settings.interval], "s")
    rows.refuse(bar_open > now + interval, "lies in the future")
    delay = np.timedelta64(round(settings.publication_delay_s * 1e6), "us")
    not_closed = rows.good & (time + delay > now)

    kept = np.nonzero(rows.good & ~not_closed)[0]
    codes, symbols = _codes(names, kept)
    kept, codes, equal = _drop_duplicates(rows, kept, codes, time, values, volume)
    spiked = _spikes(symbols, codes, values["close"][kept] * adjustment[kept], last_close)
    fallen = np.zeros(len(names), dtype=bool)
    fallen[kept[spiked]] = True
    rows.refuse(fallen, f"price jumped more than {SPIKE_FACTOR:g}x for a single bar")
    kept, codes = kept[~spiked], codes[~spiked]
    if "split" not in table.columns and "adj_close" in table.columns:
        split = split.copy()
        split[kept] = infer_splits(adjustment[kept], codes)
    return BarBatch(
        file=table.file,
        sha256=table.sha256,
        symbols=symbols,
        symbol=codes,
        row_numbers=table.row_numbers[kept],
        bar_open=bar_open[kept],
        time=time[kept],
        available_at=time[kept] + delay,
        **{name: values[name][kept] for name in PRICES},
        volume=volume[kept],
        adjustment=adjustment[kept],
        split=split[kept],
        dividend=dividend[kept],
        bad=sorted(rows.bad, key=lambda row: row.row_number),
        equal_duplicates=equal,
        not_closed=int(not_closed.sum()),
        splits_inferred=int((split[kept] != 1.0).sum()) if "split" not in table.columns else 0,
    )


def infer_splits(adjustment: Floats, symbol: Integers) -> Floats:
    """Split ratios from jumps of the adjusting factor: a jump within 2 % of a simple ratio of at least 1.15 (dividends
    move the factor too, but by less). Rows sorted by symbol and time; 1 where there is none."""
    split = np.ones(len(adjustment))
    if len(adjustment) < 2:
        return split
    jump = adjustment[1:] / adjustment[:-1]
    same = symbol[1:] == symbol[:-1]
    for index in np.nonzero(same & ((jump >= SMALLEST_SPLIT) | (jump <= 1.0 / SMALLEST_SPLIT)))[0]:
        ratio = _nearest_simple(float(jump[index]))
        if abs(float(ratio) / float(jump[index]) - 1.0) <= SPLIT_TOLERANCE:
            split[index + 1] = float(ratio)
    return split


def _nearest_simple(jump: float) -> Fraction:
    """The simple ratio (2, 3/2, 1/10 ...) nearest to a jump, by relative distance."""
    size = max(jump, 1.0 / jump)
    nearest = _SIMPLE_RATIOS[int(np.argmin([abs(float(simple) / size - 1.0) for simple in _SIMPLE_RATIOS]))]
    return nearest if jump > 1.0 else 1 / nearest


def _exact_ratios(split: Floats) -> Floats:
    """Ratios that a file wrote with a few decimals (7.000007, 1.333333) as the fractions they mean."""
    exact = split.copy()
    for index in np.nonzero(np.isfinite(split) & (split != 1.0) & (split > 0.0))[0]:
        ratio = float(Fraction(float(split[index])).limit_denominator(100))
        if ratio > 0.0 and abs(ratio / split[index] - 1.0) < 1e-5:
            exact[index] = ratio
    return exact


_SIMPLE_RATIOS = sorted({Fraction(p, q) for q in (1, 2, 3, 4, 5) for p in range(q + 1, 51)})


def _symbols(table: RawTable, rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    if "symbol" not in table.columns:
        stem = table.file.split(".")[0].upper()
        return np.full(len(table.row_numbers), stem, dtype=object)
    column = pc.utf8_trim_whitespace(table.columns["symbol"].cast(pa.string()))
    ok = pc.fill_null(pc.match_substring_regex(column, SYMBOL), False).to_numpy(zero_copy_only=False)
    rows.refuse(~ok, "symbol is empty or holds characters that no symbol has")
    encoded = column.dictionary_encode()
    words = np.array(encoded.dictionary.to_pylist(), dtype=object)
    indices = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return words[indices] if len(words) else np.full(len(ok), "", dtype=object)


def _codes(names: np.ndarray[tuple[int], np.dtype[np.object_]], kept: Integers) -> tuple[Integers, tuple[str, ...]]:
    codes, uniques = pd.factorize(names[kept], sort=True)
    return codes.astype(np.int64), tuple(str(name) for name in uniques)


def _number(
    table: RawTable,
    rows: Rows,
    name: str,
    *,
    default: float = np.nan,
    empty_is_nan: bool = False,
    empty_is_default: bool = False,
) -> Floats:
    column = table.columns.get(name)
    if column is None:
        return np.full(len(rows.good), default)
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        values: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        return np.where(np.isnan(values), default, values) if empty_is_default else values
    try:
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowInvalid:
        pass
    trimmed = pc.fill_null(pc.utf8_trim_whitespace(column), "")
    is_number = pc.match_substring_regex(trimmed, NUMBER)
    numbers = pc.if_else(is_number, trimmed, None).cast(pa.float64())
    values = np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    wrong = ~is_number.to_numpy(zero_copy_only=False)
    if empty_is_nan or empty_is_default:
        empty = pc.equal(trimmed, "").to_numpy(zero_copy_only=False)
        values[empty] = default if empty_is_default else np.nan
        wrong &= ~empty
    rows.refuse(wrong, f"{name} is not a number")
    return values


def _adjustment(table: RawTable, rows: Rows, close: Floats) -> Floats:
    if "adj_close" not in table.columns:
        return np.ones(len(close))
    adjusted = _number(table, rows, "adj_close")
    rows.refuse(~(np.isfinite(adjusted) & (adjusted > 0.0)), "adj_close is not a positive number")
    with np.errstate(invalid="ignore", divide="ignore"):
        return adjusted / close


def _instants(table: RawTable, rows: Rows, settings: DataSettings) -> tuple[Times, Times]:
    """(bar open, bar close) in UTC."""
    stamps, zoned = _stamps(table, rows)
    interval = np.timedelta64(INTERVALS_S[settings.interval], "s").astype("timedelta64[us]")
    if settings.time_means == "session":
        if settings.interval != "1d":
            raise DataError(
                f"{table.file}: data.time_means = 'session' needs data.interval = '1d', not '{settings.interval}';"
                " say 'open' or 'close'"
            )
        days, inverse = np.unique(stamps.astype("datetime64[D]"), return_inverse=True)
        opened = _localised(days, settings.session_open, settings.timezone)[inverse]
        return opened, _localised(days, settings.session_close, settings.timezone)[inverse]
    if not zoned and settings.timezone != "UTC":
        local = pd.DatetimeIndex(stamps).tz_localize(settings.timezone, ambiguous="NaT", nonexistent="NaT")
        stamps = local.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")
        rows.refuse(np.isnat(stamps), f"local time does not exist or is ambiguous in {settings.timezone}")
    opened = stamps if settings.time_means == "open" else stamps - interval
    off_grid = (opened.astype(np.int64) % int(interval.astype(np.int64))) != 0
    if settings.interval != "1d":
        rows.refuse(off_grid, f"time is not on the {settings.interval} grid")
    return opened, opened + interval


def _localised(days: Times, clock: str, zone: str) -> Times:
    hours, minutes = (int(part) for part in clock.split(":"))
    local = pd.DatetimeIndex(days.astype("datetime64[us]") + np.timedelta64(hours * 60 + minutes, "m"))
    utc = local.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").tz_convert("UTC")
    return np.asarray(utc.tz_localize(None).to_numpy().astype("datetime64[us]"))


def _stamps(table: RawTable, rows: Rows) -> tuple[Times, bool]:
    """Times as datetime64[us] (UTC where zoned), and whether they carried a zone. Text must be ISO 8601; whole
    numbers are seconds, milli-, micro- or nanoseconds since 1970 by their size, the same for a whole file."""
    column = table.columns["time"]
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        zoned = getattr(column.type, "tz", None) is not None
        stamps = column.cast(pa.timestamp("us", "UTC" if zoned else None)).to_numpy(zero_copy_only=False)
        stamps = stamps.astype("datetime64[us]")
        rows.refuse(np.isnat(stamps), "time is missing")
        return np.where(np.isnat(stamps), np.datetime64(0, "us"), stamps), zoned
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _epoch(column.cast(pa.float64()).to_numpy(zero_copy_only=False), table, rows), True
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    digits = pc.match_substring_regex(text, r"^\d{9,19}(\.0*)?$").to_numpy(zero_copy_only=False)
    if digits.any():
        rows.refuse(~digits, "time is not a number like the file's other times")
        return _epoch(pc.if_else(pa.array(digits), text, "0").cast(pa.float64()).to_numpy(), table, rows), True
    has_zone = pc.match_substring_regex(text, r"(Z|[+-]\d{2}:?\d{2})$").to_numpy(zero_copy_only=False) & (
        pc.utf8_length(text).to_numpy(zero_copy_only=False) > 10
    )
    zoned = bool(has_zone.mean() > 0.5) if len(has_zone) else False
    if zoned:
        rows.refuse(~has_zone, "time has no zone, unlike the file's other times")
    else:
        rows.refuse(has_zone, "time has a zone, unlike the file's other times")
    try:
        stamps = text.cast(pa.timestamp("us", "UTC" if zoned else None)).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        parsed = pd.to_datetime(pd.Series(text.to_pylist()), format="ISO8601", utc=True, errors="coerce")
        stamps = parsed.dt.tz_localize(None).to_numpy()
    stamps = stamps.astype("datetime64[us]")
    rows.refuse(np.isnat(stamps), "time is not an ISO 8601 date or time")
    return np.where(np.isnat(stamps), np.datetime64(0, "us"), stamps), zoned


def _epoch(numbers: Floats, table: RawTable, rows: Rows) -> Times:
    typical = float(np.nanmedian(numbers))
    unit = next((name for low, high, name in EPOCH_UNITS if low <= typical < high), None)
    if unit is None:
        raise DataError(f"{table.file}: times such as {typical:.0f} are no count of s, ms, us or ns since 1970")
    low, high = next((low, high) for low, high, name in EPOCH_UNITS if name == unit)
    rows.refuse(~((numbers >= low) & (numbers < high)), f"time is not in {unit} like the file's other times")
    whole = np.where(np.isfinite(numbers), numbers, 0.0).astype(np.int64)
    return whole.astype(f"datetime64[{unit}]").astype("datetime64[us]")


def _drop_duplicates(
    rows: Rows, kept: Integers, codes: Integers, time: Times, values: dict[str, Floats], volume: Floats
) -> tuple[Integers, Integers, int]:
    """Sort by symbol, time and row; of rows with one key keep the first, note the others where they differ."""
    order = np.lexsort((kept, time[kept], codes))
    kept, codes = kept[order], codes[order]
    if len(kept) < 2:
        return kept, codes, 0
    again = np.concatenate([[False], (codes[1:] == codes[:-1]) & (time[kept][1:] == time[kept][:-1])])
    if not again.any():
        return kept, codes, 0
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(kept))))
    equal = again.copy()
    for column in (*values.values(), volume):
        here, there = column[kept], column[kept][first]
        equal &= (here == there) | (np.isnan(here) & np.isnan(there))
    differs = np.zeros(len(rows.good), dtype=bool)
    differs[kept[again & ~equal]] = True
    rows.refuse(differs, "same symbol and time as an earlier row, other values: the first is kept")
    return kept[~again], codes[~again], int(equal.sum())


def _spikes(symbols: tuple[str, ...], codes: Integers, price: Floats, last_close: dict[str, float] | None) -> Booleans:
    """Rows whose price is more than SPIKE_FACTOR away from the last good one, unless the next row confirms it."""
    spiked = np.zeros(len(price), dtype=bool)
    if len(price) == 0:
        return spiked
    before = np.concatenate([[np.nan], price[:-1]])
    starts = np.nonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))[0]
    ends = np.concatenate([starts[1:], [len(price)]])
    before[starts] = [(last_close or {}).get(symbols[codes[start]], np.nan) for start in starts]
    limit = float(np.log(SPIKE_FACTOR))
    with np.errstate(invalid="ignore"):
        jumped = np.nonzero(np.abs(np.log(price / before)) > limit)[0]
    for index in jumped:
        group = int(np.searchsorted(starts, index, side="right")) - 1
        good = index - 1
        while good >= starts[group] and spiked[good]:
            good -= 1
        reference = price[good] if good >= starts[group] else before[starts[group]]
        if not abs(np.log(price[index] / reference)) > limit:
            continue
        confirmed = index + 1 < ends[group] and abs(np.log(price[index + 1] / price[index])) <= limit
        spiked[index] = not confirmed
    if last_close is not None:
        for start, end in zip(starts, ends, strict=True):
            last_close[symbols[codes[start]]] = float(price[end - 1])
    return spiked
