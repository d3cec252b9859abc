"""`quorum download --source`: daily prices of stocks into files that the desk reads."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from agents.adapters.calendars.market_hours import market_hours
from agents.adapters.exchanges.history import patiently
from agents.adapters.exchanges.public_prices import ExchangeAwayError
from agents.adapters.stocks.daily_bars import DAY, DailyFile, DailyPrices
from agents.adapters.stocks.stooq import COUNTRIES, Stooq
from agents.adapters.stocks.yahoo import Yahoo
from agents.cli.extras import STOCKS, require
from agents.cli.screen import Screen, rows_table
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError, UsageError
from agents.core.settings import Settings, cache_dir
from agents.core.types import Times

GAPS_SHOWN = 10
COLUMNS = ("symbol", "new", "days", "first", "last", "missing", "splits", "dividends")
WHAT_PRICES_ARE = {
    "stooq": "stooq's prices are stated in today's shares (adjusted for splits) and know no dividends: returns here are"
    " without them",
    "yahoo": "prices are as they were on the day, with splits and dividends beside them; the desk adjusts by these",
}


@dataclass(frozen=True, slots=True)
class _Days:
    """Sessions from `first` to `last` (datetime64[D]), into a folder, held against a calendar ("": by the symbol)."""

    first: np.datetime64
    last: np.datetime64
    folder: Path
    calendar: str


def download_stocks(options: Namespace, settings: Settings, screen: Screen) -> int:
    """Every symbol into a file of its own; what is missing, and what the source says anew of the past, is named."""
    symbols = tuple(dict.fromkeys(options.symbols)) or settings.data.symbols
    if not symbols:
        raise UsageError(f"say which symbols: --source {options.source} --symbols AAPL MSFT")
    if coins := [symbol for symbol in symbols if "/" in symbol]:
        raise UsageError(f"'{coins[0]}' is no stock; say which, such as --symbols AAPL MSFT")
    if options.interval not in (None, "1d"):
        raise UsageError(f"{options.source} has bars of 1d only; leave --interval away")
    days = _days(options, settings)
    source, rows = _source(options.source, settings), []
    with ExitStack() as stack:
        show = screen.progress(stack, options.source, "symbols")
        for number, symbol in enumerate(symbols):
            show(number, len(symbols), symbol)
            rows.append(_download_one(source, symbol, days, screen))
        show(len(symbols), len(symbols))
    screen.result(rows, *_tables(source.name, rows), Text(_what_next(settings, days.folder)))
    return 0


def _source(name: str, settings: Settings) -> DailyPrices:
    if name == "stooq":
        return Stooq(settings.data.exchange_url, settings.data.stooq_key.get_secret_value())
    require(STOCKS)
    url, today = settings.data.exchange_url, np.datetime64(SystemClock().now().replace(tzinfo=None), "D")
    notes = cache_dir() / ("yfinance-practice" if url else "yfinance")  # a practice server tells nothing of Yahoo
    return Yahoo(today, notes, url)


def _days(options: Namespace, settings: Settings) -> _Days:
    until = min(options.until or SystemClock().now(), SystemClock().now())
    first = np.datetime64(options.start.replace(tzinfo=None), "D")
    last = np.datetime64(until.replace(tzinfo=None) - timedelta(days=1), "D")  # a day that is over everywhere
    if first > last:
        raise UsageError(f"--from {options.start:%Y-%m-%d} is not before the end of what is asked for")
    calendar = "" if settings.data.calendar == "24/7" else settings.data.calendar
    return _Days(first, last, options.out or settings.data.feed_folder, calendar)


def _download_one(source: DailyPrices, symbol: str, days: _Days, screen: Screen) -> dict[str, Any]:
    file = DailyFile.of(days.folder, source.name, symbol)
    there = file.read().day
    first = min(days.first, there[0]) if len(there) else days.first
    last = max(days.last, there[-1]) if len(there) else days.last
    clock = SystemClock()
    try:
        fetched = patiently(lambda: source.bars(symbol, first, last), clock, screen.say).over(clock.now())
    except (ExchangeAwayError, ServiceError) as error:
        raise ServiceError(f"{symbol}: {error}; symbols before it are kept, and the same command goes on") from None
    fresh, restated = file.put(fetched)
    bars = file.read()
    missing = _missing(bars.day, symbol, days.calendar)
    return {
        "symbol": symbol,
        "new": fresh,
        "days": len(bars.day),
        "first": str(bars.day[0]) if len(bars.day) else None,
        "last": str(bars.day[-1]) if len(bars.day) else None,
        "missing": None if missing is None else len(missing),
        "splits": int((bars.split != 1.0).sum()),
        "dividends": int((bars.dividend != 0.0).sum()),
        "restated": restated,
        "gaps": [] if missing is None else _gaps(missing),
        "file": str(file.path),
    }


def _missing(day: Times, symbol: str, calendar: str) -> Times | None:
    """Sessions of the calendar between the first day and the last that are not there; None for a country whose calendar
    nobody has named."""
    foreign = symbol.startswith("^") or (symbol.rpartition(".")[2].lower() in COUNTRIES - {"us"} and "." in symbol)
    if not len(day) or (foreign and not calendar):
        return None
    every = np.arange(day[0], day[-1] + DAY)
    _, _, known = market_hours(calendar or "XNYS").sessions(every)
    return np.asarray(np.setdiff1d(every[known], day))


def _gaps(missing: Times) -> list[dict[str, Any]]:
    """Missing sessions, those together that a weekend or less separates."""
    parts = np.split(missing, np.nonzero(np.diff(missing) > 4 * DAY)[0] + 1) if len(missing) else []
    return [{"first": str(part[0]), "last": str(part[-1]), "missing": len(part)} for part in parts]


def _tables(source: str, rows: list[dict[str, Any]]) -> list[Any]:
    tables: list[Any] = [rows_table(f"Daily prices of {source}, by session", rows, COLUMNS)]
    gaps = [{"symbol": row["symbol"], **gap} for row in rows for gap in row["gaps"]]
    if gaps:
        more = "" if len(gaps) <= GAPS_SHOWN else f" ({GAPS_SHOWN} of {len(gaps)}; all: --json)"
        tables.append(rows_table(f"Sessions that {source} has no prices of{more}", gaps[:GAPS_SHOWN], tuple(gaps[0])))
    restated = ", ".join(row["symbol"] for row in rows if row["restated"])
    if restated:
        why = "says other numbers of the past than last time (a split, or a correction); these files were written anew"
        tables.append(Text(f"{restated}: {source} {why}"))
    return [*tables, Text(WHAT_PRICES_ARE[source])]


def _what_next(settings: Settings, folder: Path) -> str:
    data = settings.data
    if (data.interval, data.time_means) != ("1d", "session") or data.calendar == "24/7":
        return (
            "For a desk on these files, write into quorum.toml: profile = 'stocks' under [desk]; interval = '1d' and"
            f" time_means = 'session' under [data]. Then: quorum check --bars {folder}"
        )
    return f"Next: quorum check --bars {folder}"
