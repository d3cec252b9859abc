"""One seed: a desk lives through its bars and its faults, and the oracles say what did not hold."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache

import numpy as np

from agents.core.ports import RiskEvent
from agents.core.types import RiskState
from tests.simulation.chance import DATA, PEOPLE, TIMES, Plan, Scene, plan_of, undisturbed
from tests.simulation.desk import Simulated
from tests.simulation.market import closes_at, in_bar
from tests.simulation.oracles import Oracles
from tests.simulation.world import START, Killed, PowerCut, World

TURNS_S = (4.5, 20.0, 80.0, 700.0, 1810.0, 1840.0, 2600.0)
"""When the daemon turns after a bar's end; beside that after failures. Its own two seconds would be the same again and
again."""
MOST_TURNS = 20_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a seed: what did not hold, which faults it met, what happened, and how much was done."""

    seed: int
    found: list[str]
    met: Counter[str]
    history: list[str]
    turns: int
    orders: int
    fills: int


def play(seed: int, *, traced: bool = False) -> Verdict:
    """The whole life of one seed."""
    plan = plan_of(seed)
    targets = None if set(plan.kinds) & set(DATA) else control_of(plan.scene)
    return _lived(plan, targets, traced=traced)[0]


@cache
def control_of(scene: Scene) -> dict[np.datetime64, np.ndarray]:
    """Target weights [S] at each decision of a desk to which nothing happens."""
    verdict, sim = _lived(undisturbed(scene), None, traced=False)
    assert not verdict.found, f"the undisturbed desk of scene {scene.number}: {verdict.found}"
    return {cycle.time[-1]: cycle.target_weight[-1] for cycle in sim.journal.cycles}


def _lived(plan: Plan, targets: dict[np.datetime64, np.ndarray] | None, *, traced: bool) -> tuple[Verdict, Simulated]:
    with _silent_log():
        return _told(plan, targets, traced=traced)


@contextmanager
def _silent_log() -> Iterator[None]:
    """Faults by the thousand are told to nobody; whoever logs after it is heard again."""
    logger = logging.getLogger("agents")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _told(plan: Plan, targets: dict[np.datetime64, np.ndarray] | None, *, traced: bool) -> tuple[Verdict, Simulated]:
    world = World(plan, traced=traced)
    world.tell(f"seed {plan.seed}: {plan.scene}, {plan.manners}, {sorted(plan.kinds)} at {plan.share}")
    sim = Simulated(world)
    oracles = Oracles(sim)
    with sim.wired():
        _schedule(sim, oracles)
        turns = _turns(sim, oracles)
    oracles.end(targets)
    found = list(dict.fromkeys(oracles.found))
    book = sim.account.book
    return Verdict(plan.seed, found, world.met, world.history, turns, len(book.orders), len(book.trades)), sim


def _turns(sim: Simulated, oracles: Oracles) -> int:
    """Turn after turn until the last bar is over; how many."""
    world, scene = sim.world, sim.world.plan.scene
    ends, turns = closes_at(scene.bars - 1) + timedelta(minutes=55), 0
    while world.clock.true < ends or (_some_is_hidden(sim) and world.clock.true < ends + timedelta(hours=4)):
        turns += 1
        if turns > MOST_TURNS or oracles.found:
            break
        oracles.turn_begins()
        worked = _turn(sim)
        oracles.look()
        wait_s = _until_next_s(world) if worked else world.rng.uniform(2.0, 60.0)
        world.clock.sleep_s(wait_s)
    return turns


def _some_is_hidden(sim: Simulated) -> bool:
    """Whether the exchange has filled what it does not show yet, or did so just now: no look can have agreed since."""
    since_ms = sim.world.clock.true_ms - 130_000
    return any(trade.shown_ms > since_ms for trade in sim.account.book.trades[-40:])


def _turn(sim: Simulated) -> bool:
    """One turn, or a crash and what follows; whether it worked."""
    world = sim.world
    try:
        sim.daemon._try_turn()
        return not sim.endurance.problem
    except Killed as end:
        world.tell(f"   the process ends at: {end}")
        if isinstance(end, PowerCut):
            sim.journal.power_cut()
    down_s = world.rng.choice((1.0, 20.0, 20.0, 90.0, 3000.0, 9000.0))
    world.clock.sleep_s(0.0 if world.calm else down_s)
    sim.restart()
    return False


def _until_next_s(world: World) -> float:
    passed_s = (world.clock.true - START).total_seconds() % 3600.0
    next_s = next((s for s in TURNS_S if s > passed_s), 3600.0 + TURNS_S[0])
    return next_s - passed_s + world.rng.random()


# ---------------------------------------------------------------- what has a moment of its own


def _schedule(sim: Simulated, oracles: Oracles) -> None:
    world, scene = sim.world, sim.world.plan.scene
    for kind in sorted(world.plan.kinds & {*PEOPLE, *DATA, *TIMES}):
        for _ in range(world.rng.choice((1, 1, 2, 3))):
            row = world.rng.randrange(2, scene.quiet_from - 1)
            moment = in_bar(row, world.rng.choice((world.rng.random(), 0.0012 + 0.001 * world.rng.random())))
            if kind in DATA and kind != "price wrong":
                s, later_s = world.rng.randrange(len(scene.symbols)), world.rng.choice((30, 300, 4000, 9000))
                world.met[kind] += 1
                sim.data.spoil(kind, row, s, later_s)
            else:
                world.at(moment, kind, _deed(sim, oracles, kind))
    world.at(in_bar(scene.quiet_from - 1, 0.02), "quiet", lambda: _quiet(sim))


def _deed(sim: Simulated, oracles: Oracles, kind: str) -> Callable[[], None]:
    world, rng = sim.world, sim.world.rng
    clock, account = world.clock, sim.account
    symbol = rng.choice(sim.data.symbols_)
    hours = timedelta(hours=rng.uniform(0.2, 4.0))

    def later(what: str, do: Callable[[], None]) -> None:
        world.at(clock.true + hours, what, do)

    def halt_and_resume(state: RiskState, *, flatten: bool = False) -> None:
        _say(sim, state, flatten=flatten)
        later("resume", lambda: _say(sim, RiskState.ACTIVE))

    def kill() -> None:
        sim.switch.pull()
        later("kill file gone", sim.switch.let_go)

    def of_others() -> None:
        account.of_others(symbol, Decimal(rng.randrange(1, 400)) / 100)
        if sim.journal.outside_:  # what is there at the first look is not the desk's, and no difference
            oracles.foreign[symbol.partition("/")[0]] = world.number
        later("a person explains", lambda: _explain(sim))

    def set_clock(by: timedelta) -> None:
        clock.ahead = by
        later("the clock is right again", lambda: setattr(clock, "ahead", timedelta(0)))

    def away(what: str) -> None:
        world.away_until[what] = clock.true + hours / 4

    def lie(factor: str) -> None:
        account.price_factor[symbol] = Decimal(factor)
        later("the price is right again", account.price_factor.clear)

    def stand_still() -> None:
        world.stood_still = world.number
        clock.true += hours

    deeds: dict[str, Callable[[], None]] = {
        "halt": lambda: halt_and_resume(RiskState.HALTED),
        "reduce": lambda: halt_and_resume(RiskState.REDUCING),
        "flatten": lambda: halt_and_resume(RiskState.HALTED, flatten=True),
        "resume": lambda: _say(sim, RiskState.ACTIVE),
        "kill file": kill,
        "deposit": lambda: account.moved(Decimal(rng.randrange(100, 30_000))),
        "withdrawal": lambda: account.moved(-Decimal(rng.randrange(100, 3_000))),
        "foreign trade": of_others,
        "price wrong": lambda: lie(rng.choice(("1.3", "0.7"))),
        "asleep": stand_still,
        "clock ahead": lambda: set_clock(timedelta(minutes=rng.uniform(0.1, 200))),
        "clock behind": lambda: set_clock(-timedelta(minutes=rng.uniform(0.1, 200))),
        "maintenance": lambda: away("exchange"),
        "outage of the database": lambda: away("database"),
    }
    return deeds[kind]


def _say(sim: Simulated, state: RiskState, *, flatten: bool = False) -> None:
    event = RiskEvent(
        at=sim.world.clock.now(),
        before=RiskState.ACTIVE,
        after=state,
        reason="so",
        actor="person",
        applied=False,
        flatten=flatten,
    )
    sim.journal.command(event)


def _explain(sim: Simulated) -> None:
    """A person says what is not the desk's. What no look has found yet is explained another time."""
    for broken in list(sim.journal.breaks_):
        sim.journal.ask_remedy(broken.name)


def _quiet(sim: Simulated) -> None:
    """Everything is well again, and a person looks after the desk."""
    world = sim.world
    world.calm = True
    world.clock.ahead = timedelta(0)
    world.away_until = dict.fromkeys(world.away_until, START)
    sim.account.price_factor.clear()
    sim.switch.let_go()
    for after in range(3):
        moment = world.clock.true + timedelta(minutes=20 + 40 * after)
        world.at(moment, "a person explains", lambda: _explain(sim))
    if world.met.keys() & {"halt", "reduce", "flatten", "kill file", "resume"}:
        world.at(world.clock.true + timedelta(minutes=70), "resume", lambda: _say(sim, RiskState.ACTIVE))
