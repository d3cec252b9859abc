"""MarketHold: always long, the plainest opinion there is; every other agent has to add to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agents.core.types import Panel, Signals
from agents.trading.base import TradingAgent, pack_signals

USUAL_CONFIDENCE = 0.35
"""At this strength x confidence a forecast is 1, everybody's usual conviction, from the first bar on."""


class MarketHold(TradingAgent):
    """Strength 1 at every bar of every symbol. The desk sizes it like any opinion: a position at the volatility target,
    cut back when the symbol moves more.

    Sources: W. Sharpe, "The arithmetic of active management", 1991: before costs, all that is not holding adds up to
    nothing; scaling by volatility: Moreira and Muir, "Volatility-managed portfolios", 2017, whose gain over plain
    holding is disputed out of sample (Cederburg, O'Doherty, Wang, Yan 2020). It has no parameter.

    What is known: stocks have paid 3 to 5 % a year above cash for a century, with falls of half and more and decades
    without (Dimson, Marsh, Staunton 2002); currencies and commodities pay nothing for holding. Costs are the least of
    all agents'. A universe picked today holds those that survived, which flatters it more than anybody.
    """

    name = "MarketHold"
    bars_needed = 1

    def signals(self, panel: Panel) -> Signals:
        always = np.ones(panel.close.shape)
        return pack_signals(panel, always, USUAL_CONFIDENCE * always, {})

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:  # noqa: ARG002 - as every agent
        return "long: holds whatever it is"

    def why_abstained(self) -> str:
        return "no bar"
