#!/usr/bin/env python
"""Is the guard calibrated? How often it moves weights for nothing, and how long it takes to move them for something.

    scripts/calibrate_guard.py                      the table in docs/mathematics.md
    scripts/calibrate_guard.py --seeds 20 --years 2 a quick look

*False changes*: agents of equal skill (annual Sharpe 0 or 0.5), looked at every day, starting from equal weights; a
desk counts once, when its weights first move, and the rate is desks that moved over desk-years lived until then.
*Time to move*: one agent of Sharpe 2, 3 or 4 among agents of 0; days until its weight first rises.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from agents.quant.allocation import Limits, propose

YEAR = 252
VOLATILITY, CORRELATION = 0.01, 0.2


class World(NamedTuple):
    """Agents of one annual Sharpe ratio, the first of them a star where one is given, and the kind of their noise."""

    agents: int
    sharpe: float
    star: float | None = None
    noise: str = "normal"


FALSE_CASES = (
    World(3, 0.0),
    World(6, 0.0),
    World(6, 0.5),
    World(12, 0.5),
    World(6, 0.5, noise="student-3"),
    World(6, 0.5, noise="AR 0.15"),
)
STAR_CASES = (World(6, 0.0, star=2.0), World(6, 0.0, star=3.0), World(6, 0.0, star=4.0))


def returns_of(world: World, periods: int, seed: int) -> np.ndarray:
    """[T, A] daily returns; the first agent is the star."""
    rng = np.random.default_rng(seed)
    draw = (lambda s: rng.standard_t(3.0, s) / math.sqrt(3.0)) if world.noise == "student-3" else rng.standard_normal
    common, own = draw((periods, 1)), draw((periods, world.agents))
    noise = math.sqrt(CORRELATION) * common + math.sqrt(1.0 - CORRELATION) * own
    if world.noise == "AR 0.15":
        for t in range(1, periods):
            noise[t] = 0.15 * noise[t - 1] + math.sqrt(1.0 - 0.15**2) * noise[t]
    mean = np.full(world.agents, world.sharpe)
    if world.star is not None:
        mean[0] = world.star
    return VOLATILITY * (mean / math.sqrt(YEAR) + noise)


def first_change(world: World, periods: int, seed: int) -> tuple[int | None, bool]:
    """(day of the first change, None for none; whether the first agent's weight rose) of one desk."""
    returns = returns_of(world, periods, seed)
    weights = np.full(world.agents, 1.0 / world.agents)
    for day in range(20, periods):
        made = propose(returns[max(0, day - 8 * YEAR) : day], weights, periods_per_year=YEAR)
        if made.status == "apply":
            return day, bool(made.weights[0] > weights[0])
    return None, False


def false_changes(world: World, periods: int, changes: list[tuple[int | None, bool]]) -> dict[str, object]:
    """How often desks moved although there was nothing to find."""
    years = sum((periods if day is None else day) / YEAR for day, _ in changes)
    moved = sum(day is not None for day, _ in changes)
    return {
        "case": f"{world.agents} agents of Sharpe {world.sharpe:g}, {world.noise}",
        "false_changes_per_year": moved / years,
        "error": math.sqrt(max(moved, 1)) / years,
        "stated": Limits().false_changes_per_year,
    }


def time_to_move(world: World, changes: list[tuple[int | None, bool]]) -> dict[str, object]:
    """How long desks took to raise the star's weight."""
    never = 10**9
    days = sorted(day if day is not None and right else never for day, right in changes)
    middle, late = days[len(days) // 2], days[int(len(days) * 0.9)]
    return {
        "case": f"one of Sharpe {world.star:g} among {world.agents - 1} of 0",
        "median_days": middle if middle < never else None,
        "days_90_percent": late if late < never else None,
        "moved_rightly": sum(day < never for day in days) / len(days),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--years", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    periods = int(options.years * YEAR)
    with ProcessPoolExecutor(options.workers) as pool:

        def changes(world: World) -> list[tuple[int | None, bool]]:
            return list(pool.map(partial(first_change, world, periods), range(options.seeds), chunksize=2))

        rows = [false_changes(world, periods, changes(world)) for world in FALSE_CASES]
        rows += [time_to_move(world, changes(world)) for world in STAR_CASES]
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
