"""Removes one safeguard after the other, in this process: some seed must fail for each, or the simulation tests nothing.

A mutant is one piece of source that is replaced. Its file is compiled again, and every function that has become another
one takes the place of the old one, so that nothing has to be started anew.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType

from tests.simulation.run import play

MOST_SEEDS = 400


@dataclass(frozen=True)
class Mutant:
    """One safeguard: where it is, what stands there without it, and a seed to try first."""

    name: str
    module: str
    old: str
    new: str
    seed: int


MUTANTS = (
    Mutant(
        "an order whose answer is lost is sent again",
        "agents.adapters.brokers.account_broker",
        'return _outcome(order, "unknown", str(error))\n        killpoint',
        "return self._place(order)\n        killpoint",
        0,
    ),
    Mutant(
        "a fill is booked as often as it is shown",
        "agents.adapters.brokers.venue_books",
        "if self._fill_id(trade) not in booked:",
        "if True:",
        0,
    ),
    Mutant(
        "an order that the exchange does not know yet was never placed",
        "agents.adapters.brokers.account_broker",
        "return now_s - self._missing_since_s.setdefault(key, now_s) >= GRACE_S",
        "return True",
        2,
    ),
    Mutant(
        "an order that the broker does not know counts as placed",
        "agents.orchestrator.orchestrator",
        "outcome = broker.lookup(order.client_order_id)",
        'outcome = OrderOutcome(client_order_id=order.client_order_id, state="acked")',
        0,
    ),
    Mutant(
        "a person's halt is not looked for before sending",
        "agents.orchestrator.orchestrator",
        "if halted or went_stale():",
        "if went_stale():",
        0,
    ),
    Mutant(
        "the kill file is not looked at before sending",
        "agents.orchestrator.kill_switch",
        'if reason is not None:\n            log_event(logger, "nothing is sent"',
        'if False:\n            log_event(logger, "nothing is sent"',
        0,
    ),
    Mutant(
        "what was decided before a standstill is sent after it",
        "agents.orchestrator.orchestrator",
        "if halted or went_stale():",
        "if halted:",
        0,
    ),
    Mutant(
        "what the books differ on is sent",
        "agents.orchestrator.reconciliation",
        "if not standing.ready or order.symbol in standing.blocked:",
        "if not standing.ready:",
        0,
    ),
    Mutant(
        "a lost answer to a cancel counts as a cancel",
        "agents.adapters.brokers.taking_back",
        'raise ServiceError(f"whether {key} was taken back is not known: {error}") from None',
        "return True",
        0,
    ),
    Mutant(
        "that an order is being sent may be lost by a power cut",
        "agents.adapters.database.journal_writes",
        'return any(outcome.state == "sending" for outcome in outcomes)',
        "return False",
        0,
    ),
    Mutant(
        "an order that cannot be taken back holds up no other",
        "agents.adapters.brokers.account_broker",
        "words.UNRESOLVED if busy else",
        "",
        0,
    ),
    Mutant(
        "what an order that chased did not get is ordered before it has ended",
        "agents.adapters.brokers.chasing",
        'known is None or known.status == "open"',
        "known is None",
        0,
    ),
)


@contextmanager
def without(mutant: Mutant) -> Iterator[None]:
    """The program without this safeguard."""
    module = importlib.import_module(mutant.module)
    source = Path(inspect.getfile(module)).read_text()
    assert source.count(mutant.old) == 1, (
        f"{mutant.module}: {mutant.old!r} stands there {source.count(mutant.old)} times"
    )
    changed = ModuleType(mutant.module)
    changed.__dict__.update(__name__=mutant.module, __file__=inspect.getfile(module))
    exec(compile(source.replace(mutant.old, mutant.new), inspect.getfile(module), "exec"), changed.__dict__)
    kept = []
    for old, new in _changed(module, changed):
        kept.append((old, old.__code__))
        old.__code__ = new.__code__
    assert kept, f"{mutant.name}: nothing has changed"
    try:
        yield
    finally:
        for function, code in kept:
            function.__code__ = code


def _changed(module: ModuleType, other: ModuleType) -> Iterator[tuple[FunctionType, FunctionType]]:
    """Functions and methods whose code is another one."""
    for owner, there in [(module, other), *((c, getattr(other, n)) for n, c in _classes(module))]:
        for name, old in vars(owner).items():
            new = vars(there).get(name)
            own = isinstance(old, FunctionType) and old.__module__ == module.__name__
            if own and isinstance(new, FunctionType) and _meaning(old) != _meaning(new):
                yield old, new


def _meaning(function: FunctionType) -> tuple[object, ...]:
    code = function.__code__
    return code.co_code, code.co_consts, code.co_names


def _classes(module: ModuleType) -> list[tuple[str, type]]:
    return [(n, c) for n, c in vars(module).items() if inspect.isclass(c) and c.__module__ == module.__name__]


def failing_seed(mutant: Mutant, seeds: range) -> tuple[int, str] | None:
    """The first seed that fails without this safeguard, the one that was seen to fail first of all, and what it says."""
    with without(mutant):
        for seed in (mutant.seed, *seeds):
            verdict = play(seed)
            if verdict.found:
                return seed, verdict.found[0]
    return None


def try_mutants() -> int:
    """Try each; 1 where one is not noticed."""
    green = 0
    for mutant in MUTANTS:
        found = failing_seed(mutant, range(MOST_SEEDS))
        green += found is None
        print(
            f"{'GREEN' if found is None else f'seed {found[0]}'}: {mutant.name}: {found[1] if found else ''}",
            flush=True,
        )
    print("every safeguard is guarded" if not green else f"{green} mutants are not noticed")
    return 1 if green else 0
