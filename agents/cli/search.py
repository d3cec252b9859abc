"""`quorum search`, `walk-forward` and `lookahead`: is a setting, the tuner, an agent worth what it seems?"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from agents.cli import replay as replay_commands
from agents.cli.extras import require_optuna
from agents.cli.replay import add_settings, add_source, changes_of
from agents.cli.screen import Screen
from agents.core.errors import SettingsError, UsageError
from agents.core.ports import Agent
from agents.core.settings import Settings, load_settings, with_changes, worker_environment
from agents.core.types import Bars
from agents.pipeline.market import panel_of
from agents.quant.measures import plain
from agents.replay.lookahead import CHECKS, examine
from agents.replay.space import Space, candidates, space_of
from agents.reports.formatting import number, percent
from agents.trading.registry import AGENTS, make_agents
from agents.wiring.connections import connect
from agents.wiring.replay import whole_of
from agents.wiring.search import Laboratory, Search, WalkForward, count_candidates, trials_before, walk_forward

Add = Callable[..., argparse.ArgumentParser]
ROWS_SHOWN = 12
SPACE_EXAMPLE = """example of SPACE.toml:
  [search]
  method = "random"        # grid, random, or tpe (Optuna's, which learns on the way)
  trials = 200
  periods = 4              # equal parts of history, or [["2000-01-01", "2004-12-31"], ...]
  [space]
  "combine.volatility_target" = { low = 0.05, high = 0.3, log = true }
  "execution.buffer" = [0.05, 0.1, 0.2]
"""


def add_commands(add: Add) -> None:
    """Register them."""
    sub = add(
        "search",
        search,
        "try many settings on a history, and say whether the best is more than luck",
        "quorum search SPACE.toml --demo --workers 2",
    )
    sub.epilog = f"{sub.epilog}\n\n{SPACE_EXAMPLE}"
    sub.add_argument("space", type=Path, metavar="SPACE.toml")
    _add_common(sub)
    sub.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes to start here (default: one for each core)",
    )
    sub.add_argument(
        "--worker",
        action="store_true",
        help="only help a search that runs elsewhere on the same database, until nothing is left",
    )
    sub = add(
        "walk-forward",
        walk,
        "learn on one window, be judged on the next: what tuning adds out of sample",
        "quorum walk-forward --demo --train-days 750 --test-days 250",
    )
    _add_common(sub)
    sub.add_argument(
        "--space",
        type=Path,
        metavar="SPACE.toml",
        help="choose among these settings in each learning window (grid or random)",
    )
    sub.add_argument(
        "--scheme",
        choices=("anchored", "rolling"),
        default="anchored",
        help="learn on all that was before, or on the last window",
    )
    for name, value, text in (
        ("train", 750, "to learn on"),
        ("test", 250, "to be judged on"),
        ("purge", 5, "left out before a test: open positions"),
        ("embargo", 5, "left out beside them: outcomes still to come"),
    ):
        sub.add_argument(
            f"--{name}-days", type=_days, default=value, metavar="N", help=f"days {text} (default {value})"
        )
    sub = add(
        "lookahead",
        lookahead,
        "does an agent look into the future, or hang on where its data begin?",
        "quorum lookahead --agent my_agent.py:MyAgent --demo",
    )
    add_source(sub)
    text = "a name of ours, FILE.py:CLASS or module:CLASS; repeat for more (default: all of ours)"
    sub.add_argument("--agent", action="append", default=[], metavar="AGENT", help=text)


def _add_common(sub: argparse.ArgumentParser) -> None:
    add_source(sub)
    add_settings(sub)


def _days(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is no number of days")
    return int(text)


def read_space(path: Path) -> Space:
    """A SPACE.toml; SettingsError where it is none."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    return space_of(document, str(path))


def _bars(options: argparse.Namespace, settings: Settings, stack: ExitStack, screen: Screen) -> tuple[Bars, Settings]:
    history, settings, _ = replay_commands.open_history(options, settings, stack, screen)
    return whole_of(history), settings


def _bar(stack: ExitStack, screen: Screen, what: str) -> Callable[[int, int], None]:
    columns = (TextColumn(what), BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
    display = stack.enter_context(Progress(*columns, console=screen.err, transient=False))
    task = display.add_task(what, total=None)
    return lambda done, total: display.update(task, completed=done, total=total)


# ---------------------------------------------------------------- search


def search(options: argparse.Namespace, screen: Screen) -> int:
    """The command: the leader starts workers, which are this command with --worker, takes part itself, and concludes."""
    space, settings = read_space(options.space), load_settings(options.settings)
    require_optuna()
    with ExitStack() as stack:
        connections = connect(settings, demo=False, say=screen.say)
        stack.callback(connections.close)
        bars, settings = _bars(options, settings, stack, screen)
        settings = with_changes(settings, changes_of(options))
        job = Search(space, Laboratory(bars, settings, space.tuning), connections.owner, connections.meta)
        stack.callback(job.close)
        if options.worker:
            tried = job.work(lambda _done: None)
            screen.result({"search": job.name, "tried": tried}, f"tried {tried:,} settings of {job.name}")
            return 0
        job.enqueue()  # before the helpers start, which only take what waits
        screen.say(
            f"{job.name}: {job.size:,} settings; any machine that reaches the database can help with the same command and --worker"
        )
        helpers = [_helper(stack) for _ in range(max(0, options.workers - 1))]
        show = _bar(stack, screen, "settings tried")
        show(0, job.size)
        job.finish(lambda done: show(done, job.size))
        for helper in helpers:
            helper.wait()
        show(job.size, job.size)
        document = job.conclude()
    screen.result(document, *search_tables(document))
    return 0


def _helper(stack: ExitStack) -> subprocess.Popen[bytes]:
    """The same command as a worker; it is ended with this one."""
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "agents", *arguments, "--worker"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=worker_environment(),
    )
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(10.0)


def search_tables(document: dict[str, Any]) -> list[Table | str]:
    """The best settings and the verdict."""
    keys = list(document["best"]["changes"])
    table = Table(title=f"Best of {document['tried']:,} settings", title_justify="left")
    table.add_column("place", justify="right")
    for key in keys:
        table.add_column(key.replace(".", ".\u200b"), justify="right")
    table.add_column("Sharpe", justify="right")
    table.add_column("by period", justify="right")
    table.add_row(
        "in use",
        *("" for _ in keys),
        number(document["base"]["objective"]),
        " ".join(number(s) for s in document["base"]["sharpes"]),
        end_section=True,
    )
    for row in document["trials"][:ROWS_SHOWN]:
        values = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in (row["changes"].get(key, "") for key in keys))
        table.add_row(str(row["place"]), *values, number(row["objective"]), " ".join(number(s) for s in row["sharpes"]))
    over = document["overfitting"]
    lines = [document["verdict"][0].upper() + document["verdict"][1:] + "."]
    if over is not None:
        lines.append(
            f"Probability of overfitting {percent(over)}: so often the best on one half of history was below the median on the other."
        )
    return [table, "\n".join(lines)]


# ---------------------------------------------------------------- walk-forward


def walk(options: argparse.Namespace, screen: Screen) -> int:
    """The command."""
    space = read_space(options.space) if options.space else None
    with ExitStack() as stack:
        bars, settings = _bars(options, load_settings(options.settings), stack, screen)
        settings = with_changes(settings, changes_of(options))
        points: list[dict[str, Any]] = [{}]
        if space is not None:
            if space.method == "tpe":
                raise UsageError(
                    f"{options.space}: a walk-forward needs the same settings in every fold; use method grid or random"
                )
            points += candidates(space)
        engine = None
        if options.bars == "db":
            connections = connect(settings, demo=False, say=lambda _line: None)
            stack.callback(connections.close)
            engine = connections.meta
        before = trials_before(engine, bars) if engine is not None else 0
        plan = WalkForward(
            anchored=options.scheme == "anchored",
            train_days=options.train_days,
            test_days=options.test_days,
            purge_days=options.purge_days,
            embargo_days=options.embargo_days,
        )
        laboratory = Laboratory(bars, settings, space.tuning if space else True)
        folds, added, against, figures = walk_forward(
            laboratory, plan, points, 1 + before, _bar(stack, screen, "folds")
        )
        if engine is not None and len(points) > 1:
            count_candidates(engine, laboratory, points[1:])
    verdict = f"out of sample, tuning {added.words}"
    document = plain(
        {
            "scheme": options.scheme,
            "folds": [
                {
                    "train": [t.isoformat() for t in f.train],
                    "test": [t.isoformat() for t in f.test],
                    "chosen": dict(f.chosen),
                    "train_sharpe": f.train_sharpe,
                    "test_sharpe": f.test_sharpe,
                }
                for f in folds
            ],
            "tuning_added": added.as_plain(),
            "choosing_added": against.as_plain() if len(points) > 1 else None,
            "figures": figures,
            "settings_tried": len(points),
            "tried_before": before,
            "verdict": verdict,
        }
    )
    screen.result(document, *_walk_tables(document))
    return 0


def _walk_tables(document: dict[str, Any]) -> list[Table | str]:
    table = Table(title=f"Walk-forward, {document['scheme']}", title_justify="left")
    for name in ("learnt on", "judged on", "chosen", "Sharpe learning", "Sharpe judged"):
        table.add_column(name, justify="right" if name.startswith("Sharpe") else "left")
    for fold in document["folds"]:
        span = [f"{a[:10]} … {b[:10]}" for a, b in (fold["train"], fold["test"])]
        chosen = (
            ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in fold["chosen"].items())
            or "settings in use"
        )
        table.add_row(*span, chosen, number(fold["train_sharpe"]), number(fold["test_sharpe"]))
    f = document["figures"]
    lines = [
        document["verdict"][0].upper() + document["verdict"][1:] + ".",
        f"{f['days']:,} days judged: Sharpe {number(f['sharpe'])}, with each fold's first weights {number(f['first_weights_sharpe'])}.",
    ]
    if document["choosing_added"] is not None:
        lines.append(f"Choosing settings in each window {document['choosing_added']['words']}, against those in use.")
    return [table, "\n".join(lines)]


# ---------------------------------------------------------------- lookahead


def lookahead(options: argparse.Namespace, screen: Screen) -> int:
    """The command; exit status 1 where an agent offends."""
    agents = [_agent(name) for name in options.agent] or list(make_agents([]))
    with ExitStack() as stack:
        bars, _ = _bars(options, load_settings(options.settings), stack, screen)
        panel = panel_of(bars)
        results = []
        for agent in agents:
            with ExitStack() as shown:
                offences = examine(agent, panel, _bar(shown, screen, agent.name))
            results.append(
                {
                    "agent": agent.name,
                    "bars": len(panel.time),
                    "bars_needed": agent.bars_needed,
                    "offences": [
                        {
                            "check": o.check,
                            "time": o.time.isoformat() if o.time else None,
                            "symbol": o.symbol,
                            "detail": o.detail,
                        }
                        for o in offences
                    ],
                }
            )
    screen.result(results, _lookahead_table(results), *_offences(results))
    return 1 if any(row["offences"] for row in results) else 0


def _agent(name: str) -> Agent:
    """One of ours by name, or a class from a file or module, made without arguments."""
    if name in AGENTS:
        return AGENTS[name]()
    place, sign, wanted = name.rpartition(":")
    if not sign:
        raise UsageError(
            f"no agent is named '{name}'; known are {', '.join(AGENTS)}; your own is FILE.py:CLASS or module:CLASS"
        )
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location("own_agent", place)
            if spec is None or spec.loader is None or not Path(place).exists():
                raise UsageError(f"{place}: no such file")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        made = getattr(module, wanted)()
    except UsageError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise UsageError(f"{name}: cannot be made: {type(error).__name__}: {error}") from None
    missing = [part for part in ("name", "bars_needed", "signals") if not hasattr(made, part)]
    if missing:
        raise UsageError(f"{name}: has no {', '.join(missing)}; an agent needs name, bars_needed and signals(panel)")
    found: Agent = made
    return found


def _lookahead_table(results: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Lookahead", title_justify="left")
    for name in ("agent", *CHECKS, "first offence"):
        table.add_column(name)
    for row in results:
        bad = {o["check"]: o for o in row["offences"]}
        first = next(iter(row["offences"]), None)
        where = _where(first) if first else ""
        stopped = "answer" in bad
        table.add_row(row["agent"], *("FAILS" if c in bad else "not tried" if stopped else "ok" for c in CHECKS), where)
    return table


def _offences(results: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{row['agent']}, {o['check']}, {_where(o)}: {o['detail']}" for row in results for o in row["offences"]]


def _where(offence: dict[str, Any]) -> str:
    time = (offence["time"] or "")[:16].replace("T", " ")
    return f"{time} {offence['symbol']}".strip()
