"""`quorum status` and `psql`: what a desk did, from its database."""

from __future__ import annotations

import json
import subprocess
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from typing import Literal

from rich.table import Table
from rich.text import Text

from agents.adapters.database.broker_accounts import account_on_record, open_breaks
from agents.adapters.database.engine import Row
from agents.adapters.database.heartbeats import HeartbeatTable
from agents.adapters.database.reader import DeskReader
from agents.adapters.database.stored_data import StoredData
from agents.cli.alarms import alarm_tables, alarms_and_daemons
from agents.cli.cash import waiting_lines
from agents.cli.offline import exit_lines
from agents.cli.performance import added_words, effective_lines, summary
from agents.cli.reconcile import account_lines, break_tables, stop_lines
from agents.cli.screen import Screen, new_table, rows_table
from agents.cli.stored_data import data_remarks
from agents.cli.typos import refuse_typos
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.own_folder import folder_problems
from agents.core.settings import Settings, child_environment, load_settings
from agents.core.types import REMAINDER
from agents.reports.formatting import money, number, percent, quantity, signed_money, true_minuses
from agents.wiring.alarm_limits import fresh_since
from agents.wiring.connections import Connections, connect_to_read
from agents.wiring.desk_record import kill_file_of

BOOKS = {"paper": "the desk, on paper", "live": "the desk, its account"}
"""Of a desk whose orders are filled here, and of one whose orders leave."""
NO_ANSWER = " (too little is known yet, or the method has no solution)"


def status(options: Namespace, screen: Screen) -> int:
    """Figures of every book, agents, positions and health."""
    with connected(options, screen) as connections:
        reader = DeskReader(connections.trader)
        now = alarms_and_daemons(reader, HeartbeatTable(connections.trader), SystemClock().now())
        settings = load_settings(options.settings)
        fresh = None if options.demo else fresh_since(settings, SystemClock().now())
        document = summary(reader, fresh) | {"health": reader.health(), "positions": reader.positions()} | now
        document["waiting_commands"] = reader.waiting_commands()
        document |= {"breaks": open_breaks(connections.trader), "account": account_on_record(connections.trader)}
        document["resting_stops"] = reader.rows("SELECT * FROM v_resting_stops ORDER BY symbol")
        document["cash_flows"] = reader.rows("SELECT * FROM v_cash_flows WHERE state IN ('waiting', 'planned')")
        stored = StoredData(connections.trader)
        document |= {"series_without_bars": stored.series_without_bars(), "refused_files": stored.refused_files()}
        document["stale_series"] = stored.stale_series()
        document["kill_file"] = kill_file_of(settings).pulled()
        document["exits"] = exit_lines(settings) if settings.desk.venue else []
        document |= {"profile": profile_of(settings), "not_taken": folder_problems(settings.agents)}
    stops_rest = bool(settings.desk.venue and (settings.risk.stop_loss or settings.risk.trailing_stop))
    screen.result(
        document,
        *alarm_tables(document, demo=options.demo),
        *([Text(f"KILL FILE: nothing is sent ({document['kill_file']})")] if document["kill_file"] else []),
        *map(Text, document["exits"]),
        *_command_tables(document["waiting_commands"]),
        *account_lines(document["account"]),
        *waiting_lines(document["cash_flows"]),
        *break_tables(document["breaks"]),
        *data_remarks(document),
        *(Text(f"not taken: {line}") for line in document["not_taken"]),
        Text(document["profile"]["words"]),
        *summary_tables(document),
        _positions_table(document["positions"]),
        *stop_lines(document["resting_stops"], are_set=stops_rest),
        health_table(document["health"]),
    )
    return 0


def health_table(health: Row) -> Table | Text:
    """What v_health says, a size in MB."""
    shown = {name: value for name, value in health.items() if name != "database_bytes"}
    size = health.get("database_bytes")
    shown["database"] = None if size is None else f"{size / 1e6:,.0f} MB"
    return rows_table(
        "Health", [{"what": name.replace("_", " "), "value": value} for name, value in shown.items()], ("what", "value")
    )


def profile_of(settings: Settings) -> Row:
    """The settings' profile, and what it has set."""
    set_by = settings.from_profile
    shown = ", ".join(f"{key} = {json.dumps(value)}" for key, value in sorted(set_by.items()))
    name = settings.desk.profile
    return {"name": name, "sets": set_by, "words": f"Profile {name} sets {shown or 'nothing: you have set it all'}"}


def psql(options: Namespace, screen: Screen) -> int:
    """Becomes psql on the desk's database; with --json only says how it would be called."""
    connections = connect_to_read(load_settings(options.settings), demo=options.demo, say=screen.say)
    connections.close()
    opened = connections.psql_as_owner() if options.owner else (connections.psql, connections.psql_environment)
    command = [*opened[0], *options.arguments]
    if options.json:
        screen.result({"command": command})
        return 0
    try:
        return subprocess.call(command, env=child_environment(**opened[1]))
    except FileNotFoundError:
        raise UsageError(f"{command[0]} was not found; install the package postgresql-client") from None


@contextmanager
def connected(options: Namespace, screen: Screen) -> Iterator[Connections]:
    """The desk's connections to read with; SettingsError for a name in the settings that names nothing."""
    settings = load_settings(options.settings)
    refuse_typos(settings)
    connections = connect_to_read(settings, demo=options.demo, say=screen.say)
    try:
        yield connections
    finally:
        connections.close()


def _command_tables(waiting: list[Row]) -> list[Table | Text]:
    """What a person ordered and the desk has not obeyed; nothing where there is none."""
    if not waiting:
        return []
    return [rows_table("Ordered, not obeyed yet (no desk runs?)", waiting, ("ordered_at", "state", "reason"))]


# ---------------------------------------------------------------- tables


def summary_tables(document: Row) -> list[Table | Text]:
    """The tables of `summary`."""
    if document["live"] is None:
        return [Text("no decisions yet")]
    counts = document["counts"]
    won = percent(counts["winning_trades"])
    at_work = f", {counts['open_orders']:,} open" if counts["open_orders"] else ""
    line = (
        f"{counts['decisions']:,} decisions,"
        f" {counts['orders']:,} orders ({counts['unfilled_orders']:,} not filled{at_work}),"
        f" {counts['fills']:,} fills, {counts['trades']:,} trades ({won} won); "
        f"fees {money(counts['fees'])}, spread and impact {money(counts['slippage'])}"
    )
    held = [
        Text(
            f"Against {name.replace('_', ' ')}, since {row['since']}: {percent(row['excess_return'], sign=True)} a year"
            f" [{percent(row['low'], sign=True)}, {percent(row['high'], sign=True)}], beta {number(row['beta'])},"
            f" information ratio {number(row['information_ratio'], sign=True)}"
        )
        for name, row in document["benchmark"].items()
    ]
    return [
        _books_table(document),
        *held,
        _agents_table(document["agents"], document["value_added"]),
        *effective_lines(document["effective"]),
        *_mute_lines(document),
        *_retired_lines(document),
        Text(line),
    ]


def _books_table(document: Row) -> Table:
    start, end = (stamp[:10] for stamp in document["period"])
    table = new_table(f"Books, {start} to {end}")
    for name in ("book", "equity", "return", "a year", "Sharpe", "max drawdown"):
        table.add_column(name, justify="left" if name == "book" else "right")
    for name, figures in ((document["book"], document["live"]), *document["controls"].items()):
        table.add_row(
            Text(BOOKS.get(name, name), style="bold")
            if name == document["book"]
            else f"control: {name.replace('_', ' ')}",
            money(figures["equity"]),
            percent(figures["total_return"]),
            percent(figures["annual_return"]),
            number(figures["sharpe"]),
            percent(figures["max_drawdown"]),
        )
    return table


def mute_words(reason: str) -> str:
    """ "abstains: no series" of an agent that is mute on this universe."""
    return f"mute: {reason.removeprefix('abstains: ')}"


def _mute_lines(document: Row) -> list[Text]:
    """Who has no weight because it never says anything, and why."""
    mute = document.get("mute", {})
    return [Text(f"{name} is {mute_words(reason)}; no weight until it speaks") for name, reason in mute.items()]


def _retired_lines(document: Row) -> list[Text]:
    """Who is listened to no longer."""
    names = ", ".join(document.get("retired", ()))
    return [Text(f"Retired, listened to no longer: {names}; quorum agent list says why")] if names else []


def _agents_table(scorecards: list[Row], value_added: Mapping[str, Row]) -> Table:
    table = new_table("Agents")
    for name in ("agent", "weight", "earned", "shadow Sharpe", "opinions", "adds a year"):
        justify: Literal["left", "right"] = "left" if name == "agent" else "right"
        wide = len("shadow") if name == "shadow Sharpe" else None
        table.add_column(name, justify=justify, no_wrap=wide is None, min_width=wide, overflow="fold")
    for row in scorecards:
        if row["agent_name"] == REMAINDER:
            table.add_row(Text(REMAINDER, style="dim"), "", money(row["contribution"]))
            continue
        table.add_row(
            row["agent_name"],
            percent(row["weight"]),
            money(row["contribution"]),
            number(row["shadow_sharpe"]),
            f"{row['signals'] or 0:,}",
            added_words(value_added.get(row["agent_name"])),
        )
    return table


def _positions_table(positions: list[Row]) -> Table | Text:
    if not positions:
        return Text("Positions: none")
    table = new_table("Positions")
    for name in ("symbol", "quantity", "entry", "mark", "value", "unrealised", "since"):
        table.add_column(name, justify="left" if name in ("symbol", "since") else "right")
    for row in positions:
        table.add_row(
            row["symbol"],
            quantity(row["quantity"]),
            quantity(row["average_entry_price"]),
            quantity(row["mark"]),
            money(row["value"]),
            signed_money(row["unrealised_pnl"]),
            f"{row['opened_at'].astimezone(UTC):%Y-%m-%d %H:%M}",
        )
    return table


def tuning_line(tuning: Row) -> Text:
    """What became of the weights."""
    if not tuning["decisions"]:
        return Text("the optimizer has not decided anything yet")
    line = (
        f"{tuning['decisions']:,} weight decisions: {tuning['changes']:,} changes, {tuning['holds']:,} holds,"
        f" {tuning['fallbacks']:,} without an answer{NO_ANSWER if tuning['fallbacks'] else ''}"
    )
    last = true_minuses(tuning["last_reason"] or "")
    return Text(line + (f"; the last change: {last}" if last else ""))
