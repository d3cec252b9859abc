"""Prices [T] -> what traders draw beside them, by the usual lengths; NaN while too little is known. Pure.

For the eye only: agents compute their own. Sources: Bollinger, "Bollinger on Bollinger Bands" (2001); Hosoda's Ichimoku
Kinko Hyo (9, 26, 52); Wilder, "New Concepts in Technical Trading Systems" (1978); Appel's MACD (12, 26, 9).
"""

from __future__ import annotations

import numpy as np

from agents.core.types import Floats

BAND, WIDTH = 20, 2.0
CONVERSION, BASE, SPAN = 9, 26, 52
STRENGTH = 14
FAST, SLOW, SIGNAL = 12, 26, 9
MEMORY = 150
"""So many candles before the first that is shown are asked for, so that no line begins late."""


def studies(high: Floats, low: Floats, close: Floats) -> dict[str, Floats]:
    """All of them by name."""
    mean, deviation = _rolling(close, BAND)
    conversion, base = _middle(high, low, CONVERSION), _middle(high, low, BASE)
    fast, slow = _exponential(close, 2.0 / (FAST + 1)), _exponential(close, 2.0 / (SLOW + 1))
    line = fast - slow
    signal = _exponential(line, 2.0 / (SIGNAL + 1))
    return {
        "band_middle": mean,
        "band_upper": mean + WIDTH * deviation,
        "band_lower": mean - WIDTH * deviation,
        "conversion": conversion,
        "base": base,
        "span_a": _later((conversion + base) / 2.0, BASE),
        "span_b": _later(_middle(high, low, SPAN), BASE),
        "rsi": _strength(close),
        "macd": line,
        "macd_signal": signal,
    }


def _windows(values: Floats, length: int) -> Floats:
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, length))


def _rolling(values: Floats, length: int) -> tuple[Floats, Floats]:
    """Mean and population deviation of the last `length`."""
    result = np.full((2, len(values)), np.nan)
    if len(values) >= length:
        windows = _windows(values, length)
        result[0, length - 1 :], result[1, length - 1 :] = windows.mean(axis=1), windows.std(axis=1)
    return result[0], result[1]


def _middle(high: Floats, low: Floats, length: int) -> Floats:
    """Half way between the highest and the lowest price of the last `length`."""
    result = np.full(len(high), np.nan)
    if len(high) >= length:
        result[length - 1 :] = (_windows(high, length).max(axis=1) + _windows(low, length).min(axis=1)) / 2.0
    return result


def _later(values: Floats, by: int) -> Floats:
    """What was known `by` candles before."""
    result = np.full(len(values), np.nan)
    result[by:] = values[: max(0, len(values) - by)]
    return result


def _exponential(values: Floats, share: float) -> Floats:
    """An exponential mean that begins with the first value, and takes `share` of each new one."""
    result = np.empty(len(values))
    mean = values[0] if len(values) else 0.0
    for k, value in enumerate(values.tolist()):
        mean += share * (value - mean)
        result[k] = mean
    return result


def _strength(close: Floats) -> Floats:
    """Wilder's relative strength index, 0 to 100; 50 where nothing moved."""
    moves = np.diff(close, prepend=close[:1])
    gain = _exponential(np.maximum(moves, 0.0), 1.0 / STRENGTH)
    loss = _exponential(np.maximum(-moves, 0.0), 1.0 / STRENGTH)
    whole = gain + loss
    result = np.full(len(close), 50.0)
    np.divide(100.0 * gain, whole, out=result, where=whole > 0.0)
    result[:STRENGTH] = np.nan
    return result
