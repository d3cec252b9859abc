#!/usr/bin/env python3
"""The table of the no-trade zone in docs/mathematics.md: what is left of a strategy after costs, without a zone of
costs, with one for a fixed Sharpe ratio, and with the desk's own, which learns what it is worth before costs.

    scripts/calibrate_zone.py [DRAWS]

One symbol of 16 % a year, traded daily for ten years from no knowledge at all. Each cell: the three, as net profit a
year in volatility targets. "drifts": a Gaussian forecast that fades within the holding time; "flips": it is long or
short, and chosen anew once in it.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.core.types import Floats
from agents.pipeline.orders import MOVES_DECAY, zone_width
from agents.pipeline.parameters import LEAST_SHARPE, Sizing
from agents.pipeline.worth import MEMORY_YEARS, risk_aversion
from agents.quant.compiled import compiled

BARS, YEAR, VOLATILITY, BUFFER = 2520, 252.0, 0.01, 0.1
NO_ZONE, FIXED, LEARNT = 0, 1, 2
FIXED_SHARPE = 0.7 / math.sqrt(YEAR)
SIZING = Sizing(2.0, 2.0, 2.0, VOLATILITY, BUFFER, 0.0)


@compiled
def net_profit(forecast: Floats, returns: Floats, cost: float, rule: int, sizing: Sizing) -> float:
    """A year's profit after costs, of positions of 1 unit for a forecast of 1."""
    held, profit, keep = 0.0, 0.0, 1.0 - 1.0 / (MEMORY_YEARS * YEAR)
    moves, worth = np.zeros(3), np.zeros(3)
    for t in range(1, len(forecast)):
        profit += held * returns[t]
        earned, wish, change = forecast[t - 1] * returns[t] / VOLATILITY, forecast[t], forecast[t] - forecast[t - 1]
        news = (earned, earned * earned, 1.0)
        now = (change * change, abs(change), wish * wish)
        for k in range(3):
            worth[k] = keep * worth[k] + news[k]
            moves[k] += (1.0 - MOVES_DECAY) * (now[k] - moves[k])
        width = 0.0
        if rule == FIXED:
            width = (1.5 * cost / VOLATILITY * moves[0] / FIXED_SHARPE) ** (1.0 / 3.0)
        elif rule == LEARNT:
            width = zone_width(cost / VOLATILITY / risk_aversion(worth, LEAST_SHARPE, sizing), moves)
        goal = followed(wish, held, BUFFER)
        if width > BUFFER and (abs(goal) > abs(held) or goal * held < 0.0):
            goal = followed(wish, 0.0 if goal * held < 0.0 else held, width)
        profit -= cost * abs(goal - held)
        held = goal
    return profit / (len(forecast) / YEAR)


@compiled
def followed(wish: float, held: float, width: float) -> float:
    """The near edge of the zone around the wish, not beyond zero."""
    if abs(wish - held) <= width:
        return held
    edge = wish - math.copysign(width, wish - held)
    return 0.0 if edge * wish <= 0.0 else edge


def forecasts(kind: str, holding: int, rng: np.random.Generator) -> Floats:
    """[T] of mean |forecast| 1."""
    if kind == "flips":
        anew = rng.random(BARS) < 1.0 / holding
        anew[0] = True
        return rng.choice([-1.0, 1.0], BARS)[np.maximum.accumulate(np.where(anew, np.arange(BARS), 0))]
    stays = math.exp(-1.0 / holding)
    noise, drift = rng.standard_normal(BARS), np.zeros(BARS)
    drift[0] = noise[0]
    for t in range(1, BARS):
        drift[t] = stays * drift[t - 1] + math.sqrt(1.0 - stays * stays) * noise[t]
    return np.clip(math.sqrt(math.pi / 2.0) * drift, -2.0, 2.0)


def cell(kind: str, sharpe: float, holding: int, cost: float, draws: int) -> list[float]:
    """Mean net profit a year, in volatility targets, of the three rules."""
    profit = np.zeros((draws, 3))
    for k in range(draws):
        rng = np.random.default_rng(k)
        forecast = forecasts(kind, holding, rng)
        returns = VOLATILITY * rng.standard_normal(BARS)
        deviation = math.sqrt(float(np.mean(forecast * forecast)))
        returns[1:] += VOLATILITY * sharpe / math.sqrt(YEAR) * forecast[:-1] / deviation
        profit[k] = [net_profit(forecast, returns, cost, rule, SIZING) for rule in (NO_ZONE, FIXED, LEARNT)]
    return list(profit.mean(axis=0) / (VOLATILITY * math.sqrt(YEAR)))


def main() -> None:
    draws, holdings = int(sys.argv[1]) if len(sys.argv) > 1 else 20, (1, 5, 20, 60)
    print("| forecast | gross Sharpe | cost | " + " | ".join(f"{h} days" for h in holdings) + " |")
    print("|---" * (3 + len(holdings)) + "|")
    for kind in ("drifts", "flips"):
        for sharpe in (0.0, 0.5, 1.0, 2.0, 5.0):
            for bp in (2, 10, 30):
                cells = [" / ".join(f"{v:.2f}" for v in cell(kind, sharpe, h, bp / 1e4, draws)) for h in holdings]
                print(f"| {kind} | {sharpe:g} | {bp} bp | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
