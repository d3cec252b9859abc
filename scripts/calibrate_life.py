"""How often do agents that add nothing come from shadow to probation, and how long does one that adds something take?

    python scripts/calibrate_life.py              # the tables of docs/coming-and-going.md, in about a minute
    python scripts/calibrate_life.py --seed 2

Every agent's book is half the mix's plus noise of its own, in days of 252 a year; the mix earns a Sharpe ratio of 1.
The family board puts agents that add nothing into shadow together and follows their evidence for three years.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from agents.core.types import Floats
from agents.quant.adding import BELIEF_PERIODS, BET, BET_PERIODS, LARGEST, beyond_the_mix
from agents.tuning.agent_life import LifeRules

YEAR, THREE_YEARS, LONGEST = 252, 756, 2520
NOISES = (("normal", 0.0, 0.0), ("fat tails, t of 3", 0.0, 3.0), ("autocorrelation 0.2", 0.2, 0.0))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    rng = np.random.default_rng(options.parse_args().seed)
    rules = LifeRules()
    print(
        "agents that add nothing, three years: families of which anyone is hired (stated: at most 10 % in a whole life)"
    )
    for noise in NOISES:
        for count, families in ((1, 4000), (200, 40)):
            alone = (count + 1) / rules.false_hires
            hired = [any(_best(rng, noise) >= math.log(alone) for _ in range(count)) for _ in range(families)]
            print(f"  {noise[0]:22s} {count:4d} together: {np.mean(hired):6.1%} of {families}")
    print(
        "days from shadow to probation, and to full, for a true annual appraisal ratio (median, quartiles; 500 agents)"
    )
    for ratio in (0.75, 1.0, 1.5, 2.0, 3.0):
        for count in (1, 10):
            first = (count + 1) / rules.false_hires
            words = [_days(rng, ratio, math.log(needed)) for needed in (first, rules.full_factor * first)]
            print(f"  {ratio:4.2f}, one of {count:2d}: {words[0]}; full: {words[1]}")
    print("full agents over ten years: share that was ever retired")
    for ratio in (-1.0, -0.5, 0.0, 0.5, 1.0):
        print(f"  {ratio:+.1f}: {np.mean([_retired(rng, ratio, rules) for _ in range(300)]):5.1%}")


def book(rng: np.random.Generator, days: int, ratio: float, noise: tuple[str, float, float]) -> tuple[Floats, Floats]:
    """An agent's own returns and the mix's [days]."""
    _, carry, tails = noise
    mix = 0.01 * rng.standard_normal(days) + 0.01 / math.sqrt(YEAR)
    own = rng.standard_t(tails, days) * math.sqrt((tails - 2.0) / tails) if tails else rng.standard_normal(days)
    for t in range(1, days if carry else 0):
        own[t] = carry * own[t - 1] + math.sqrt(1.0 - carry * carry) * own[t]
    return 0.5 * mix + 0.01 * (own + ratio / math.sqrt(YEAR)), mix


def log_fortune(own: Floats, mix: Floats) -> tuple[Floats, Floats]:
    """The log of the fortune after each bet, and the day of it."""
    beyond = beyond_the_mix(own, mix)
    days = np.flatnonzero(np.isfinite(beyond))
    bets = len(days) // BET_PERIODS
    outcome = beyond[days[: bets * BET_PERIODS]].reshape(bets, BET_PERIODS).sum(axis=1) / math.sqrt(BET_PERIODS)
    fortune = np.cumsum(np.log1p(BET * np.clip(outcome, -LARGEST, LARGEST)))
    return fortune, days[BET_PERIODS - 1 :: BET_PERIODS][:bets] + 1.0


def _best(rng: np.random.Generator, noise: tuple[str, float, float]) -> float:
    return float(log_fortune(*book(rng, THREE_YEARS, 0.0, noise))[0].max())


def _days(rng: np.random.Generator, ratio: float, needed: float) -> str:
    found = []
    for _ in range(500):
        fortune, day = log_fortune(*book(rng, LONGEST, ratio, NOISES[0]))
        there = np.flatnonzero(fortune >= needed)
        found.append(float(day[there[0]]) if len(there) else 9e9)
    return ", ".join(f"{d:,.0f}" if d < 9e9 else "later" for d in np.percentile(found, [50, 25, 75], method="lower"))


def _retired(rng: np.random.Generator, ratio: float, rules: LifeRules) -> bool:
    own, mix = book(rng, LONGEST, ratio, NOISES[0])
    beyond = np.nan_to_num(beyond_the_mix(own, mix))
    since: int | None = None
    for day in range(60, LONGEST, 5):
        seen = beyond[max(40, day - BELIEF_PERIODS) : day]
        years = len(seen) / YEAR
        belief = 0.5 * math.erfc(-seen.sum() / math.sqrt(YEAR) / math.sqrt(1.0 + years) / math.sqrt(2.0))
        if since is None:
            since = day if belief < rules.decaying_below else None
        elif belief > rules.recovered_above:
            since = None
        elif (day - since) * 365.25 / YEAR >= rules.retire_after_days:
            return True
    return False


if __name__ == "__main__":
    main()
