"""bars -> what agents see (adjusted panel) and what sizing needs (volatility)."""

from __future__ import annotations

import numpy as np

from agents.core.types import Bars, Floats, Panel
from agents.quant.indicators import volatility


def panel_of(bars: Bars) -> Panel:
    """The adjusted panel of raw bars: prices times the adjustment factor, volume as traded; suspect bars are not in
    it."""
    bars = bars.believed()
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


def known_volume(bars: Bars) -> Floats:
    """Volumes [T, S] that limit fills; NaN where none is known: none is given, or 0 for a bar whose price moved, as
    feeds without volumes write it (currencies). A bar of one price and no volume is one in which nothing traded."""
    return np.where((bars.volume == 0.0) & (bars.high > bars.low), np.nan, bars.volume)


def volume_note(bars: Bars) -> str:
    """Names the symbols that have bars and in none of them a known volume, and what follows; "" where there are none.
    A desk's first decision says it."""
    volume, there = np.isfinite(known_volume(bars)).any(axis=0), np.isfinite(bars.close).any(axis=0)
    names = ", ".join(bars.symbols[s] for s in np.flatnonzero(there & ~volume))
    return names and f"no volume is known of {names}: it does not limit their fills"


def bar_volatility(panel: Panel, window_bars: int) -> Floats:
    """Volatility of one bar's log return, [T, S], over the last `window_bars`; NaN until half of them are there."""
    return volatility(panel.close, window_bars, window_bars // 2)
