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
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# beside this file
from bench_desk import DATABASE, bench_cycle, bench_load, bench_workers, services
from bench_meta import bench_analyzer, bench_beliefs, bench_jobs, bench_propose, bench_report
from bench_step import REPEATS, bench_agents, bench_step


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


PLAIN = {
    "step": bench_step,
    "agents": bench_agents,
    "propose": bench_propose,
    "beliefs": bench_beliefs,
    "jobs": bench_jobs,
    "analyzer": bench_analyzer,
    "start": bench_start,
    "workers": bench_workers,
}
ON_SERVERS = ("load", "cycle", "report")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = (*PLAIN, *ON_SERVERS)
    parser.add_argument("what", nargs="*", metavar="PART", help=f"some of {', '.join(known)}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts = set(options.what or known)
    if parts - set(known):
        parser.error(f"unknown: {', '.join(sorted(parts - set(known)))}; known are {', '.join(known)}")
    results = {part: work() for part, work in PLAIN.items() if part in parts}
    if parts & set(ON_SERVERS):
        results |= on_servers(parts)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        show(name, figures)


def on_servers(parts: set[str]) -> dict[str, dict[str, object]]:
    """The parts that need a database; a report is made on the desk of a cycle."""
    embedded, results = services(), {}
    if "load" in parts:
        results["load"] = bench_load(embedded)
    if parts & {"cycle", "report"}:
        results["cycle"] = bench_cycle(embedded)
    if "report" in parts:
        results["report"] = bench_report(embedded, DATABASE)
    embedded.drop_database(DATABASE)
    return results


if __name__ == "__main__":
    main()
