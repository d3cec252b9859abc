"""Pullback: a short dip within an uptrend is bought; without an uptrend it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Panel, Signals
from agents.quant.indicators import forgetting_bars, rsi
from agents.quant.momentum import above_mean
from agents.trading.base import TradingAgent, direction, pack_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class PullbackParameters:
    """Bars of the trend's mean and of the RSI; the RSI from which a dip is an opinion, and at which it is full."""

    trend_bars: int = 200
    rsi_length: int = 2
    begins: float = 50.0
    full: float = 10.0


class Pullback(TradingAgent):
    """Long only: where the price is above its mean of 200 bars and RSI(2) is below 50, strength grows from 0 there to 1
    at an RSI of 10; it abstains in every other place. Confidence is the strength.

    Sources: short-term reversal is that of Lehmann, "Fads, martingales, and market efficiency", 1990, and Jegadeesh,
    "Evidence of predictable behavior of security returns", 1990. The rule and its numbers (mean of 200 days, RSI(2)
    below 10, out again about the middle) are those of L. Connors and C. Alvarez, Short Term Trading Strategies That
    Work, 2009; 200 days as the mark of a trend are much older, see M. Faber, "A quantitative approach to tactical asset
    allocation", 2007. The lengths are bars, whatever their interval: the sources look at daily ones.

    What is known: gross, reversal is strong; it is pay for providing liquidity, has shrunk since trading became cheap
    (Nagel, "Evaporating liquidity", 2012), and among all but the largest stocks costs eat it whole (de Groot, Huij,
    Zhou, "Another look at trading costs and short-term reversal profits", 2012). It holds for days and trades often.
    """

    name = "Pullback"

    def __init__(self, parameters: PullbackParameters | None = None) -> None:
        self.parameters = parameters or PullbackParameters()
        p = self.parameters
        self.bars_needed = max(p.trend_bars, forgetting_bars(2.0 * p.rsi_length - 1.0)) + 20

    def signals(self, panel: Panel) -> Signals:
        p = self.parameters
        above = above_mean(panel.close, p.trend_bars)
        index = rsi(panel.close, p.rsi_length)
        dip = (p.begins - index) / (p.begins - p.full)
        strength = np.where((above > 0.0) & (dip > 0.0), np.clip(dip, 0.0, 1.0), np.nan)
        return pack_signals(panel, strength, strength, {"above": above, "rsi": index})

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        return (
            f"{direction(strength)}: RSI({self.parameters.rsi_length}) {evidence['rsi']:.0f},"
            f" {np.expm1(evidence['above']):+.1%} above its mean of {self.parameters.trend_bars} bars"
        )

    def why_abstained(self) -> str:
        return "no dip within an uptrend, no bar, or not enough history yet"
