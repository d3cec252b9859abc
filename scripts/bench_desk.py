"""The desk's parts of scripts/bench.py: loading a file, a live cycle, agents in workers, each beside a floor."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
from bench_step import SYMBOLS, market, median_s

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
from agents.core.types import Order, OrderOutcome, as_datetime
from agents.core.weight_sets import StandIn
from agents.orchestrator.broker_in_front import BrokerInFront
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.weights_in_force import DeskWeights
from agents.pipeline.market import panel_of
from agents.wiring.daemon import paper_broker
from agents.wiring.desk import agents_of, plan_of
from tests.twins import MemoryWeightStore

DATABASE = "quorum_bench"
LOAD_ROWS, CYCLES = 400_000, 150


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


class Watched(BrokerInFront):
    """Notes when the orders of a cycle are handed over: their decision is committed by then."""

    sent_at: float | None = None

    def place(self, orders: Sequence[Order]) -> Sequence[OrderOutcome]:
        self.sent_at = time.perf_counter()
        return super().place(orders)


def bench_cycle(embedded: EmbeddedServices) -> dict[str, object]:
    """One live bar, from its arrival: until its decision is committed and the first order leaves (`to_orders`), and
    until the broker's answers are on record, too (`cycle`); bars without an order count in the latter only."""
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
    paper = paper_broker(desk, journal)
    broker = Watched(paper)
    source = MemoryBars(bars)
    first = len(bars.time) - CYCLES
    desk.recover(broker, bars.rows(0, first), clock.now())
    times, decided = [], []
    for t in range(first, len(bars.time)):
        window = source.window(until=as_datetime(bars.time[t]), count=desk.bars_needed)
        start = time.perf_counter()
        broker.sent_at = None
        paper.match(window.rows(len(window.time) - 1, len(window.time)))
        desk.run_cycle(window, broker, clock.now(), stale=False)
        times.append(time.perf_counter() - start)
        decided += [broker.sent_at - start] if broker.sent_at is not None else []
    warm = times[10:]
    floor = _bare_inserts(engine)
    journal.release()
    engine.dispose()
    return {
        "to_orders_ms": statistics.median(decided[10:]) * 1e3,
        "cycle_ms": statistics.median(warm) * 1e3,
        "cycle_p95_ms": float(np.quantile(warm, 0.95)) * 1e3,
        "same_rows_bare_ms": floor * 1e3,
        "ratio_to_floor": statistics.median(warm) / floor,
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
