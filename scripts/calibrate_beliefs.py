#!/usr/bin/env python
"""Does the 80 % of a belief hold the truth in 80 % of cases? In worlds of known truth (scripts/worlds.py), by age.

    scripts/calibrate_beliefs.py               the table in docs/mathematics.md
    scripts/calibrate_beliefs.py --draws 20    a quick look

The truth is an agent's annual Sharpe ratio of that day less the mean of all agents'; shares count agents and draws. One
prior serves all worlds, so those in which all are equal are held more often than 80 %, and those in which skills are
far apart less often while little has been seen: the promise is for all of them together.
"""

from __future__ import annotations

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table
from worlds import MAIN, UNSEEN, YEAR, draw

from agents.core.types import Floats
from agents.quant.adaptive import INTERVAL_SHARE
from agents.quant.beliefs import activity, advance_all, chances_where_agents_differ, interval, no_beliefs, pace_of

AGENTS, DAYS = 6, (1, 30, 100, 300, 900)


def held(world: str, seed: int) -> tuple[Floats, Floats]:
    """(share of agents whose truth the bounds hold, mean width of the bounds), [days] each."""
    returns, skill, _ = draw(world, AGENTS, DAYS[-1], UNSEEN + seed)
    state, before, inside, width = no_beliefs(AGENTS), 0, [], []
    for day in DAYS:
        state, before = advance_all(state, np.ascontiguousarray(returns[before:day]), pace_of(YEAR)), day
        bounds = interval(chances_where_agents_differ(state), INTERVAL_SHARE) * activity(state)[:, None]
        truth = skill[day - 1] - skill[day - 1].mean()
        inside.append(float(((bounds[:, 0] - 1e-9 <= truth) & (truth <= bounds[:, 1] + 1e-9)).mean()))
        width.append(float((bounds[:, 1] - bounds[:, 0]).mean()))
    return np.array(inside), np.array(width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    table = Table(title=f"share of truths inside the 80 % (mean width), {AGENTS} agents, {options.draws} draws")
    for column in ("world", *(f"day {day}" for day in DAYS)):
        table.add_column(column, justify="left" if column == "world" else "right")
    every = []
    for world in MAIN:
        drawn = [held(world, seed) for seed in range(options.draws)]
        inside, width = (np.mean([pair[k] for pair in drawn], axis=0) for k in (0, 1))
        every.append(inside)
        table.add_row(world, *(f"{100 * i:.0f} % ({w:.2f})" for i, w in zip(inside, width, strict=True)))
    table.add_row("all", *(f"{100 * i:.0f} %" for i in np.mean(every, axis=0)))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
