#!/usr/bin/env python
"""What does each kind of order cost, and does the rule of a replay say so? One row for each world and kind.

    scripts/calibrate_orders.py
    scripts/calibrate_orders.py --worlds walk,gap --orders 50000 --json

Orders to buy and to sell meet one bar each, whose path is known: a middle that moves 1 % a bar in 400 steps, with a
trade at each step, at half a spread of 5 basis points on a random side. A desk sees open, high, low and close of these.

    walk          nobody knows anything
    right         who orders is right: the middle moves his way by a tenth of a bar's volatility
    very_right    by half of it
    wrong         against him by a tenth
    informed      moves go on within the bar: who trades with a resting order knows more than it does
    bounce        moves turn within the bar
    gap           the bar opens half a bar's volatility away from the close before, on average on neither side

For each kind, in basis points: `filled`, the percentage of orders; `paid`, by those that were, against the last middle
before the bar; `missed`, how far the middle at the bar's end had run away from the others; `shortfall`, both over all
orders, with its standard error. `truth` is the path's: a resting order is filled by the first trade through its price;
`rule` is what `limit_orders` makes of the four prices. No fees, no volume limit, no impact.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from agents.core.types import Floats
from agents.pipeline.bar import BarFills, Book, Depth, MarketWithin
from agents.pipeline.fills import match_orders
from agents.pipeline.limit_orders import match_resting
from agents.pipeline.parameters import FillModel, OrderRules, Parameters, RiskLimits, Sizing

STEPS, AT_ONCE = 400, 2000
MOVE, HALF = 0.01, 0.0005
KINDS = {
    "market": OrderRules(),
    "limit": OrderRules(1.0),
    "chase .25": OrderRules(0.25, True),
    "chase .5": OrderRules(0.5, True),
}
WORLDS: dict[str, dict[str, float]] = {
    "walk": {},
    "right": {"drift": 0.1},
    "very_right": {"drift": 0.5},
    "wrong": {"drift": -0.1},
    "informed": {"memory": 0.2},
    "bounce": {"memory": -0.2},
    "gap": {"gap": 0.5},
}
FIGURES = ("filled", "paid", "missed", "shortfall")


class Paths(NamedTuple):
    """n bars: the last middle and the last trade before each, its middles and trades [n, STEPS], and who buys (1) or
    sells (-1) in it."""

    arrival: Floats
    last: Floats
    middle: Floats
    trade: Floats
    side: Floats


def paths(rng: np.random.Generator, n: int, drift: float = 0.0, memory: float = 0.0, gap: float = 0.0) -> Paths:
    """Bars of a world."""
    side = rng.choice([-1.0, 1.0], n)
    steps = rng.normal(size=(n, STEPS))
    for k in range(1, STEPS):
        steps[:, k] += memory * steps[:, k - 1]
    steps *= MOVE * (1.0 - memory) / math.sqrt(STEPS)
    steps += (drift * MOVE / STEPS * side)[:, None]
    steps[:, 0] += gap * MOVE * rng.normal(size=n)
    middle = 100.0 * np.exp(np.cumsum(steps, axis=1))
    trade = middle * (1.0 + HALF * rng.choice([-1.0, 1.0], (n, STEPS)))
    return Paths(np.full(n, 100.0), 100.0 * (1.0 + HALF * rng.choice([-1.0, 1.0], n)), middle, trade, side)


def truth(made: Paths, rules: OrderRules) -> Floats:
    """[n] at what price each order was filled, NaN for none."""
    n, side = len(made.side), made.side
    limit = made.last * (1.0 - side * HALF)
    resting = round(rules.passive * STEPS)
    price = np.full(n, np.nan)
    if resting:
        through = (made.trade[:, :resting] - limit[:, None]) * side[:, None] < 0.0
        first = through.argmax(axis=1)
        met = through.any(axis=1)
        price[met] = limit[met]
        at_once = met & (first == 0)  # the bar opens beyond the limit, which is a market order then
        opened = made.middle[:, 0] * (1.0 + side * HALF)
        price[at_once] = (side * np.minimum(side * opened, side * limit))[at_once]
    if rules.crosses or not resting:
        crossing = made.middle[:, min(resting, STEPS - 1)] * (1.0 + side * HALF)
        price = np.where(np.isnan(price), crossing, price)
    return price


def rule(made: Paths, rules: OrderRules) -> Floats:
    """[n] the same as a replay has it, from the prices of the bars."""
    n = len(made.side)
    floats = iter(np.zeros((20, n)))
    none = np.zeros(0)
    parameters = Parameters(
        sizing=Sizing(2.0, 2.0, 2.0, 0.01, 0.0, 0.0),
        limits=RiskLimits(1.0, 1.0, True, 1.0, 1.0, 1.0),
        fill_model=FillModel(0.0, 0.0, HALF, 0.0, 1.0, 1e9),
        lots=np.zeros(n),
        initial_cash=1e9,
        orders=rules,
    )
    depth = Depth(np.full(n, math.inf), np.full(n, math.inf), next(floats))
    high, low = made.trade.max(axis=1), made.trade.min(axis=1)
    market = MarketWithin(made.trade[:, 0].copy(), high, low, made.trade[:, -1].copy(), made.last, depth)
    book = Book(
        next(floats), made.side, 1e9, 1e9, 0, next(floats), np.zeros((n, 3)), next(floats), none, 0.0, np.zeros((n, 3))
    )
    fills = BarFills(*(next(floats) for _ in range(5)), np.zeros(n, dtype=np.int64))
    if rules.passive:
        match_resting(book, market, parameters, fills, next(floats))
    else:
        match_orders(book, market, parameters, fills, True)
    return np.where(fills.quantity != 0.0, fills.price, np.nan)


def costs(made: Paths, price: Floats) -> Floats:
    """[n, 4] the figures of each order, in basis points; NaN where one does not apply."""
    filled = np.isfinite(price)
    paid = made.side * (price / made.arrival - 1.0) * 1e4
    away = np.where(filled, np.nan, made.side * (made.middle[:, -1] / made.arrival - 1.0) * 1e4)
    return np.column_stack([filled * 100.0, paid, away, np.where(filled, paid, away)])


def measured(world: str, kind: str, orders: int, seed: int) -> dict[str, Any]:
    """One row of the table."""
    found: dict[str, list[Floats]] = {"truth": [], "rule": []}
    for k in range(max(1, orders // AT_ONCE)):
        made = paths(np.random.default_rng([seed, k]), AT_ONCE, **WORLDS[world])
        found["truth"].append(costs(made, truth(made, KINDS[kind])))
        found["rule"].append(costs(made, rule(made, KINDS[kind])))
    row: dict[str, Any] = {"world": world, "kind": kind}
    for name, parts in found.items():
        values = np.concatenate(parts)
        counts = np.isfinite(values).sum(axis=0)
        with np.errstate(invalid="ignore"):
            mean, error = np.nansum(values, axis=0) / counts, np.std(values[:, -1]) / math.sqrt(len(values))
        row |= {f"{name} {figure}": float(m) if n else None for figure, m, n in zip(FIGURES, mean, counts, strict=True)}
        row[f"{name} error"] = float(error)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", help="only these")
    parser.add_argument("--orders", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    worlds = options.worlds.split(",") if options.worlds else list(WORLDS)
    rows = [measured(world, kind, options.orders, options.seed) for world in worlds for kind in KINDS]
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    table = Table("world", "kind", *(f"{of} {figure}" for figure in FIGURES for of in ("truth", "rule")), "error")
    for row in rows:
        values = [row[f"{of} {figure}"] for figure in FIGURES for of in ("truth", "rule")]
        cells = ["" if value is None else f"{value:.1f}" for value in values]
        table.add_row(row["world"], row["kind"], *cells, f"{row['truth error']:.1f}")
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
