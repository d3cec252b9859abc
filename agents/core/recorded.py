"""What a desk has on record, read back: decisions as arrays, with fills and commands; decisions about weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from agents.core.cash_flows import CashFlow
from agents.core.meta_types import WeightDecision
from agents.core.ports import Command
from agents.core.types import Booleans, Fill, Floats, Integers, Times


class RecordedSpan(NamedTuple):
    """The first and the last decision of a desk, when the first was recorded, and how many there are."""

    first: datetime
    last: datetime
    first_recorded_at: datetime
    decisions: int
    first_version: int
    """The data version of the first."""


class RecordedFill(NamedTuple):
    """A fill and the decision that ordered it."""

    decision_time: datetime
    fill: Fill


class RecordedWeights(NamedTuple):
    """A decision about weights under its version."""

    version: int
    decision: WeightDecision


class WeightsTraded(NamedTuple):
    """A decision that traded with other weights than its version has; both as texts."""

    time: datetime
    version: int
    traded: str
    published: str


class CheckedState(NamedTuple):
    """The last decision that a parity check has recomputed, and the recomputed state after it."""

    until: datetime
    state: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Decisions of one desk, T of them, on the axes `time`, `symbols`, `agents`; what is not on record is NaN, "" or
    False.

    `strength`, `confidence` and `abstained` are [T, A, S], `forecast` [T, S, A], `weights` [T, A]. `order`, `position`,
    `target`, `mark` (at which a position counted) and the texts `clamps` and `no_trade` are [T, S]; `equity` and
    `units` (1 until money came or went) [T], and the words of `risk_state` and `regime`.
    `failed` [T, A] marks agents that did not answer, `on_desk` [T, A] those that the desk had. `fills` are those of
    orders that may have worked then, some of them settled before; `commands` maps a place on the axis `time` to the
    commands that a person ordered, in their order, and this decision was the first to be under; `flows` maps it to the
    cash that came or went since the one before; `taken_back` maps it to the symbols (places on that axis) whose orders,
    still working before it, a person's halt took back.
    """

    time: Times
    symbols: tuple[str, ...]
    agents: tuple[str, ...]
    strength: Floats
    confidence: Floats
    abstained: Booleans
    forecast: Floats
    weights: Floats
    on_desk: Booleans
    order: Floats
    position: Floats
    target: Floats
    mark: Floats
    clamps: np.ndarray[Any, np.dtype[np.object_]]
    no_trade: np.ndarray[Any, np.dtype[np.object_]]
    equity: Floats
    units: Floats
    risk_state: tuple[str, ...]
    regime: tuple[str | None, ...]
    data_version: Integers
    failed: Booleans
    fills: Sequence[RecordedFill]
    commands: Mapping[int, Sequence[Command]]
    taken_back: Mapping[int, Sequence[int]]
    flows: Mapping[int, Sequence[CashFlow]]

    @property
    def unit_value(self) -> Floats:
        """[T] equity as if no capital had come or gone: returns are taken from it."""
        return self.equity / self.units
