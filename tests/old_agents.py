"""The TechnicalAnalyst of desks that were recorded before it knew Ichimoku."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Floats, Panel, Signals
from agents.quant.indicators import bollinger_percent_b, ewma, forgetting_bars, rsi, volatility
from agents.trading.base import TradingAgent, direction, pack_signals


def macd_histogram(close: Floats, fast: int, slow: int, smoothing: int) -> Floats:
    """MACD of log prices minus its signal line, as a fraction of price (G. Appel, 1979)."""
    prices = np.log(close)
    line = ewma(prices, float(fast)) - ewma(prices, float(slow))
    return line - ewma(line, float(smoothing))


@dataclass(frozen=True, slots=True, kw_only=True)
class TechnicalParameters:
    """Lengths in bars, weights of the three votes."""

    rsi_length: int = 14
    macd_fast: int = 12
    macd_slow: int = 26
    macd_signal: int = 9
    bollinger_window: int = 20
    bollinger_width: float = 2.0
    macd_weight: float = 0.5
    rsi_weight: float = 0.25
    bollinger_weight: float = 0.25


class TechnicalAnalystOfOld(TradingAgent):
    """Three votes in [-1, 1], averaged by weight:

    * MACD: tanh(histogram / volatility of a bar), with the momentum;
    * RSI: (50 - RSI) / 50, against an overbought or oversold market;
    * Bollinger: 1 - 2 * %B clipped, against a price at a band.

    Confidence is how far the three agree: |sum of weighted votes| / sum of weighted |votes|. Abstains until the
    slowest of the three has seen its own length of bars.
    """

    name = "TechnicalAnalyst"

    def __init__(self, parameters: TechnicalParameters | None = None) -> None:
        self.parameters = parameters or TechnicalParameters()
        p = self.parameters
        self.bars_needed = forgetting_bars(p.macd_slow) + forgetting_bars(p.macd_signal) + p.bollinger_window + 20

    def signals(self, panel: Panel) -> Signals:
        p = self.parameters
        histogram = macd_histogram(panel.close, p.macd_fast, p.macd_slow, p.macd_signal)
        bar_volatility = volatility(panel.close, p.macd_slow, p.macd_slow - 1)
        strength_index = rsi(panel.close, p.rsi_length)
        percent_b = bollinger_percent_b(panel.close, p.bollinger_window, p.bollinger_width)
        votes = (
            p.macd_weight * np.tanh(histogram / bar_volatility),
            p.rsi_weight * (50.0 - strength_index) / 50.0,
            p.bollinger_weight * np.clip(1.0 - 2.0 * percent_b, -1.0, 1.0),
        )
        total = votes[0] + votes[1] + votes[2]
        spoken = np.abs(votes[0]) + np.abs(votes[1]) + np.abs(votes[2])
        with np.errstate(invalid="ignore", divide="ignore"):
            confidence = np.where(spoken > 1e-12, np.abs(total) / spoken, 0.0)
        confidence = np.where(np.isfinite(spoken), confidence, np.nan)
        evidence = {"macd": histogram / bar_volatility, "rsi": strength_index, "percent_b": percent_b}
        return pack_signals(panel, total, confidence, evidence)

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        return (
            f"{direction(strength)}: MACD histogram {evidence['macd']:+.2f} bar volatilities, "
            f"RSI {evidence['rsi']:.0f}, %B {evidence['percent_b']:.2f}"
        )
