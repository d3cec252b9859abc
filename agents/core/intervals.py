"""How far apart bars are: recognised from their times, and held against what the settings say."""

from __future__ import annotations

import numpy as np

from agents.core.arrays import Floats, Integers, Times
from agents.core.settings_sections import INTERVALS_S

ENOUGH_TO_BE_FASTER, ENOUGH_TO_BE_SLOWER = 3, 10
"""So many distances must be known before bars count as closer together, or farther apart, than they should be."""
SAME_DISTANCE = 0.1
ROWS_LOOKED_AT = 20_000


def distances_s(symbol: Integers, time: Times) -> Floats:
    """Seconds between neighbouring bars of the same symbol; both [n], in any order. Only the first rows of a long
    history are looked at."""
    symbol, time = symbol[:ROWS_LOOKED_AT], time[:ROWS_LOOKED_AT].astype("datetime64[us]").astype(np.int64)
    order = np.lexsort((time, symbol))
    symbol, time = symbol[order], time[order]
    distance = (time[1:] - time[:-1])[symbol[1:] == symbol[:-1]] / 1e6
    return np.asarray(distance[distance > 0], dtype=np.float64)


def mismatch(distance_s: Floats, interval: str) -> str | None:
    """What bars at such distances are, where that is not `interval`; None where it is, or where too few are known.

    Closer together: the median distance is below three quarters of the interval. Farther apart: no two are neighbours,
    and most distances are about the same (those of a symbol that seldom trades are not).
    """
    if len(distance_s) < ENOUGH_TO_BE_FASTER:
        return None
    typical, wanted = float(np.median(distance_s)), INTERVALS_S[interval]
    if typical < 0.75 * wanted:
        return _name(typical)
    regular = np.abs(distance_s / typical - 1.0) <= SAME_DISTANCE
    apart = len(distance_s) >= ENOUGH_TO_BE_SLOWER and distance_s.min() > 1.5 * wanted and regular.mean() > 0.5
    return _name(typical) if apart else None


def _name(seconds: float) -> str:
    for name, length in INTERVALS_S.items():
        if abs(seconds / length - 1.0) <= SAME_DISTANCE:
            return name
    days, hours = seconds / 86400, seconds / 3600
    return f"{days:.0f} days" if days > 1.5 else f"{hours:.1f} hours" if hours > 1.0 else f"{seconds:.0f} s"
