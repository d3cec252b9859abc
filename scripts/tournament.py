#!/usr/bin/env python
"""Methods against equal weights and the oracle, in worlds whose truth is known; many seeds, net of turnover.

    scripts/tournament.py                       all worlds, a table
    scripts/tournament.py --seeds 8 --years 3   a quick look
    scripts/tournament.py --worlds star,dies --methods adaptive,max_sharpe --json

Each world has six agents with 1 % daily volatility and a correlation of 0.2. A method sees the agents' own returns up
to now, proposes every `--every` periods, and earns the next period's return on its weights less 5 bp of what it moved.
`adaptive` is the default as the desk runs it, guard and step limit included; `max_sharpe` and the others are
taken at their word, without a guard, as a textbook optimizer would be. The oracle knows the true means.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from agents.core.types import Floats
from agents.quant.allocation import Limits, propose
from agents.quant.bounded_weights import SolverError
from agents.quant.moments import estimate
from agents.quant.portfolios import METHODS, max_sharpe

AGENTS, YEAR = 6, 252
WARM_UP = 60
LOOK_BACK = 8 * YEAR
LOOK_BACK_TEXTBOOK = 90
"""What a textbook optimizer looks back on: the longest of the usual 30 to 90 days."""
COST = 0.0005
VOLATILITY, CORRELATION = 0.01, 0.2


def noise(rng: np.random.Generator, periods: int, *, tails: float = math.inf, memory: float = 0.0) -> Floats:
    """[T, A] of unit variance: common factor, Student tails, AR(1) memory."""
    draw = (
        (lambda shape: rng.standard_t(tails, shape) / math.sqrt(tails / (tails - 2)))
        if tails < 100
        else rng.standard_normal
    )
    raw = math.sqrt(CORRELATION) * draw((periods, 1)) + math.sqrt(1 - CORRELATION) * draw((periods, AGENTS))
    for t in range(1, periods if memory else 0):
        raw[t] = memory * raw[t - 1] + math.sqrt(1 - memory**2) * raw[t]
    return raw


def world(name: str, periods: int, seed: int) -> tuple[Floats, Floats]:
    """(returns, true means), [T, A] each."""
    rng = np.random.default_rng(seed)
    shape = (periods, AGENTS)
    spread = rng.permutation(np.linspace(-1.0, 2.0, AGENTS))
    annual = {
        "equal": lambda: np.full(shape, 0.5),
        "star": lambda: np.full(shape, 0.3) + 2.2 * (np.arange(AGENTS) == rng.integers(AGENTS)),
        "spread": lambda: np.tile(spread, (periods, 1)),
        "drift": lambda: _drifting(rng, periods),
        "dies": lambda: _dying(rng, periods),
        "fat_tails": lambda: np.tile(spread, (periods, 1)),
        "autocorrelated": lambda: np.tile(spread, (periods, 1)),
    }[name]()
    mean = annual / math.sqrt(YEAR) * VOLATILITY
    shocks = noise(
        rng, periods, tails=3.0 if name == "fat_tails" else math.inf, memory=0.15 if name == "autocorrelated" else 0.0
    )
    return mean + VOLATILITY * shocks, mean


WORLDS = ("equal", "star", "spread", "drift", "dies", "fat_tails", "autocorrelated")


def _drifting(rng: np.random.Generator, periods: int) -> Floats:
    """Annual Sharpe ratios that wander around 0.5 with deviation 1.5 and a half-life of two years."""
    keep = 0.5 ** (1.0 / (2 * YEAR))
    skill = np.empty((periods, AGENTS))
    now = 1.5 * rng.standard_normal(AGENTS)
    for t in range(periods):
        now = keep * now + 1.5 * math.sqrt(1 - keep**2) * rng.standard_normal(AGENTS)
        skill[t] = 0.5 + now
    return skill


def _dying(rng: np.random.Generator, periods: int) -> Floats:
    """A star of Sharpe 3 that earns -1 after 60 % of the time; the others earn 0.3."""
    skill = np.full((periods, AGENTS), 0.3)
    star = rng.integers(AGENTS)
    skill[:, star] = np.where(np.arange(periods) < 0.6 * periods, 3.0, -1.0)
    return skill


def _unguarded(method: str, limits: Limits, window: Floats, previous: Floats) -> Floats:
    low, high = np.full(AGENTS, limits.floor), np.full(AGENTS, limits.cap)
    try:
        return METHODS[method](estimate(window[-LOOK_BACK_TEXTBOOK:], math.inf), low, high, "direct")
    except SolverError:
        return previous


def _guarded(limits: Limits, window: Floats, previous: Floats) -> Floats:
    return propose(window, previous, limits=limits, periods_per_year=YEAR, turnover_cost=COST).weights


def _oracle(mean: Floats, covariance: Floats, low: Floats, high: Floats) -> Floats:
    """The best that the bounds allow by the true means; where all lose, the least lossy."""
    try:
        return max_sharpe(mean, covariance, low, high)
    except SolverError:
        return max_sharpe(mean - mean.min() + 1e-6, covariance, low, high)


def play(name: str, method: str, seed: int, periods: int, every: int) -> tuple[float, float]:
    """(net annual Sharpe, weight turnover a year) of one method in one world; turnover is half the sum of changes."""
    returns, mean = world(name, periods + WARM_UP, seed)
    limits = Limits()
    low, high = np.full(AGENTS, limits.floor), np.full(AGENTS, limits.cap)
    covariance = VOLATILITY**2 * (CORRELATION + (1 - CORRELATION) * np.eye(AGENTS))
    choose: Callable[[Floats, Floats], Floats] = (
        partial(_guarded, limits) if method == "adaptive" else partial(_unguarded, method, limits)
    )
    weights = np.full(AGENTS, 1.0 / AGENTS)
    earned, moved = [], 0.0
    for t in range(WARM_UP, len(returns)):
        cost = 0.0
        if (t - WARM_UP) % every == 0 and method != "none":
            window = returns[max(0, t - LOOK_BACK) : t]
            wanted = _oracle(mean[t], covariance, low, high) if method == "oracle" else choose(window, weights)
            change = float(np.abs(wanted - weights).sum())
            cost, moved, weights = COST * change, moved + change / 2.0, wanted
        earned.append(float(weights @ returns[t]) - cost)
    series = np.array(earned)
    return float(series.mean() / series.std() * math.sqrt(YEAR)), moved / (periods / YEAR)


class Rules(NamedTuple):
    """How often each game is played, for how long, and how many periods lie between proposals."""

    seeds: int
    years: float
    every: int


def compete(worlds: Sequence[str], methods: Sequence[str], rules: Rules, *, workers: int) -> list[dict[str, object]]:
    """One row for each world and method: means over seeds, the paired difference to equal weights and its error."""
    seeds, periods = rules.seeds, int(rules.years * YEAR)
    every_method = ["none", *methods, "oracle"]
    tasks = [(w, m, s) for w in worlds for m in every_method for s in range(seeds)]
    with ProcessPoolExecutor(workers) as pool:
        played = list(pool.map(_play, [(*task, periods, rules.every) for task in tasks], chunksize=2))
    results = dict(zip(tasks, played, strict=True))
    rows: list[dict[str, object]] = []
    for name in worlds:
        base = np.array([results[name, "none", s][0] for s in range(seeds)])
        for method in every_method:
            sharpe = np.array([results[name, method, s][0] for s in range(seeds)])
            gap = sharpe - base
            rows.append(
                {
                    "world": name,
                    "method": "equal weights" if method == "none" else method,
                    "sharpe": float(sharpe.mean()),
                    "against_equal": float(gap.mean()),
                    "error": float(gap.std(ddof=1) / math.sqrt(seeds)),
                    "turnover": float(np.mean([results[name, method, s][1] for s in range(seeds)])),
                }
            )
    return rows


def _play(task: tuple[str, str, int, int, int]) -> tuple[float, float]:
    return play(*task)


def verdicts(rows: Sequence[dict[str, object]]) -> list[str]:
    """The aims for the default method, each met or missed."""
    by = {(r["world"], r["method"]): r for r in rows}
    lines = []
    for (name, method), row in by.items():
        if method != "adaptive":
            continue
        gap, daily = float(str(row["against_equal"])), by.get((name, "max_sharpe"))
        if name == "equal":
            lines.append(_verdict(gap > -0.05, f"equal: {gap:+.3f} against equal weights, aim above -0.05"))
            lines.append(
                _verdict(
                    float(str(row["turnover"])) < 2.0, f"equal: turnover {row['turnover']:.2f} a year, aim below 2"
                )
            )
        else:
            lines.append(_verdict(gap > 0.0, f"{name}: {gap:+.3f} against equal weights, aim above 0"))
        if daily is not None:
            ahead = float(str(row["sharpe"])) - float(str(daily["sharpe"]))
            lines.append(_verdict(ahead > 0.0, f"{name}: {ahead:+.3f} against max_sharpe, aim above 0"))
    return lines


def _verdict(met: bool, text: str) -> str:
    return f"{'met   ' if met else 'MISSED'} {text}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--methods", default="adaptive,max_sharpe,risk_parity")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--years", type=float, default=6.0)
    parser.add_argument("--every", type=int, default=1, help="periods between proposals")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rules = Rules(options.seeds, options.years, options.every)
    rows = compete(options.worlds.split(","), options.methods.split(","), rules, workers=options.workers)
    if options.json:
        print(json.dumps({"rows": rows, "verdicts": verdicts(rows)}, indent=2))
        return 0
    table = Table(title=f"{options.seeds} seeds x {options.years:g} years")
    for column in ("world", "method", "net Sharpe", "against equal", "+-", "turnover a year"):
        table.add_column(column, justify="left" if column in ("world", "method") else "right")
    for r in rows:
        shown = (("sharpe", ".3f"), ("against_equal", "+.3f"), ("error", ".3f"), ("turnover", ".2f"))
        table.add_row(str(r["world"]), str(r["method"]), *(f"{r[key]:{form}}" for key, form in shown))
    Console(width=100).print(table)
    print("\n".join(verdicts(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
