#!/usr/bin/env python
"""Is the guard calibrated? How often it moves weights for nothing, and how long it takes to move them for something.

    scripts/calibrate_guard.py                      the table in ARCHITECTURE.md
    scripts/calibrate_guard.py --seeds 20 --years 2 a quick look

*False changes*: agents of equal skill (annual Sharpe 0 or 0.5), looked at every day, starting from equal weights; a desk counts once,
when its weights first move, and the rate is desks that moved over desk-years lived until then.
*Time to move*: one agent of Sharpe 2, 3 or 4 among agents of 0; days until its weight first rises.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from rich.console import Console
from rich.table import Table

from agents.quant.allocation import Limits, propose

YEAR = 252
VOLATILITY, CORRELATION = 0.01, 0.2
FALSE_CASES = (
    (3, 0.0, "normal"),
    (6, 0.0, "normal"),
    (6, 0.5, "normal"),
    (12, 0.5, "normal"),
    (6, 0.5, "student-3"),
    (6, 0.5, "AR 0.15"),
)
STAR_CASES = ((6, 2.0), (6, 3.0), (6, 4.0))


def returns_of(agents: int, periods: int, skill: float, star: float | None, kind: str, seed: int) -> np.ndarray:
    """[T, A] daily returns; the first agent is the star."""
    rng = np.random.default_rng(seed)
    draw = (lambda s: rng.standard_t(3.0, s) / math.sqrt(3.0)) if kind == "student-3" else rng.standard_normal
    noise = math.sqrt(CORRELATION) * draw((periods, 1)) + math.sqrt(1.0 - CORRELATION) * draw((periods, agents))
    if kind == "AR 0.15":
        for t in range(1, periods):
            noise[t] = 0.15 * noise[t - 1] + math.sqrt(1.0 - 0.15**2) * noise[t]
    mean = np.full(agents, skill)
    if star is not None:
        mean[0] = star
    return VOLATILITY * (mean / math.sqrt(YEAR) + noise)


def first_change(task: tuple[int, float, float | None, str, int, int]) -> tuple[int | None, bool]:
    """(day of the first change, None for none; whether the first agent's weight rose) of one desk."""
    agents, skill, star, kind, periods, seed = task
    returns = returns_of(agents, periods, skill, star, kind, seed)
    weights = np.full(agents, 1.0 / agents)
    for day in range(20, periods):
        made = propose(returns[max(0, day - 8 * YEAR) : day], weights, periods_per_year=YEAR)
        if made.status == "apply":
            return day, bool(made.weights[0] > weights[0])
    return None, False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--years", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    periods = int(options.years * YEAR)
    rows: list[dict[str, object]] = []
    with ProcessPoolExecutor(options.workers) as pool:
        for agents, skill, kind in FALSE_CASES:
            found = list(
                pool.map(
                    first_change, [(agents, skill, None, kind, periods, s) for s in range(options.seeds)], chunksize=2
                )
            )
            lived = sum((periods if day is None else day) / YEAR for day, _ in found)
            changed = sum(day is not None for day, _ in found)
            rows.append(
                {
                    "case": f"{agents} agents of Sharpe {skill:g}, {kind}",
                    "false_changes_per_year": changed / lived,
                    "error": math.sqrt(max(changed, 1)) / lived,
                    "stated": Limits().false_changes_per_year,
                }
            )
        for agents, star in STAR_CASES:
            found = list(
                pool.map(
                    first_change, [(agents, 0.0, star, "normal", periods, s) for s in range(options.seeds)], chunksize=2
                )
            )
            days = sorted(day if day is not None and right else 10**9 for day, right in found)
            middle, late = days[len(days) // 2], days[int(len(days) * 0.9)]
            rows.append(
                {
                    "case": f"one of Sharpe {star:g} among {agents - 1} of 0",
                    "median_days": middle if middle < 10**9 else None,
                    "days_90_percent": late if late < 10**9 else None,
                    "moved_rightly": sum(d < 10**9 for d in days) / len(days),
                }
            )
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(title=f"{options.seeds} desks x {options.years:g} years of daily looks")
    for column in ("case", "false changes a year", "stated", "median days", "90 % within", "moved rightly"):
        table.add_column(column, justify="left" if column == "case" else "right")
    for r in rows:
        false = f"{r['false_changes_per_year']:.3f} +- {r['error']:.3f}" if "error" in r else ""
        within = [str(r[k]) if r.get(k) is not None else "" for k in ("median_days", "days_90_percent")]
        table.add_row(
            str(r["case"]),
            false,
            f"{r['stated']:.2f}" if "stated" in r else "",
            *within,
            f"{r['moved_rightly']:.0%}" if "moved_rightly" in r else "",
        )
    Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
