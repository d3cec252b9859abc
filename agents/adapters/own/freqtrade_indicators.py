"""The helpers that freqtrade's strategies know as `qtpylib`: crossings, typical price, bands. Of pandas alone."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd

__all__ = [
    "atr",
    "awesome_oscillator",
    "bollinger_bands",
    "crossed",
    "crossed_above",
    "crossed_below",
    "ema",
    "heikinashi",
    "macd",
    "rolling_max",
    "rolling_mean",
    "rolling_min",
    "rolling_std",
    "rsi",
    "sma",
    "true_range",
    "typical_price",
]
Line: TypeAlias = "pd.Series[float]"


def crossed_above(series1: Line, series2: Line | float) -> pd.Series[bool]:
    """True where the first is above the second, and was not one bar before."""
    return crossed(series1, series2, "above")


def crossed_below(series1: Line, series2: Line | float) -> pd.Series[bool]:
    """True where the first is below the second, and was not one bar before."""
    return crossed(series1, series2, "below")


def crossed(series1: Line, series2: Line | float, direction: str | None = None) -> pd.Series[bool]:
    """Crossings `above`, `below`, or either way."""
    one = pd.Series(series1)
    other = pd.Series(series2) if np.ndim(series2) else pd.Series(series2, index=one.index, dtype=float)
    above = (one > other) & (one.shift(1) <= other.shift(1))
    below = (one < other) & (one.shift(1) >= other.shift(1))
    if direction is None:
        return above | below
    return above if direction == "above" else below


def typical_price(bars: pd.DataFrame) -> Line:
    """The mean of high, low and close."""
    return (bars["high"] + bars["low"] + bars["close"]) / 3.0


def rolling_mean(series: Line, window: int = 200, min_periods: int | None = None) -> Line:
    """The mean of the newest `window` values."""
    return pd.Series(series).rolling(window, min_periods=min_periods or window).mean()


def rolling_std(series: Line, window: int = 200, min_periods: int | None = None) -> Line:
    """Their standard deviation (over n - 1)."""
    return pd.Series(series).rolling(window, min_periods=min_periods or window).std()


def rolling_min(series: Line, window: int = 14, min_periods: int | None = None) -> Line:
    """The least of them."""
    return pd.Series(series).rolling(window, min_periods=min_periods or window).min()


def rolling_max(series: Line, window: int = 14, min_periods: int | None = None) -> Line:
    """The largest of them."""
    return pd.Series(series).rolling(window, min_periods=min_periods or window).max()


sma = rolling_mean


def ema(series: Line, window: int = 200, min_periods: int | None = None) -> Line:
    """The exponential mean of span `window`."""
    return pd.Series(series).ewm(span=window, min_periods=min_periods or window).mean()


def bollinger_bands(series: Line, window: int = 20, stds: float = 2) -> pd.DataFrame:
    """`upper`, `mid` and `lower`: the mean, and `stds` deviations beside it."""
    mid, deviation = rolling_mean(series, window), rolling_std(series, window)
    return pd.DataFrame({"upper": mid + stds * deviation, "mid": mid, "lower": mid - stds * deviation})


def true_range(bars: pd.DataFrame) -> Line:
    """The largest of high less low, and of either's distance from the close before."""
    before = bars["close"].shift(1)
    parts = [bars["high"] - bars["low"], (bars["high"] - before).abs(), (bars["low"] - before).abs()]
    return pd.concat(parts, axis=1).max(axis=1)


def atr(bars: pd.DataFrame, window: int = 14, exp: bool = False) -> Line:
    """The mean true range, exponential where asked."""
    return ema(true_range(bars), window) if exp else rolling_mean(true_range(bars), window)


def awesome_oscillator(bars: pd.DataFrame, weighted: bool = False, fast: int = 5, slow: int = 34) -> Line:
    """The middle of the bars' ranges, its quick mean less its slow one; exponential means where `weighted`."""
    middle, mean = (bars["high"] + bars["low"]) / 2.0, ema if weighted else rolling_mean
    return mean(middle, fast) - mean(middle, slow)


def rsi(series: Line, window: int = 14) -> Line:
    """Wilder's relative strength, 0 to 100."""
    change = pd.Series(series).diff()
    gain = change.clip(lower=0.0).ewm(alpha=1.0 / window, min_periods=window).mean()
    loss = (-change.clip(upper=0.0)).ewm(alpha=1.0 / window, min_periods=window).mean()
    return 100.0 * gain / (gain + loss)


def macd(series: Line, fast: int = 3, slow: int = 10, smooth: int = 16) -> pd.DataFrame:
    """`macd`, its `signal` line, and the `histogram` between them."""
    line = ema(series, fast) - ema(series, slow)
    signal = ema(line, smooth)
    return pd.DataFrame({"macd": line, "signal": signal, "histogram": line - signal})


def heikinashi(bars: pd.DataFrame) -> pd.DataFrame:
    """Candles whose close is the mean of the four prices, and whose open the middle of the candle before."""
    close = ((bars["open"] + bars["high"] + bars["low"] + bars["close"]) / 4.0).to_numpy()
    opened = np.empty(len(bars))
    for row in range(len(bars)):
        opened[row] = bars["open"].iloc[0] if row == 0 else (opened[row - 1] + close[row - 1]) / 2.0
    frame = pd.DataFrame({"open": opened, "close": close}, index=bars.index)
    frame["high"] = pd.concat([bars["high"], frame["open"], frame["close"]], axis=1).max(axis=1)
    frame["low"] = pd.concat([bars["low"], frame["open"], frame["close"]], axis=1).min(axis=1)
    return frame[["open", "high", "low", "close"]]
