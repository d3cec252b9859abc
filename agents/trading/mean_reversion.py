"""MeanReversion: prices that ran away from their mean, in deviations, are expected back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Panel, Signals
from agents.quant.votes import against_stretch
from agents.quant.windows import rolling_mean_std
from agents.trading.base import TradingAgent, direction, pack_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanReversionParameters:
    """`window` in bars, two weeks of daily ones, between Lehmann's week and Jegadeesh's month; the opinion starts
    beyond `quiet` deviations and is full at `full`, a little beyond the two of a Bollinger band. Conventions, fitted
    to nothing."""

    window: int = 10
    quiet: float = 0.5
    full: float = 2.5


class MeanReversion(TradingAgent):
    """Strength -z / full, clipped, with z the distance of the log price from its mean over the window in standard
    deviations. Within `quiet` deviations it has no opinion and abstains. Confidence grows from `quiet` to `full`.

    Sources: Lehmann, "Fads, martingales, and market efficiency", 1990; Jegadeesh, "Evidence of predictable behavior of
    security returns", 1990; bands of deviations: J. Bollinger, 2001. The window is bars, whatever their interval.

    What is known: gross it is among the strongest effects in stocks, net among the weakest: what remains after spreads
    lies in the largest stocks and in panics, as pay for liquidity (Nagel 2012; de Groot, Huij, Zhou 2012; Novy-Marx and
    Velikov, "A taxonomy of anomalies and their trading costs", 2016). It sells what is rising, without an end.
    """

    name = "MeanReversion"

    def __init__(self, parameters: MeanReversionParameters | None = None) -> None:
        self.parameters = parameters or MeanReversionParameters()
        self.bars_needed = self.parameters.window + 1

    def signals(self, panel: Panel) -> Signals:
        p = self.parameters
        prices = np.log(panel.close)
        mean, deviation = rolling_mean_std(prices, p.window, (p.window * 2) // 3)
        distance, strength, confidence = against_stretch(prices, mean, deviation, p.quiet, p.full)
        return pack_signals(panel, strength, confidence, {"z": distance})

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        return f"{direction(strength)}: {evidence['z']:+.2f} deviations from the {self.parameters.window}-bar mean"

    def why_abstained(self) -> str:
        return f"within {self.parameters.quiet} deviations of the mean, no bar, or not enough history yet"
