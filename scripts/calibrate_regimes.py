#!/usr/bin/env python
"""How often does the page say that an agent's skill differs by regime where it does not? One row for each world.

    scripts/calibrate_regimes.py
    scripts/calibrate_regimes.py --worlds drift,death --seeds 20 --json

Desks of six agents are told two kinds of regime that mean nothing, one of two states (100 days on average) and one of
three (60 days), and look every 40 days. `said` is the share of desks that ever read "not by chance" of any agent,
`likelier` that of agents which in the end are called more likely to differ than not, `chance` and `shift` the mean
chance and size of a difference that are then shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from rich.console import Console
from rich.table import Table
from worlds import SKILLS, UNSEEN, YEAR, draw

from agents.core.types import Integers
from agents.quant.regime_skill import regime_skill

AGENTS, FIRST_DAYS, EVERY_DAYS = 6, 100, 40
KINDS = ((2, 100.0), (3, 60.0))
"""States, and the days that one lasts on average."""
FIGURES = ("said", "likelier", "chance", "shift")


def spells(rng: np.random.Generator, days: int, states: int, mean: float) -> Integers:
    """[days] of states that follow on each other in random order."""
    steps = np.where(rng.random(days) < 1.0 / mean, rng.integers(1, states, days), 0)
    return np.asarray((rng.integers(states) + np.cumsum(steps)) % states)


def desk(world: str, days: int, seed: int) -> list[float]:
    """The figures of one desk."""
    drawn, rng = draw(world, AGENTS, days, seed), np.random.default_rng([77, seed])
    kinds = [(spells(rng, days, states, mean), states) for states, mean in KINDS]
    said, last = False, []
    for end in range(FIRST_DAYS, days + 1, EVERY_DAYS):
        last = [regime_skill(drawn.returns[:end], state[:end], n, YEAR, len(KINDS)) for state, n in kinds]
        said |= any(bool((found.evidence >= found.proof).any()) for found in last)
    likelier, chance, shift = (
        float(np.mean([values.mean() for values in each]))
        for each in ([f.differs > 0.5 for f in last], [f.differs for f in last], [np.abs(f.shift) for f in last])
    )
    return [float(said), likelier, chance, shift]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", help="only these")
    parser.add_argument("--days", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=UNSEEN)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    meaningless = [name for name in SKILLS if not name.endswith("regimes")]
    rows = []
    with ProcessPoolExecutor(options.workers) as pool:
        for world in options.worlds.split(",") if options.worlds else meaningless:
            seeds = range(options.first_seed, options.first_seed + options.seeds)
            figures = np.array(list(pool.map(partial(desk, world, options.days), seeds, chunksize=5)))
            rows.append({"world": world, **dict(zip(FIGURES, figures.mean(axis=0).tolist(), strict=True))})
    if options.json:
        print(json.dumps({"rows": rows}))
        return 0
    table = Table("world", *FIGURES, title=f"{options.seeds} desks of {options.days} days each")
    for row in rows:
        table.add_row(str(row["world"]), *(f"{row[name]:.3f}" for name in FIGURES))
    Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
