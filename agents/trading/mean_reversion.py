"""MeanReversion: prices that ran away from their mean, in deviations, are expected back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Panel, Signals
from agents.quant.indicators import rolling_mean_std
from agents.trading.base import TradingAgent, direction, pack_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanReversionParameters:
    """`window` in bars; the opinion starts beyond `quiet` deviations and is full at `full`."""

    window: int = 10
    quiet: float = 0.5
    full: float = 2.5


class MeanReversion(TradingAgent):
    """Strength -z / full, clipped, with z the distance of the log price from its mean over the window in standard
    deviations. Within `quiet` deviations it has no opinion and abstains. Confidence grows from `quiet` to `full`.
    """

    name = "MeanReversion"

    def __init__(self, parameters: MeanReversionParameters | None = None) -> None:
        self.parameters = parameters or MeanReversionParameters()
        self.bars_needed = self.parameters.window + 1

    def signals(self, panel: Panel) -> Signals:
        p = self.parameters
        prices = np.log(panel.close)
        mean, deviation = rolling_mean_std(prices, p.window, (p.window * 2) // 3)
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = np.where(deviation > 1e-9, (prices - mean) / deviation, np.nan)
        size = np.abs(distance)
        strength = np.where(size >= p.quiet, -distance / p.full, np.nan)
        confidence = (size - p.quiet) / (p.full - p.quiet)
        return pack_signals(panel, strength, confidence, {"z": distance})

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        return f"{direction(strength)}: {evidence['z']:+.2f} deviations from the {self.parameters.window}-bar mean"

    def why_abstained(self) -> str:
        return f"within {self.parameters.quiet} deviations of the mean, no bar, or not enough history yet"
