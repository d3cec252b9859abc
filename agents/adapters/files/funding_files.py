"""Files of funding rates, `NAME.funding.csv`, and what the funding of perpetual futures does to bars. Pure but for
reading.

A row says when funding was settled, at what rate, and the mark price of that moment: time, rate, price, and symbol
where the file's name is not one. What is settled in a bar belongs to it, its open included and its close not: that is
the next bar's, since orders that are filled at its open come after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from agents.adapters.files.bar_files import BadRow, parse_any
from agents.adapters.files.market_actions import Decided
from agents.core.errors import DataError
from agents.core.market import FundingRate
from agents.core.symbols import desk_symbol, is_symbol
from agents.core.types import Bars, as_stamp

SUFFIX = ".funding.csv"
COLUMNS = ("time", "rate", "price")
LARGEST_RATE = 0.5
"""No exchange settles so much of the price at once; the largest cap known is 0.04."""
NOTHING_LATE = 2**62
"""The version of a decision for which nothing comes late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRows:
    """What a file says: settlements, each moment of a symbol once, rows that were refused, and when the first is
    settled that is not yet (None: all are)."""

    rates: tuple[FundingRate, ...]
    bad: tuple[BadRow, ...]
    rows: int
    due: datetime | None


def is_funding(path: Path) -> bool:
    """Whether a file's name says that it holds funding rates."""
    return path.name.endswith(SUFFIX)


def parse_funding(path: Path, data: bytes, aliases: Mapping[str, str], at: datetime) -> FundingRows:
    """The whole lines of a file, as of now, `at`. Moments are taken to their minute: exchanges stamp some
    milliseconds late. DataError where the file lacks a column, or a row of it cannot be one."""
    import pandas as pd  # it parses what it can and marks the rest

    data = data[: data.rfind(b"\n") + 1]
    if data.count(b"\n") < 2:
        return FundingRows(rates=(), bad=(), rows=0, due=None)
    table, numbers, bad = parse_any(path, data)
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        hint = "price is the mark price when the rate was settled" if "price" in missing else ", ".join(COLUMNS)
        raise DataError(f"{path}: has no column {missing[0]}; a file of funding needs {hint}")
    texts = {name: pd.Series(table.column(name).to_pylist(), dtype=object) for name in COLUMNS}
    moments = pd.to_datetime(texts["time"], format="ISO8601", utc=True, errors="coerce").dt.floor("min")
    numbered = {name: pd.to_numeric(texts[name], errors="coerce").to_numpy(np.float64) for name in COLUMNS[1:]}
    named = "symbol" in table.column_names
    names = table.column("symbol").to_pylist() if named else [path.name.removesuffix(SUFFIX)] * len(table)
    known: dict[tuple[str, np.datetime64], FundingRate] = {}
    refused, future = list(bad), []
    for k, name in enumerate(names):
        symbol, rate, price = desk_symbol(str(name or ""), aliases), *(float(numbered[n][k]) for n in COLUMNS[1:])
        if problem := _problem(symbol, moments[k], rate, price):
            cells = ",".join(str(texts[column][k]) for column in COLUMNS)
            refused.append(BadRow(int(numbers[k]), problem, f"{symbol},{cells}"[:200]))
        elif (moment := moments[k].to_pydatetime()) > at:
            future.append(moment)
        else:
            found = FundingRate(symbol, as_stamp(moment), rate, price, path.name)
            known.setdefault((symbol, found.time), found)
    due = min(future, default=None)
    return FundingRows(rates=tuple(known.values()), bad=tuple(refused), rows=len(table) + len(bad), due=due)


def _problem(symbol: str, moment: object, rate: float, price: float) -> str:
    """Why a row is no settlement; "" where it is one."""
    if not is_symbol(symbol):
        return "names no symbol; add a column symbol"
    if moment != moment:  # NaT
        return "time cannot be read"
    if not abs(rate) <= LARGEST_RATE:
        return f"rate is no number from -{LARGEST_RATE} to {LARGEST_RATE} (a fraction of the price)"
    return "" if 0.0 < price < np.inf else "price is no positive number"


def with_funding(bars: Bars, rates: Iterable[FundingRate], *, first: int = 0, since: Decided | None = None) -> Bars:
    """The bars with the funding that positions pay or get, from row `first` on.

    What a decision `since` has not known although its bar was over is paid before the open of bar `first`; without
    such a decision what was settled before that bar opened has no effect.
    """
    if not len(bars.time):
        return bars
    before, within = np.zeros(bars.close.shape), np.zeros(bars.close.shape)
    column = {symbol: s for s, symbol in enumerate(bars.symbols)}
    for rate in sorted((r for r in rates if r.symbol in column), key=lambda r: (r.time, r.symbol)):
        past = rate.time < (bars.opened[first] if since is None else since.time)
        if past and (since is None or rate.read_id <= since.version):
            continue
        row = max(first, int(np.searchsorted(bars.time, rate.time, side="right")))
        if row < len(bars.time):
            (before if rate.time <= bars.opened[row] else within)[row, column[rate.symbol]] += rate.cash
    return replace(bars, funding=before, funding_within=within)


def funding_in(bars: Bars, source: str) -> list[FundingRate]:
    """The funding that bars carry, of each bar in one sum, at a price of 1: so that it comes back to the bit."""
    middle = bars.opened + (bars.time - bars.opened) // 2
    return [
        FundingRate(bars.symbols[s], moments[t], -float(grid[t, s]), 1.0, source)
        for grid, moments in ((bars.funding, bars.opened), (bars.funding_within, middle))
        for t, s in zip(*np.nonzero(grid), strict=True)
    ]
