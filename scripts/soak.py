#!/usr/bin/env python3
"""A long life in a short time: both daemons on real servers, fed with bars without a pause, watched for growth.

    scripts/soak.py                      two hours
    scripts/soak.py --minutes 10         shorter
    scripts/soak.py --faults             kill a server now and then meanwhile

Minute bars of four symbols are appended as fast as the desk decides on them, so two hours are some months of its life;
the meta daemon runs its jobs all the time. Every ten seconds memory, open files, threads, sessions and the sizes of log
and database are measured. Memory, files, threads and sessions must be flat: the slope over the second half, by
Theil-Sen, within what chance makes of it, and below a limit that is named. Log and database must grow in proportion to
the decisions only: bytes for each decision in the last quarter against those in the second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import psycopg
from scipy.stats import theilslopes

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

EVERY_S = 10.0
LIMITS = {"rss_mb": 20.0, "files": 2.0, "threads": 1.0, "sessions": 1.0}
"""How much each may seem to grow over the second half of the run."""
RATIO_LIMIT = 1.3
SYMBOLS = ("A", "B", "C", "D")


class Feeder(threading.Thread):
    """Appends minute bars to one file, never more than `ahead` of what is decided; a new file each day of bars."""

    def __init__(self, folder: Path, ahead: int) -> None:
        super().__init__(daemon=True)
        self.folder, self.ahead = folder, ahead
        self.written, self.decided, self.stopping = 0, 0, threading.Event()
        self._prices = np.full(len(SYMBOLS), 100.0)
        self._rng = np.random.default_rng(5)

    def run(self) -> None:
        while not self.stopping.is_set():
            if self.written - self.decided >= self.ahead:
                time.sleep(0.05)
                continue
            day, lines = self.written // 1440, []
            for _ in range(20):
                stamp = np.datetime64("2015-01-01T00:00") + np.timedelta64(self.written, "m")
                opened = self._prices
                self._prices = opened * np.exp(self._rng.normal(0.0, 0.0008, len(SYMBOLS)))
                for symbol, o, c in zip(SYMBOLS, opened, self._prices, strict=True):
                    lines.append(f"{symbol},{stamp}Z,{o:.6f},{max(o, c):.6f},{min(o, c):.6f},{c:.6f},100000\n")
                self.written += 1
                if self.written // 1440 != day:
                    break
            file = self.folder / f"day-{day:05d}.csv"
            if not file.exists():
                file.write_text("symbol,time,open,high,low,close,volume\n")
                for old in sorted(self.folder.glob("day-*.csv"))[:-3]:
                    old.unlink()
            with file.open("a") as stream:
                stream.write("".join(lines))


def main() -> int:
    options = _options()
    from tests.board.world import Desk, World

    world = World()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    with world.servers.database() as database:
        desk = Desk(
            world,
            folder,
            database,
            data__interval='"1m"',
            data__time_means='"open"',
            data__session_open='"00:00"',
            data__session_close='"24:00"',
            meta__tick_s="2.0",
            meta__analyzer_hours="0.02",
            meta__optimizer_hours="0.05",
            meta__report_hours="0.05",
            meta__parity_hours="0.1",
        )
        feeder = Feeder(folder / "bars", ahead=300)
        try:
            feeder.start()
            desk.start()
            desk.start_meta()
            samples = _watch(desk, feeder, options)
        finally:
            feeder.stopping.set()
            desk.close()
            world.mend()
    world.close()
    if options.json:
        options.json.write_text(json.dumps(samples))
    return _judge(samples)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0, help="how long (default 120)")
    parser.add_argument("--faults", action="store_true", help="kill PostgreSQL or Redis about every three minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples there")
    return parser.parse_args()


def _watch(desk, feeder: Feeder, options: argparse.Namespace) -> list[dict[str, float]]:
    rng, begun, samples = random.Random(options.seed), time.monotonic(), []
    next_fault = begun + 180.0
    while time.monotonic() - begun < options.minutes * 60.0:
        until = time.monotonic() + EVERY_S
        while time.monotonic() < until:
            feeder.decided = desk.decisions() or feeder.decided
            time.sleep(0.2)
        if options.faults and time.monotonic() > next_fault:
            server = rng.choice([desk.world.services.postgres, desk.world.services.redis])
            os.kill(server.pid(), 9)
            time.sleep(rng.uniform(1.0, 5.0))
            desk.world.mend()
            next_fault = time.monotonic() + rng.uniform(120.0, 240.0)
        try:
            samples.append({"minute": (time.monotonic() - begun) / 60.0, **_sample(desk)})
        except (psycopg.Error, psutil.NoSuchProcess):
            continue
        last = samples[-1]
        print("  ".join(f"{name} {value:,.1f}" for name, value in last.items()), flush=True)
    return samples


def _sample(desk) -> dict[str, float]:
    result: dict[str, float] = {}
    for name, supervisor in (("trade", desk.trading), ("meta", desk.meta)):
        process = psutil.Process(supervisor.process.pid)
        result[f"{name}_rss_mb"] = process.memory_info().rss / 2**20
        result[f"{name}_files"] = float(process.num_fds())
        result[f"{name}_threads"] = float(process.num_threads())
        result[f"{name}_starts"] = float(supervisor.starts)
    result["sessions"] = float(
        desk.scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name <> ''"
        )
    )
    result["decisions"] = float(desk.decisions() or 0)
    result["database_mb"] = float(desk.scalar("SELECT pg_database_size(current_database())")) / 2**20
    result["log_mb"] = sum(file.stat().st_size for file in (desk.folder / "logs").glob("*")) / 2**20
    return result


def _judge(samples: list[dict[str, float]]) -> int:
    """One line for each measure; 1 where one of them grows."""
    if len(samples) < 12:
        print("soak: too short to judge; at least two minutes are needed", file=sys.stderr)
        return 2
    half = samples[len(samples) // 2 :]
    minutes, bad = np.array([s["minute"] for s in half]), 0
    print(f"\n{samples[-1]['decisions']:,.0f} decisions in {samples[-1]['minute']:.0f} minutes")
    for name in [n for n in samples[0] if n.split("_", 1)[-1] in LIMITS or n in LIMITS]:
        values = np.array([s[name] for s in half])
        slope, _, low, _ = theilslopes(values, minutes, 0.99)
        growth = slope * (minutes[-1] - minutes[0])
        grows = low > 0.0 and growth > LIMITS[name.split("_", 1)[-1] if name not in LIMITS else name]
        bad += grows
        print(
            f"{'GROWS' if grows else 'flat':6} {name:16} {values[0]:8.1f} -> {values[-1]:8.1f}, by slope {growth:+.1f}"
        )
    for name in ("database_mb", "log_mb"):
        second, last = (_per_decision(samples, name, quarter) for quarter in (1, 3))
        grows = last > RATIO_LIMIT * second > 0.0
        bad += grows
        print(
            f"{'GROWS' if grows else 'flat':6} {name:16} {second * 2**20:8.0f} -> {last * 2**20:8.0f} bytes a decision"
        )
    for name in ("trade_starts", "meta_starts"):
        restarts = samples[-1][name] - 1.0
        bad += restarts > 0
        print(f"{'ENDED' if restarts else 'lived':6} {name.removesuffix('_starts'):16} {restarts:.0f} restarts")
    return 1 if bad else 0


def _per_decision(samples: list[dict[str, float]], name: str, quarter: int) -> float:
    size = len(samples) // 4
    part = samples[quarter * size : (quarter + 1) * size + 1]
    return (part[-1][name] - part[0][name]) / max(1.0, part[-1]["decisions"] - part[0]["decisions"])


if __name__ == "__main__":
    raise SystemExit(main())
