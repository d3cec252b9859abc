"""The columns of a bar file as numbers and instants; a row whose cell cannot be read or cannot be true is refused.

`time` in a file may mean the bar's open, its close, or the date of a session (then the settings' time zone and
session hours give the instants). Importing this module loads pyarrow, so it is imported where a file is read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.adapters.calendars.market_hours import market_hours
from agents.adapters.files.bar_files import JudgedRows
from agents.adapters.files.bar_times import read_stamps
from agents.adapters.files.dialects import plain_numbers
from agents.adapters.files.split_ratios import exact_ratios
from agents.core.errors import DataError
from agents.core.intervals import distances_s, mismatch
from agents.core.log import log_event
from agents.core.settings import INTERVALS_S, DataSettings
from agents.core.symbols import SYMBOL_PATTERN, desk_symbol, require_symbol
from agents.core.types import Booleans, Floats, Integers, Times

logger = logging.getLogger(__name__)
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
PRICES = ("open", "high", "low", "close")
DAY_MIN = 24 * 60
EARLIEST, LATEST = np.datetime64("1900-01-03", "us"), np.datetime64("2099-12-29", "us")
"""Times of bars lie between these: inside what the database takes, whatever the zone and the interval."""


class BarColumns(NamedTuple):
    """Bars as columns of equal length, one place for each row of a file."""

    bar_open: Times
    time: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    adjustment: Floats
    split: Floats
    dividend: Floats

    def at(self, rows: Integers) -> BarColumns:
        """The columns at these rows."""
        return BarColumns._make(column[rows] for column in self)


def read_columns(rows: JudgedRows, symbol: Integers, settings: DataSettings) -> BarColumns:
    """All columns of a file, whose rows are of the symbols with the numbers `symbol` [n]. A row is refused for the
    first thing that is wrong with it, in the order below; DataError where bars are farther apart or closer together
    than the settings' interval."""
    bar_open, time = _instants(rows, symbol, settings)
    prices = _prices(rows)
    volume = _number(rows, "volume", empty=np.nan)
    rows.refuse(np.isinf(volume) | (volume < 0.0), "volume is negative or infinite")
    adjustment = _adjustment(rows, prices["close"])
    split = _number(rows, "split", empty=1.0)
    dividend = _number(rows, "dividend", empty=0.0)
    rows.refuse(~(np.isfinite(split) & (split > 0.0)), "split is not a positive ratio")
    rows.refuse(~(np.isfinite(dividend) & (dividend >= 0.0)), "dividend is negative or not finite")
    return BarColumns(
        bar_open=bar_open,
        time=time,
        **prices,
        volume=volume,
        adjustment=adjustment,
        split=exact_ratios(split),
        dividend=dividend,
    )


def read_symbols(rows: JudgedRows, aliases: Mapping[str, str]) -> tuple[Integers, list[str]]:
    """(index of each row's symbol, the symbols by the desk's names); a file without that column holds one symbol, which
    names the file: DataError where it cannot."""
    column = rows.table.columns.get("symbol")
    if column is None:
        name = rows.table.file.split(".")[0].upper()
        try:
            name = require_symbol(desk_symbol(name, aliases), f"{rows.table.file}: the file's name gives the symbol")
        except ValueError as error:
            raise DataError(f"{error}; rename the file or give it a column 'symbol'") from None
        return np.zeros(len(rows.good), dtype=np.int64), [name]
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    usable = pc.fill_null(pc.match_substring_regex(texts, SYMBOL_PATTERN), False).to_numpy(zero_copy_only=False)
    rows.refuse(~usable, "symbol is empty or holds characters that no symbol has")
    encoded = texts.dictionary_encode()
    codes: Integers = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    names = [desk_symbol(str(name), aliases) for name in encoded.dictionary.to_pylist()]
    ours = list(dict.fromkeys(names))  # two names of a file may be one of ours
    place = {name: k for k, name in enumerate(ours)}
    return np.array([place[name] for name in names], dtype=np.int64)[codes] if names else codes, ours


def _prices(rows: JudgedRows) -> dict[str, Floats]:
    prices = {name: _number(rows, name) for name in PRICES}
    for name in PRICES:
        rows.refuse(~np.isfinite(prices[name]), f"{name} is not finite")
        rows.refuse(prices[name] <= 0.0, f"{name} is not positive")
    rows.refuse(prices["high"] < prices["low"], "high below low")
    for name in ("open", "close"):
        outside = (prices[name] < prices["low"]) | (prices[name] > prices["high"])
        rows.refuse(outside, f"{name} outside low to high")
    return prices


def _adjustment(rows: JudgedRows, close: Floats) -> Floats:
    """Adjusted close / close; 1 in a file without adjusted closes."""
    if "adj_close" not in rows.table.columns:
        return np.ones(len(close))
    adjusted = _number(rows, "adj_close")
    rows.refuse(~(np.isfinite(adjusted) & (adjusted > 0.0)), "adj_close is not a positive number")
    with np.errstate(invalid="ignore", divide="ignore"):
        return adjusted / close


def _number(rows: JudgedRows, name: str, *, empty: float | None = None) -> Floats:
    """A column of numbers. `empty` is the value of an absent column and of an empty cell; where it is None, an empty
    cell is refused."""
    column = rows.table.columns.get(name)
    if column is None:
        return np.full(len(rows.good), np.nan if empty is None else empty)
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        values: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        return values if empty is None else np.where(np.isnan(values), empty, values)
    if not rows.table.decimal_comma:
        try:
            return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        except pa.ArrowInvalid:
            pass  # some cell is no number as a machine writes it: look at each
    texts = pc.fill_null(pc.utf8_trim_whitespace(column), "")
    trimmed = plain_numbers(texts, decimal_comma=rows.table.decimal_comma, units=name == "volume")
    is_number = pc.match_substring_regex(trimmed, NUMBER)
    numbers = pc.if_else(is_number, trimmed, None).cast(pa.float64())
    values = np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    wrong = ~is_number.to_numpy(zero_copy_only=False)
    if empty is not None:
        blank = pc.equal(trimmed, "").to_numpy(zero_copy_only=False)
        values[blank] = empty
        wrong &= ~blank
    rows.refuse(wrong, f"{name} is not a number")
    return values


def _instants(rows: JudgedRows, symbol: Integers, settings: DataSettings) -> tuple[Times, Times]:
    """(bar open, bar close) in UTC."""
    stamps, zoned = read_stamps(rows, settings)
    strange = (stamps < EARLIEST) | (stamps > LATEST)
    rows.refuse(strange, f"time is not between {EARLIEST.astype('M8[D]')} and {LATEST.astype('M8[D]')}")
    stamps = np.where(strange, np.datetime64(0, "us"), stamps)
    _require_interval(rows, symbol, stamps, settings.interval)
    interval = np.timedelta64(INTERVALS_S[settings.interval], "s").astype("timedelta64[us]")
    if settings.time_means == "session":
        return _session(rows, stamps, settings)
    if not zoned and settings.timezone != "UTC":
        import pandas as pd  # its zones convert a whole column; only files in local time need them

        local = pd.DatetimeIndex(stamps).tz_localize(settings.timezone, ambiguous="NaT", nonexistent="NaT")
        stamps = local.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")
        rows.refuse(np.isnat(stamps), f"local time does not exist or is ambiguous in {settings.timezone}")
    opened = stamps if settings.time_means == "open" else stamps - interval
    closed = opened + interval
    on_grid = (opened.astype(np.int64) % int(interval.astype(np.int64))) == 0
    if settings.calendar and settings.interval != "1d":
        hours = market_hours(settings.calendar)
        opened, closed, inside = hours.bars(stamps, interval, are_opens=settings.time_means == "open")
        on_grid = hours.on_grid(opened, interval)
        _tell_outside(rows, stamps, inside, settings)
    if settings.interval != "1d":
        rows.refuse(~on_grid, f"time is not on the {settings.interval} grid")
    return opened, closed


def _require_interval(rows: JudgedRows, symbol: Integers, stamps: Times, interval: str) -> None:
    found = mismatch(distances_s(symbol[rows.good], stamps[rows.good]), interval)
    if found is not None:
        raise DataError(
            f"{rows.table.file}: its bars are {found} apart, but data.interval is {interval}; change that key, or bring"
            f" bars of {interval}"
        )


def _session(rows: JudgedRows, stamps: Times, settings: DataSettings) -> tuple[Times, Times]:
    """(open, close) of the sessions on the days of `stamps`."""
    if settings.interval != "1d":
        raise DataError(
            f"{rows.table.file}: data.time_means = 'session' needs data.interval = '1d', not '{settings.interval}';"
            " say 'open' or 'close'"
        )
    days, inverse = np.unique(stamps.astype("datetime64[D]"), return_inverse=True)
    if settings.calendar:
        opened, closed, known = market_hours(settings.calendar).sessions(days)
        _tell_outside(rows, days[inverse], known[inverse], settings)
        return opened[inverse], closed[inverse]
    opens, closes = _minutes(settings.session_open), _minutes(settings.session_close)
    if opens >= closes:
        opens -= DAY_MIN  # on the evening before its date
    opened = _localised(days, opens, settings.timezone)[inverse]
    return opened, _localised(days, closes, settings.timezone)[inverse]


def _tell_outside(rows: JudgedRows, times: Times, inside: Booleans, settings: DataSettings) -> None:
    """Rows outside the calendar's sessions are used as they are: a vendor may know better, and so may a person."""
    outside = times[rows.good & ~inside]
    if len(outside):
        log_event(
            logger,
            "rows outside the calendar's sessions are kept",
            level=logging.WARNING,
            file=rows.table.file,
            calendar=settings.calendar,
            rows=len(outside),
            first=outside.min(),
        )


def _minutes(clock: str) -> int:
    hours, minutes = (int(part) for part in clock.split(":"))
    return hours * 60 + minutes


def _localised(days: Times, minutes: int, zone: str) -> Times:
    """The instants (UTC) of so many minutes of local time after the midnights of `days`."""
    import pandas as pd  # its zones convert a whole column

    local = pd.DatetimeIndex(days.astype("datetime64[us]") + np.timedelta64(minutes, "m"))
    utc = local.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").tz_convert("UTC")
    return np.asarray(utc.tz_localize(None).to_numpy().astype("datetime64[us]"))
