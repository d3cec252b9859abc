"""Worlds of known truth, in which ways of setting weights can be judged: what agents earn, and what they are worth.

Agents earn 1 % a day in deviation, with a correlation of 0.2 by one common factor; a skill is an annual Sharpe ratio
(252 days a year) of the days on which the agent has a return. A draw is fixed by (world, agents, days, seed).

    equal    all are worth 0.8: nothing is to be learnt
    star     one is worth 2.5, the others 0.3
    spread   from -1 to 2 in equal steps, in random order
    drift    each wanders around 0.5 with a deviation of 1.5 and a half-life of one year
    death    one is worth 3 for the first 60 % of the time and then -1, the others 0.3
    switch   one is worth 2.5, the others 0.3; with a chance of 1/300 a day another takes over

and beside these, for what else can be odd about agents:

    fat_tails, autocorrelated   spread, with Student's t of 3 degrees, or an AR(1) of 0.15
    clones                      star, in which half of the agents, without the star, are near-copies (correlation 0.95)
    equal_clones, equal_fat_tails, equal_autocorrelated   equal, with these oddities
    late                        star, in which a third of the agents, with the star, join after a third of the time
    silent                      star, in which one agent never has an opinion
    abstaining                  star, in which every second agent, with the star, has an opinion on 3 days in 10
    yearly                      switch, with a chance of 1/252 a day
    losers                      all are worth -0.7
    regimes                     the market is in one of two states, for 100 days on average; half of the agents are
                                worth 1.8 in the one and -0.6 in the other, the rest the other way round
    late_regimes                regimes, of which the desk learns 15 days late

In every world the desk is told of a state of the market; but for the last two it means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from agents.core.types import Floats, Integers

YEAR = 252
VOLATILITY, CORRELATION = 0.01, 0.2
CLONE_CORRELATION = 0.95
SPELL_DAYS, LATE_DAYS = 100.0, 15
UNSEEN = 2_000_000
"""Seeds from here on were never looked at while anything was being chosen; smaller ones are for that."""

MAIN = ("equal", "star", "spread", "drift", "death", "switch")


class Draw(NamedTuple):
    """What the agents earned, NaN where one had no opinion or did not exist, and their skills; [days, agents] each.
    `covariance` [A, A] is the true one, of a day; `regime` [days], 0 or 1, is what the desk takes for the state of the
    market when a day begins."""

    returns: Floats
    skill: Floats
    covariance: Floats
    regime: Integers


Skills = Callable[[np.random.Generator, int, int], Floats]


def draw(name: str, agents: int, days: int, seed: int) -> Draw:
    """One draw of a world; KeyError for a name that is not in WORLDS."""
    rng = np.random.default_rng([WORLDS.index(name), agents, days, seed])
    skill = SKILLS[name](rng, days, agents)
    regime = _spells(np.random.default_rng([len(WORLDS), WORLDS.index(name), agents, days, seed]), days)
    if name.endswith("regimes"):
        skill = 0.6 + 1.2 * np.where((regime[:, None] + np.arange(agents)) % 2 == 0, 1.0, -1.0)
    if name == "late_regimes":
        regime = np.concatenate([np.full(min(days, LATE_DAYS), regime[0]), regime[:-LATE_DAYS]])[:days]
    star = int(np.argmax(skill[0]))
    loading = _correlation(name, agents, star)
    noise = _noise(rng, name, days, agents) @ np.linalg.cholesky(loading).T
    returns = VOLATILITY * (skill / math.sqrt(YEAR) + noise)
    returns = np.where(_absent(rng, name, days, agents, star), np.nan, returns)
    return Draw(returns, skill, VOLATILITY**2 * loading, regime)


def _spells(rng: np.random.Generator, days: int) -> Integers:
    """[days] of two states, each of which lasts SPELL_DAYS on average."""
    changed = rng.random(days) < 1.0 / SPELL_DAYS
    return np.asarray((rng.integers(2) + np.cumsum(changed)) % 2)


def _star(rng: np.random.Generator, days: int, agents: int) -> Floats:
    return np.tile(0.3 + 2.2 * (np.arange(agents) == rng.integers(agents)), (days, 1))


def _spread(rng: np.random.Generator, days: int, agents: int) -> Floats:
    return np.tile(rng.permutation(np.linspace(-1.0, 2.0, agents)), (days, 1))


def _drift(rng: np.random.Generator, days: int, agents: int) -> Floats:
    keep = 0.5 ** (1.0 / YEAR)
    skill = np.empty((days, agents))
    now = 1.5 * rng.standard_normal(agents)
    for t in range(days):
        skill[t] = 0.5 + now
        now = keep * now + 1.5 * math.sqrt(1.0 - keep**2) * rng.standard_normal(agents)
    return skill


def _death(rng: np.random.Generator, days: int, agents: int) -> Floats:
    skill = np.full((days, agents), 0.3)
    skill[:, rng.integers(agents)] = np.where(np.arange(days) < 0.6 * days, 3.0, -1.0)
    return skill


def _switch(chance: float) -> Skills:
    def skills(rng: np.random.Generator, days: int, agents: int) -> Floats:
        skill = np.full((days, agents), 0.3)
        star = int(rng.integers(agents))
        for t in range(days):
            skill[t, star] = 2.5
            if rng.random() < chance:
                star = int((star + rng.integers(1, agents)) % agents)
        return skill

    return skills


def _all(value: float) -> Skills:
    return lambda _rng, days, agents: np.full((days, agents), value)


SKILLS: dict[str, Skills] = {
    "equal": _all(0.8),
    "star": _star,
    "spread": _spread,
    "drift": _drift,
    "death": _death,
    "switch": _switch(1.0 / 300.0),
    "fat_tails": _spread,
    "autocorrelated": _spread,
    "clones": _star,
    "equal_clones": _all(0.8),
    "equal_fat_tails": _all(0.8),
    "equal_autocorrelated": _all(0.8),
    "late": _star,
    "silent": _star,
    "abstaining": _star,
    "yearly": _switch(1.0 / 252.0),
    "losers": _all(-0.7),
    "regimes": _all(0.6),
    "late_regimes": _all(0.6),
}
WORLDS = tuple(SKILLS)


def _correlation(name: str, agents: int, star: int) -> Floats:
    """[A, A]; clones are the half of the agents that follows the star."""
    matrix = np.full((agents, agents), CORRELATION)
    if name.endswith("clones"):
        alike = [(star + 1 + k) % agents for k in range(agents // 2)]
        matrix[np.ix_(alike, alike)] = CLONE_CORRELATION
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _noise(rng: np.random.Generator, name: str, days: int, agents: int) -> Floats:
    """[days, agents] of variance 1, without correlation between agents."""
    if name.endswith("fat_tails"):
        return np.asarray(rng.standard_t(3.0, (days, agents)) / math.sqrt(3.0))
    noise = rng.standard_normal((days, agents))
    if name.endswith("autocorrelated"):
        for t in range(1, days):
            noise[t] = 0.15 * noise[t - 1] + math.sqrt(1.0 - 0.15**2) * noise[t]
    return noise


def _absent(rng: np.random.Generator, name: str, days: int, agents: int, star: int) -> np.ndarray:
    """[days, agents]: where an agent has no return."""
    absent = np.zeros((days, agents), dtype=bool)
    place = (np.arange(agents) - star) % agents
    if name == "late":
        absent[: days // 3, place < max(1, agents // 3)] = True
    if name == "silent":
        absent[:, place == 1] = True
    if name == "abstaining":
        quiet = rng.random((days, agents)) >= 0.3
        absent[:, place % 2 == 0] = quiet[:, place % 2 == 0]
    return absent
