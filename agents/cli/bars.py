"""`quorum bars`: prices that are not believed, and what a person says of them, of a delisting or of a new name."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from agents.adapters.database.delistings import ToBeClosed, delist, take_back, to_be_closed
from agents.adapters.database.renames import Renames
from agents.adapters.database.suspect_bars import SuspectBars
from agents.cli.confirm import confirmed
from agents.cli.screen import Screen, rows_table
from agents.core.errors import UsageError
from agents.core.settings import Settings, load_settings
from agents.wiring.connections import Connections, connect_to_read


def bars(options: Namespace, screen: Screen) -> int:
    """One of the actions; exit status 1 where a person was asked and did not agree."""
    settings = load_settings(options.settings)
    connections = connect_to_read(settings, demo=options.demo, say=screen.say)
    try:
        return ACTIONS[options.action](options, screen, settings, connections)
    finally:
        connections.close()


def _list(_options: Namespace, screen: Screen, settings: Settings, connections: Connections) -> int:
    document, tables = _state(SuspectBars(connections.trader, settings.data.suspect_bars))
    screen.result(document, *tables)
    return 0


def _state(store: SuspectBars) -> tuple[dict[str, object], list[Table | Text]]:
    """What is not believed, and what a person may take back."""
    suspects, accepted = store.all()
    rows = [{**asdict(suspect), "you_said": suspect.word} for suspect in suspects]
    tables = [rows_table("Suspect symbols", rows, ("symbol", "time", "price", "accepted", "bars", "you_said"))]
    if accepted:
        prices = [asdict(price) for price in accepted]
        tables.append(
            rows_table("Accepted by you; quorum bars undo takes it back", prices, ("symbol", "time", "price"))
        )
    return {"suspect": [asdict(s) for s in suspects], "accepted": [asdict(price) for price in accepted]}, tables


def _accept(options: Namespace, screen: Screen, settings: Settings, connections: Connections) -> int:
    bar = SuspectBars(connections.trader, settings.data.suspect_bars).decide(options.symbol, "accepted")
    said = (
        f"{bar.symbol}: {bar.price:g} of {bar.time:%Y-%m-%d %H:%M} is right: the next bar is held against it"
        f" (take it back: quorum bars undo {bar.symbol})"
    )
    screen.result({"symbol": bar.symbol, "action": "accept", "price": bar.price}, said)
    return 0


def _undo(options: Namespace, screen: Screen, settings: Settings, connections: Connections) -> int:
    told = take_back(connections.owner, options.symbol)
    if told is not None:
        document = {"symbol": told.symbol, "action": "undo", "price": told.price}
        screen.result(document, f"{told.symbol} is on the market as before; nothing was closed at {told.price:g}")
        return 0
    store = SuspectBars(connections.trader, settings.data.suspect_bars)
    price = store.take_back(options.symbol)
    said = (
        f"{price.symbol}: {price.price:g} of {price.time:%Y-%m-%d %H:%M} is accepted no more; the next bar is held"
        " against the level before it. What was decided meanwhile stays"
    )
    screen.result({"symbol": price.symbol, "action": "undo", "price": price.price}, said, *_state(store)[1])
    return 0


def _reject(options: Namespace, screen: Screen, settings: Settings, connections: Connections) -> int:
    needed = settings.data.suspect_bars
    store = SuspectBars(connections.trader, needed)
    bar = store.decide(options.symbol, "rejected")
    said = (
        f"{bar.symbol}: {bar.price:g} of {bar.time:%Y-%m-%d %H:%M} is wrong; {bar.symbol} is traded again once a bar"
        f" fits {bar.accepted:g}, or {needed} from this one on agree and one more comes"
    )
    document = {"symbol": bar.symbol, "action": "reject", "price": bar.price}
    screen.result(document, said, *_state(store)[1])
    return 0


def _delist(options: Namespace, screen: Screen, _settings: Settings, connections: Connections) -> int:
    if options.price is None:
        raise UsageError("bars delist: say what was paid for a share, as in --price 12.50; 0 for nothing")
    stake = to_be_closed(connections.trader, options.symbol)
    if stake.last_price is not None and not confirmed(options, screen, _closing(options, stake)):
        return 1
    since = delist(connections.trader, options.symbol, options.price, options.at)
    said = (
        f"{options.symbol}: off the market since {since:%Y-%m-%d %H:%M}; all books close at {options.price:g} by the"
        " next decision after that, and no bar of it is waited for (until then take it back: quorum bars undo"
        f" {options.symbol})"
    )
    document = {"symbol": options.symbol, "action": "delist", "price": options.price, "since": since.isoformat()}
    screen.result(document, said)
    return 0


def _closing(options: Namespace, stake: ToBeClosed) -> str:
    """What a delisting would do, for a person to look at twice."""
    held = f", {stake.held:,g} units of the live book among them" if stake.held else ""
    return (
        f"take {options.symbol} off the market: every book that holds it is closed at {options.price:g}"
        f" (its last price: {stake.last_price:g}){held}"
    )


def _rename(options: Namespace, screen: Screen, settings: Settings, connections: Connections) -> int:
    old, new = options.symbol, options.name
    if new in settings.data.aliases:
        raise UsageError(f"{new} is {settings.data.aliases[new]} already, by data.aliases of the settings")
    renames = Renames(connections.owner)
    loose = renames.require_possible(old, new)
    if loose and not confirmed(options, screen, f"take the {loose:,} bars of {new} that no decision used for {old}"):
        return 1
    renames.rename(old, new)
    kept = f"; in data.symbols leave {old}" if old in settings.data.symbols else ""
    said = f"{new} in files is {old} from now on, whose positions, bars and record go on under that name{kept}"
    if loose:
        said += f"; the folder's files with {loose:,} bars of {new} are read again, others have to be imported again"
    screen.result({"symbol": old, "name": new, "action": "rename", "bars_read_again": loose}, said)
    return 0


ACTIONS: dict[str, Callable[[Namespace, Screen, Settings, Connections], int]] = {
    "list": _list,
    "accept": _accept,
    "undo": _undo,
    "reject": _reject,
    "delist": _delist,
    "rename": _rename,
}
