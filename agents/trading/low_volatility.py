"""LowVolatility: among its peers, the calm symbol earns more for its risk than the wild one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Panel, Signals
from agents.quant.indicators import LONGEST_GAP_BARS, volatility
from agents.quant.momentum import place_among_symbols
from agents.trading.base import MOST_REMEMBERED_BARS, YEAR_BARS, TradingAgent, direction, pack_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class LowVolatilityParameters:
    """Months, in the desk's own bars, of which at least half must be there."""

    span_months: int = 12


class LowVolatility(TradingAgent):
    """Strength from +1 for the symbol of the lowest volatility to -1 for that of the highest, in equal steps; always
    fully confident. Purely cross-sectional: with fewer than three symbols it abstains.

    Sources: Blitz and van Vliet, "The volatility effect", 2007 (ranks by past volatility, of three years); Frazzini and
    Pedersen, "Betting against beta", 2014, for weights linear in ranks and for a volatility over one year of which 120
    days must be there. The year is one of the desk's own bars; where that has more than 10,000 it abstains.

    What is known: decades in all large stock markets, and in futures. It is a bet on low beta and on dear, defensive
    businesses; after controls much less is left, and the gain lies in the small and illiquid (Novy-Marx and Velikov,
    "Betting against betting against beta", 2022). It lags in strong rises. It trades little, and costs little.
    """

    name = "LowVolatility"
    in_months = True

    def __init__(self, year_bars: int = YEAR_BARS, parameters: LowVolatilityParameters | None = None) -> None:
        self.parameters = parameters or LowVolatilityParameters()
        self._span = round(year_bars * self.parameters.span_months / 12)
        self._too_long = self._span > MOST_REMEMBERED_BARS
        self.bars_needed = 1 if self._too_long else self._span + LONGEST_GAP_BARS + 2

    def signals(self, panel: Panel) -> Signals:
        missing = np.full(panel.close.shape, np.nan)
        if self._too_long:
            return pack_signals(panel, missing, missing, {})
        size = volatility(panel.close, self._span, self._span // 2)
        place = place_among_symbols(np.where(np.isfinite(panel.close), size, np.nan))
        return pack_signals(panel, -place, np.ones(place.shape), {"volatility": size, "place": place})

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        return (
            f"{direction(strength)}: moves {evidence['volatility']:.2%} a bar over a year, place among its peers"
            f" {evidence['place']:+.2f} (-1 calmest, +1 wildest)"
        )

    def why_abstained(self) -> str:
        if self._too_long:
            return f"a year of these bars is longer than the {MOST_REMEMBERED_BARS:,} that it remembers"
        return f"fewer than three symbols with {self._span // 2} bars of the last {self._span}, or no bar"
