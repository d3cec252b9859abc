"""What a seed draws: the desk, its exchange's manners, and which kinds of faults may happen, how often and until when.

Of the faults each seed allows a few only: where everything fails all the time, a desk does nothing, and nothing is tried.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agents.adapters.exchanges.fake_orders import Manners

SCENES = 12
"""Markets to trade on; each has an undisturbed control, which is made once."""
QUIET_BARS = 10
"""So many bars before the end everything is well again."""
BOUNDARY = (
    "reply lost",
    "never came",
    "delayed",
    "refused",
    "limited",
    "away",
    "slow",
    "database away",
    "commit lost",
    "answer to commit lost",
    "killed",
    "power cut",
)
"""Faults of one call, drawn at each; the others have a moment of their own."""
PEOPLE = ("halt", "reduce", "flatten", "resume", "kill file", "deposit", "withdrawal", "foreign trade")
DATA = ("bar missing", "bar late", "price wrong", "price doubted")
TIMES = ("asleep", "clock ahead", "clock behind", "maintenance", "outage of the database")
KINDS = (*BOUNDARY, *PEOPLE, *DATA, *TIMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A market and the desk on it."""

    number: int
    symbols: tuple[str, ...]
    bars: int
    order_type: Literal["market", "limit", "chase"]

    @property
    def quiet_from(self) -> int:
        """The first bar (from 0) that closes without faults."""
        return self.bars - QUIET_BARS


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a seed says beforehand."""

    seed: int
    scene: Scene
    manners: Manners
    kinds: frozenset[str]
    share: float
    """Of calls that meet a fault of one kind."""


def scene_of(number: int) -> Scene:
    """The scenes, by their number."""
    orders: tuple[Literal["market", "limit", "chase"], ...] = ("market", "limit", "chase")
    symbols = ("BTC/USDT", "ETH/USDT", "SOL/USDT")[: 2 + number % 2]
    return Scene(number=number, symbols=symbols, bars=(30, 34, 40, 48)[number // 3 % 4], order_type=orders[number % 3])


def plan_of(seed: int) -> Plan:
    """What the seed draws."""
    rng = random.Random(seed)
    scene = scene_of(rng.randrange(SCENES))
    allowed = rng.sample(KINDS, rng.choice((1, 2, 3, 4, 5, 6)))
    return Plan(
        seed=seed,
        scene=scene,
        manners=manners_of(rng),
        kinds=frozenset(allowed),
        share=rng.choice((0.003, 0.01, 0.03)),
    )


def undisturbed(scene: Scene) -> Plan:
    """The same desk where nothing happens."""
    return Plan(seed=0, scene=scene, manners=Manners(), kinds=frozenset(), share=0.0)


def manners_of(rng: random.Random) -> Manners:
    """How an exchange fills, and tells of it. That it fills what it says it took back is not drawn: then no order can be
    chased rightly."""
    return Manners(
        first_s=rng.choice((0.0, 0.0, 0.5, 20.0)),
        parts=rng.choice((1, 1, 2, 3, 4)),
        part_s=rng.choice((0.5, 5.0, 60.0, 400.0)),
        late_s=rng.choice((0.0, 0.0, 2.0, 30.0, 150.0)),
        doubled=rng.random() < 0.3,
        shuffled=rng.random() < 0.3,
        fee=rng.choice((Decimal("0.001"), Decimal(0), Decimal("0.0004"))),
        fee_in=rng.choice(("quote", "quote", "third", "received")),
    )
