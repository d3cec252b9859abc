"""Funding that the exchange has settled and the desk's books have not: it counts as there until the next decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from agents.core.venues import FundingBooked

ZERO = Decimal(0)
ROUNDING = Decimal("0.00000002")
"""Of each settlement: both sides keep eight decimals, and a rate and a price of as many."""


def not_booked_yet(told: Sequence[tuple[datetime, Decimal]], booked: FundingBooked) -> Decimal:
    """What the exchange's cash has more than the desk's by funding that is right: `told` by the exchange, of which the
    next decision books what is settled from `next_from` on. What was to be booked already and is not, but for rounding,
    is none of it: that is a difference."""
    on_its_way = sum((cash for at, cash in told if at >= booked.next_from), start=ZERO)
    rest = sum((cash for at, cash in told if at < booked.next_from), start=ZERO) - booked.cash
    return on_its_way + (rest if abs(rest) <= ROUNDING * (booked.times + 1) else ZERO)
