#!/usr/bin/env python3
"""What things cost, each beside a floor measured in the same run. Ratios count; machines differ and are noisy.

    scripts/bench.py [step] [agents] [propose] [beliefs] [jobs] [analyzer] [load] [cycle] [report] [start] [workers]
                     [--json]  (or all)

Figures are medians. It uses the embedded services and a database of its own, which it drops.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numba
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench_meta import bench_analyzer, bench_beliefs, bench_jobs, bench_propose, bench_report  # beside this file

from agents.adapters.database.bar_loads import COLUMNS, copy_blocks
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import copy_block, driver_connection, open_engine, transaction
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.migrate import upgrade
from agents.adapters.database.wipe import wipe_desk
from agents.adapters.files.bar_files import read_table
from agents.adapters.files.bar_rows import validate_rows
from agents.adapters.services.embedded import EmbeddedServices
from agents.adapters.twins.in_memory import MemoryBars, MemoryWeightCache
from agents.core.clock import SystemClock
from agents.core.settings import DataSettings, Settings, with_changes
from agents.core.types import Bars, Panel, as_datetime
from agents.core.weight_sets import StandIn
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.weights_in_force import DeskWeights
from agents.pipeline.combine import scale_forecasts
from agents.pipeline.market import bar_volatility, panel_of
from agents.pipeline.state import matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_bars
from agents.trading.guard import raw_forecasts
from agents.trading.registry import make_agents
from agents.wiring.daemon import paper_broker
from agents.wiring.desk import agents_of, parameters_of, plan_of
from tests.twins import MemoryWeightStore

DATABASE = "quorum_bench"
SYMBOLS, BARS, REPEATS = 20, 5000, 9
LOAD_ROWS, CYCLES = 400_000, 150


def median_s(work: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def market(bars: int = BARS, symbols: int = SYMBOLS) -> Bars:
    rng = np.random.default_rng(1)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (bars, symbols)), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.002, close.shape))
    one = np.ones(close.shape)
    stamps = np.datetime64("2000-01-03T21:00", "us") + np.arange(bars) * np.timedelta64(86_400_000_000, "us")
    return Bars(
        time=stamps,
        opened=stamps - np.timedelta64(23_400, "s"),
        symbols=tuple(f"S{k:02d}" for k in range(symbols)),
        open=open_,
        high=np.maximum(open_, close) * 1.005,
        low=np.minimum(open_, close) * 0.995,
        close=close,
        volume=rng.integers(100_000, 5_000_000, close.shape).astype(float),
        adjustment=one,
        split=one,
        dividend=0 * one,
    )


@numba.njit(cache=False, error_model="numpy")
def bare_loop(open_, close, volume, volatility, forecast, weights, target, buffer, cost, impact, equity):
    """The floor of the step: the same ten books combined, sized, filled at the next open with the same costs and
    marked; no limits, lots, attribution, risk state, records or corporate actions."""
    bars, symbols, agents = forecast.shape
    books = 4 + agents
    position, order, cash = np.zeros((books, symbols)), np.zeros((books, symbols)), np.full(books, 1e6)
    for t in range(bars):
        for b in range(books):
            value = cash[b]
            for s in range(symbols):
                x = order[b, s]
                if x != 0.0:
                    slip = cost + impact * volatility[t, s] * math.sqrt(abs(x) / volume[t, s])
                    price = open_[t, s] * (1.0 + math.copysign(slip, x))
                    cash[b] -= x * price + abs(x) * price * 1e-4
                    value -= x * price + abs(x) * price * 1e-4
                    position[b, s] += x
                value += position[b, s] * close[t, s]
            equity[t, b] = value
            for s in range(symbols):
                if b < 4:
                    total, weight = 0.0, 0.0
                    for a in range(agents):
                        f = forecast[t, s, a]
                        if f == f:
                            total += weights[b, a] * f
                            weight += weights[b, a]
                    combined = total / weight if weight > 0.0 else 0.0
                else:
                    combined = forecast[t, s, b - 4]
                    if combined != combined:
                        combined = 0.0
                unit = target / volatility[t, s]
                order[b, s] = 0.0
                if unit == unit:
                    wanted = combined * unit * 1e6 / close[t, s]
                    if abs(wanted - position[b, s]) > buffer * unit * 1e6 / close[t, s]:
                        order[b, s] = wanted - position[b, s]


def bench_step() -> dict[str, object]:
    bars = market()
    panel = panel_of(bars)
    raw = raw_forecasts([agent.signals(panel) for agent in make_agents([])])
    settings = Settings()
    p = parameters_of(settings, bars.symbols)
    agents = raw.shape[1]
    forecast, correlation = scale_forecasts(raw, 250, 2.0)
    volatility = bar_volatility(panel, 40)
    inputs = matched_inputs(bars, volatility, forecast, correlation, np.full(agents, 1 / agents))

    def pipeline() -> None:
        scale_forecasts(raw, 250, 2.0)
        run_bars(new_state(agents, SYMBOLS, 1e6), inputs, p, new_outputs(BARS, agents, SYMBOLS))

    def step_only() -> None:
        run_bars(new_state(agents, SYMBOLS, 1e6), inputs, p, new_outputs(BARS, agents, SYMBOLS))

    equity, weights = np.zeros((BARS, 4 + agents)), np.full((4, agents), 1 / agents)

    def floor() -> None:
        bare_loop(bars.open, bars.close, bars.volume, volatility, forecast, weights, 0.002, 0.1, 2e-4, 0.1, equity)

    for work in (pipeline, floor):
        work()
    count = BARS * SYMBOLS
    ours, step, bare = median_s(pipeline), median_s(step_only), median_s(floor)
    return {
        "pipeline_bars_per_s": count / ours,
        "step_bars_per_s": count / step,
        "floor_bars_per_s": count / bare,
        "ratio_to_floor": ours / bare,
    }


@numba.njit(cache=False)
def bare_indicators(close, result):
    """The floor of the agents: SMA(20) and RSI(14) in one pass."""
    bars, symbols = close.shape
    for s in range(symbols):
        total, gain, loss = 0.0, 0.0, 0.0
        for t in range(bars):
            total += close[t, s] - (close[t - 20, s] if t >= 20 else 0.0)
            move = close[t, s] - close[t - 1, s] if t else 0.0
            gain, loss = (gain * 13 + max(move, 0.0)) / 14, (loss * 13 + max(-move, 0.0)) / 14
            result[t, s] = total / 20 + gain / (gain + loss + 1e-12)


def bench_agents() -> dict[str, object]:
    panel = panel_of(market())
    rng = np.random.default_rng(2)
    cap = 1e6 * panel.close
    series = {"market_cap": cap, "realized_cap": cap * 0.8, "transfer_value": cap * rng.uniform(0.01, 0.05, cap.shape)}
    panel = Panel(
        **{f: getattr(panel, f) for f in ("time", "symbols", "open", "high", "low", "close", "volume")},
        exogenous=series,
    )
    out = np.empty(panel.close.shape)
    bare_indicators(panel.close, out)
    count = panel.close.size
    floor = median_s(lambda: bare_indicators(panel.close, out))
    figures: dict[str, object] = {"floor_ns_per_bar": floor / count * 1e9}
    for agent in make_agents([]):
        agent.signals(panel.rows(0, 50))
        spent = median_s(lambda agent=agent: agent.signals(panel), 3)
        figures[agent.name] = {"ns_per_bar": spent / count * 1e9, "ratio_to_floor": spent / floor}
    return figures


def services() -> EmbeddedServices:
    made = EmbeddedServices()
    made.up(lambda _line: None)
    made.drop_database(DATABASE)
    made.ensure_database(DATABASE)
    return made


def bench_load(embedded: EmbeddedServices) -> dict[str, object]:
    bars = market(LOAD_ROWS // SYMBOLS)
    engine = open_engine(embedded.database_url(DATABASE, "quorum_owner"))
    upgrade(engine, interval_s=3600)
    stamps = np.datetime64("2000-01-03T00:00", "us") + np.arange(len(bars.time)) * np.timedelta64(3600_000_000, "us")
    settings = DataSettings(interval="1h", time_means="open", timezone="UTC")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ours, floor = [], []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bars.csv"
        with file.open("w") as stream:
            stream.write("symbol,time,open,high,low,close,volume\n")
            for s, symbol in enumerate(bars.symbols):
                columns = [getattr(bars, n)[:, s].round(4).tolist() for n in ("open", "high", "low", "close", "volume")]
                for t, row in enumerate(zip(*columns, strict=True)):
                    stream.write(f"{symbol},{stamps[t]}Z," + ",".join(map(repr, row)) + "\n")
        store = BarsStore(engine)
        batch = validate_rows(read_table(file, {}), settings, at=now)
        blocks = copy_blocks(batch, np.ones(len(batch.time), dtype=bool), 1)
        for _ in range(5):
            for kind, times in (("ours", ours), ("floor", floor)):
                with transaction(engine) as connection:
                    connection.exec_driver_sql("TRUNCATE bars, bar_reads, bar_corrections")
                start = time.perf_counter()
                if kind == "ours":
                    store.load(validate_rows(read_table(file, {}), settings, at=now))
                else:
                    with transaction(engine) as connection:
                        copy_block(connection, "bars", COLUMNS, blocks)
                times.append(time.perf_counter() - start)
    engine.dispose()
    a, b = statistics.median(ours), statistics.median(floor)
    rows = len(batch.time)
    return {"rows_per_s": rows / a, "raw_copy_rows_per_s": rows / b, "share_of_raw_copy": b / a}


def bench_cycle(embedded: EmbeddedServices) -> dict[str, object]:
    bars, clock = market(2400 + CYCLES), SystemClock()
    engine = open_engine(embedded.database_url(DATABASE, "quorum_owner"))
    upgrade(engine, interval_s=86400)
    wipe_desk(engine)
    journal = PostgresJournal(engine)
    journal.hold_desk()
    settings = Settings()
    agents = agents_of(settings, clock)
    plan = plan_of(settings, bars.symbols)
    weights = DeskWeights(agents.names, MemoryWeightStore(), MemoryWeightCache(), StandIn({}, 0.05), 3600.0)
    desk = Orchestrator(plan, agents, weights, journal)
    broker = paper_broker(desk, journal)
    source = MemoryBars(bars)
    first = len(bars.time) - CYCLES
    desk.recover(broker, bars.rows(0, first), clock.now())
    times = []
    for t in range(first, len(bars.time)):
        window = source.window(until=as_datetime(bars.time[t]), count=desk.bars_needed)
        start = time.perf_counter()
        broker.match(window.rows(len(window.time) - 1, len(window.time)))
        desk.run_cycle(window, broker, clock.now(), stale=False)
        times.append(time.perf_counter() - start)
    warm = times[10:]
    floor = _bare_inserts(engine)
    journal.release()
    engine.dispose()
    return {
        "cycle_ms": statistics.median(warm) * 1e3,
        "cycle_p95_ms": float(np.quantile(warm, 0.95)) * 1e3,
        "same_rows_bare_ms": floor * 1e3,
        "ratio_to_floor": statistics.median(warm) / floor,
    }


def bench_workers() -> dict[str, object]:
    """All agents asked for one bar, with their reasons: inside the process and each in its own, by turns on the same
    bars; and what a worker takes."""
    bars, clock = market(2400 + CYCLES), SystemClock()
    started = time.perf_counter()
    ways = {
        way: agents_of(with_changes(Settings(), {"agents.isolation": way, "agents.timeout_s": 60.0}), clock)
        for way in ("none", "all")
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for t in range(len(bars.time) - CYCLES, len(bars.time)):
        panel = panel_of(bars.rows(t - 2000, t))
        for way, agents in ways.items():
            start = time.perf_counter()
            _, log = agents.ask(panel, clock.now(), action="signals")
            agents.reasons(0, 1, SYMBOLS)
            times[way].append(time.perf_counter() - start)
            assert all(entry.ok for entry in log), log
            if t == len(bars.time) - CYCLES and way == "all":
                until_first = time.perf_counter() - started
    memory = [p.memory_info().rss for p in psutil.Process().children() if "workers.main" in " ".join(p.cmdline())]
    for agents in ways.values():
        agents.close()
    inside, workers = (np.array(times[way][10:]) for way in ways)
    return {
        "inside_ms": float(np.median(inside)) * 1e3,
        "in_workers_ms": float(np.median(workers)) * 1e3,
        "workers_cost_ms": float(np.median(workers - inside)) * 1e3,
        "workers_cost_p95_ms": float(np.quantile(workers - inside, 0.95)) * 1e3,
        "first_answers_s": until_first,
        "mb_a_worker": statistics.median(memory) / 2**20,
    }


def _bare_inserts(engine) -> float:
    """The floor: the rows of one cycle read back and copied into tables of the same shape, in one transaction."""
    tables = {
        "signals": 120,
        "decision_details": 20,
        "equity": 10,
        "shadow_returns": 6,
        "bar_contributions": 7,
        "agent_work_log": 6,
        "decisions": 1,
        "orders": 10,
        "fills": 10,
    }
    rows, columns = {}, {}
    with transaction(engine) as connection:
        for table, count in tables.items():
            found = connection.exec_driver_sql(f"SELECT * FROM {table} LIMIT {count}")
            columns[table] = list(found.keys())
            rows[table] = [
                tuple(json.dumps({k: str(v) for k, v in x.items()}) if isinstance(x, dict) else x for x in row)
                for row in found
            ]
            connection.exec_driver_sql(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING DEFAULTS)")

    def insert() -> None:
        with transaction(engine) as connection:
            for table in tables:
                names = ", ".join(f'"{c}"' for c in columns[table])
                statement = f"COPY bare_{table} ({names}) FROM STDIN"
                with driver_connection(connection).cursor() as cursor, cursor.copy(statement) as copy:
                    for row in rows[table]:
                        copy.write_row(row)

    return median_s(insert, 60)


def bench_start() -> dict[str, object]:
    """Processor time, user and system, of commands that a person waits for, beside a Python that does nothing."""
    commands = {
        "bare python ms": ["-c", "pass"],
        "quorum --help ms": ["-m", "agents", "--help"],
        "quorum status ms": ["-m", "agents", "status"],
    }
    return {name: _processor_ms(arguments) for name, arguments in commands.items()}


def _processor_ms(arguments: list[str]) -> float:
    """Median of REPEATS runs, after one that compiles what is imported and starts what is needed."""

    def used_s() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    root, spent = Path(__file__).resolve().parents[1], []
    for _ in range(1 + REPEATS):
        before_s = used_s()
        subprocess.run([sys.executable, *arguments], cwd=root, check=True, stdout=subprocess.DEVNULL)
        spent.append(1e3 * (used_s() - before_s))
    return statistics.median(spent[1:])


def show(name: str, figures: dict[str, object]) -> None:
    print(f"\n{name}")
    for key, value in figures.items():
        if isinstance(value, dict):
            print(f"  {key:<24}" + "  ".join(f"{k} {_shown(v)}" for k, v in value.items()))
        else:
            print(f"  {key:<24}{_shown(value)}")


def _shown(value: object) -> str:
    number = float(value) if isinstance(value, (int, float, Decimal)) else math.nan
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what",
        nargs="*",
        metavar="PART",
        help="step, agents, propose, beliefs, jobs, analyzer, load, cycle, report (after cycle), start, workers",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts = options.what or [
        "step",
        "agents",
        "propose",
        "beliefs",
        "jobs",
        "analyzer",
        "load",
        "cycle",
        "report",
        "start",
        "workers",
    ]
    results: dict[str, dict[str, object]] = {}
    embedded = services() if {"load", "cycle", "report"} & set(parts) else None
    plain = (
        ("step", bench_step),
        ("agents", bench_agents),
        ("propose", bench_propose),
        ("beliefs", bench_beliefs),
        ("jobs", bench_jobs),
        ("analyzer", bench_analyzer),
        ("start", bench_start),
        ("workers", bench_workers),
    )
    for part, work in plain:
        if part in parts:
            results[part] = work()
    for part, work_on in (("load", bench_load), ("cycle", bench_cycle)):
        if part in parts and embedded is not None:
            results[part] = work_on(embedded)
    if embedded is not None and "report" in parts:
        if "cycle" not in parts:
            bench_cycle(embedded)  # a desk to report on
        results["report"] = bench_report(embedded, DATABASE)
    if embedded is not None:
        embedded.drop_database(DATABASE)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        show(name, figures)


if __name__ == "__main__":
    main()
