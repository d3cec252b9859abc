"""Momentum: what rose over the last year, its last month left out, is expected to go on; alone and among its peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Panel, Signals
from agents.quant.indicators import LONGEST_GAP_BARS
from agents.quant.momentum import past_change, place_among_symbols, standard_change
from agents.quant.votes import alone_and_among_peers
from agents.trading.base import MOST_REMEMBERED_BARS, YEAR_BARS, TradingAgent, direction, pack_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentumParameters:
    """Months, in the desk's own bars."""

    span_months: int = 12
    skipped_months: int = 1


class Momentum(TradingAgent):
    """Two votes in [-1, 1], equally weighted, on the return from 12 months to 1 month ago:

    * on its own: the return in its standard deviations, cut at 1. Source: Moskowitz, Ooi, Pedersen, "Time series
      momentum", 2012 (12 months); the continuous form is that of Baltas and Kosowski, "Demystifying time-series
      momentum strategies", 2020.
    * among its peers: from -1 for the worst return to +1 for the best, in equal steps. Sources: Jegadeesh and Titman,
      "Returns to buying winners and selling losers", 1993 (3 to 12 months, losers sold); linear in ranks as in Asness,
      Moskowitz, Pedersen, "Value and momentum everywhere", 2013, which also has the left-out month. With fewer than
      three symbols there are no peers, and the first vote speaks alone.

    Confidence is the votes' agreement. Every parameter is the papers'. A month is a twelfth of the desk's own year of
    bars, whatever their interval; where a year has more than 10,000 bars it abstains.

    What is known: it was there in two centuries and in all classes of assets (Geczy and Samonov 2016; Hurst, Ooi,
    Pedersen 2017); what is published loses about half (McLean and Pontiff 2016). It crashes when a fallen market turns,
    by its losers (Daniel and Moskowitz 2016). Costs take a part of it, not all (Frazzini, Israel, Moskowitz 2018).
    """

    name = "Momentum"
    in_months = True

    def __init__(self, year_bars: int = YEAR_BARS, parameters: MomentumParameters | None = None) -> None:
        self.parameters = parameters or MomentumParameters()
        self._span = round(year_bars * self.parameters.span_months / 12)
        self._skip = round(year_bars * self.parameters.skipped_months / 12)
        self._too_long = self._span > MOST_REMEMBERED_BARS
        self.bars_needed = 1 if self._too_long else self._span + LONGEST_GAP_BARS + 2

    def signals(self, panel: Panel) -> Signals:
        if self._too_long:
            missing = np.full(panel.close.shape, np.nan)
            return pack_signals(panel, missing, missing, {})
        change = past_change(panel.close, self._span, self._skip)
        own = standard_change(change, panel.close, self._span, self._skip)
        among = place_among_symbols(np.where(np.isfinite(own) & np.isfinite(panel.close), change, np.nan))
        strength, agreed = alone_and_among_peers(own, among)
        return pack_signals(panel, strength, agreed, {"change": change, "own": own, "among": among})

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        peers = f", place among its peers {evidence['among']:+.2f}" if np.isfinite(evidence["among"]) else ", no peers"
        return f"{direction(strength)}: {np.expm1(evidence['change']):+.0%} in a year to a month ago{peers}"

    def why_abstained(self) -> str:
        if self._too_long:
            return f"a year of these bars is longer than the {MOST_REMEMBERED_BARS:,} that it remembers"
        return f"no bar, or fewer than {self._span} bars of history yet"
