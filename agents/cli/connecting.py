"""`quorum connect`: what an exchange asks of a desk, checked, and the settings of a desk on its live prices."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from agents.adapters.exchanges.futures_prices import PERPETUALS, prices_of
from agents.adapters.exchanges.history import patiently
from agents.adapters.exchanges.public_prices import Terms
from agents.adapters.stocks.alpaca_account import ALPACA
from agents.cli.connecting_key import Checked, check_account, words_on
from agents.cli.connecting_settings import ahead_s, asked_symbols, clock_is_right, clock_line, write_settings
from agents.cli.connecting_stocks import connect_stocks
from agents.cli.extras import EXCHANGES, require
from agents.cli.screen import Screen, rows_table
from agents.core.clock import SystemClock
from agents.core.profiles import MARKET_KEYS
from agents.core.settings import load_settings, settings_path

COLUMNS = ("symbol", "price_step", "quantity_step", "least_quantity", "least_cost", "maker", "taker")


def connect(options: Namespace, screen: Screen) -> int:
    """Ask the exchange for its clock, markets, fees and least amounts, and with --trade for the account; write the
    settings; say what to type next."""
    if options.exchange == ALPACA:
        return connect_stocks(options, screen)
    require(EXCHANGES)
    settings, path = load_settings(options.settings), settings_path(options.settings)
    symbols = (
        tuple(dict.fromkeys(options.symbols)) or settings.data.symbols or asked_symbols(options, "BTC/USDT ETH/USDT")
    )
    with closing(prices_of(options.exchange, settings.data.exchange_url)) as prices:
        screen.say(f"asking {prices.name} for its markets")
        patiently(lambda: prices.require(symbols, options.interval), SystemClock(), screen.say)
        terms = [prices.terms(symbol) for symbol in symbols]
        ahead = patiently(lambda: ahead_s(prices), SystemClock(), screen.say)
    clock_ok = clock_is_right(ahead)
    changes = _changes(options.exchange, options.interval, terms)
    if options.exchange in PERPETUALS:
        changes["desk"]["profile"] = "crypto-perp"
    checked = check_account(options, settings, symbols, screen) if options.trade else None
    if checked is not None:
        changes["desk"] |= checked.changes(options.exchange)
    kept = write_settings(path, changes, [("data", key) for key in (*MARKET_KEYS, "clock")])
    document = {
        "exchange": options.exchange,
        "interval": options.interval,
        "terms": [asdict(each) for each in terms],
        "clock_ahead_s": ahead,
        "clock_ok": clock_ok,
        "settings": str(path),
        "settings_before": str(kept) if kept else None,
        "account": checked.document() if checked else None,
    }
    title = f"What {options.exchange} asks: steps, least amounts, fees as fractions"
    table = rows_table(title, [asdict(each) for each in terms], COLUMNS)
    lines = [clock_line(options.exchange, ahead)]
    lines += [words_on(checked, options.exchange)] if checked else []
    screen.result(document, table, *map(Text, lines), Text(_next(path, kept, checked)))
    return 0 if clock_ok else 1


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
