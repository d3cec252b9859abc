"""The step's books, by their row in its arrays, and by name.

First the live book, then the controls: three that trade the same signals with other weights (equal ones, the first ones
in force, inverse shadow volatility), and the benchmark, which asks no agent: `hold` has equal parts of the universe,
rebalanced monthly, `hold_at_volatility` as much of the same as makes it as volatile as the desk. Then one shadow for
each agent, which trades that agent alone. Where it is asked what an agent adds, books beside the desk come last.
"""

from __future__ import annotations

from collections.abc import Sequence

LIVE, EQUAL, FIRST, INVERSE_VOLATILITY, HOLD, HOLD_AT_VOLATILITY = range(6)
OTHER_WEIGHTS = ("equal", "first", "inverse_volatility")
"""Controls that differ from the live book in their weights only."""
BENCHMARKS = ("hold", "hold_at_volatility")
CONTROLS = (*OTHER_WEIGHTS, *BENCHMARKS)
"""Names of the control books, in their order."""
FIRST_BENCHMARK = 1 + len(OTHER_WEIGHTS)
FIRST_SHADOW = 1 + len(CONTROLS)
MODELLED = "modelled"


def book_names(live: str, agents: Sequence[str]) -> tuple[str, ...]:
    """Names of all books in their order; `live` is that of the live book."""
    return (live, *(f"control:{name}" for name in CONTROLS), *(f"shadow:{name}" for name in agents))


def beside_names(agents: Sequence[str]) -> tuple[str, ...]:
    """The books that tell what each agent adds, behind all others: the desk itself as the cost model fills its orders,
    and the desk without each agent (with it at the floor, where its weight is 0)."""
    return (MODELLED, *(f"without:{name}" for name in agents))
