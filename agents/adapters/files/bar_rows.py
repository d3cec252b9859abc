"""The rows of a bar file -> good bars, sorted, one for each symbol and time; every refused row says why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from agents.adapters.files.bar_files import BadRow, JudgedRows, RawTable
from agents.core.market import PriceLimits
from agents.core.settings import INTERVALS_S, DataSettings
from agents.core.types import Booleans, Floats, Integers, Times, as_datetime

if TYPE_CHECKING:
    from agents.adapters.files.bar_columns import BarColumns

GRIDS = ("open", "high", "low", "close", "volume", "adjustment", "split", "dividend")
"""The numbers of a bar."""
NEUTRAL = {"split": 1.0, "dividend": 0.0}
"""What stands in a grid of these where there is no bar; elsewhere it is NaN."""


CLOCK_MAY_BE_BACK, FOR_LONG = np.timedelta64(1, "D"), np.timedelta64(366, "D")
"""A bar in the future waits, since the clock may have been set back: up to a day ahead without a word, up to a year
ahead with one; what lies further ahead is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarBatch:
    """Good bars of one file, sorted by symbol and time, one row each; `symbol` [n] are indexes into `symbols`.

    `bad` are the refused rows by their number. Beside them were left out: `equal_duplicates`, rows that repeat an
    earlier one, and `not_closed`, rows of bars that are not over yet; the first of those has the row number
    `waits_from` (0: there is none), and one of them will be over at `next_close`. `limits` are for who
    holds its prices against others.
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
    limits: PriceLimits = field(default_factory=PriceLimits)


def limits_of(settings: DataSettings) -> PriceLimits:
    """What the settings say is believed of a price."""
    return PriceLimits(settings.largest_move, settings.suspect_bars)


def validate_rows(table: RawTable, settings: DataSettings, *, at: datetime) -> BarBatch:
    """Judge every row by itself; prices are held against each other where they are stored (`price_guard`). `at` is now:
    bars that are not closed by then are left out."""
    from agents.adapters.files.bar_columns import read_columns, read_symbols  # pyarrow, for who reads a file only

    rows = JudgedRows(table)
    codes, names = read_symbols(rows, settings.aliases)
    columns = read_columns(rows, codes, settings)
    now = np.datetime64(at.replace(tzinfo=None), "us")
    ahead = columns.bar_open - now - np.timedelta64(INTERVALS_S[settings.interval], "s")
    rows.refuse(ahead > FOR_LONG, "lies in the future")
    rows.note(ahead > CLOCK_MAY_BE_BACK, "lies in the future; it waits until then, or until the clock is right")
    delay = np.timedelta64(round(settings.publication_delay_s * 1e6), "us")
    not_closed = rows.good & (columns.time + delay > now)

    kept = np.nonzero(rows.good & ~not_closed)[0]
    symbol, symbols = _sorted_symbols(codes[kept], names)
    kept, symbol, equal = _drop_duplicates(rows, kept, symbol, columns)
    good = columns.at(kept)
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
        limits=limits_of(settings),
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
