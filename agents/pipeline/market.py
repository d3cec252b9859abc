"""bars -> what agents see (adjusted panel) and what sizing needs (volatility)."""

from __future__ import annotations

from agents.core.types import Bars, Floats, Panel
from agents.quant.indicators import volatility


def panel_of(bars: Bars) -> Panel:
    """The adjusted panel of raw bars: prices times the adjustment factor, volume as traded."""
    return Panel(
        time=bars.time,
        symbols=bars.symbols,
        open=bars.open * bars.adjustment,
        high=bars.high * bars.adjustment,
        low=bars.low * bars.adjustment,
        close=bars.close * bars.adjustment,
        volume=bars.volume,
        exogenous=bars.exogenous,
    )


def bar_volatility(panel: Panel, window_bars: int) -> Floats:
    """Volatility of one bar's log return, [T, S], over the last `window_bars`; NaN until half of them are there."""
    return volatility(panel.close, window_bars, window_bars // 2)
