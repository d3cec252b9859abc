"""`quorum practice`: the real daemon on paper against a made-up exchange, a bar a second, faults included."""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from agents.adapters.exchanges.made_up_market import downloaded, made_up
from agents.cli.compiling import compile_once
from agents.cli.extras import EXCHANGES, require
from agents.cli.options import changed
from agents.cli.screen import Screen, rows_table
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.log import configure_logging
from agents.core.profiles import nested
from agents.core.settings import INTERVALS_S, Settings, load_settings, with_changes
from agents.core.settings_edit import edited
from agents.reports.formatting import money
from agents.wiring.connections import connect, services_of

if TYPE_CHECKING:
    from agents.wiring.practice import Course, PracticeBar

WARM_UP, SPARE = 700, 40
"""Candles before the start and after the end of a made-up market."""
FASTEST = 5.0
WRITTEN = "# Written by quorum practice, which begins anew each time.\n"
SETTINGS = """log_folder = {logs}

[desk]
name = "practice"
profile = "crypto-spot"

[database]
name = "quorum_practice"

[data]
feed = "ccxt:binance"
feed_folder = {bars}
symbols = {symbols}
interval = {interval}
time_means = "open"

[risk]
kill_file = {kill}
"""
PRACTISED = ("agents", "combine", "execution", "risk", "tuning")
"""Sections of the settings that may be changed for a practice; the others are what makes it one."""
COLUMNS = ("what", "count")
SURVIVED = ("candles_lost", "candles_wrong", "replay_differences", "record_differences")


def practice(options: Namespace, screen: Screen) -> int:
    """Trade the course, a line a bar; at its end, or at Ctrl-C, a page of what happened and what survived."""
    require(EXCHANGES)
    course = _course(options)
    settings = _begin_anew(options.folder, course, _changes(options.changes))
    services = services_of(settings)
    with _alone(services.root / "practice.lock"):
        services.up(screen.say)
        services.drop_database(settings.database.name)
        connections = connect(settings, demo=False, say=screen.say)
        try:
            compile_once(settings, screen)
            screen.say(f"from elsewhere: quorum status --settings {_file(options.folder)}; Ctrl-C ends it")
            said = _practise(settings, connections, course, screen)
        finally:
            connections.close()
    sound = _is_sound(said)
    screen.result(said | {"sound": sound}, *_page(said), Text(_verdict(said, sound=sound)))
    return 0 if sound else 1


def _practise(settings: Settings, connections: Any, course: Course, screen: Screen) -> dict[str, Any]:
    from agents.wiring.practice import practise  # here: `--help` should not wait for agents and compiled code

    with _ctrl_c() as begun:
        return practise(settings, connections, course, lambda bar: screen.say(_line(bar)), begun)


def _course(options: Namespace) -> Course:
    from agents.wiring.practice import Course, start_of

    if not 0 < options.speed <= FASTEST:
        raise UsageError(f"--speed is bars in a second, above 0 and at most {FASTEST:g}")
    if options.bars < 1:
        raise UsageError("--bars is at least 1")
    if options.market:
        market = downloaded(options.market, options.interval)
        start = start_of(market, WARM_UP, options.bars)
    else:
        symbols = tuple(dict.fromkeys(options.symbols)) or ("BTC/USDT", "ETH/USDT")
        if wrong := [symbol for symbol in symbols if symbol.count("/") != 1]:
            raise UsageError(f"{wrong[0]!r} is no symbol of an exchange, such as BTC/USDT")
        start = SystemClock().now() - timedelta(seconds=INTERVALS_S[options.interval]) * (options.bars + 2)
        market = made_up(start, symbols, options.interval, (WARM_UP, options.bars + SPARE), options.seed)
    plan = {"bars": options.bars, "speed": options.speed, "faults": options.faults, "seed": options.seed}
    return Course(market=market, start=start, **plan)


def _changes(pairs: list[str]) -> dict[str, Any]:
    """What --set asks for, checked before the last practice is wiped; UsageError for what makes it a practice."""
    changes = changed(pairs)
    if other := [key for key in changes if key.partition(".")[0] not in PRACTISED or key == "risk.kill_file"]:
        raise UsageError(f"--set {other[0]}: a practice may change settings of {', '.join(PRACTISED)} only")
    with_changes(Settings(), changes)
    return nested(changes)


def _file(folder: Path) -> Path:
    return folder / "quorum.toml"


def _begin_anew(folder: Path, course: Course, changes: dict[str, Any]) -> Settings:
    """The settings of the desk that practises, in a folder of its own, from which the last practice is gone; UsageError
    for a folder that holds anything else, or cannot be written."""
    file = _file(folder)
    try:
        if folder.exists() and any(folder.iterdir()):
            if not file.is_file() or not file.read_text(encoding="utf-8").startswith(WRITTEN):
                raise UsageError(f"{folder}: holds something else than a practice; choose another --folder")
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        words = {
            "logs": str((folder / "logs").resolve()),
            "bars": str((folder / "bars").resolve()),
            "kill": str((folder / "KILL").resolve()),
            "symbols": list(course.market.candles),
            "interval": course.market.interval,
        }
        written = SETTINGS.format(**{name: json.dumps(word) for name, word in words.items()})
        file.write_text(edited(WRITTEN + written, changes), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
    settings = load_settings(file).model_copy(update={"database_url": None, "redis_url": None})
    configure_logging(settings.log_folder / "practice.log", level=settings.log_level, console=False)
    return settings


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """UsageError where another practice runs: there is one database for it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError("another quorum practice runs; end it first (Ctrl-C there)") from None
        yield


@contextmanager
def _ctrl_c() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Inside, the first Ctrl-C (or SIGTERM) calls what was given to the yielded function: the page is still to come; a
    second one ends the process."""
    stops: list[Callable[[], None]] = []

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        if not stops:
            raise KeyboardInterrupt
        for stop in stops:
            stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stops.append
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(bar: PracticeBar) -> str:
    held = "  ".join(f"{symbol} {quantity:.6g}" for symbol, quantity in bar.positions.items()) or "nothing held"
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(bar.faults.items()))
    state = "" if bar.state == "active" else f"  {bar.state.upper()}"
    orders = f"  orders {bar.orders}" if bar.orders else ""
    return f"{bar.time:%m-%d %H:%M}  {money(bar.equity)}{state}  {held}{orders}" + (f"  ! {faults}" if faults else "")


def _is_sound(said: dict[str, Any]) -> bool:
    """Whether all that must survive did."""
    kept = ("bars_missing", *SURVIVED)
    return said["decisions"] > 0 and not any(said.get(name) for name in kept)


def _page(said: dict[str, Any]) -> list[Any]:
    happened = ("decisions", "bars_not_decided", "orders", "fills", "requests", "streams", "outages")
    return [
        _counts("What happened", {name: said[name] for name in happened}),
        _counts("Faults that requests met", dict(sorted(said["faults"].items()))),
        _counts("To be 0", {name: said[name] for name in SURVIVED if name in said}),
    ]


def _counts(title: str, counts: dict[str, int]) -> Any:
    return rows_table(title, [{"what": name.replace("_", " "), "count": n} for name, n in counts.items()], COLUMNS)


def _verdict(said: dict[str, Any], *, sound: bool) -> str:
    if not said["decisions"]:
        return "Nothing was decided: it was ended before the first bar, or the exchange was away for all of it."
    words = [f"Equity {money(said['equity'])} of {money(said['initial_cash'])}, on paper."]
    if missing := said["bars_missing"]:
        words += [
            f"The last {missing} bars were never decided: the log in the practice's folder tells what it waited for;"
            " where the machine was too slow, take a lower --speed."
        ]
    elif sound:
        words += ["Every candle is there as the exchange has it, a replay decides the same, the record is unbroken."]
    else:
        words += ["Something did not survive: please report it, with the folder's logs."]
    if late := said["bars_not_decided"]:
        words += [f"{late} bars have no decision of their own: see the log for what was waited for."]
    return " ".join(words)
