"""`quorum bars`: symbols whose newest price is not believed, and what a person says of it or of a delisting."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from agents.adapters.database.delistings import delist
from agents.adapters.database.suspect_bars import SuspectBars
from agents.cli.screen import Screen, rows_table
from agents.core.errors import UsageError
from agents.core.settings import load_settings
from agents.wiring.connections import Connections, connect_to_read

WORDS = {"accept": "accepted", "reject": "rejected"}
MEANINGS = {
    "accept": "is right: the next bar is held against it",
    "reject": "is wrong: bars that agree are counted anew from here",
}


def bars(options: Namespace, screen: Screen) -> int:
    """Lists suspect symbols, or records a person's word on one of them, or on a symbol that was delisted."""
    connections = connect_to_read(load_settings(options.settings), demo=options.demo)
    try:
        suspects = SuspectBars(connections.trader)
        if options.action == "list":
            found = [asdict(suspect) for suspect in suspects.all()]
            columns = ("symbol", "time", "price", "accepted", "accepted_at", "bars")
            screen.result(found, rows_table("Suspect symbols", found, columns))
            return 0
        if not options.symbol:
            raise UsageError(f"bars {options.action}: name a symbol (see: quorum bars)")
        if options.action == "delist":
            return _delist(options, connections, screen)
        bar = suspects.decide(options.symbol, WORDS[options.action])
    finally:
        connections.close()
    said = f"{bar.symbol}: {bar.price:g} of {bar.time:%Y-%m-%d %H:%M} {MEANINGS[options.action]}"
    screen.result({"symbol": bar.symbol, "action": options.action, "price": bar.price}, said)
    return 0


def _delist(options: Namespace, connections: Connections, screen: Screen) -> int:
    if options.price is None:
        raise UsageError("bars delist: say what was paid for a share, as in --price 12.50; 0 for nothing")
    since = delist(connections.trader, options.symbol, options.price, options.at)
    said = (
        f"{options.symbol}: off the market since {since:%Y-%m-%d %H:%M}; all books close at {options.price:g} by the"
        " next decision after that"
    )
    document = {"symbol": options.symbol, "action": "delist", "price": options.price, "since": since.isoformat()}
    screen.result(document, said)
    return 0
