"""The command line: `quorum ...`, the same as `python -m agents ...`."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn, Protocol

from rich.text import Text

from agents.adapters.database.reader import DeskReader, Row
from agents.cli import doctor
from agents.cli import meta as meta_commands
from agents.cli import replay as replay_commands
from agents.cli import search as search_commands
from agents.cli.options import column_pair, moment_after
from agents.cli.screen import Screen, rows_table, summary, summary_tables, tuning_line, why_tables
from agents.core.clock import SystemClock
from agents.core.errors import AgentsError, UsageError
from agents.core.log import configure_logging
from agents.core.settings import Settings, child_environment, load_settings
from agents.core.types import RiskState
from agents.wiring import desk as app
from agents.wiring.connections import Connections, connect, services_of
from agents.wiring.daemon import trading_daemon
from agents.wiring.demo import run_demo
from agents.wiring.desk_record import desk_journal, order_risk_state

LOG_FILE = Path("logs/orchestrator.log")
ROWS_SHOWN = 20

EXAMPLES = """examples:
  quorum demo                                   thirteen years of five stocks, traded by every agent
  quorum import-bars prices.csv --map close=Last
  quorum trade                                  the daemon, as quorum.toml says
  quorum status
  quorum meta                                   the scheduled jobs: analyzer, optimizer, project manager
  quorum report --demo --open
  quorum weights why --demo
  quorum why AAPL --at 2008-10-10 --demo
  quorum replay --demo --set tuning.step=0.10 --out replay/
  quorum psql --demo -- -c 'SELECT * FROM v_agent_scorecard'
  quorum doctor
"""

Command = Callable[[argparse.Namespace, Screen], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors that a user can mend are one line on stderr."""
    options = parser().parse_args(arguments)
    screen = Screen(as_json=options.json)
    try:
        command: Command = options.command
        return command(options, screen)
    except AgentsError as error:
        screen.err.print(f"quorum: {error}", markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        screen.err.print(
            "quorum: stopped; everything recorded so far is consistent, start again to go on", markup=False
        )
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        # A defect of ours: one line for the user, the whole story in the log.
        if not logging.getLogger("agents").handlers:
            configure_logging(LOG_FILE, console=False)
        logging.getLogger("agents").exception("unexpected error")
        screen.err.print(
            f"quorum: unexpected {type(error).__name__}: {error}; details are in {LOG_FILE.parent}/", markup=False
        )
        return 70


class Add(Protocol):
    """Adds one command to the parser."""

    def __call__(self, name: str, command: Command, text: str, example: str = "") -> argparse.ArgumentParser:
        """`text` starts small and has no full stop; `example` is a whole line."""
        ...


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    common.add_argument("--settings", type=Path, metavar="FILE", help="settings file (default: quorum.toml)")
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="quorum", description="A self-tuning trading desk.", epilog=EXAMPLES, formatter_class=raw
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str, example: str = "") -> argparse.ArgumentParser:
        about = text[0].upper() + text[1:] + "."
        epilog = f"example:\n  {example}" if example else None
        sub = commands.add_parser(
            name, parents=[common], help=text, description=about, epilog=epilog, formatter_class=raw
        )
        sub.set_defaults(command=command)
        return sub

    _add_trading(add)
    _add_loading(add)
    _add_looking(add)
    meta_commands.add_commands(add, _add_demo)
    replay_commands.add_commands(add)
    search_commands.add_commands(add)
    return top


def _add_trading(add: Add) -> None:
    add("trade", trade, "run the trading daemon in the foreground", "quorum trade --settings quorum.toml")
    sub = add("demo", demo, "trade real market history through all agents", "quorum demo --restart")
    mode = sub.add_mutually_exclusive_group()
    for name, text in (("resume", "go on where the last run stopped"), ("restart", "forget the last run")):
        mode.add_argument(f"--{name}", dest="mode", action="store_const", const=name, help=text)
    sub.set_defaults(mode="auto")
    text = "let positions only shrink from the next decision on"
    sub = add("halt", halt, text, "quorum halt --reason 'exchange trouble'")
    sub.add_argument("--reason", required=True)
    sub = add("resume", resume, "leave the halted state", "quorum resume --reason 'checked the fills by hand'")
    sub.add_argument("--reason", required=True)
    text = "start, stop or show the embedded PostgreSQL and Redis"
    sub = add("services", services, text, "quorum services status")
    sub.add_argument("action", choices=("up", "down", "status"))


def _add_loading(add: Add) -> None:
    example = "quorum import-bars data/*.csv.gz --map close=Last --map adj_close='Adj Close'"
    sub = add("import-bars", import_bars, "load bar files into the desk's database", example)
    sub.add_argument("files", nargs="+", type=Path, metavar="FILE")
    sub.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help="a column's name in the files")
    example = "quorum import-series headlines.csv --texts --symbol AAPL"
    sub = add("import-series", import_series, "load on-chain figures, fear-and-greed indexes or dated texts", example)
    sub.add_argument("files", nargs="+", type=Path, metavar="FILE")
    sub.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help="a series' column in the files")
    text = "a value is known this much after its time (default 24)"
    sub.add_argument("--lag-hours", type=float, default=24.0, metavar="H", help=text)
    sub.add_argument("--symbol", help="for files without a column symbol; '*' means every symbol")
    sub.add_argument("--texts", action="store_true", help="the files hold texts, which are scored")


def _add_looking(add: Add) -> None:
    sub = add("status", status, "performance, positions and health of the desk", "quorum status --demo")
    _add_demo(sub)
    text = "who said what about a symbol, with which weight, and what became of it"
    sub = add("why", why, text, "quorum why AAPL --at 2008-10-10 --demo")
    _add_demo(sub)
    sub.add_argument("symbol", metavar="SYMBOL")
    sub.add_argument("--at", type=moment_after, metavar="TIME", help="the newest decision at or before this time (UTC)")
    example = "quorum psql --demo -- -c 'SELECT * FROM v_equity LIMIT 5'"
    sub = add("psql", psql, "open psql on the desk's database", example)
    _add_demo(sub)
    sub.add_argument("arguments", nargs="*", metavar="-- ARGS", help="arguments for psql")
    add("doctor", examine, "check this machine; each line says ok or what to do", "quorum doctor --json")


def _add_demo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--demo", action="store_true", help="of the demo instead of the desk")


# ---------------------------------------------------------------- commands


def trade(options: argparse.Namespace, screen: Screen) -> int:
    settings = load_settings(options.settings)
    configure_logging(LOG_FILE, level=settings.log_level)
    connections = connect(settings, demo=False, say=screen.say)
    try:
        with desk_journal(connections) as journal:
            trading_daemon(settings, connections, journal, SystemClock()).run()
    finally:
        connections.close()
    return 0


def demo(options: argparse.Namespace, screen: Screen) -> int:
    settings = load_settings(options.settings)
    configure_logging(Path("logs/demo.log"), level=settings.log_level, console=False)
    connections = connect(settings, demo=True, say=screen.say)
    try:
        with screen.progress() as display:
            task = display.add_task("trading", total=None, date="", equity="")

            def show(done: int, total: int, at: datetime, equity: float) -> None:
                display.update(task, completed=done, total=total, date=f"{at:%Y-%m-%d}", equity=f"{equity:,.0f}")

            screen.say("agents are reading the history")
            reader, report = run_demo(settings, connections, mode=options.mode, say=screen.say, progress=show)
        document = summary(reader)
        line, program = shlex.join(connections.psql), _program()
        document |= {"psql": line, "report": str(report), "tuning": reader.tuning()}
        screen.result(
            document,
            *summary_tables(document),
            tuning_line(document["tuning"]),
            f"look around:\n  {line}\n  {program} why AAPL --at 2008-10-10 --demo\n  {program} weights history --demo\n"
            f"  {program} status --demo\nthe report, as it would be mailed: {report}",
        )
    finally:
        connections.close()
    return 0


def import_bars(options: argparse.Namespace, screen: Screen) -> int:
    settings = load_settings(options.settings)
    columns = dict(column_pair(text) for text in options.map)
    connections = connect(settings, demo=False, say=screen.say)
    reports: list[Row] = []
    try:
        for file in options.files:
            reports.append(_import_one(settings, connections, file, columns, screen))
    finally:
        connections.close()
    shown = [{**report, "quarantined": len(report["quarantined"])} for report in reports]
    columns_shown = ("file", "loaded", "equal", "quarantined", "not_closed", "rows_per_second", "error")
    tables = [rows_table("Bars", shown, columns_shown)]
    bad = [{"file": report["file"], **row} for report in reports for row in report["quarantined"]]
    if bad:
        more = "" if len(bad) <= ROWS_SHOWN else f" ({ROWS_SHOWN} of {len(bad)}; all are in bar_quarantine)"
        tables.append(rows_table("Quarantined rows" + more, bad[:ROWS_SHOWN], ("file", "row", "reason", "content")))
    screen.result(reports, *tables)
    return 1 if any(report["error"] for report in reports) else 0


def _import_one(
    settings: Settings, connections: Connections, file: Path, columns: dict[str, str], screen: Screen
) -> Row:
    clock = SystemClock()
    started_s = clock.monotonic_s()
    screen.say(f"reading {file}")
    try:
        report = app.import_bars(settings, connections, file, columns)
    except AgentsError as error:
        screen.err.print(f"quorum: {error}", markup=False)
        return {"file": str(file), "error": str(error), "quarantined": []}
    rows = report.loaded + report.equal + len(report.quarantined)
    return {
        "file": str(file),
        "loaded": report.loaded,
        "equal": report.equal,
        "not_closed": report.not_closed,
        "splits_inferred": report.splits_inferred,
        "rows_per_second": round(rows / max(clock.monotonic_s() - started_s, 1e-9)),
        "quarantined": [{"row": b.row_number, "reason": b.reason, "content": b.content} for b in report.quarantined],
        "error": "",
    }


def import_series(options: argparse.Namespace, screen: Screen) -> int:
    columns = dict(column_pair(text) for text in options.map)
    connections = connect(load_settings(options.settings), demo=False, say=screen.say)
    rows: list[Row] = []
    try:
        for file in options.files:
            report = app.import_series(
                connections,
                file,
                columns,
                lag=timedelta(hours=options.lag_hours),
                symbol=options.symbol,
                texts=options.texts,
            )
            rows.append({**asdict(report), "names": ", ".join(report.names)})
    finally:
        connections.close()
    screen.result(rows, rows_table("Series", rows, ("file", "names", "stored", "known", "left_out")))
    return 0


def status(options: argparse.Namespace, screen: Screen) -> int:
    def show(reader: DeskReader) -> int:
        document = summary(reader) | {"health": reader.health(), "positions": reader.positions()}
        columns = (
            "symbol",
            "quantity",
            "average_entry_price",
            "mark",
            "value",
            "unrealised_pnl",
            "opened_at",
        )
        tables = [*summary_tables(document), rows_table("Positions", document["positions"], columns)]
        health = [{"what": name.replace("_", " "), "value": value} for name, value in document["health"].items()]
        screen.result(document, *tables, rows_table("Health", health, ("what", "value")))
        return 0

    return _with_reader(options, show)


def why(options: argparse.Namespace, screen: Screen) -> int:
    at = options.at or SystemClock().now()

    def show(reader: DeskReader) -> int:
        decision = reader.why(options.symbol, at)
        if decision is None:
            known = reader.symbols()
            if options.symbol not in known:
                raise UsageError(
                    f"no decision about '{options.symbol}'; decided upon were: {', '.join(known) or 'none yet'}"
                )
            raise UsageError(f"no decision about {options.symbol} at or before {at:%Y-%m-%d %H:%M} UTC")
        screen.result(decision, *why_tables(decision))
        return 0

    return _with_reader(options, show)


def _with_reader(options: argparse.Namespace, show: Callable[[DeskReader], int]) -> int:
    connections = connect(load_settings(options.settings), demo=options.demo, say=lambda _line: None)
    try:
        return show(DeskReader(connections.trader))
    finally:
        connections.close()


def psql(options: argparse.Namespace, screen: Screen) -> int:
    connections = connect(load_settings(options.settings), demo=options.demo, say=lambda _line: None)
    connections.close()
    command = [*connections.psql, *options.arguments]
    if options.json:
        screen.result({"command": command})
        return 0
    try:
        return subprocess.call(command, env=child_environment(**connections.psql_environment))
    except FileNotFoundError:
        raise UsageError(f"{command[0]} was not found; install the package postgresql-client") from None


def halt(options: argparse.Namespace, screen: Screen) -> int:
    return _order_state(options, screen, RiskState.HALTED)


def resume(options: argparse.Namespace, screen: Screen) -> int:
    return _order_state(options, screen, RiskState.ACTIVE)


def _order_state(options: argparse.Namespace, screen: Screen, state: RiskState) -> int:
    connections = connect(load_settings(options.settings), demo=False, say=lambda _line: None)
    try:
        before = order_risk_state(connections, state, options.reason)
    finally:
        connections.close()
    screen.result(
        {"from": str(before), "to": str(state), "reason": options.reason},
        f"from the next decision on: {state} (now {before})",
    )
    return 0


def examine(options: argparse.Namespace, screen: Screen) -> int:
    found = doctor.examine(options.settings)
    document = [{"check": f.check, "ok": f.ok, "detail": f.detail} for f in found]
    width = max(len(f.check) for f in found)
    lines = [
        f"{'[green]ok[/green]  ' if f.ok else '[red]FIX[/red] '} {f.check:<{width}}  " + f.detail.replace("[", "\\[")
        for f in found
    ]
    screen.result(document, *(Text.from_markup(line) for line in lines))
    return 0 if all(f.ok for f in found) else 1


def services(options: argparse.Namespace, screen: Screen) -> int:
    settings = load_settings(options.settings)
    embedded = services_of(settings)
    if settings.database_url is not None and settings.redis_url is not None and options.action != "status":
        screen.result({"needed": False}, "not needed: DATABASE_URL and REDIS_URL name your own servers")
        return 0
    if options.action == "up":
        embedded.up(screen.say)
    elif options.action == "down":
        stopped = embedded.down()
        screen.result({"stopped": stopped}, "stopped " + " and ".join(stopped) if stopped else "nothing was running")
        return 0
    found = embedded.status()
    document = [{"name": s.name, "running": s.running, "detail": s.detail} for s in found]
    screen.result(document, rows_table("Embedded services", document, ("name", "running", "detail")))
    return 0 if all(s.running for s in found) else 3


def _program() -> str:
    """How this user calls us: the path as it was typed, or `quorum` where it is on PATH."""
    return sys.argv[0] if "/" in sys.argv[0] and not sys.argv[0].endswith(".py") else "quorum"


def run() -> NoReturn:
    """Entry for `python -m agents`."""
    sys.exit(main())


if __name__ == "__main__":
    run()
