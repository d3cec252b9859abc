"""`quorum connect alpaca --trade`: an account at a broker of stocks takes the orders of a desk; its bars are files'."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.text import Text

from agents.adapters.stocks.alpaca_account import ALPACA
from agents.cli.connecting_key import Checked, check_account, words_on
from agents.cli.connecting_settings import asked_symbols, clock_is_right, clock_line, write_settings
from agents.cli.extras import ALPACA as PACKAGE
from agents.cli.extras import require
from agents.cli.screen import Screen
from agents.core.errors import UsageError
from agents.core.settings import load_settings, settings_path


def connect_stocks(options: Namespace, screen: Screen) -> int:
    """Check the account, write the settings, say what to type next."""
    if not options.trade:
        raise UsageError(
            "alpaca takes the orders of a desk whose bars come from files: quorum connect alpaca --trade (its paper"
            " account) or --trade live; for bars: quorum download --source yahoo"
        )
    require(PACKAGE)
    settings, path = load_settings(options.settings), settings_path(options.settings)
    symbols = tuple(dict.fromkeys(options.symbols)) or settings.data.symbols or asked_symbols(options, "AAPL MSFT")
    pair = next((symbol for symbol in symbols if "/" in symbol), None)
    if pair is not None:
        raise UsageError(f"a desk at alpaca trades stocks, such as AAPL; {pair} is a pair of currencies")
    checked = check_account(options, settings, symbols, screen)
    changes: dict[str, Any] = {
        "desk": {"profile": "stocks"} | checked.changes(ALPACA),
        "data": {"symbols": list(symbols)},
        "execution": {"commission_bps": 0.0, "minimum_commission": 0.0},  # Alpaca asks for none
    }
    kept = write_settings(path, changes)
    ok = clock_is_right(checked.clock_ahead_s)
    document = {
        "exchange": ALPACA,
        "clock_ahead_s": checked.clock_ahead_s,
        "clock_ok": ok,
        "settings": str(path),
        "settings_before": str(kept) if kept else None,
        "account": checked.document(),
    }
    was = f" (what it was is kept in {kept})" if kept else ""
    lines = [clock_line(ALPACA, checked.clock_ahead_s), words_on(checked, ALPACA), f"Wrote {path}{was}. Next:"]
    screen.result(document, *map(Text, lines), Text(_next(checked)))
    return 0 if ok else 1


def _next(checked: Checked) -> str:
    first = "  (the first start asks you to confirm real money; for a daemon: quorum trade --confirm)"
    return (
        "  quorum download --source yahoo --from 2015-01-01    history; the same every evening brings the day's bar\n"
        f"  quorum trade{first if checked.mode == 'live' else ''}"
    )
