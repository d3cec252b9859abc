"""TechnicalAnalyst: MACD, Ichimoku, RSI and Bollinger %B, the four that every chart shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Panel, Signals
from agents.quant.indicators import (
    bollinger_percent_b,
    forgetting_bars,
    moving_average_gap,
    rsi,
    volatility,
)
from agents.quant.momentum import ichimoku
from agents.quant.votes import in_scale, trend_and_contrary
from agents.trading.base import TradingAgent, direction, pack_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class TechnicalParameters:
    """Lengths in bars, and Bollinger's width in deviations: the inventors' own."""

    macd_fast: int = 12
    macd_slow: int = 26
    ichimoku: tuple[int, int, int] = (9, 26, 52)
    rsi_length: int = 14
    bollinger_window: int = 20
    bollinger_width: float = 2.0


class TechnicalAnalyst(TradingAgent):
    """Two votes with the trend, two against a stretched price, all in [-1, 1]:

    * MACD: tanh of its line, the gap of two exponential means, in bar volatilities x sqrt(slow - fast) (Appel 1979);
    * Ichimoku: the mean of tanh of the close's distance from the cloud and of tanh of conversion less base line, each
      in the volatility of 26 bars (Hosoda 1969);
    * RSI: (50 - RSI) / 20, cut at 1: full at Wilder's 30 and 70 (1978);
    * Bollinger: 1 - 2 * %B, cut at 1: full at a band (2001).

    Sources are in brackets, and every length is its inventor's. Averaged as equals, the two pairs would cancel by
    construction: whatever trends is overbought. So trend is the mean of the first pair, contrary that of the second,
    and strength = trend + (1 - |trend|) x contrary: oscillators are for ranges and count less the more of a trend there
    is (Wilder 1978; J. Murphy, Technical Analysis of the Financial Markets, 1999). A trend above a half is never
    outvoted. Confidence is how far the two terms agree. Abstains until all four speak.

    What is known: of charts, moving averages and breakouts once predicted (Brock, Lakonishok, LeBaron 1992); after the
    sample's end and after costs nothing is left of most rules (Sullivan, Timmermann, White 1999; Park and Irwin 2007).
    Lengths are bars whatever the interval, the inventors looked at daily and weekly ones. It trades every few days.
    """

    name = "TechnicalAnalyst"

    def __init__(self, parameters: TechnicalParameters | None = None) -> None:
        self.parameters = parameters or TechnicalParameters()
        p = self.parameters
        recursive = max(forgetting_bars(p.macd_slow), forgetting_bars(2.0 * p.rsi_length - 1.0))
        self.bars_needed = max(recursive, sum(p.ichimoku[1:]), p.bollinger_window) + 20

    def signals(self, panel: Panel) -> Signals:
        return self._opinions(panel, 0)

    def newest_signals(self, panel: Panel) -> Signals:
        return self._opinions(panel, len(panel.time) - 1)

    def _opinions(self, panel: Panel, first: int) -> Signals:
        """Of the rows from `first` on."""
        p, close = self.parameters, panel.close
        size = volatility(close, p.macd_slow, p.macd_slow - 1, first)
        gap = moving_average_gap(np.log(close), p.macd_fast, p.macd_slow, first)
        in_scale(gap, size, math.sqrt(p.macd_slow - p.macd_fast))
        cloud, lines = ichimoku(panel.high, panel.low, close, p.ichimoku, first)
        for distance in (cloud, lines):
            in_scale(distance, size, math.sqrt(p.ichimoku[1]))
        index = rsi(close, p.rsi_length, first)
        percent_b = bollinger_percent_b(close, p.bollinger_window, p.bollinger_width, first)
        with_trend = np.tanh(gap), np.tanh(cloud), np.tanh(lines, out=lines)
        strength, agreed = trend_and_contrary(with_trend, index, percent_b)
        evidence = {"macd": gap, "cloud": cloud, "rsi": index, "percent_b": percent_b}
        return pack_signals(panel.rows(first, len(close)), strength, agreed, evidence)

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        cloud = evidence["cloud"]
        place = "in the cloud" if cloud == 0.0 else f"{abs(cloud):.1f} {'above' if cloud > 0.0 else 'below'} the cloud"
        return (
            f"{direction(strength)}: MACD {evidence['macd']:+.2f}, {place} (in volatilities),"
            f" RSI {evidence['rsi']:.0f}, %B {evidence['percent_b']:.2f}"
        )
