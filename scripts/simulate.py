#!/usr/bin/env python3
"""Thousands of lives of a desk at an exchange, in one process and one thread, on a made-up clock.

    scripts/simulate.py                          the seeds 0 to 2000, for five minutes at most
    scripts/simulate.py --seeds 500:900          only these
    scripts/simulate.py --seconds 60             stop after a minute
    scripts/simulate.py --seed 137 --trace       the history of one seed
    scripts/simulate.py --mutants                remove one safeguard after the other: a seed must fail for each

The daemon's turn, the orchestrator, the step, the broker and the comparison of books are the real ones; the market, the
exchange's account, the journal, the clock and a person are made. The seed draws what goes wrong: answers that are lost
or late, crashes, power cuts, a database that is away, halts, wrong prices, clocks that jump. After each decision and at
the end the money must add up by the exchange's own book, no decision may have two orders, nothing may leave while the
desk is halted, and the desk must become again what an undisturbed one is. A failure is one line with its seed, which
shows it again; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SHOWN_EVERY_S = 15.0


def main() -> int:
    options = _parser().parse_args()
    if options.mutants:
        from tests.simulation.mutants import try_mutants

        return try_mutants()
    if options.seed is not None:
        return _one(options.seed, traced=options.trace)
    first, _, stop = options.seeds.partition(":")
    return _many(range(int(first), int(stop or int(first) + 1)), options.seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:2000", metavar="FIRST:STOP", help="which seeds (default 0:2000)")
    parser.add_argument("--seconds", type=float, default=300.0, help="stop after so long (default 300)")
    parser.add_argument("--seed", type=int, help="this seed alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: print its history")
    parser.add_argument("--mutants", action="store_true", help="the simulation must fail without each safeguard")
    return parser


def _one(seed: int, *, traced: bool) -> int:
    from tests.simulation.run import play

    verdict = play(seed, traced=traced)
    for line in verdict.history:
        print(line)
    for what in verdict.found:
        print(f"seed {seed}: {what}")
    if not verdict.found:
        print(f"seed {seed} is well: {verdict.orders} orders, {verdict.fills} fills, {verdict.turns} turns")
    return 1 if verdict.found else 0


def _many(seeds: range, seconds: float) -> int:
    print("loading; where the step was changed it is compiled first, some minutes", flush=True)
    from tests.simulation.run import play

    play(seeds.start)
    began = shown = time.monotonic()
    done, failed, met = 0, 0, Counter[str]()
    sums = Counter[str]()
    for seed in seeds:
        verdict = play(seed)
        done, met = done + 1, met + verdict.met
        sums.update(orders=verdict.orders, fills=verdict.fills, turns=verdict.turns)
        if verdict.found:
            failed += 1
            more = f" (and {len(verdict.found) - 1} more)" if len(verdict.found) > 1 else ""
            print(f"FAILED seed {seed}: {verdict.found[0]}{more}", flush=True)
        now = time.monotonic()
        if now - shown >= SHOWN_EVERY_S:
            shown = now
            print(f"{done} seeds, {done / (now - began):.1f} a second, {failed} failed", flush=True)
        if now - began >= seconds:
            break
    spent_s = time.monotonic() - began
    print(f"{done} seeds in {spent_s:.0f} s, {done / spent_s:.1f} a second: {failed} failed")
    print(f"{sums['orders']} orders, {sums['fills']} fills, {sums['turns']} turns; what happened:")
    for kind, count in met.most_common():
        print(f"  {count:7} {kind}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
