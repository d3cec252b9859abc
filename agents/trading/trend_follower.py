"""TrendFollower: exponential moving averages crossing at three speeds, in units of volatility."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Panel, Signals
from agents.quant.indicators import forgetting_bars, trend_crossover, volatility
from agents.quant.votes import mean_vote, silence_before
from agents.trading.base import TradingAgent, direction, pack_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendParameters:
    """Pairs of (fast, slow) spans and the volatility window, in bars."""

    speeds: tuple[tuple[int, int], ...] = ((8, 32), (16, 64), (32, 128))
    volatility_window: int = 40


class TrendFollower(TradingAgent):
    """Mean over the speeds of a crossover's response (`quant.indicators.trend_crossover`): exponential means of log
    prices, their difference in bar volatilities, answered by a curve that fades for stretched trends. Confidence is
    the speeds' agreement in sign. Abstains until the fastest pair has seen its own slow span of bars.

    Sources: response and scale, Baz and others, "Dissecting investment strategies in the cross section and time
    series", 2015, of whose speeds (8, 24), (16, 48), (32, 96) the slow sides are here those of R. Carver, Systematic
    Trading, 2015 (four times the fast one). Lengths are bars, whatever their interval: the sources look at daily ones.

    What is known: trends paid in every decade since 1880 in futures (Hurst, Ooi, Pedersen 2017), less since 2009;
    single stocks trend less. It loses in ranges and at sharp turns. Costs are small on daily bars of liquid futures,
    and everything on bars of minutes.
    """

    name = "TrendFollower"

    def __init__(self, parameters: TrendParameters | None = None) -> None:
        self.parameters = parameters or TrendParameters()
        slowest = max(slow for _, slow in self.parameters.speeds)
        self.bars_needed = forgetting_bars(slowest) + self.parameters.volatility_window + 20

    def signals(self, panel: Panel) -> Signals:
        return self._opinions(panel, 0)

    def newest_signals(self, panel: Panel) -> Signals:
        return self._opinions(panel, len(panel.time) - 1)

    def _opinions(self, panel: Panel, first: int) -> Signals:
        """Of the rows from `first` on."""
        p = self.parameters
        prices = np.log(panel.close)
        bar_volatility = volatility(panel.close, p.volatility_window, p.volatility_window // 2, first)
        pairs = [trend_crossover(prices, bar_volatility, float(fast), float(slow)) for fast, slow in p.speeds]
        strength, same_sign = mean_vote([response for _, response in pairs], [x for x, _ in pairs])
        silence_before(strength, prices, min(slow for _, slow in p.speeds))
        evidence = {f"x{slow}": x for (_, slow), (x, _) in zip(p.speeds, pairs, strict=True)}
        return pack_signals(panel.rows(first, len(prices)), strength, same_sign, evidence)

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        shown = ", ".join(f"{name[1:]} bars {x:+.2f}" for name, x in evidence.items())
        return f"{direction(strength)}: crossovers in volatilities: {shown}"
