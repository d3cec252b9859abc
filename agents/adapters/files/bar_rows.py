"""The rows of a bar file -> good bars, sorted, one for each symbol and time; every refused row says why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from agents.adapters.files.bar_files import BadRow, JudgedRows, RawTable
from agents.adapters.files.split_ratios import infer_splits
from agents.core.settings import INTERVALS_S, DataSettings
from agents.core.types import Booleans, Floats, Integers, Times, as_datetime

if TYPE_CHECKING:
    from agents.adapters.files.bar_columns import BarColumns

GRIDS = ("open", "high", "low", "close", "volume", "adjustment", "split", "dividend")
"""The numbers of a bar."""
NEUTRAL = {"split": 1.0, "dividend": 0.0}
"""What stands in a grid of these where there is no bar; elsewhere it is NaN."""
SPIKE_FACTOR = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BarBatch:
    """Good bars of one file, sorted by symbol and time, one row each; `symbol` [n] are indexes into `symbols`.

    `bad` are the refused rows by their number. Beside them were left out: `equal_duplicates`, rows that repeat an
    earlier one, and `not_closed`, rows of bars that are not over yet; the first of those has the row number
    `waits_from` (0: there is none), and one of them will be over at `next_close`.
    """

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
    waits_from: int = 0
    next_close: datetime | None = None
    splits_inferred: int = 0


def validate_rows(
    table: RawTable, settings: DataSettings, *, at: datetime, last_close: dict[str, float] | None = None
) -> BarBatch:
    """Judge every row. `at` is now: bars that are not closed by then are left out. `last_close` is the last price seen
    of each symbol, against which a file's first prices are held; it is brought up to date."""
    from agents.adapters.files.bar_columns import read_columns, read_symbols  # pyarrow, for who reads a file only

    rows = JudgedRows(table)
    codes, names = read_symbols(rows)
    columns = read_columns(rows, settings)
    now = np.datetime64(at.replace(tzinfo=None), "us")
    rows.refuse(columns.bar_open > now + np.timedelta64(INTERVALS_S[settings.interval], "s"), "lies in the future")
    delay = np.timedelta64(round(settings.publication_delay_s * 1e6), "us")
    not_closed = rows.good & (columns.time + delay > now)

    kept = np.nonzero(rows.good & ~not_closed)[0]
    symbol, symbols = _sorted_symbols(codes[kept], names)
    kept, symbol, equal = _drop_duplicates(rows, kept, symbol, columns)
    spiked = _spikes(symbols, symbol, columns.close[kept] * columns.adjustment[kept], last_close)
    rows.refuse(_mask(rows, kept[spiked]), f"price jumped more than {SPIKE_FACTOR:g}x for a single bar")
    kept, symbol = kept[~spiked], symbol[~spiked]
    good = columns.at(kept)
    if "split" not in table.columns and "adj_close" in table.columns:
        good = good._replace(split=infer_splits(good.adjustment, symbol))
    return BarBatch(
        file=table.file,
        sha256=table.sha256,
        symbols=symbols,
        symbol=symbol,
        row_numbers=table.row_numbers[kept],
        available_at=good.time + delay,
        **good._asdict(),
        bad=sorted(rows.bad, key=lambda row: row.row_number),
        equal_duplicates=equal,
        not_closed=int(not_closed.sum()),
        waits_from=int(table.row_numbers[not_closed].min()) if not_closed.any() else 0,
        next_close=as_datetime((columns.time[not_closed] + delay).min()) if not_closed.any() else None,
        splits_inferred=int((good.split != 1.0).sum()) if "split" not in table.columns else 0,
    )


def _sorted_symbols(codes: Integers, names: list[str]) -> tuple[Integers, tuple[str, ...]]:
    """Indexes into `names` as indexes into those names that occur, sorted."""
    symbols = tuple(sorted(names[code] for code in np.unique(codes)))
    place = {name: k for k, name in enumerate(symbols)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)[codes], symbols


def _drop_duplicates(
    rows: JudgedRows, kept: Integers, symbol: Integers, columns: BarColumns
) -> tuple[Integers, Integers, int]:
    """Sort by symbol, time and row; of rows with one key keep the first, note the others where they differ.

    Returns the rows that stay, their symbols, and how many equal ones were dropped.
    """
    time = columns.time
    order = np.lexsort((kept, time[kept], symbol))
    kept, symbol = kept[order], symbol[order]
    if len(kept) < 2:
        return kept, symbol, 0
    again = np.concatenate([[False], (symbol[1:] == symbol[:-1]) & (time[kept][1:] == time[kept][:-1])])
    if not again.any():
        return kept, symbol, 0
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(kept))))
    equal = again.copy()
    for column in (columns.open, columns.high, columns.low, columns.close, columns.volume):
        mine, earlier = column[kept], column[kept][first]
        equal &= (mine == earlier) | (np.isnan(mine) & np.isnan(earlier))
    differs = _mask(rows, kept[again & ~equal])
    rows.refuse(differs, "same symbol and time as an earlier row, other values: the first is kept")
    return kept[~again], symbol[~again], int(equal.sum())


def _mask(rows: JudgedRows, indexes: Integers) -> Booleans:
    mask = np.zeros(len(rows.good), dtype=bool)
    mask[indexes] = True
    return mask


def _spikes(symbols: tuple[str, ...], symbol: Integers, price: Floats, last_close: dict[str, float] | None) -> Booleans:
    """Rows whose price is more than SPIKE_FACTOR away from the last good one, unless the next row confirms it."""
    spiked = np.zeros(len(price), dtype=bool)
    if len(price) == 0:
        return spiked
    before = np.concatenate([[np.nan], price[:-1]])
    starts = np.nonzero(np.concatenate([[True], symbol[1:] != symbol[:-1]]))[0]
    ends = np.concatenate([starts[1:], [len(price)]])
    before[starts] = [(last_close or {}).get(symbols[symbol[start]], np.nan) for start in starts]
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
            last_close[symbols[symbol[start]]] = float(price[end - 1])
    return spiked
