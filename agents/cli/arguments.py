"""The arguments of the commands about a desk: trading, its data, its state, its meta plane, its weights."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from agents.cli.options import (
    INTERVALS,
    JOBS,
    METHODS,
    add_changes,
    add_demo,
    amount,
    completed_by,
    job_names,
    moment,
    moment_after,
    nothing,
    port,
    symbol,
)

SHELLS = ("bash", "zsh", "fish")


def no_arguments(_parser: ArgumentParser) -> None:
    """For a command that has only the common ones."""


def demo(parser: ArgumentParser) -> None:
    """`quorum demo`."""
    mode = parser.add_mutually_exclusive_group()
    for name, text in (("resume", "go on where the last run stopped"), ("restart", "forget the last run")):
        mode.add_argument(f"--{name}", dest="mode", action="store_const", const=name, help=text)
    parser.set_defaults(mode="auto")


def services(parser: ArgumentParser) -> None:
    """`quorum services`."""
    text = "start, stop or show; run: start them, stay, and start again what dies (for a supervisor)"
    parser.add_argument("action", choices=("up", "down", "status", "run"), help=text)


def web(parser: ArgumentParser) -> None:
    """`quorum web`."""
    add_demo(parser)
    text = "where it listens on this machine (default: web.port, 8420)"
    completed_by(parser.add_argument("--port", type=port, metavar="N", help=text), nothing)


def import_bars(parser: ArgumentParser) -> None:
    """`quorum import-bars`."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="CSV, gzipped CSV or Parquet")
    text = "a column's name in the files, as in close=Last; repeat for more"
    completed_by(parser.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help=text), nothing)


def _symbols(parser: ArgumentParser, text: str) -> None:
    """`--symbols` of what asks an exchange."""
    symbols = parser.add_argument("--symbols", nargs="+", type=symbol, default=[], metavar="SYMBOL", help=text)
    completed_by(symbols, nothing)


PRACTICE_FAULTS = (
    "none",
    "random",
    "limited",
    "banned",
    "error",
    "maintenance",
    "lost",
    "cut",
    "page",
    "empty",
    "slow",
    "late",
    "stream-lost",
    "stream-limited",
    "stream-empty",
    "stream-late",
    "stream-shuffled",
)
"""As `wiring/practice.py: NAMED` and `NAMED_STREAM` have them: help waits for no agents."""


def connect(parser: ArgumentParser) -> None:
    """`quorum connect`."""
    text = "ccxt's name of it, such as binance, kraken or coinbase; or alpaca, for stocks"
    completed_by(parser.add_argument("exchange", metavar="EXCHANGE", help=text), nothing)
    _symbols(parser, "what the desk trades, such as BTC/USDT ETH/USDT (default: data.symbols, else you are asked)")
    parser.add_argument("--interval", choices=INTERVALS, default="1h", help="of the bars (default: 1h)")
    text = "orders, too: a key is asked for, hidden, and checked; at the test net (sandbox, the default), or real money"
    parser.add_argument("--trade", nargs="?", choices=("sandbox", "live"), const="sandbox", help=text)
    text = "what of the account the desk may use, in the symbols' quote currency"
    completed_by(parser.add_argument("--cash", type=amount, metavar="AMOUNT", help=text), nothing)
    parser.add_argument("--new-key", action="store_true", help="ask for a key also where there is one")


def download(parser: ArgumentParser) -> None:
    """`quorum download`."""
    text = "ccxt's name of it, such as binance, kraken or coinbase (default: the exchange of data.feed)"
    where = parser.add_mutually_exclusive_group()
    completed_by(where.add_argument("--exchange", metavar="NAME", help=text), nothing)
    text = "daily prices of stocks instead, with splits and dividends where the source has them"
    where.add_argument("--source", choices=("stooq", "yahoo"), help=text)
    _symbols(parser, "such as BTC/USDT ETH/USDT, or AAPL SAP.DE (default: data.symbols)")
    parser.add_argument("--interval", choices=INTERVALS, help="of the bars (default: data.interval; stocks: 1d)")
    text = "the first bar opens then, in UTC, such as 2020-01-01"
    start = parser.add_argument("--from", dest="start", type=moment, required=True, metavar="TIME", help=text)
    completed_by(start, nothing)
    text = "the last bar is over by then (default: now)"
    completed_by(parser.add_argument("--until", type=moment, metavar="TIME", help=text), nothing)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the files go (default: data.feed_folder)")


def practice(parser: ArgumentParser) -> None:
    """`quorum practice`."""
    parser.add_argument("--bars", type=int, default=60, metavar="N", help="how many are traded (default: 60)")
    text = "bars in a second, at most 5 (default: 1)"
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help=text)
    text = f"what goes wrong at the exchange, again and again: {', '.join(PRACTICE_FAULTS)} (default: none)"
    parser.add_argument("--faults", choices=PRACTICE_FAULTS, default="none", metavar="NAME", help=text)
    _symbols(parser, "of the made-up market (default: BTC/USDT ETH/USDT)")
    parser.add_argument("--interval", choices=INTERVALS, default="1h", help="of its bars (default: 1h)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the made-up market and of random faults")
    text = "trade what quorum download --exchange brought there, instead of a made-up market"
    parser.add_argument("--market", type=Path, metavar="FOLDER", help=text)
    add_changes(parser, "risk.stop_loss=0.02 or combine.volatility_target=0.3")
    text = "where its settings, bars and logs go (default: practice); a last practice there is wiped"
    parser.add_argument("--folder", type=Path, default=Path("practice"), metavar="FOLDER", help=text)


def import_series(parser: ArgumentParser) -> None:
    """`quorum import-series`."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="CSV with a header")
    text = "a series' column in the files; repeat for more"
    completed_by(parser.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help=text), nothing)
    text = "a value is known this much after its time (default 24)"
    completed_by(parser.add_argument("--lag-hours", type=float, default=24.0, metavar="H", help=text), nothing)
    text = "for files without a column symbol; '*' means every symbol"
    completed_by(parser.add_argument("--symbol", help=text), nothing)
    parser.add_argument("--texts", action="store_true", help="the files hold texts, which are scored")


def reset(parser: ArgumentParser) -> None:
    """`quorum reset`."""
    parser.add_argument("--data", action="store_true", help="forget the bars and series, too")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_demo(parser)


def why(parser: ArgumentParser) -> None:
    """`quorum why`."""
    add_demo(parser)
    completed_by(parser.add_argument("symbol", type=symbol, metavar="SYMBOL", help="such as AAPL"), nothing)
    text = "the newest decision at or before this time in UTC, such as 2008-10-10 or 2008-10-10T14:30 (default: now)"
    completed_by(parser.add_argument("--at", type=moment_after, metavar="TIME", help=text), nothing)


def failed(parser: ArgumentParser) -> None:
    """`quorum failed`."""
    completed_by(parser.add_argument("unit", metavar="UNIT", help="such as quorum-trading.service"), nothing)


def psql(parser: ArgumentParser) -> None:
    """`quorum psql`."""
    add_demo(parser)
    parser.add_argument("--owner", action="store_true", help="with all rights (default: read only)")
    parser.add_argument(
        "arguments", nargs="*", metavar="-- ARGS", help="what psql itself is told, as in -- -c 'SELECT 1'"
    )


def verify(parser: ArgumentParser) -> None:
    """`quorum verify`."""
    add_demo(parser)
    parser.add_argument("--new", action="store_true", help="only what was recorded since the last good check")
    text = "go on with the differences, for this reason; the desk may trade again"
    completed_by(parser.add_argument("--accept", metavar="REASON", help=text), nothing)


def backup(parser: ArgumentParser) -> None:
    """`quorum backup`."""
    add_demo(parser)
    text = "where to (default: a dated file in backups/ of the state directory); its contents are told in FILE.json"
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help=text)
    parser.add_argument("--no-verify", action="store_true", help="do not restore it into a database beside to compare")


def restore(parser: ArgumentParser) -> None:
    """`quorum restore`."""
    add_demo(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="what `quorum backup` wrote; FILE.json lies beside it")
    text = "put it in the place of what the database holds, of which a dump is kept"
    parser.add_argument("--replace", action="store_true", help=text)


def meta(parser: ArgumentParser) -> None:
    """`quorum meta`."""
    parser.add_argument("--once", action="store_true", help="run every job once, now, and end")
    text = f"this job alone: {', '.join(JOBS)}"
    parser.add_argument("--only", choices=JOBS, metavar="JOB", help=text)


def job(parser: ArgumentParser) -> None:
    """`quorum job`."""
    completed_by(parser.add_argument("name", metavar="JOB", help=", ".join(JOBS)), job_names)
    text = "the due time it stands for (default: now)"
    completed_by(parser.add_argument("--due-at", type=moment, metavar="TIME", help=text), nothing)


def agents(parser: ArgumentParser) -> None:
    """`quorum agents`."""
    text = "7, 30, 90 or 0 for all history (default)"
    window = parser.add_argument("--window", type=int, default=0, metavar="DAYS", help=text)
    completed_by(window, lambda **_: ["7", "30", "90", "0"])
    add_demo(parser)


def weights(parser: ArgumentParser) -> None:
    """`quorum weights`."""
    actions = ("show", "history", "why", "propose", "revert", "resume", "optimize")
    text = (
        "show what is in force; history of decisions; why one was made; propose by a method, which counts as a trial;"
        " revert to a version; resume tuning that its monitor paused; optimize returns of a file without any database"
    )
    parser.add_argument("action", choices=actions, metavar="ACTION", help=text)
    text = "a version, for why (default: the newest) and revert"
    completed_by(parser.add_argument("version", nargs="?", type=int, metavar="ID", help=text), nothing)
    text = f"for propose (default: as set) and optimize (default: adaptive): {', '.join(METHODS)}"
    parser.add_argument("--method", choices=METHODS, metavar="METHOD", help=text)
    text = "for revert and resume: why"
    completed_by(parser.add_argument("--reason", default="", metavar="TEXT", help=text), nothing)
    text = "for optimize: a column of returns for each agent, oldest first"
    parser.add_argument("--returns", type=Path, metavar="FILE.csv", help=text)
    text = "for optimize: the present weights by agent (default: equal)"
    parser.add_argument("--previous", type=Path, metavar="FILE.json", help=text)
    text = "for optimize (default 252)"
    completed_by(parser.add_argument("--periods-per-year", type=float, default=252.0, metavar="N", help=text), nothing)
    text = "for optimize: configurations tried on these returns"
    completed_by(parser.add_argument("--trials", type=int, default=1, metavar="N", help=text), nothing)
    add_demo(parser)


def todo(parser: ArgumentParser) -> None:
    """`quorum todo`."""
    actions = ("list", "accept", "dismiss", "add", "done")
    text = "list (default), accept or dismiss a suggestion, add a task, or say that one is done"
    parser.add_argument("action", nargs="?", default="list", choices=actions, metavar="ACTION", help=text)
    text = "a suggestion's or task's id; for add a title"
    completed_by(parser.add_argument("what", nargs="?", metavar="ID|TITLE", help=text), nothing)
    priorities = ("low", "medium", "high", "critical")
    text = "for add: low, medium (default), high or critical"
    parser.add_argument("--priority", choices=priorities, default="medium", metavar="PRIORITY", help=text)
    add_demo(parser)


def report(parser: ArgumentParser) -> None:
    """`quorum report`."""
    add_demo(parser)
    where = parser.add_mutually_exclusive_group()
    text = "FILE.html: one self-contained page; FILE.eml: the very message"
    where.add_argument("--out", type=Path, metavar="FILE", help=text)
    where.add_argument("--open", action="store_true", help="show it in a browser")
    where.add_argument("--send-test", action="store_true", help="mail it to the configured recipients now")
    text = "the last N days (default: since the last report)"
    completed_by(parser.add_argument("--days", type=float, default=None, metavar="N", help=text), nothing)


def completion(parser: ArgumentParser) -> None:
    """`quorum completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that you use")
