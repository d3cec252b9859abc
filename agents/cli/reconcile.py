"""`quorum reconcile`: where the desk's books and its account's differ, and a person's word about it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC

from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from agents.adapters.database.broker_accounts import ask, known_account, open_breaks
from agents.adapters.database.engine import Row
from agents.cli.screen import Screen, rows_table
from agents.core.errors import UsageError
from agents.core.settings import load_settings
from agents.core.venues import Remedy
from agents.reports.formatting import quantity
from agents.wiring.connections import connect_to_read

STANDS = {"sending": "is being set", "resting": "rests at the exchange", "reached": "was reached"}
COLUMNS = ("kind", "name", "ours", "theirs", "difference", "asked")
DOES = {
    "adopt": "takes what others did on the account for its own: executions are booked with the next decision, a"
    " difference of cash as money in or out",
    "ignore": "leaves the difference out of its books from now on: it is on the account, and not the desk's",
}


def reconcile(options: Namespace, screen: Screen) -> int:
    """Shows what is open; or asks for one of them to be settled, which the running desk does. 1 where any is open."""
    connections = connect_to_read(load_settings(options.settings), demo=False, say=screen.say)
    try:
        if options.adopt or options.ignore:
            return _ask(options, screen, connections.trader)
        account, rows = known_account(connections.trader), open_breaks(connections.trader)
    finally:
        connections.close()
    if account is None:
        screen.result([], "this desk has traded on no account at an exchange; there is nothing to compare")
        return 0
    words = "Both sides' books agree." if not rows else "Nothing is sent about these until they agree or are settled."
    tables = [rows_table("Differences", rows, COLUMNS)] if rows else []
    screen.result(rows, *tables, words)
    return 1 if rows else 0


def stop_lines(rows: Sequence[Row], *, are_set: bool) -> list[Text]:
    """One line for each position of a desk at an exchange that has stops, and for each that still rests there."""
    lines = []
    for row in rows:
        if row["state"] == "unset":
            words = "its stop does not rest at the exchange yet" if are_set else ""
        elif row["state"] in ("none", "refused"):
            words = f"no stop rests at the exchange for {quantity(row['quantity'])}: {row['reason']}"
        else:
            words = (
                f"a stop for {quantity(row['quantity'])} at {row['stop_price'].normalize():f} {STANDS[row['state']]}"
            )
        if words:
            lines.append(Text(f"{row['symbol']}: {words}"))
    return lines


def account_lines(account: Row | None) -> list[Text]:
    """Where orders go, and who said so; nothing for a desk on paper."""
    if account is None:
        return []
    since = f"{account['recorded_at'].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    who = f", confirmed by {account['confirmed_by']}" if account["confirmed_by"] else ""
    return [Text(f"Orders go to {account['broker']} ({account['mode']}) since {since}{who}")]


def break_tables(breaks: list[Row]) -> list[Table | Text]:
    """Where the account at the exchange and the record differ; nothing where they agree."""
    if not breaks:
        return []
    title = "The exchange's books differ: nothing is sent about these (quorum reconcile)"
    return [rows_table(title, breaks, COLUMNS[:-1])]


def _ask(options: Namespace, screen: Screen, engine: Engine) -> int:
    remedy: Remedy = "adopt" if options.adopt else "ignore"
    name = options.adopt or options.ignore
    if not (options.reason or "").strip():
        raise UsageError("--reason is missing; say in a few words why, it is kept on record")
    if not ask(engine, name, remedy, options.reason.strip()):
        known = ", ".join(str(row["name"]) for row in open_breaks(engine)) or "none"
        raise UsageError(f"nothing is open about '{name}'; open are: {known}")
    screen.result({"name": name, "asked": remedy, "reason": options.reason}, f"{name}: a running desk {DOES[remedy]}")
    return 0
