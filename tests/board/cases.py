"""What a row of the fault board is: its number, how bad it would be, what is expected, and the function that tries it.

A case gets a `Run`, makes the fault happen, proves that it did, and raises AssertionError where something went wrong:
`NotSurvivedError` where the program did not come back, any other where something was lost or wrong. A case that proved
nothing is INVALID: it tested nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.board.world import Desk, World


class NotSurvivedError(AssertionError):
    """The program did not come back by itself, or not within the time that was stated."""


@dataclass
class Run:
    """One try of a case: servers, a desk, a seed, and what was seen."""

    world: World
    desk: Desk
    seed: int
    proofs: list[str] = field(default_factory=list)
    recovered_s: list[float] = field(default_factory=list)
    alarms: set[str] = field(default_factory=set)

    def proof(self, what: object) -> None:
        """The fault happened: this shows it."""
        self.proofs.append(str(what))


Body = Callable[[Run], None]


@dataclass(frozen=True)
class Case:
    """A row of the board. `tests` are the pytest node ids that answer it where it needs no daemon of its own."""

    id: str
    severity: int
    fault: str
    expected: str
    body: Body | None = None
    tests: tuple[str, ...] = ()
    quick: bool = False
    seeds: int = 1


CASES: dict[str, Case] = {}


def case(
    id_: str, severity: int, fault: str, expected: str, *, quick: bool = False, seeds: int = 1
) -> Callable[[Body], Body]:
    """Put a function on the board."""

    def register(body: Body) -> Body:
        assert id_ not in CASES, id_
        CASES[id_] = Case(id_, severity, fault, expected, body, quick=quick, seeds=seeds)
        return body

    return register


def answered_by(id_: str, severity: int, fault: str, expected: str, *tests: str) -> None:
    """A row that tests of the suite answer, which need no daemon: they are run as they are."""
    assert id_ not in CASES, id_
    CASES[id_] = Case(id_, severity, fault, expected, tests=tests)
