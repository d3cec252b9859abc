"""`quorum replay`: what the desk would have done, on any history, under any settings."""

from __future__ import annotations

import argparse
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from sqlalchemy import Engine

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.trials_store import TrialsStore
from agents.adapters.files.bar_folder import read_folder
from agents.adapters.files.replay_files import ParquetTable, long_form
from agents.cli.options import METHODS, column_pair, moment, moment_after
from agents.cli.screen import Screen
from agents.core.books import book_names
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.replay_types import Replayed, Run
from agents.core.settings import Settings, load_settings, with_changes
from agents.core.types import Clamp, Floats, NoTrade, RiskState, Times
from agents.quant.evidence import claim_of, sharpe_difference
from agents.quant.measures import SEED, SHOWN_LEVEL, by_day, daily_of
from agents.quant.moments import decay_weights
from agents.quant.replay_summary import ReplaySummary, summary_of
from agents.replay.record import Progress
from agents.replay.simulate import ChunkResult
from agents.reports.formatting import money, number, percent
from agents.reports.tear_sheet import tear_sheet
from agents.wiring import desk as app
from agents.wiring import replay as replay_app
from agents.wiring.connections import connect
from agents.wiring.job_settings import tuning_of
from agents.wiring.meta import meta_plane
from agents.wiring.parity import check_parity, kinds_of
from agents.wiring.replay import History, OwnHistory, Plan, own_history, replay_history

Add = Callable[..., argparse.ArgumentParser]
Whence = tuple[History, Settings, Engine | None]
"""A history, the settings that fit it, and the desk's database where it comes from there."""
LEAST_DAYS = 20
ROWS_AT_ONCE = 20_000


def add_commands(add: Add) -> None:
    """Register them."""
    sub = add(
        "replay",
        replay,
        "what the desk would have done on some history, under any settings",
        "quorum replay --demo --set tuning.step=0.10 --start-weights TrendFollower=0.4,Breakout=0.6 --out replay/",
    )
    add_source(sub, own=True)
    add_settings(sub)
    sub.add_argument("--no-tuning", action="store_true", help="keep the start weights for ever")
    text = "how often the report's rules run (default: weekly; 'live': as the settings say)"
    sub.add_argument("--reports", default="weekly", choices=("weekly", "live"), help=text)
    sub.add_argument(
        "--out", type=Path, metavar="DIR", help="write Parquet files, manifest.json and the tear sheet there"
    )
    sub.add_argument(
        "--persist", metavar="URL|NAME", help="record it all in a database of its own, for SQL as on a live desk"
    )


def add_source(sub: argparse.ArgumentParser, *, own: bool = False) -> None:
    """Options that name a history."""
    where = sub.add_mutually_exclusive_group(required=True)
    where.add_argument("--demo", action="store_true", help="the demo's history: five US stocks, 2000 to 2013")
    text = "a folder of bar files (or one file), or 'db': the desk's database"
    where.add_argument("--bars", metavar="DIR|db", help=text)
    if own:
        text = "the desk's own past: its recorded signals under other settings; with none changed, checked decision by decision"
        where.add_argument("--history", action="store_true", help=text)
    sub.add_argument(
        "--from", dest="start", type=moment, metavar="TIME", help="first bar; what is before is memory for the agents"
    )
    sub.add_argument("--to", dest="end", type=moment_after, metavar="TIME", help="last bar (a date means its end)")
    sub.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help="a column's name in the files")
    sub.add_argument("--symbols", type=_names, default=(), metavar="A,B", help="these symbols only")


def add_settings(sub: argparse.ArgumentParser) -> None:
    """Options that change settings."""
    text = "change a setting, as in tuning.cap=0.3 or combine.volatility_target=0.2; repeat for more"
    sub.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help=text)
    sub.add_argument("--agents", type=_names, default=(), metavar="A,B", help="these agents only")
    sub.add_argument("--method", choices=METHODS, help="how weights are tuned")
    sub.add_argument(
        "--start-weights", type=_weights, metavar="A=W,B=W", help="weights before the first change (default: as set)"
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _weights(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in _names(text):
        name, _, value = part.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{part}' is no AGENT=WEIGHT such as TrendFollower=0.4") from None
    return found


def changes_of(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the options change, by key."""
    found: dict[str, Any] = {}
    for text in options.changes:
        key, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f"--set {text}: expected KEY=VALUE such as tuning.cap=0.3")
        found[key.strip()] = value_of(value)
    if options.agents:
        found["agents.enabled"] = options.agents
    if options.method:
        found["tuning.method"] = options.method
    if options.start_weights is not None and not sum(options.start_weights.values()) > 0.0:
        raise UsageError("--start-weights give the agents nothing to share")
    if options.start_weights:
        found["agents.static_weights"] = options.start_weights
    return found


def value_of(text: str) -> Any:
    """A TOML value, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def open_history(options: argparse.Namespace, settings: Settings, stack: ExitStack, screen: Screen) -> Whence:
    """The history that the options name, with the settings that fit it; a database stays open as long as `stack`."""
    if options.bars == "db":
        connections = connect(settings, demo=False, say=screen.say)
        stack.callback(connections.close)
        store = BarsStore(connections.trader, options.symbols)
        total = store.count(options.start, options.end)
        history = History(source=store, symbols=store.symbols(), total_bars=total, start=options.start, end=options.end)
        return history, settings, connections.meta
    if options.demo:
        settings, path = app.demo_settings(settings), app.demo_file()
    else:
        path = Path(options.bars)
    columns = dict(column_pair(text) for text in options.map)
    screen.say(f"reading {path.name if options.demo else path}")
    found = read_folder(path, settings.data, columns, SystemClock().now(), options.symbols)
    if found.bad or found.conflicts:
        first = (
            f"; the first: {found.bad[0][0]} row {found.bad[0][1].row_number}: {found.bad[0][1].reason}"
            if found.bad
            else ""
        )
        screen.say(
            f"{len(found.bad)} rows left out, {found.conflicts} bars that a later file gives other prices{first}"
        )
    return replay_app.history_of(found.bars, options.start, options.end), settings, None


# ---------------------------------------------------------------- replay


def replay(options: argparse.Namespace, screen: Screen) -> int:
    """The command."""
    with ExitStack() as stack:
        settings, changes = load_settings(options.settings), changes_of(options)
        own = _own(options, settings, changes, stack, screen) if options.history else None
        engine: Engine | None
        if own is not None:
            history, signal_source, engine = own.past.history, own.past.signal_source, own.engine
            changes = {"agents.static_weights": own.past.first_weights, **changes}
        else:
            (history, settings, engine), signal_source = open_history(options, settings, stack, screen), None
        changed = bool(changes_of(options)) or options.no_tuning
        settings = with_changes(settings, changes)
        pace = timedelta(days=7) if options.reports == "weekly" else None
        span = history.first_bar(), options.end or SystemClock().now()
        before = TrialsStore(engine).tried_on(history.symbols, *span) if engine is not None else 0
        plan = Plan(settings=settings, tuning=not options.no_tuning, report_every=pace, trials=before)
        observers = []
        if options.out is not None:
            _make_folder(options.out)
            for name, columns_of in (("decisions", decision_columns), ("fills", fill_columns)):
                observers.append(
                    writer_of(stack.enter_context(ParquetTable(options.out / f"{name}.parquet")), columns_of)
                )
        screen.say("agents are reading the history" if signal_source is None else "signals come from the record")
        with ExitStack() as shown:
            show = progress_on(screen, shown, len(history.symbols))
            replayed = replay_history(history, plan, observers=observers, signal_source=signal_source, progress=show)
        if engine is not None and changed:
            replay_app.count_trial(
                TrialsStore(engine), replayed
            )  # looking at other settings on this history is a trial
        if options.persist:
            with ExitStack() as shown:
                show = progress_on(screen, shown, len(history.symbols))
                recorded, line = replay_app.persist(options.persist, history, plan, replayed, screen.say, show)
            screen.say(f"recorded {recorded:,} decisions; look around:")
            screen.say(f"  {line}")
    summary = summary_of(replayed.run, 1 + plan.trials)
    beside: dict[str, Any] = {}
    told = []
    if own is not None:
        against = against_record(replayed.run, own.past.time, own.past.equity)
        beside = {"against_record": against, "parity": own.parity}
        told.append(f"Against what the desk did: {against['words']}.")
        if own.parity is not None:
            kinds = kinds_of(dict(own.parity))
            told.append(
                f"{own.parity['decisions']:,} decisions recomputed as they were made: {kinds} differ{'s' if kinds == 'nothing' else ''}."
            )
    if options.out is not None:
        write_out(options.out, replayed, summary.as_plain() | beside)
        page = tear_sheet(replayed, summary, title_of(options))
        (options.out / "tear_sheet.html").write_text(page, encoding="utf-8")
        told.append(f"written to {options.out}/: tear_sheet.html, *.parquet, manifest.json")
    outcome = summary.as_plain() | {"speed": speed_of(replayed), "manifest": replayed.manifest} | beside
    screen.result(outcome, *tables_of(summary, replayed), *told)
    return 1 if own is not None and own.parity is not None and own.parity["differences"] else 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be made: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class _Own:
    past: OwnHistory
    engine: Engine
    parity: Mapping[str, Any] | None


def _own(
    options: argparse.Namespace, settings: Settings, changes: Mapping[str, Any], stack: ExitStack, screen: Screen
) -> _Own:
    """The desk's own past, and, where nothing is changed, the comparison of every decision with its recomputation."""
    if options.persist:
        raise UsageError("--history is on record already; --persist is for --demo and --bars")
    if options.agents:
        raise UsageError("--history replays the recorded signals of all agents; give --start-weights, or use --bars db")
    plane = stack.enter_context(meta_plane(settings, demo=False, say=screen.say))
    past = own_history(settings, plane.engine, options.start, options.end)
    if changes or options.start or options.end or options.no_tuning:
        return _Own(past, plane.engine, None)
    screen.say("recomputing every decision")
    now = SystemClock().now()
    return _Own(
        past,
        plane.engine,
        check_parity(settings, plane.engine, plane.store, tuning_of(settings), now, keep=False, from_start=True),
    )


def against_record(run: Run, time: Times, equity: Floats) -> dict[str, Any]:
    """The replay's live book less the recorded one, by day."""
    ours, theirs = daily_of(run), by_day(time, equity[:, None], run.initial_cash)
    if len(ours.date) != len(theirs.date) or len(ours.date) < LEAST_DAYS:
        return {"words": f"fewer than {LEAST_DAYS} days in common: nothing can be said"}
    test = sharpe_difference(
        ours.returns(0), theirs.returns(0), decay_weights(len(ours.date), math.inf), ours.per_year, seed=SEED
    )
    return claim_of(test, 1, SHOWN_LEVEL).as_plain() | {
        "recorded_equity": float(equity[-1]),
        "replayed_equity": float(run.equity[-1, 0]),
    }


def progress_on(screen: Screen, stack: ExitStack, symbols: int) -> Progress:
    """A display with bars a second and the simulated date."""
    display = stack.enter_context(screen.progress())
    task = display.add_task("replay", total=None, date="", equity="")
    clock = SystemClock()
    started_s = clock.monotonic_s()

    def show(done: int, total: int, at: datetime, equity: float) -> None:
        pace = done * symbols / max(clock.monotonic_s() - started_s, 1e-6)
        display.update(
            task, completed=done, total=total, date=f"{at:%Y-%m-%d}", equity=f"{equity:,.0f}  {pace:,.0f} bars/s"
        )

    return show


def speed_of(replayed: Replayed) -> dict[str, float]:
    """How long it took, all jobs included."""
    return {
        "seconds": round(replayed.seconds, 3),
        "bars_per_second": round(replayed.run.symbol_bars / max(replayed.seconds, 1e-9)),
    }


def title_of(options: argparse.Namespace) -> str:
    """What the tear sheet is of."""
    if options.history:
        return "The desk's own past, replayed"
    if options.demo:
        return "Replay of the demo's history"
    return f"Replay of {'the desk' if options.bars == 'db' else Path(options.bars).name}"


def decision_columns(chunk: ChunkResult) -> dict[str, Any]:
    """The decisions of a chunk as columns of one row for each bar and symbol."""
    out, bars, new = chunk.out, chunk.bars, slice(chunk.first, None)
    names = ("combined", "multiplier", "raw_weight", "target_weight", "order", "position", "mark")
    columns = long_form(bars.time[new], bars.symbols, {name: getattr(out, name)[new] for name in names})
    limits = np.array([Clamp.words_of(bits, " + ") for bits in range(2 * max(Clamp))], dtype=object)
    columns["clamps"] = limits[out.clamps[new].ravel()].tolist()
    reasons = np.array([str(reason) for reason in NoTrade], dtype=object)
    columns["no_trade"] = reasons[out.no_trade[new].ravel()].tolist()
    return columns


def fill_columns(chunk: ChunkResult) -> dict[str, Any]:
    """The live book's fills of a chunk, at the open of their bar."""
    fills = chunk.fills
    rows = chunk.first + fills.bar - chunk.base
    return {
        "time": chunk.bars.opened[rows],
        "symbol": [chunk.bars.symbols[s] for s in fills.symbol],
        **{n: getattr(fills, n) for n in ("quantity", "price", "fee", "spread", "impact", "delay")},
    }


def writer_of(
    table: ParquetTable, columns_of: Callable[[ChunkResult], dict[str, Any]]
) -> Callable[[ChunkResult], None]:
    """An observer that appends a chunk's columns to a file."""
    return lambda chunk: table.add(columns_of(chunk))


def write_out(folder: Path, replayed: Replayed, outcome: Mapping[str, Any]) -> None:
    """Equity and weights as Parquet; the manifest and the outcome in plain values as JSON."""
    run = replayed.run
    books = book_names("live", run.agents)
    states = np.array([str(state) for state in RiskState], dtype=object)
    with ParquetTable(folder / "equity.parquet") as table:
        for first in range(0, len(run.time), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            columns = long_form(
                run.time[rows], books, {n: getattr(run, n)[rows] for n in ("equity", "cash", "turnover")}
            )
            columns["book"] = columns.pop("symbol")
            table.add(columns | {"risk_state": np.repeat(states[run.risk_state[rows]], len(books)).tolist()})
    decided = [d for d in replayed.decisions if d.status != "trial"]
    with ParquetTable(folder / "weights.parquet") as table:
        listed = [(version, d, name) for version, d in enumerate(decided, 1) for name in run.agents]
        table.add(
            {
                "time": np.array([d.at.replace(tzinfo=None) for _, d, _ in listed], dtype="datetime64[us]"),
                "version": np.array([v for v, _, _ in listed], dtype=np.int64),
                "status": [d.status for _, d, _ in listed],
                "agent": [name for _, _, name in listed],
                "weight": np.array([float(d.weights[name]) for _, d, name in listed], dtype=np.float64),
                "reason": [d.reason for _, d, _ in listed],
            }
        )
    (folder / "manifest.json").write_text(
        json.dumps(replayed.manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    (folder / "summary.json").write_text(json.dumps(outcome, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def tables_of(summary: ReplaySummary, replayed: Replayed) -> list[Table | str]:
    """What a person sees of a replay."""
    start, end = (stamp[:10] for stamp in summary.period)
    books = Table(title=f"Books, {start} to {end}", title_justify="left")
    for name in ("book", "equity", "return", "a year", "Sharpe", "90 %", "max drawdown"):
        books.add_column(name, justify="left" if name == "book" else "right", no_wrap=True)
    for name, b in summary.books.items():
        books.add_row(
            name.replace("_", " "),
            money(b.equity),
            percent(b.total_return),
            percent(b.annual_return),
            number(b.sharpe),
            f"{number(b.sharpe_low)} … {number(b.sharpe_high)}",
            percent(b.max_drawdown),
        )
    agents = Table(title="Agents", title_justify="left")
    for name in ("agent", "final weight", "contribution", "shadow Sharpe", "90 %"):
        agents.add_column(name, justify="left" if name == "agent" else "right", no_wrap=True)
    for name, amount in summary.contributions.items():
        a = summary.agents.get(name)
        agents.add_row(
            name,
            percent(summary.final_weights[name]) if a else "",
            money(amount),
            number(a.sharpe) if a else "",
            f"{number(a.low)} … {number(a.high)}" if a else "",
        )
    changed = sum(d.status == "apply" for d in replayed.decisions)
    held = sum(d.status == "hold" for d in replayed.decisions)
    spent, speed = summary.costs, speed_of(replayed)
    lines = [
        summary.verdict[0].upper() + summary.verdict[1:] + ".",
        f"{changed:,} changes of weights, {held:,} holds; {spent.fills:,.0f} fills, fees {money(spent.fees)}, "
        f"spread and impact {money(spent.spread + spent.impact)}, turnover {number(spent.turnover_a_year, 1)} a year",
        f"{summary.symbol_bars:,} bars in {speed['seconds']:.1f} s ({speed['bars_per_second']:,} bars/s)",
    ]
    return [books, agents, "\n".join(lines)]
