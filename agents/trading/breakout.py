"""Breakout: where the price stands in its Donchian channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agents.core.types import Floats, Panel, Signals
from agents.quant.votes import mean_place, place_between
from agents.quant.windows import rolling_extreme
from agents.trading.base import TradingAgent, direction, pack_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakoutParameters:
    """Channel lengths in bars: R. Dennis' turtles entered at 20 and 55, 120 continues their steps."""

    windows: tuple[int, ...] = (20, 55, 120)


class Breakout(TradingAgent):
    """Mean over the channels of 2 * position - 1, where position is 0 at the lowest low and 1 at the highest high
    of the window (the channel includes the newest bar). Source: R. Donchian's channel; the continuous form follows
    R. Carver, Advanced Futures Trading Strategies, 2023. Confidence is the channels' agreement in sign times
    how close the price is to an edge. Lengths are bars, whatever their interval.

    What is known: as for every trend rule, a century in futures with long dull times (Hurst, Ooi, Pedersen 2017), less
    in single stocks, where the costs of many small changes weigh; it earns in few large moves.
    """

    name = "Breakout"

    def __init__(self, parameters: BreakoutParameters | None = None) -> None:
        self.parameters = parameters or BreakoutParameters()
        self.bars_needed = max(self.parameters.windows) + 1

    def signals(self, panel: Panel) -> Signals:
        places = [_place(panel, window) for window in self.parameters.windows]
        strength, agreed, edge = mean_place(places)
        evidence = {f"c{w}": p for w, p in zip(self.parameters.windows, places, strict=True)}
        return pack_signals(panel, strength, agreed * edge, evidence)

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        shown = ", ".join(f"{name[1:]} bars {place:+.2f}" for name, place in evidence.items())
        return f"{direction(strength)}: place in the channels (-1 low, +1 high): {shown}"


def _place(panel: Panel, window: int) -> Floats:
    high = rolling_extreme(panel.high, window, window // 2, 1.0)
    low = rolling_extreme(panel.low, window, window // 2, -1.0)
    return place_between(panel.close, low, high)
