"""`quorum download`: an exchange's history into files that the desk reads. No key is needed."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from rich.text import Text

from agents.adapters.exchanges.candle_file import CandleFile, Gap
from agents.adapters.exchanges.funding_history import fetch_funding, funding_file
from agents.adapters.exchanges.futures_prices import FuturesPrices, prices_of
from agents.adapters.exchanges.history import History, patiently
from agents.adapters.exchanges.public_prices import ExchangeAwayError, PublicPrices
from agents.cli.extras import EXCHANGES, require
from agents.cli.screen import Screen, rows_table
from agents.cli.stocks import download_stocks
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError, UsageError
from agents.core.settings import INTERVALS_S, Settings, load_settings

GAPS_SHOWN = 10
COLUMNS = ("symbol", "new", "candles", "first", "last", "missing")


@dataclass(frozen=True, slots=True)
class _Span:
    """Candles that are asked for: of an interval by name and in ms, from `start_ms` on, over at `until_ms`; and where
    their files are."""

    interval: str
    interval_ms: int
    start_ms: int
    until_ms: int
    folder: Path


def download(options: Namespace, screen: Screen) -> int:
    """Every symbol into a file of its own, from where the file ends; what is missing is named."""
    settings = load_settings(options.settings)
    try:
        return (download_stocks if options.source else _download)(options, settings, screen)
    except OSError as error:
        place = error.filename or options.out or settings.data.feed_folder
        words = f"{place}: cannot be written: {error.strerror}; what was fetched before is kept"
        raise ServiceError(f"{words}, and the same command goes on there") from None


def _download(options: Namespace, settings: Settings, screen: Screen) -> int:
    require(EXCHANGES)
    name = options.exchange or settings.data.exchange
    symbols = tuple(dict.fromkeys(options.symbols)) or settings.data.symbols
    if not name or not symbols:
        raise UsageError("say which exchange and symbols: --exchange binance --symbols BTC/USDT ETH/USDT")
    span = _span(options, settings)
    with closing(prices_of(name, settings.data.exchange_url)) as prices:
        try:
            patiently(lambda: prices.require(symbols, span.interval), SystemClock(), screen.say)
            rows = [_download_one(prices, symbol, span, screen) for symbol in symbols]
        except ExchangeAwayError as error:
            raise ServiceError(f"{error}; what was fetched is kept, and the same command goes on there") from None
    screen.result(
        rows, *_tables(name, rows), Text(_what_next(settings, span, perpetual=isinstance(prices, FuturesPrices)))
    )
    return 0


def _span(options: Namespace, settings: Settings) -> _Span:
    interval = options.interval or settings.data.interval
    length_ms = INTERVALS_S[interval] * 1000
    start_ms = -(-_ms(options.start) // length_ms) * length_ms
    until_ms = _ms(min(options.until or SystemClock().now(), SystemClock().now()))
    if start_ms >= until_ms:
        raise UsageError(f"--from {options.start:%Y-%m-%d %H:%M} is not before the end of what is asked for")
    return _Span(interval, length_ms, start_ms, until_ms, options.out or settings.data.feed_folder)


def _download_one(prices: PublicPrices, symbol: str, span: _Span, screen: Screen) -> dict[str, Any]:
    file = CandleFile.of(span.folder, prices.name, symbol, span.interval)
    before = len(file.times_ms())
    history = History(prices, span.interval, SystemClock(), screen.say)
    total = (span.until_ms - span.start_ms) // span.interval_ms
    with ExitStack() as stack:
        show = screen.progress(stack, symbol, f"candles of {span.interval}")
        earlier = history.fetch_earlier(file, span.start_ms)
        for reached_ms in chain(earlier, history.fetch(file, span.start_ms, span.until_ms)):
            show((reached_ms - span.start_ms) // span.interval_ms, total, f"{_at(reached_ms):%Y-%m-%d}")
        show(total, total)
    settled = 0
    if isinstance(prices, FuturesPrices):
        paid = funding_file(span.folder, prices.name, symbol)
        settled = fetch_funding(prices, paid, span.start_ms, lambda ask: patiently(ask, SystemClock(), screen.say))
    times, gaps = file.times_ms(), file.gaps(span.interval_ms)
    return {
        "symbol": symbol,
        "new": len(times) - before,
        **({"funding": settled} if isinstance(prices, FuturesPrices) else {}),
        "candles": len(times),
        "first": _at(int(times[0])) if len(times) else None,
        "last": _at(int(times[-1])) if len(times) else None,
        "missing": sum(gap.candles for gap in gaps),
        "begins_late": not len(times) or bool(times[0] > span.start_ms),
        "gaps": [_gap_row(gap) for gap in gaps],
        "file": str(file.path),
    }


def _tables(name: str, rows: list[dict[str, Any]]) -> list[Any]:
    tables: list[Any] = [rows_table("Candles, by the time at which they opened", rows, _columns(rows))]
    gaps = [{"symbol": row["symbol"], **gap} for row in rows for gap in row["gaps"]]
    if gaps:
        more = "" if len(gaps) <= GAPS_SHOWN else f" ({GAPS_SHOWN} of {len(gaps)}; all: --json)"
        tables.append(rows_table(f"Gaps: what {name} has no candles of{more}", gaps[:GAPS_SHOWN], tuple(gaps[0])))
    late = ", ".join(row["symbol"] for row in rows if row["begins_late"])
    if late:
        why = "nothing older than the first candle here; some exchanges keep only the newest few hundred"
        tables.append(Text(f"{late}: {name} gave {why}"))
    return tables


def _columns(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """With the new settlements where the symbols are perpetual futures."""
    return (*COLUMNS[:2], "funding", *COLUMNS[2:]) if any("funding" in row for row in rows) else COLUMNS


def _what_next(settings: Settings, span: _Span, *, perpetual: bool) -> str:
    data = settings.data
    profile = "crypto-perp" if perpetual else "crypto-spot"
    if (data.interval, data.time_means, data.calendar) != (span.interval, "open", "24/7"):
        return (
            f"For a desk on these files, write into quorum.toml: profile = '{profile}' under [desk]; interval ="
            f" '{span.interval}' and time_means = 'open' under [data]. Then: quorum check --bars {span.folder}"
        )
    return f"Next: quorum check --bars {span.folder}"


def _gap_row(gap: Gap) -> dict[str, Any]:
    return {"first": _at(gap.first_ms), "last": _at(gap.last_ms), "missing": gap.candles}


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
