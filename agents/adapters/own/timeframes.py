"""Timeframes as freqtrade writes them (5m, 1h, 1d, 1w), and candles of a longer one made of shorter ones."""

from __future__ import annotations

import re

import pandas as pd

UNITS_MINUTES = {"m": 1, "h": 60, "d": 1440, "w": 10080}
DESK_MINUTES = (1, 5, 15, 30, 60, 240, 1440)
"""The intervals that a desk's bars may have."""
MONDAY = pd.Timedelta(days=4)
"""From the beginning of 1970, a Thursday, to the first Monday."""


def timeframe_to_minutes(timeframe: str) -> int:
    """5m -> 5; ValueError for what is no timeframe of minutes, hours, days or weeks."""
    match = re.fullmatch(r"([1-9]\d{0,3})([mhdw])", str(timeframe))
    if match is None:
        raise ValueError(f"'{timeframe}' is no timeframe such as 5m, 1h, 1d or 1w")
    return int(match[1]) * UNITS_MINUTES[match[2]]


def timeframe_to_seconds(timeframe: str) -> int:
    """5m -> 300."""
    return 60 * timeframe_to_minutes(timeframe)


def opened(closed: pd.DatetimeIndex, minutes: int) -> pd.Series[pd.Timestamp]:
    """When the candles opened, on the timeframe's grid, that closed then."""
    return _floored(pd.Series(closed).reset_index(drop=True) - pd.Timedelta(microseconds=1), minutes)


def _floored(times: pd.Series[pd.Timestamp], minutes: int) -> pd.Series[pd.Timestamp]:
    """The newest point of a timeframe's grid at or before each time; weeks begin on Mondays, days at midnight UTC."""
    shift = MONDAY if minutes % UNITS_MINUTES["w"] == 0 else pd.Timedelta(0)
    return (times - shift).dt.floor(pd.Timedelta(minutes=minutes)) + shift


def whole_candle(frame: pd.DataFrame, minutes: int) -> pd.DataFrame:
    """Candles of `minutes` from shorter ones with a column `date`. The first is left out: it may lack its beginning,
    and so would hang on where the data begin."""
    group = _floored(frame["date"], minutes).dt.tz_localize(None).to_numpy()
    grouped = frame.groupby(group, sort=True)
    longer = grouped.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    longer.insert(0, "date", pd.DatetimeIndex(longer.index).tz_localize("UTC"))
    return longer.iloc[1:].reset_index(drop=True)
