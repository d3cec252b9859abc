"""`quorum data`: what data the desk has, what is wrong with them, and taking an import back."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from agents.adapters.database.engine import Row
from agents.adapters.database.stored_data import StoredData
from agents.cli.confirm import confirmed
from agents.cli.screen import Screen, rows_table
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.ports import MarketCalendar
from agents.core.settings import DataSettings, load_settings
from agents.core.symbols import EVERY_SYMBOL
from agents.wiring.calendar import calendar_of
from agents.wiring.connections import Connections, connect_to_read

SHOWN = 1000
"""At most so many rows of corrections and of the quarantine are shown."""
CELL_CHARACTERS = 48


class Source(NamedTuple):
    """The desk's database, and what its settings say of data."""

    connections: Connections
    data: DataSettings

    @property
    def calendar(self) -> MarketCalendar:
        """When its bars close."""
        return calendar_of(self.data)


def data(options: Namespace, screen: Screen) -> int:
    """One of the actions; exit status 1 where nothing was removed."""
    settings = load_settings(options.settings)
    connections = connect_to_read(settings, demo=options.demo, say=screen.say)
    try:
        return ACTIONS[options.action](options, screen, Source(connections, settings.data))
    finally:
        connections.close()


def _list(options: Namespace, screen: Screen, source: Source) -> int:
    stored = StoredData(source.connections.trader)
    rows, lonely, refused = stored.symbols(source.calendar), stored.series_without_bars(), stored.refused_files()
    shown = [
        {
            **row,
            "first": f"{row['first']:%Y-%m-%d}",
            "last": f"{row['last']:%Y-%m-%d %H:%M}",
            "corrected": row["corrections"],
        }
        for row in rows
    ]
    columns = ["symbol", "first", "last", "bars", "missing", "suspect", "corrected"]
    if options.history:  # all of them do not fit into 80 columns
        columns = ["symbol", "bars", "suspect", "suspect_ever", "corrections", "corrections_ever"]
    document = {"symbols": rows, "series_without_bars": lonely, "refused_files": refused}
    document["stale_series"] = stored.stale_series()
    screen.result(document, rows_table("Bars", shown, columns), *data_remarks(document))
    return 0


def data_remarks(document: Row) -> list[Text]:
    """What no desk reads: series that no bar meets, or whose newest value is too old, files that are refused; nothing
    where there are none."""
    lonely, refused = document["series_without_bars"], document["refused_files"]
    count = f"{len(refused)} file{'s' if len(refused) > 1 else ''}"
    files = f"{count} of the folder cannot be read; see: quorum data quarantine"
    stale = document["stale_series"]
    return [
        Text(words)
        for words, given in ((without_bars(lonely), lonely), (too_old(stale), stale), (files, refused))
        if given
    ]


def without_bars(symbols: Sequence[str]) -> str:
    """The remark on series that no bar meets."""
    return (
        f"there are series or texts of {', '.join(symbols)}, but no bars under that name, so no agent sees them;"
        " if the desk calls it otherwise, say so in [data.aliases] and import them again"
    )


def too_old(series: Sequence[Row]) -> str:
    """The remark on series whose newest value does not count any more."""
    ended = [
        f"{row['name']}{'' if row['symbol'] == EVERY_SYMBOL else ' of ' + row['symbol']} (its newest value is of"
        f" {row['newest']:%Y-%m-%d %H:%M} and counted until {row['until']:%Y-%m-%d %H:%M})"
        for row in series
    ]
    return f"too old to count, so agents that read them have no opinion by them: {', '.join(ended)}"


def _gaps(options: Namespace, screen: Screen, source: Source) -> int:
    rows = StoredData(source.connections.trader).gaps(options.symbol, source.calendar)
    shown = [
        {**row, **{name: f"{row[name]:%Y-%m-%d %H:%M}" for name in ("last_before", "first_after")}} for row in rows
    ]
    by = f"by the calendar {source.data.calendar}" if source.data.calendar else "where others have a bar"
    screen.result(rows, rows_table(f"Gaps, {by}", shown, ("symbol", "last_before", "first_after", "missing")))
    return 0


def _corrections(options: Namespace, screen: Screen, source: Source) -> int:
    stored = StoredData(source.connections.trader)
    rows = stored.corrections(options.symbol, SHOWN)
    lines = []
    for row in rows:
        differ = [name for name in row["kept"] if row["kept"][name] != row["given"][name]]
        changes = "; ".join(f"{name} {_text(row['kept'][name])} -> {_text(row['given'][name])}" for name in differ)
        state = "taken" if row["taken"] else "kept, seen" if row["seen_at"] else "kept"
        lines.append(
            {"symbol": row["symbol"], "bar": f"{row['time']:%Y-%m-%d %H:%M}", "state": state, "change": changes}
        )
    seen = stored.corrections_seen(SystemClock().now()) if options.seen else 0
    remark = [Text(f"{seen} corrections are marked as seen; their alarm closes")] if options.seen else []
    table = rows_table("Corrections by later files", lines, ("symbol", "bar", "state", "change"))
    screen.result({"corrections": rows, "marked_seen": seen}, table, *remark)
    return 0


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"


def _quarantine(_options: Namespace, screen: Screen, source: Source) -> int:
    """Files that were refused as a whole come first: nothing of them is there."""
    stored = StoredData(source.connections.trader)
    files, rows = stored.refused_files(), stored.quarantine(SHOWN)
    tables: list[Table | Text] = []
    if files:
        remedy = "A file is looked at again when it changes: mend it as its reason says, or take it out of the folder."
        tables = [rows_table("Refused files", files, ("file", "reason", "refused_at")), Text(remedy)]
    shown = [{**row, "content": _short(row["content"])} for row in rows]
    tables.append(rows_table("Refused rows, newest first", shown, ("file", "row", "reason", "content")))
    screen.result({"files": files, "rows": rows}, *tables)
    return 0


def _short(content: str) -> str:
    visible = json.dumps(content, ensure_ascii=False)[1:-1]
    return visible if len(visible) <= CELL_CHARACTERS else visible[: CELL_CHARACTERS - 1] + "…"


def _remove(options: Namespace, screen: Screen, source: Source) -> int:
    """Only bars that no decision has used: what was decided must be computed again from the same data."""
    stored = StoredData(source.connections.trader)
    chosen = stored.chosen(options.symbol, options.start, options.end)
    if not chosen["bars"]:
        raise UsageError(f"there are no such bars of {options.symbol}; see: quorum data list")
    if chosen["used"]:
        raise UsageError(_why_not(options.symbol, chosen))
    if not confirmed(options, screen, f"remove {chosen['bars']:,} bars of {options.symbol}"):
        return 1
    removed = StoredData(source.connections.owner).remove(options.symbol, options.start, options.end)
    screen.result(
        {"symbol": options.symbol, "removed": removed},
        f"removed {removed:,} bars of {options.symbol}; the files that brought them are read again when they change",
    )
    return 0


def _why_not(symbol: str, chosen: Row) -> str:
    until = f"{chosen['used_until']:%Y-%m-%d %H:%M}"
    return (
        f"{chosen['used']:,} of these {chosen['bars']:,} bars of {symbol}, up to {until} UTC, may have been used by"
        f" decisions, which could not be checked without them; nothing was removed. Bars after that can be (--from),"
        " or forget all decisions, too: quorum reset"
    )


ACTIONS: dict[str, Callable[[Namespace, Screen, Source], int]] = {
    "list": _list,
    "gaps": _gaps,
    "corrections": _corrections,
    "quarantine": _quarantine,
    "remove": _remove,
}
