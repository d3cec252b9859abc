#!/usr/bin/env python3
"""The fault board: the real daemons, TimescaleDB, Redis and SMTP, and what can go wrong with them.

    scripts/fault_board.py                  every case (about half an hour on two cores)
    scripts/fault_board.py --quick          a dozen, under four minutes
    scripts/fault_board.py --case A01 C03   only these
    scripts/fault_board.py --seed 7         other moments for the faults; a failure names the seed that shows it again
    scripts/fault_board.py --mutants        remove one safeguard after the other: the rows that guard it must turn red
    scripts/fault_board.py --list           the rows and what is expected of each

A row passes where the fault is proven to have happened, the program came back by itself, and every oracle holds: money
adds up, nothing is doubled, nothing is missing, no secret shows, nothing is left behind. Where a fault may leave no
trace, the record must be that of an undisturbed control, to the last bit. INVALID is a fault that never happened.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.board.world import World

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main() -> int:
    options = _parser().parse_args()
    from tests.board.all_cases import CASES

    if options.list:
        for case in CASES.values():
            print(f"{case.id}  S{case.severity}  {case.fault}: {case.expected}")
        return 0
    unknown = sorted(set(options.case) - set(CASES))
    if unknown:
        print(f"fault_board: no such case: {', '.join(unknown)}; see --list", file=sys.stderr)
        return 2
    chosen = options.case or [c.id for c in CASES.values() if c.quick or not options.quick]
    if options.worker:
        return _work(chosen, options.seed)
    if options.mutants:
        from tests.board.mutants import try_mutants

        return try_mutants(options.case, options.seed)
    return _board(chosen, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", default=[], metavar="ID", help="only these rows")
    parser.add_argument("--seed", type=int, default=1, help="moments of the faults (default 1)")
    parser.add_argument("--quick", action="store_true", help="the short form that CI runs")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="cases at once (default 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument("--mutants", action="store_true", help="the board must turn red where a safeguard is removed")
    parser.add_argument("--list", action="store_true", help="show the rows")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def _board(chosen: list[str], options: argparse.Namespace) -> int:
    """Workers, each with servers of its own, take every n-th row; the lines come as they are ready."""
    from tests.board.all_cases import CASES

    portions = [chosen[k :: options.jobs] for k in range(options.jobs) if chosen[k :: options.jobs]]
    with ThreadPoolExecutor(len(portions)) as pool:
        results = [r for part in pool.map(lambda ids: _portion(ids, options.seed), portions) for r in part]
    missing = set(chosen) - {r["id"] for r in results}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    print()
    for severity in sorted({r["severity"] for r in results}):
        rows = [r for r in results if r["severity"] == severity]
        survived, kept = sum(r["survived"] for r in rows), sum(r["kept"] for r in rows)
        print(f"S{severity}: survived {survived} of {len(rows)}, nothing lost {kept} of {len(rows)}")
    times = [s for r in results for s in r["recovered_s"]]
    if times:
        middle, longest = statistics.median(times), max(times)
        print(f"time to recover: median {middle:.1f} s, longest {longest:.1f} s ({len(times)} faults)")
    alarms = sorted({a for r in results for a in r["alarms"]})
    print(f"alarms that were raised: {', '.join(alarms) or 'none'}")
    bad = [r for r in results if r["verdict"] != "PASS"]
    for r in bad:
        print(f"\n{r['verdict']} {r['id']} --seed {r['seed']}: {CASES[r['id']].fault}\n{r['detail'][-1500:]}")
    for case in sorted(missing):
        print(f"\nno result of {case}: its worker ended")
    good = len({r["id"] for r in results} - {r["id"] for r in bad})
    print(
        f"\n{good} of {len(chosen)} rows pass ({len(results)} tries)" if not missing else "\nthe board is not complete"
    )
    return 1 if bad or missing else 0


def _portion(ids: list[str], seed: int) -> list[dict]:
    """One worker process and its results, shown as they come."""
    command = [sys.executable, __file__, "--worker", "--seed", str(seed), "--case", *ids]
    results = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            if not line.startswith("{"):
                continue
            result = json.loads(line)
            results.append(result)
            proof = "; ".join(result["proofs"])[:70]
            print(
                f"{result['verdict']:7} {result['id']} seed {result['seed']}  {result['seconds']:5.1f} s  {proof}",
                flush=True,
            )
    return results


def _compile_once(world: World) -> None:
    """A first start takes a minute, on a machine that is busy more: no row waits for it."""
    from agents.core.settings import Settings
    from agents.wiring.first_compilation import compile_desk, is_due

    with world.servers.only_one_process("compiling"):
        if is_due():
            compile_desk(Settings(), lambda _done, _total: None)


def _work(ids: list[str], seed: int) -> int:
    from tests.board.all_cases import CASES
    from tests.board.runner import run_case
    from tests.board.world import World

    for number in (signal.SIGHUP, signal.SIGINT):  # ignored under nohup and by what a script starts with &: the daemons
        if signal.getsignal(number) is signal.SIG_IGN:  # would inherit that, but not a handler
            signal.signal(number, lambda _number, _frame: None)
    world = World() if any(CASES[id_].body for id_ in ids) else None
    if world is not None:
        _compile_once(world)
    try:
        for id_ in ids:
            case = CASES[id_]
            for k in range(case.seeds):
                result = run_case(case, world, seed * 1000 + k * 37 if case.seeds > 1 else seed)
                print(json.dumps(asdict(result)), flush=True)
    finally:
        if world is not None:
            world.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
