"""What a replay leaves: tables on the screen, and Parquet files, manifest, summary and tear sheet in a folder."""

from __future__ import annotations

import json
import textwrap
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from agents.adapters.files.replay_files import ParquetTable, long_form
from agents.cli.screen import new_table
from agents.core.books import book_names
from agents.core.errors import UsageError
from agents.core.replay_types import Replayed
from agents.core.settings_sections import MetaSettings
from agents.core.types import Clamp, NoTrade, RiskState
from agents.quant.leave_one_out import Added
from agents.quant.replay_summary import ReplaySummary
from agents.replay.simulate import ChunkResult
from agents.reports.formatting import money, number, percent, sentence, signed_money
from agents.reports.tear_sheet import tear_sheet

ROWS_AT_ONCE = 20_000
DECISION_COLUMNS = ("combined", "multiplier", "raw_weight", "target_weight", "order", "position", "mark")
FILL_COLUMNS = ("quantity", "price", "fee", "spread", "impact", "delay")

Columns = dict[str, Any]
"""A column's name -> an array or list of its values."""


# ---------------------------------------------------------------- files


def observers_of(folder: Path, stack: ExitStack) -> list[Callable[[ChunkResult], None]]:
    """Write decisions and fills chunk by chunk into `folder`, which is made; the files close with `stack`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be made: {error.strerror}") from None
    return [
        _writer(stack.enter_context(ParquetTable(folder / f"{name}.parquet")), columns_of)
        for name, columns_of in (("decisions", _decision_columns), ("fills", _fill_columns))
    ]


def _writer(table: ParquetTable, columns_of: Callable[[ChunkResult], Columns]) -> Callable[[ChunkResult], None]:
    return lambda chunk: table.add(columns_of(chunk))


def _decision_columns(chunk: ChunkResult) -> Columns:
    """One row for each bar and symbol of the chunk."""
    out, bars, new = chunk.out, chunk.bars, slice(chunk.first, None)
    columns = long_form(bars.time[new], bars.symbols, {name: getattr(out, name)[new] for name in DECISION_COLUMNS})
    limits = np.array([Clamp.words_of(bits, " + ") for bits in range(2 * max(Clamp))], dtype=object)
    columns["clamps"] = limits[out.clamps[new].ravel()].tolist()
    reasons = np.array([str(reason) for reason in NoTrade], dtype=object)
    columns["no_trade"] = reasons[out.no_trade[new].ravel()].tolist()
    return columns


def _fill_columns(chunk: ChunkResult) -> Columns:
    """The live book's fills of the chunk."""
    fills = chunk.fills
    rows = chunk.first + fills.bar - chunk.base
    return {
        "time": np.where(chunk.at_close[rows, fills.symbol], chunk.bars.time[rows], chunk.bars.opened[rows]),
        "symbol": [chunk.bars.symbols[s] for s in fills.symbol],
        **{name: getattr(fills, name) for name in FILL_COLUMNS},
    }


def write_out(options: Namespace, replayed: Replayed, summary: ReplaySummary, beside: Mapping[str, Any]) -> None:
    """What is known at the end: equity and weights as Parquet, manifest, summary (with `beside`) and tear sheet."""
    folder: Path = options.out
    _write_equity(folder / "equity.parquet", replayed)
    _write_weights(folder / "weights.parquet", replayed)
    manifest = json.dumps(replayed.manifest, indent=1, sort_keys=True)
    (folder / "manifest.json").write_text(manifest + "\n", encoding="utf-8")
    document = json.dumps(summary.as_plain() | dict(beside), indent=1, allow_nan=False)
    (folder / "summary.json").write_text(document + "\n", encoding="utf-8")
    page = tear_sheet(replayed, summary, _title(options))
    (folder / "tear_sheet.html").write_text(page, encoding="utf-8")


def _write_equity(file: Path, replayed: Replayed) -> None:
    run = replayed.run
    books = book_names("live", run.agents)
    states = np.array([str(state) for state in RiskState], dtype=object)
    with ParquetTable(file) as table:
        for first in range(0, len(run.time), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            values = {name: getattr(run, name)[rows] for name in ("equity", "cash", "turnover")}
            columns = long_form(run.time[rows], books, values)
            columns["book"] = columns.pop("symbol")
            table.add(columns | {"risk_state": np.repeat(states[run.risk_state[rows]], len(books)).tolist()})


def _write_weights(file: Path, replayed: Replayed) -> None:
    """One row for each decision about weights and agent; trials are not decisions."""
    decisions = enumerate((d for d in replayed.decisions if d.status != "trial"), 1)
    rows = [(version, d, name) for version, d in decisions for name in replayed.run.agents]
    with ParquetTable(file) as table:
        table.add(
            {
                "time": np.array([d.at.replace(tzinfo=None) for _, d, _ in rows], dtype="datetime64[us]"),
                "version": np.array([version for version, _, _ in rows], dtype=np.int64),
                "status": [d.status for _, d, _ in rows],
                "agent": [name for _, _, name in rows],
                "weight": np.array([float(d.weights.get(name, 0)) for _, d, name in rows], dtype=np.float64),
                "reason": [d.reason for _, d, _ in rows],
            }
        )


def _title(options: Namespace) -> str:
    """What the tear sheet is of."""
    if options.history:
        return "The desk's own past, replayed"
    if options.demo:
        return "Replay of the demo's history"
    return f"Replay of {'the desk' if options.bars == 'db' else Path(options.bars).name}"


# ---------------------------------------------------------------- tables


def tables_of(summary: ReplaySummary, replayed: Replayed) -> list[Table | str]:
    """What a person sees of a replay."""
    changed = sum(d.status == "apply" for d in replayed.decisions)
    held = sum(d.status == "hold" for d in replayed.decisions)
    spent, speed = summary.costs, speed_of(replayed)
    lines = [
        sentence(summary.verdict),
        f"{changed:,} changes of weights, {held:,} holds; {spent.fills:,.0f} fills, fees {money(spent.fees)}, "
        f"spread and impact {money(spent.spread + spent.impact)}, turnover {number(spent.turnover_a_year, 1)} a year;"
        f" costs {percent(spent.of_equity_a_year, 2)} of equity a year"
        + (f"; funding {signed_money(-spent.funding)}" if spent.funding else ""),
        f"{summary.symbol_bars:,} bars in {speed['seconds']:.1f} s ({speed['bars_per_second']:,} bars/s)",
    ]
    return [_books_table(summary), _benchmark_table(summary), _agents_table(summary), "\n".join(lines)]


def demo_line(meta: MetaSettings) -> str:
    """Why the demo's history ends in other figures here than in `quorum demo`."""
    return (
        f"The demo itself ends at other figures: it decides about weights every {meta.demo_every_days:g} days,"
        f" a replay every {meta.optimizer_hours:g} h, as [meta] says."
    )


def _books_table(summary: ReplaySummary) -> Table:
    start, end = (stamp[:10] for stamp in summary.period)
    table = new_table(f"Books, {start} to {end}")
    for name in ("book", "equity", "return", "a year", "Sharpe", "90 %", "max drawdown"):
        breaks = name in ("book", "max drawdown")  # into lines, where a terminal is narrow; figures stay whole
        table.add_column(name, justify="left" if name == "book" else "right", no_wrap=not breaks)
    for name, book in summary.books.items():
        table.add_row(
            name.replace("_", " ").replace(":", ": "),
            money(book.equity),
            percent(book.total_return),
            percent(book.annual_return),
            number(book.sharpe),
            f"{number(book.sharpe_low)} … {number(book.sharpe_high)}",
            percent(book.max_drawdown),
        )
    return table


def _benchmark_table(summary: ReplaySummary) -> Table:
    table = new_table("The desk against holding")
    for name in ("against", "a year", "90 %", "beta", "information ratio"):
        table.add_column(name, justify="left" if name == "against" else "right")
    for name, figures in summary.benchmark.items():
        table.add_row(
            name.replace("_", " "),
            percent(figures.excess_return, sign=True),
            f"{percent(figures.low, sign=True)} … {percent(figures.high, sign=True)}",
            number(figures.beta),
            number(figures.information_ratio, sign=True),
        )
    return table


def _agents_table(summary: ReplaySummary) -> Table:
    """Agents, and the remainder's contribution, which has no weight and no Sharpe ratio. 80 columns hold it: words are
    broken into lines that are no longer than the figures."""
    added = {name: added_words(summary.agents_added.get(name)) for name in summary.contributions}
    widest = max([len("adds % a year"), *(len(words) for words in added.values() if words.endswith("]"))])
    table = new_table("Agents")
    for name in ("agent", "weight", "earned", "shadow\nSharpe", "90 %", "adds % a year"):
        table.add_column(name, justify="left" if name == "agent" else "right", no_wrap=True)
    for name, contribution in summary.contributions.items():
        agent = summary.agents.get(name)
        table.add_row(
            name,
            percent(summary.final_weights[name]) if agent else "",
            money(contribution),
            number(agent.sharpe) if agent else "",
            f"{number(agent.low)} … {number(agent.high)}" if agent else "",
            textwrap.fill(added[name], widest),
        )
    return table


def added_words(added: Added | None) -> str:
    """What an agent added to the desk, in per cent a year, with its interval; words before there is one."""
    if added is None or not np.isfinite(added.return_low):
        return added.verdict if added else ""
    gain, low, high = (
        number(100.0 * share, 1, sign=True) for share in (added.return_a_year, added.return_low, added.return_high)
    )
    return f"{gain} [{low}, {high}]"


def speed_of(replayed: Replayed) -> dict[str, float]:
    """How long it took, all jobs included."""
    return {
        "seconds": round(replayed.seconds, 3),
        "bars_per_second": round(replayed.run.symbol_bars / max(replayed.seconds, 1e-9)),
    }
