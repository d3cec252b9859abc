"""Money that comes to a desk's account or leaves it otherwise than by a fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol, get_args

FlowKind = Literal["deposit", "withdrawal", "ramp", "interest", "borrow", "funding", "dividend", "fee"]
FlowSource = Literal["person", "exchange", "rule"]
FLOW_KINDS: tuple[FlowKind, ...] = get_args(FlowKind)
CAPITAL: tuple[FlowKind, ...] = ("deposit", "withdrawal", "ramp")
"""Of these a desk neither earns nor loses: they change how much money it trades with. The others are part of what it
earns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CashFlow:
    """A flow by its number on record; the desk's cash changes by `amount`, in the currency of its prices."""

    id: int
    kind: FlowKind
    amount: Decimal
    source: FlowSource

    @property
    def is_capital(self) -> bool:
        """Whether it changes the capital, and is no part of any return."""
        return self.kind in CAPITAL


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFlow:
    """A flow that is put on record; `key` is its source's own name for it, by which the same twice is one."""

    time: datetime
    kind: FlowKind
    amount: Decimal
    currency: str
    source: FlowSource
    reason: str
    actor: str
    key: str | None = None
    symbol: str | None = None
    after_days: float = 0.0


class TakenFlow(NamedTuple):
    """What became of a flow: the equity after it over that before it (1 where it is earned), or why it was refused."""

    flow: CashFlow
    growth: float
    refused: str = ""


class CashRecord(Protocol):
    """Cash flows as a desk's journal has them."""

    def waiting_flows(self, decision: datetime) -> Sequence[CashFlow]:
        """What came or went and is in no book yet, oldest first: of it what may be taken after the decision at this
        time, which is the newest one."""
        ...

    def take_flows(self, taken: Sequence[TakenFlow], *, after: datetime, at: datetime) -> None:
        """Commit what became of them, after the decision at `after` and before the next one; each once."""
        ...

    def flows_since(self, decision: datetime) -> Sequence[CashFlow]:
        """What was taken after the decision at this time and before the next one, in that order."""
        ...
