#!/usr/bin/env python
"""The price of tuning: what it costs where there is nothing to learn. Belief moves weights before proof, so some moves
are false; they are kept cheap instead of being forbidden, and this says how cheap.

    scripts/calibrate_guard.py                        the table in docs/tuning-boards.md
    scripts/calibrate_guard.py --seeds 40 --json      a quick look

Agents of one skill, a desk that starts at equal weights and looks every day, net of 5 bp of what it moves. The loss is
in annual Sharpe ratio against equal weights: its mean, its mean over the worst 5 % of desks, and the sum of |changes
of weights| a year. Draws from worlds.UNSEEN on were never used to choose anything.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.table import Table
from tournament import MOST_TURNOVER, WORST, Game, figures_of, results
from worlds import UNSEEN

STATED_LOSS = 0.03
"""What may be said of six agents of Sharpe 0.8 over 900 days."""
CASES = (
    ("equal", 6, 900),
    ("equal", 2, 900),
    ("equal", 3, 900),
    ("equal", 10, 900),
    ("equal", 12, 900),
    ("equal", 20, 900),
    ("equal", 6, 250),
    ("equal", 6, 2500),
    ("losers", 6, 900),
    ("equal_fat_tails", 6, 900),
    ("equal_autocorrelated", 6, 900),
    ("equal_clones", 6, 900),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first-seed", type=int, default=UNSEEN)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with ProcessPoolExecutor(options.workers) as pool:
        for world, agents, days in CASES:
            game = Game("price", world, agents, days, options.seeds, options.first_seed)
            rows.append(figures_of(game, "adaptive", results(game, ("none", "oracle", "adaptive"), pool)))
    kept = {
        "loss": -float(str(rows[0]["gain"])) <= STATED_LOSS,
        "worst_5": float(str(rows[0]["worst_5"])) >= WORST,
        "turnover": float(str(rows[0]["turnover"])) <= MOST_TURNOVER,
    }
    if options.json:
        print(json.dumps({"rows": rows, "kept": kept}, indent=2))
        return 0
    table = Table(title=f"{options.seeds} desks each, where nothing is to be learnt")
    for column in ("world", "agents", "days", "loss of Sharpe", "+-", "worst 5 %", "turnover a year"):
        table.add_column(column, justify="left" if column == "world" else "right")
    for row in rows:
        loss, turnover = -float(str(row["gain"])), float(str(row["turnover"]))
        figures = (f"{loss:.3f}", f"{row['error']:.3f}", f"{row['worst_5']:+.3f}", f"{turnover:.2f}")
        table.add_row(str(row["world"]), str(row["agents"]), str(row["days"]), *figures)
    Console(width=120).print(table)
    print("; ".join(f"{what}: {'kept' if so else 'BROKEN'}" for what, so in kept.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
