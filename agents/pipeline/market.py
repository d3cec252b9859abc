"""bars -> what agents see (adjusted panel) and what sizing needs (volatility)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agents.core.types import Bars, Booleans, Floats, Integers, Panel, Times
from agents.quant.indicators import volatility
from agents.quant.regimes import REGIME_BARS, regimes_of


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


def tradable(bars: Bars, delay_s: float) -> Bars:
    """The bars as orders meet them, where a bar is published `delay_s` seconds after its close: a symbol's order is
    decided when its bar before was available, so where the next one had opened by then, the first price that the data
    have for it is that bar's close, which stands for its open."""
    if delay_s == 0.0:
        return bars
    return replace(bars, open=np.where(opened_before(bars, delay_s), bars.close, bars.open))


def opened_before(bars: Bars, delay_s: float) -> Booleans:
    """Which bars [T, S] opened before the bar before of their symbol was published, `delay_s` seconds after its
    close."""
    if delay_s == 0.0:
        return np.zeros(bars.open.shape, dtype=bool)
    there, stamps = np.isfinite(bars.close), bars.time.astype("datetime64[us]").astype(np.int64)
    never = np.iinfo(np.int64).min // 2
    newest = np.maximum.accumulate(np.where(there, stamps[:, None], never), axis=0)
    published = np.vstack([np.full((1, len(bars.symbols)), never), newest[:-1]]) + round(delay_s * 1e6)
    return there & (bars.opened.astype("datetime64[us]").astype(np.int64)[:, None] < published)


def days_of(time: Times) -> Integers:
    """The days (UTC) of some times [n], since 1970."""
    return time.astype("datetime64[D]").astype(np.int64)


def months_of(time: Times) -> Integers:
    """The months of some times [n], since 1970."""
    return time.astype("datetime64[M]").astype(np.int64)


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


def newest_regime(panel: Panel) -> Integers:
    """[1] the market's regime at the last bar of a panel (`core/regimes.py`)."""
    return regimes_of(panel.close[-REGIME_BARS:])[-1:]
