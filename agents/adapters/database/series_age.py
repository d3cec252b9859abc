"""How long a series' value counts: as long as the series itself says, by the spacing of what was known at the time.

Nothing else would be the same live and in a replay: a spacing of the whole history knows what came later.
"""

from __future__ import annotations

from bisect import insort
from itertools import pairwise

import numpy as np

from agents.core.arrays import Floats, Integers

LAST_VALUES = 8
"""The spacing is the longest between that many of the newest values."""
LEAST_VALUES = 3
"""Of fewer nobody knows a spacing, so the newest one counts for ever."""
COUNTS_FOR = 2
"""A value counts until so many spacings after it became known."""
FOR_EVER = np.iinfo(np.int64).max
STALE = """
WITH newest AS (SELECT max(time) AS at FROM bars)
SELECT k.name, k.symbol, max(e.time) AS newest, max(e.available_at) FILTER (WHERE e.place = 1) AS known,
       (array_agg(e.time ORDER BY e.time DESC)) AS times, (SELECT at FROM newest) AS at
FROM exogenous_keys k CROSS JOIN LATERAL (
    SELECT time, available_at, row_number() OVER (ORDER BY time DESC) AS place FROM exogenous
    WHERE name = k.name AND symbol = k.symbol AND available_at <= (SELECT at FROM newest)
        AND time <= (SELECT at FROM newest) ORDER BY time DESC LIMIT :last) e
WHERE NOT starts_with(k.name, :texts) GROUP BY k.name, k.symbol ORDER BY k.name, k.symbol
"""


def counting(known: Integers, described: Integers, values: Floats) -> tuple[Floats, Integers]:
    """From each of `known` on (when a value became known, rising; us since 1970): the value of the newest moment
    `described`, and until when it counts."""
    newest = np.zeros(len(known), dtype=np.int64)
    until = np.full(len(known), FOR_EVER)
    recent: list[int] = []
    for k, moment in enumerate(described.tolist()):
        newest[k] = k if k == 0 or moment >= described[newest[k - 1]] else newest[k - 1]
        insort(recent, moment)
        if len(recent) > LAST_VALUES:
            del recent[0]
        if (spacing := longest_spacing(recent)) is not None:
            until[k] = known[newest[k]] + COUNTS_FOR * spacing
    return values[newest], until


def longest_spacing(recent: list[int]) -> int | None:
    """The longest spacing of rising moments; None where they are too few."""
    if len(recent) < LEAST_VALUES:
        return None
    return max(later - earlier for earlier, later in pairwise(recent))
