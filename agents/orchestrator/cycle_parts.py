"""What a cycle of the desk hands from one of its stages to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agents.core.types import CycleRecord, Floats, Order, RiskState
from agents.pipeline.ledger import Ledger
from agents.pipeline.record import Opinions
from agents.pipeline.state import State


class View(NamedTuple):
    """What a decision at one bar sees: opinions, the forecasts [<= scale window, A, S] that their scale is taken from,
    their correlation [1, A, A], the volatility of one bar [1, S], and what a desk's first decision says beside."""

    opinions: Opinions
    history: Floats
    correlation: Floats
    volatility: Floats
    note: str


class Decision(NamedTuple):
    """A decision that is not recorded yet, and what the desk is after it."""

    cycle: CycleRecord
    state: State
    ledger: Ledger
    obeyed: RiskState
    """What the desk was before it, with a person's commands."""
    orders: Sequence[Order]
    """What is to be sent; a stop on record is filled already."""
