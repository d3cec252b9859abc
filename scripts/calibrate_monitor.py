#!/usr/bin/env python
"""The monitor of tuning, both ways: how many sound desks it stops, and how soon it stops one whose beliefs have their
sign turned.

    scripts/calibrate_monitor.py                      540 desks each way: the table in docs/tuning-boards.md
    scripts/calibrate_monitor.py --seeds 10 --json    a quick look

Desks of six agents over 900 working days in the six worlds of `worlds.py`. The inverted tuner is the default fed with
returns of the other sign, which turns every belief and changes nothing else; its weights then earn the true returns.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from players import held_by
from rich.console import Console
from rich.table import Table
from worlds import MAIN, UNSEEN, draw

from agents.core.types import Floats
from agents.quant.monitor import watch

AGENTS, DAYS = 6, 900
DATES = np.busday_offset("2020-01-06", np.arange(DAYS), roll="forward")


def stopped_on(world: str, inverted: bool, seed: int) -> int | None:
    """The working day on which the monitor stops the desk; None where it never does."""
    drawn = draw(world, AGENTS, DAYS, seed)
    seen = drawn._replace(returns=-drawn.returns) if inverted else drawn
    return alarm_day(held_by("adaptive", seen), drawn.returns)


def alarm_day(held: Floats, returns: Floats) -> int | None:
    """On which day weights [days, agents] are found to earn less than equal ones."""
    alarm = watch(DATES, (held * returns).sum(axis=1), returns.mean(axis=1)).alarm
    return None if alarm is None else int(np.searchsorted(DATES, alarm)) + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=90)
    parser.add_argument("--first-seed", type=int, default=UNSEEN)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    rows = []
    with ProcessPoolExecutor(options.workers) as pool:
        for world in MAIN:
            false, caught = (
                [day for day in pool.map(partial(stopped_on, world, inverted), seeds, chunksize=10) if day is not None]
                for inverted in (False, True)
            )
            median = float(np.median(caught)) if caught else None
            share = len(caught) / options.seeds
            rows.append({"world": world, "desks": options.seeds, "false": len(false), "caught": share, "day": median})
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(title="desks that the monitor stops")
    for column in ("world", "desks", "sound ones stopped", "inverted ones stopped", "median day"):
        table.add_column(column, justify="left" if column == "world" else "right")
    for row in rows:
        day = "" if row["day"] is None else f"{row['day']:.0f}"
        table.add_row(str(row["world"]), str(row["desks"]), str(row["false"]), f"{row['caught']:.0%}", day)
    Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
