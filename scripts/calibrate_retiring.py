#!/usr/bin/env python
"""What does it bring, or cost, that the tuner retires agents? The same desk with and without, in worlds of known truth.

    scripts/calibrate_retiring.py                     the table of docs/coming-and-going.md, in half an hour
    scripts/calibrate_retiring.py --seeds 20 --worlds drift,switch --agents 6

Desks of the default method over ten years, net of 5 bp of what they move, that begin at equal weights without a past.
Both are tuned every day, and the one that retires looks every five days at what its agents add, by the rules that every
desk has (`tuning/agent_life.py`); an agent that leaves gives its weight to the others in proportion, and one that comes
back begins at the floor. Draws are from worlds.UNSEEN on.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import numpy as np
from players import Bounds, follow
from rich.console import Console
from rich.table import Table
from tournament import earned
from worlds import UNSEEN, YEAR, draw

from agents.core.life_types import Life, LifeChange, Listing, lives_of
from agents.core.types import Floats, Integers
from agents.quant.adding import BELIEF_PERIODS, adding_of_each
from agents.quant.beliefs import advance_all, no_beliefs, pace_of
from agents.quant.bounded_weights import project
from agents.quant.limits import Limits, bounds
from agents.tuning.agent_life import TUNER, LifeRules, changes_due
from agents.tuning.listened_to import RUN_UP_PERIODS, Seating, seating_of

WORLDS = ("equal", "star", "spread", "drift", "death", "switch", "losers", "clones", "fat_tails", "abstaining")
TEN_YEARS, LOOK = 2520, 5
BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
NEVER = LifeRules(decaying_below=-1.0)
Case = tuple[Mapping[str, Life], Mapping[str, Listing], datetime, LifeRules]
"""Where agents stand, where the settings name them, when it is, and the levels."""


class Desk(NamedTuple):
    """How one desk fared: annual Sharpe ratio net of costs, how many agents were out at its end, how many times one was
    retired, and how many times one came back."""

    sharpe: float
    out: int
    retired: int
    back: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--days", type=int, default=TEN_YEARS)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=UNSEEN)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds, rows = range(options.first_seed, options.first_seed + options.seeds), []
    with ProcessPoolExecutor(options.workers) as pool:
        for world in options.worlds.split(","):
            pairs = list(pool.map(partial(both, world, options.agents, options.days), seeds, chunksize=5))
            rows.append({"world": world, **figures_of(pairs)})
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    table = Table(title=f"{options.agents} agents, {options.days} days, {options.seeds} draws from {seeds[0]} on")
    for column in ("world", "never retires", "gain by retiring", "+-", "retired a desk", "came back", "out at the end"):
        table.add_column(column, justify="left" if column == "world" else "right")
    for row in rows:
        shown = (f"{row[key]:{form}}" for key, form in FORMS.items())
        table.add_row(str(row["world"]), *shown)
    Console(width=120).print(table)
    return 0


FORMS = {"sharpe": ".3f", "gain": "+.4f", "error": ".4f", "retired": ".2f", "back": ".2f", "out": ".2f"}


def figures_of(pairs: Sequence[tuple[Desk, Desk]]) -> dict[str, float]:
    """Means over draws of (a desk that never retires, one that does); `gain` and its error in annual Sharpe ratios."""
    gain = np.array([life.sharpe - never.sharpe for never, life in pairs])
    return {
        "sharpe": float(np.mean([never.sharpe for never, _ in pairs])),
        "gain": float(gain.mean()),
        "error": float(gain.std(ddof=1) / math.sqrt(len(gain))),
        "worst_5": float(np.sort(gain)[: max(1, len(gain) // 20)].mean()),
        "retired": float(np.mean([life.retired for _, life in pairs])),
        "back": float(np.mean([life.back for _, life in pairs])),
        "out": float(np.mean([life.out for _, life in pairs])),
    }


def both(world: str, agents: int, days: int, seed: int) -> tuple[Desk, Desk]:
    """The two desks in one draw."""
    returns = draw(world, agents, days, seed).returns
    return lived(returns, NEVER), lived(returns, LifeRules())


def lived(returns: Floats, rules: LifeRules) -> Desk:
    """One desk's life, on its agents' returns [D, A], NaN where one says nothing."""
    days, agents = returns.shape
    names = [f"A{k:02d}" for k in range(agents)]
    listed: dict[str, Listing] = dict.fromkeys(names, "enabled")
    limits = Limits(meant_for=agents)
    past = changes_due({}, listed, {}, BEGIN, rules)
    seating = seating_of(lives_of(past), listed, limits)
    held, state = np.full((days + 1, agents), 1.0 / agents), no_beliefs(agents)
    for first in range(0, days, LOOK):
        stop, tuned = min(first + LOOK, days), [names.index(name) for name in seating.tuned]
        box, left = bounds_of(limits, seating), seating.left
        start, anchor = held[first, tuned] / left, np.full(len(tuned), 1.0 / len(tuned))
        held[first + 1 : stop + 1] = held[first]
        held[first : stop + 1, tuned] = left * follow(returns[first:stop, tuned], start, anchor, state, box)
        at = BEGIN + timedelta(days=stop * 365.25 / YEAR)
        lives = lives_of(past)
        since = [life.watched_since for life in (lives[name] for name in names)]
        counted = np.array([stop if s is None else round((s - BEGIN).days * YEAR / 365.25) for s in since])
        due = _due(returns[:stop], held[:stop], counted, (lives, listed, at, rules))
        if due:
            past += due
            seating = seating_of(lives_of(past), listed, limits)
            tuned = [names.index(name) for name in seating.tuned]
            held[stop] = seated(held[stop], names, seating, limits)
            state = advance_all(no_beliefs(len(tuned)), returns[:stop, tuned], pace_of(YEAR))
    net = earned(held[:-1], returns)
    return Desk(float(net.mean() / net.std() * math.sqrt(YEAR)), len(seating.silent), *counts(past))


def _due(returns: Floats, held: Floats, counted: Integers, case: Case) -> list[LifeChange]:
    """The changes of state that are due after these days [D, A]; evidence counts from `counted` [A] on."""
    lives, listed, at, rules = case
    count = len(returns)
    looked_at = np.maximum(0, np.minimum(count - BELIEF_PERIODS, counted) - RUN_UP_PERIODS)
    oldest = int(looked_at.min())
    each = adding_of_each(returns[oldest:], held[oldest:], looked_at - oldest, counted - oldest, YEAR)
    return changes_due(lives, listed, dict(zip(sorted(listed), each, strict=True)), at, rules)


def bounds_of(limits: Limits, seating: Seating) -> Bounds:
    """Of the tuned agents' weights, as a share of what they have together."""
    agents, left = len(seating.tuned), seating.left
    floor, cap, _ = bounds(agents, limits)
    return Bounds(np.full(agents, floor), np.full(agents, cap), limits.step / left, limits.minimum_periods)


def seated(held: Floats, names: Sequence[str], seating: Seating, limits: Limits) -> Floats:
    """The weights [A] when the set of agents has changed: who stays keeps its proportion, a new one has the floor."""
    tuned, box = [names.index(name) for name in seating.tuned], bounds_of(limits, seating)
    theirs, weights = held[tuned], np.zeros(len(names))
    known = np.where(theirs > 0.0, theirs, 0.0)
    new = box.low[0] * (known == 0.0)
    weights[tuned] = seating.left * project(new + (1.0 - new.sum()) * known / known.sum(), box.low, box.high)
    for name, pin in seating.pinned.items():
        weights[names.index(name)] = pin
    return weights


def counts(past: Sequence[LifeChange]) -> tuple[int, int]:
    """(how many times the tuner retired an agent, how many times one came back)."""
    mine = [change for change in past if change.actor == TUNER]
    return sum(c.after == "retired" for c in mine), sum(c.before == "retired" for c in mine)


if __name__ == "__main__":
    sys.exit(main())
