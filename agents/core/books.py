"""The step's books, by their row in its arrays, and by name.

First the live book, then three controls that trade with other weights (equal ones, the first ones in force, inverse
shadow volatility), then one shadow for each agent, which trades that agent alone.
"""

from __future__ import annotations

from collections.abc import Sequence

LIVE, EQUAL, FIRST = 0, 1, 2
CONTROLS = ("equal", "first", "inverse_volatility")
"""Names of the control books, in their order."""
FIRST_SHADOW = 1 + len(CONTROLS)


def book_names(live: str, agents: Sequence[str]) -> tuple[str, ...]:
    """Names of all books in their order; `live` is that of the live book."""
    return (live, *(f"control:{name}" for name in CONTROLS), *(f"shadow:{name}" for name in agents))
