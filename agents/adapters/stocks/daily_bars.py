"""Daily bars of one stock with its splits and dividends, and the file that keeps them as the desk reads it."""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from agents.core.arrays import Booleans, Floats
from agents.core.errors import DataError
from agents.core.types import Times

HEADER = "time,symbol,open,high,low,close,volume,dividend,split"
SAME_WITHIN = 1e-3
"""A price of the past that differs by more has been stated anew: by a split, or a correction."""
CLOSE = 3
DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyBars:
    """Sessions by their `day` [n] (datetime64[D], ascending, each once): prices [n, 4] (open, high, low, close), volume
    [n] (NaN: not told), dividend per share [n] (0: none) and split ratio [n] (new shares for an old one; 1: none), both
    taking effect before that day's open."""

    day: Times
    prices: Floats
    volume: Floats
    dividend: Floats
    split: Floats

    def at(self, rows: Booleans) -> DailyBars:
        """Those of some rows."""
        return DailyBars(
            day=self.day[rows],
            prices=self.prices[rows],
            volume=self.volume[rows],
            dividend=self.dividend[rows],
            split=self.split[rows],
        )

    def over(self, at: datetime) -> DailyBars:
        """Those whose day has ended everywhere by `at`: a session that runs still changes."""
        return self.at(self.day + DAY <= np.datetime64(at.replace(tzinfo=None), "D"))


class DailyPrices(Protocol):
    """A source of daily prices."""

    name: str

    def bars(self, symbol: str, first: np.datetime64, last: np.datetime64) -> DailyBars:
        """Sessions from `first` to `last` (datetime64[D]); UsageError for a symbol that it does not know,
        ExchangeAwayError where it may be asked again, ServiceError where that is of no use today."""
        ...


def before_splits(bars: DailyBars) -> DailyBars:
    """Prices, volumes and dividends as they were on the day, of such as a source has stated in today's shares. `bars`
    hold every split until today. Seven digits are kept, which is what sources have."""
    later = np.append(np.cumprod(bars.split[::-1])[::-1][1:], 1.0)  # of all splits after that day
    return DailyBars(
        day=bars.day,
        prices=_seven_digits(bars.prices * later[:, None]),
        volume=np.round(bars.volume / later),
        dividend=_seven_digits(bars.dividend * later),
        split=bars.split,
    )


def _seven_digits(numbers: Floats) -> Floats:
    return np.array([float(f"{number:.7g}") for number in numbers.ravel()]).reshape(numbers.shape)


@dataclass(frozen=True, slots=True)
class DailyFile:
    """The file of one symbol: `time` is the date of a session."""

    path: Path
    symbol: str

    @classmethod
    def of(cls, folder: Path, source: str, symbol: str) -> DailyFile:
        """`<folder>/<source>-<symbol>-1d.csv`."""
        return cls(folder / f"{source}-{re.sub('[^A-Za-z0-9.]', '-', symbol)}-1d.csv", symbol)

    def read(self) -> DailyBars:
        """What it holds, nothing where it is not there; DataError, with the line, for another kind of file."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else HEADER
        lines = text.splitlines()
        if not lines or lines[0] != HEADER:
            raise DataError(f"{self.path}: is another kind of file; move it away, or choose another folder")
        rows: list[tuple[np.datetime64, list[float]]] = []
        for line, cells in enumerate(csv.reader(io.StringIO("\n".join(lines[1:]))), 2):
            try:
                date, _, opened, high, low, close, volume, dividend, split = cells
                prices = [float(price) for price in (opened, high, low, close)]
                more = [_or(volume, np.nan), _or(dividend, 0.0), _or(split, 1.0)]
                rows.append((np.datetime64(date, "D"), prices + more))
            except ValueError:
                raise DataError(f"{self.path}:{line}: is no row of daily prices; take the file away") from None
        numbers = np.array([row[1] for row in rows], dtype=np.float64).reshape(-1, 7)
        day = np.array([row[0] for row in rows], dtype="datetime64[D]")
        return DailyBars(
            day=day, prices=numbers[:, :4], volume=numbers[:, 4], dividend=numbers[:, 5], split=numbers[:, 6]
        )

    def put(self, fetched: DailyBars) -> tuple[int, bool]:
        """(sessions that are new, whether the past was stated anew). What is there stays as it is and what is new joins
        it; where the source says other numbers of the same days, all of the file is what it says now."""
        stored = self.read()
        kept = np.isin(stored.day, fetched.day)
        same = np.isin(fetched.day, stored.day)
        restated = _differ(stored.at(kept), fetched.at(same))
        fresh = len(fetched.day) - int(same.sum())
        if restated:
            self._write(fetched)
        elif fresh:
            self._write(_joined(stored, fetched.at(~same)))
        return fresh, restated

    def _write(self, bars: DailyBars) -> None:
        """Whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            with fresh.open("w", encoding="utf-8") as stream:
                stream.write(HEADER + "\n" + "".join(self._line(bars, k) for k in range(len(bars.day))))
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)

    def _line(self, bars: DailyBars, k: int) -> str:
        prices = ",".join(repr(float(price)) for price in bars.prices[k])
        volume = "" if np.isnan(bars.volume[k]) else repr(float(bars.volume[k]))
        dividend = repr(float(bars.dividend[k])) if bars.dividend[k] else ""
        split = repr(float(bars.split[k])) if bars.split[k] != 1.0 else ""
        return f"{bars.day[k]},{self.symbol},{prices},{volume},{dividend},{split}\n"


def _or(cell: str, empty: float) -> float:
    return float(cell) if cell else empty


def _differ(stored: DailyBars, fetched: DailyBars) -> bool:
    moved = np.abs(fetched.prices[:, CLOSE] / stored.prices[:, CLOSE] - 1.0) > SAME_WITHIN
    paid = np.abs(fetched.dividend - stored.dividend) > SAME_WITHIN * np.maximum(fetched.dividend, stored.dividend)
    return bool((moved | paid | (fetched.split != stored.split)).any())


def _joined(one: DailyBars, other: DailyBars) -> DailyBars:
    order = np.argsort(np.concatenate([one.day, other.day]), kind="stable")
    return DailyBars(
        day=np.concatenate([one.day, other.day])[order],
        prices=np.concatenate([one.prices, other.prices])[order],
        volume=np.concatenate([one.volume, other.volume])[order],
        dividend=np.concatenate([one.dividend, other.dividend])[order],
        split=np.concatenate([one.split, other.split])[order],
    )
