#!/usr/bin/env python
"""What is a replayed past worth? A desk that begins with one against a desk that begins with nothing, in known worlds.

    scripts/calibrate_past.py                  the table in docs/mathematics.md
    scripts/calibrate_past.py --seeds 20       a quick look

Six agents, five years of replayed past, then 500 days live. *Representative*: the agents are as good live as they were
in the past. *Flattered*: their past Sharpe ratios have nothing to do with their live ones, as where they were fitted to
that past (deviation 1.5). *Equal*: all are equally good, in the past and live. Figures are annual Sharpe ratios gained
over the user's (equal) weights, net of costs, in the first 125 days and over all of them, by how far the past is
believed. The same seeds draw the same worlds for each trust.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from rich.console import Console
from rich.table import Table

from agents.core.types import Floats
from agents.quant.beliefs import advance_all, no_beliefs, pace_of
from agents.quant.target import target_of, traded, views_of

AGENTS, YEAR, PAST, LIVE, EARLY = 6, 252, 1260, 500, 125
VOLATILITY, CORRELATION, COST = 0.01, 0.2, 0.0005
FIRST_SEED = 40_000
"""Nothing was ever tuned on these seeds."""
TRUSTS = (0.0, 0.25, 0.5, 1.0)


def returns_of(skills: Floats, periods: int, rng: np.random.Generator) -> Floats:
    """[T, A] daily returns of agents with these annual Sharpe ratios."""
    noise = math.sqrt(CORRELATION) * rng.standard_normal((periods, 1))
    noise = noise + math.sqrt(1.0 - CORRELATION) * rng.standard_normal((periods, AGENTS))
    return np.asarray(VOLATILITY * (skills / math.sqrt(YEAR) + noise))


def world(name: str, seed: int) -> tuple[Floats, Floats]:
    """(past, live) returns of one draw."""
    rng = np.random.default_rng(FIRST_SEED + seed)
    skills = 0.5 + rng.normal(0.0, 1.0, AGENTS)
    other = 0.5 + rng.normal(0.0, 1.5, AGENTS)
    past, live = {
        "representative": (skills, skills),
        "flattered": (other, skills),
        "equal": (np.full(AGENTS, 0.5), np.full(AGENTS, 0.5)),
    }[name]
    return returns_of(past, PAST, rng), returns_of(live, LIVE, rng)


def play(past: Floats, live: Floats, trust: float) -> tuple[float, float]:
    """Annual Sharpe ratio over equal weights, in the first days and over all."""
    anchor, low, high = np.full(AGENTS, 1.0 / AGENTS), np.full(AGENTS, 0.05), np.full(AGENTS, 0.40)
    pace, root = pace_of(YEAR), math.sqrt(YEAR)
    state = advance_all(no_beliefs(AGENTS), past, pace_of(YEAR, trust)) if trust else no_beliefs(AGENTS)
    weights, gained = anchor, np.empty(LIVE)
    for t, row in enumerate(live):
        cost = 0.0
        if state.clock[0] >= 30:
            wanted = traded(weights, target_of(views_of(state, root), anchor, low, high), 0.05)
            cost, weights = COST * float(np.abs(wanted - weights).sum()), wanted
        gained[t] = float(weights @ row) - cost
        state = advance_all(state, row[None], pace)
    plain = live @ anchor

    def ahead(days: int) -> float:
        ours, theirs = gained[:days], plain[:days]
        return float((ours.mean() / ours.std() - theirs.mean() / theirs.std()) * root)

    return ahead(EARLY), ahead(LIVE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    options = parser.parse_args()
    table = Table(title=f"{options.seeds} draws")
    for column in ("world", "trust", f"first {EARLY} days", "+-", f"{LIVE} days", "+-"):
        table.add_column(column, justify="left" if column == "world" else "right")
    for name in ("representative", "flattered", "equal"):
        draws = [world(name, seed) for seed in range(options.seeds)]
        for trust in TRUSTS:
            gains = np.array([play(past, live, trust) for past, live in draws])
            mean, error = gains.mean(axis=0), gains.std(axis=0, ddof=1) / math.sqrt(options.seeds)
            cells = [f"{mean[0]:+.3f}", f"{error[0]:.3f}", f"{mean[1]:+.3f}", f"{error[1]:.3f}"]
            table.add_row(name, f"{trust:g}", *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
