"""`quorum why`: one decision about a symbol, from every vote to its fills, in the desk's own words."""

from __future__ import annotations

from argparse import Namespace

from rich.table import Table
from rich.text import Text

from agents.adapters.database.engine import Row
from agents.adapters.database.reader import DeskReader
from agents.cli.screen import Screen, new_table
from agents.cli.status import connected, mute_words
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.reports.formatting import number, percent
from agents.reports.why_words import decision_lines, order_lines


def why(options: Namespace, screen: Screen) -> int:
    """One decision about a symbol, with every vote, the order and its fills."""
    at = options.at or SystemClock().now()
    with connected(options, screen) as connections:
        reader = DeskReader(connections.trader)
        decision, mute = reader.why(options.symbol, at), reader.mute()
        known = reader.symbols() if decision is None else []
    if decision is not None:
        for vote in decision["votes"]:
            if vote["abstained"] and vote["agent_name"] in mute:
                vote["reason"] = mute_words(vote["reason"])
        screen.result(decision, *_why_tables(decision))
        return 0
    if options.symbol in known:
        raise UsageError(f"no decision about {options.symbol} at or before {at:%Y-%m-%d %H:%M} UTC")
    raise UsageError(f"no decision about '{options.symbol}'; decided upon were: {', '.join(known) or 'none yet'}")


def _why_tables(decision: Row) -> list[Table | Text]:
    """The votes as a table, then combination, limits, order and fills as lines."""
    table = new_table(f"{decision['symbol']} at {decision['time']:%Y-%m-%d %H:%M} UTC")
    for name in ("agent", "weight", "strength", "confidence", "forecast", "reason"):
        words = name in ("agent", "reason")
        table.add_column(name, justify="left" if words else "right", no_wrap=name != "reason")
    for vote in decision["votes"]:
        silent = vote["abstained"]
        table.add_row(
            vote["agent_name"],
            percent(decision["weights"].get(vote["agent_name"])),
            "" if silent else number(vote["strength"], sign=True),
            "" if silent else number(vote["confidence"]),
            "" if silent else number(vote["forecast"], sign=True),
            vote["reason"],
        )
    return [table, *(Text(line) for line in (*decision_lines(decision), *order_lines(decision)))]
