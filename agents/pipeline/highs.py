"""The highest equity of a book's last calendar months, from which the drawdown is measured that reduces it."""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.pipeline.parameters import MONTHS_KEPT
from agents.quant.compiled import compiled_inline


def begun_highs(equity: Floats) -> Floats:
    """`State.highs` of books [B] whose past begins with this equity."""
    highs = np.full((len(equity), 1 + MONTHS_KEPT), -np.inf)
    highs[:, 0], highs[:, 1] = np.nan, equity
    return highs


@compiled_inline
def note_high(highs: Floats, month: int, equity: float) -> None:
    """Take the equity of a bar in `month` (since 1970) into one book's `State.highs` [1 + months]."""
    if math.isfinite(highs[0]):
        passed = min(MONTHS_KEPT, month - int(highs[0]))
        for k in range(passed):
            highs[1 + (month - k) % MONTHS_KEPT] = -math.inf
    else:
        begun = highs[1]
        highs[1:] = -math.inf
        highs[1 + month % MONTHS_KEPT] = begun
    highs[0] = month
    place = 1 + month % MONTHS_KEPT
    highs[place] = max(highs[place], equity)


@compiled_inline
def recent_high(highs: Floats, months: int, peak: float) -> float:
    """The highest equity of a book's last `months` calendar months, the present one included; 0 months are all since it
    began or a person resumed, whose highest is `peak`."""
    if months == 0 or not math.isfinite(highs[0]):
        return peak
    month, high = int(highs[0]), -math.inf
    for k in range(months):
        high = max(high, highs[1 + (month - k) % MONTHS_KEPT])
    return high


@compiled_inline
def drawdown_from(high: float, equity: float) -> float:
    """How far equity lies below a high, as a fraction of it; all of it where the high is no money at all."""
    return 1.0 - equity / high if high > 0.0 else 1.0
