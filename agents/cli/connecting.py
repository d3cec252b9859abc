"""`quorum connect`: what an exchange asks of a desk, checked, and the settings of a desk on its live prices."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from agents.adapters.exchanges.history import patiently
from agents.adapters.exchanges.public_prices import PublicPrices, Terms
from agents.cli.connecting_key import Checked, check_account, words_on
from agents.cli.extras import EXCHANGES, require
from agents.cli.screen import Screen, rows_table
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.profiles import MARKET_KEYS
from agents.core.settings import load_settings, settings_path
from agents.core.settings_edit import edited
from agents.core.symbols import is_symbol

CLOCKS_APART_S = 5.0
WRITTEN = "# Written by quorum connect; quorum.toml.example tells every key.\n\n"
COLUMNS = ("symbol", "price_step", "quantity_step", "least_quantity", "least_cost", "maker", "taker")


def connect(options: Namespace, screen: Screen) -> int:
    """Ask the exchange for its clock, markets, fees and least amounts, and with --trade for the account; write the
    settings; say what to type next."""
    require(EXCHANGES)
    settings, path = load_settings(options.settings), settings_path(options.settings)
    symbols = tuple(dict.fromkeys(options.symbols)) or settings.data.symbols or _asked_symbols(options)
    with closing(PublicPrices(options.exchange, settings.data.exchange_url)) as prices:
        screen.say(f"asking {prices.name} for its markets")
        patiently(lambda: prices.require(symbols, options.interval), SystemClock(), screen.say)
        terms = [prices.terms(symbol) for symbol in symbols]
        ahead_s = patiently(lambda: _ahead_s(prices), SystemClock(), screen.say)
    clock_ok = ahead_s is None or abs(ahead_s) <= CLOCKS_APART_S
    changes = _changes(options.exchange, options.interval, terms)
    checked = check_account(options, settings, symbols, screen) if options.trade else None
    if checked is not None:
        changes["desk"] |= checked.changes(options.exchange)
    kept = _write(path, changes)
    document = {
        "exchange": options.exchange,
        "interval": options.interval,
        "terms": [asdict(each) for each in terms],
        "clock_ahead_s": ahead_s,
        "clock_ok": clock_ok,
        "settings": str(path),
        "settings_before": str(kept) if kept else None,
        "account": checked.document() if checked else None,
    }
    title = f"What {options.exchange} asks: steps, least amounts, fees as fractions"
    table = rows_table(title, [asdict(each) for each in terms], COLUMNS)
    lines = [_clock_line(options.exchange, ahead_s, ok=clock_ok)]
    lines += [words_on(checked, options.exchange)] if checked else []
    screen.result(document, table, *map(Text, lines), Text(_next(path, kept, checked)))
    return 0 if clock_ok else 1


def _asked_symbols(options: Namespace) -> tuple[str, ...]:
    if options.json or not sys.stdin.isatty():
        raise UsageError("say which symbols the desk trades, such as --symbols BTC/USDT ETH/USDT")
    sys.stderr.write("which symbols does the desk trade, such as BTC/USDT ETH/USDT? ")
    sys.stderr.flush()
    symbols = tuple(dict.fromkeys(sys.stdin.readline().replace(",", " ").split()))
    wrong = [symbol for symbol in symbols if not is_symbol(symbol)]
    if wrong or not symbols:
        raise UsageError(f"{wrong[0]!r} is no symbol such as BTC/USDT" if wrong else "no symbol was named")
    return symbols


def _ahead_s(prices: PublicPrices) -> float | None:
    """How far our clock is ahead of the exchange's, in seconds, taken in the middle of the question; None where it does
    not tell."""
    clock = SystemClock()
    before = clock.now().timestamp()
    theirs_ms = prices.time_ms()
    after = clock.now().timestamp()
    return None if theirs_ms is None else round((before + after) / 2 - theirs_ms / 1000, 3)


def _changes(exchange: str, interval: str, terms: list[Terms]) -> dict[str, Any]:
    """The settings of a desk on this exchange's prices. Fees that it does not tell stay the profile's."""
    takers = [each.taker for each in terms if each.taker is not None]
    execution: dict[str, Any] = {"commission_bps": round(max(takers) * 1e4, 4)} if takers else {}
    steps = {each.symbol: each.quantity_step for each in terms if each.quantity_step}
    if steps:
        execution["lot_sizes"] = steps
    return {
        "desk": {"profile": "crypto-spot"},
        "data": {
            "feed": f"ccxt:{exchange}",
            "symbols": [each.symbol for each in terms],
            "interval": interval,
            "time_means": "open",
        },
        "execution": execution,
    }


def _write(path: Path, changes: dict[str, Any]) -> Path | None:
    """Put the changes into the settings file, once they are known to be right; where that changes a file, a copy of
    what it was stays and is returned."""
    path = path.resolve()  # what a link leads to
    before = path.read_text(encoding="utf-8") if path.exists() else None
    dropped = [("data", key) for key in (*MARKET_KEYS, "clock")]
    text = edited(WRITTEN if before is None else before, changes, dropped)
    if text == before:
        return None
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_text(text, encoding="utf-8")
        load_settings(fresh)
        kept = _keep_a_copy(path, fresh)
        fresh.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}; nothing was changed") from None
    finally:
        fresh.unlink(missing_ok=True)
    return kept


def _keep_a_copy(path: Path, fresh: Path) -> Path | None:
    """What the file was beside it; the new one is read by nobody else than the old one."""
    if not path.exists():
        return None
    shutil.copymode(path, fresh)
    return Path(shutil.copy2(path, path.with_name(path.name + ".before")))


def _clock_line(exchange: str, ahead_s: float | None, *, ok: bool) -> str:
    if ahead_s is None:
        return f"Clock: {exchange} does not tell the time; nothing to compare with"
    if ok:
        return f"Clock: within {max(abs(ahead_s), 0.1):.1f} s of {exchange}'s"
    side = "ahead of" if ahead_s > 0 else "behind"
    return f"Clock: {abs(ahead_s):.1f} s {side} {exchange}'s; set it before you trade: timedatectl set-ntp true"


def _next(path: Path, kept: Path | None, checked: Checked | None) -> str:
    was = f" (what it was is kept in {kept})" if kept else ""
    if checked is None:
        return (
            f"Wrote {path}{was}. Next, each without a key:\n"
            "  quorum download --from 2024-01-01    history, for quorum check --bars bars\n"
            "  ./start_trading.sh                   trade on paper at live prices"
        )
    first = "  (the first start asks you to confirm real money; for a daemon: quorum trade --confirm)"
    return f"Wrote {path}{was}. Next:\n  quorum trade{first if checked.mode == 'live' else ''}"
