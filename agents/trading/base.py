"""What agents share: packing an opinion into Signals, and wording a reason for one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from agents.core.types import Floats, Panel, Signals
from agents.quant.opinions import bounded_opinions

YEAR_BARS = 252
"""Bars in a year, where nobody says otherwise: sessions of a stock exchange."""
MOST_REMEMBERED_BARS = 10_000
"""An agent whose look-back is longer than that on the desk's bars (a year of bars of minutes) abstains: every decision
would have to read it."""


class TradingAgent(ABC):
    """Base of the agents that come with Quorum; a user's own agent needs only the `Agent` protocol.

    `signals(panel)` is causal and forgets everything older than `bars_needed` bars to 1e-9, so that neither the
    future nor the start of the data nor a restart can change an opinion. One that takes long may have a shorter way to
    the last row, `newest_signals(panel)`, [1, S], the same to the bit: a live desk asks for no other.
    """

    name: str
    bars_needed: int
    in_months: ClassVar[bool] = False
    """Whether its look-backs are months: it is then made with the number of bars in the desk's year."""

    @abstractmethod
    def signals(self, panel: Panel) -> Signals:
        """Opinions on every bar and symbol of `panel`, [T, S]."""

    @abstractmethod
    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        """One line for one opinion, from the numbers behind it."""

    def reason(self, panel: Panel, time_index: int, symbol_index: int) -> str:
        """Why this agent has its opinion of one symbol at one bar; uses data up to that bar only."""
        stop = range(len(panel.time))[time_index] + 1
        return self.reason_of(self.signals(panel.rows(0, stop)), stop - 1, symbol_index)

    def reason_of(self, signals: Signals, time_index: int, symbol_index: int) -> str:
        """As `reason`, from signals that this agent has computed already."""
        if signals.abstained[time_index, symbol_index]:
            return "abstains: " + self.why_abstained()
        evidence = {name: float(values[time_index, symbol_index]) for name, values in signals.evidence.items()}
        return self.explain(evidence, float(signals.strength[time_index, symbol_index]))

    def why_abstained(self) -> str:
        """The usual cause of this agent's silence."""
        return "no bar, or not enough history yet"


def pack_signals(panel: Panel, strength: Floats, confidence: Floats, evidence: Mapping[str, Floats]) -> Signals:
    """Signals from raw arrays: an opinion needs a bar, a finite strength and a finite confidence; else abstention."""
    said, sure, abstained = bounded_opinions(panel.close, strength, confidence)
    return Signals(strength=said, confidence=sure, abstained=abstained, evidence=evidence)


def direction(strength: float) -> str:
    """`long`, `short` or `flat`, for wording reasons."""
    if strength > 0.02:
        return "long"
    return "short" if strength < -0.02 else "flat"
