"""What a row says of splits and dividends, and whether its raw price shows it; pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from agents.core.market import MarketAction

SMALL_ACTION = 0.10
"""Splits and dividends whose log factor is below this cannot be told from a day's move, and are taken as said."""
UNSEEN_SHARE = 1.0 / 3.0
"""Of the move that a larger one makes, so much may be hidden by the market's own move."""
LARGEST_DIVIDEND = 2.5
"""A step of the adjusting factor above this is no dividend: that would be 60 % of the price."""
IN_COLUMN = "file column"
CONTRADICTION = "adj_close against the raw price"


class Claim(NamedTuple):
    """A split (new shares for an old one) and a dividend (cash for an old share) that a row is said to trade with."""

    split: float = 1.0
    dividend: float = 0.0
    source: str = ""

    def with_(self, other: Claim) -> Claim:
        """Both; the other one's dividend is for shares as they are after this one's split."""
        return Claim(self.split * other.split, self.dividend + other.dividend * self.split, other.source)

    @property
    def is_none(self) -> bool:
        return self.split == 1.0 and self.dividend == 0.0


def as_claim(action: MarketAction) -> Claim:
    """A split or a dividend on record; other kinds claim nothing."""
    if action.kind == "split":
        return Claim(split=action.value)
    return Claim(dividend=action.value) if action.kind == "dividend" else Claim()


def stepped_dividend(step: float, close: float) -> Claim:
    """The dividend that a step of the adjusting factor means. A small fall of the factor is rounding; what is too large
    for a dividend, or a large fall, contradicts the raw price, unless that moved alike for long (see `_level`)."""
    if 1.0 < step <= LARGEST_DIVIDEND:
        return Claim(dividend=close * (1.0 - 1.0 / step), source="adj_close")
    return Claim(split=step, source=CONTRADICTION) if abs(math.log(step)) > SMALL_ACTION else Claim()


def factor_of(claim: Claim, close: float) -> float | None:
    """What the claim divides a close by, apart from the market's move; None where it pays more than there is."""
    if claim.dividend >= close:
        return None
    return claim.split * close / (close - claim.dividend)


def is_seen(claimed: float, moved: float) -> bool:
    """Whether a raw price that fell by `moved` (log) shows enough of a claimed fall; negative ones rose."""
    size = abs(claimed)
    if size <= SMALL_ACTION:
        return True
    return math.copysign(1.0, claimed) * moved >= size - max(UNSEEN_SHARE * size, SMALL_ACTION)
