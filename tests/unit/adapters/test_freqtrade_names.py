"""The stand-in for freqtrade's names, held to what freqtrade's documentation says of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agents.adapters.own import freqtrade_indicators as qtpylib
from agents.adapters.own.freqtrade_names import BooleanParameter, CategoricalParameter, merge_informative_pair
from agents.adapters.own.notes import notes_of
from agents.adapters.own.timeframes import opened, timeframe_to_minutes, whole_candle
from agents.core.own_strategies import strategy_of
from tests import own_strategies

HOURS = pd.DataFrame(
    {
        "date": pd.date_range("2024-01-01 22:00", periods=52, freq="h", tz="UTC"),
        **{name: np.arange(52.0) for name in ("open", "high", "low", "close", "volume")},
    }
)


def test_a_longer_candle_is_seen_from_the_row_that_ends_with_it_and_no_earlier():
    days = whole_candle(HOURS, 1440)
    assert days["date"].dt.day.tolist() == [2, 3, 4]  # the first, of which two hours are known, is left out
    assert days["volume"].iloc[0] == sum(range(2, 26)) and days["open"].iloc[0] == 2.0 and days["close"].iloc[0] == 25.0
    merged = merge_informative_pair(HOURS, days, "1h", "1d", ffill=True)
    seen = merged["close_1d"]
    assert seen.iloc[:25].isna().all() and (seen.iloc[25:49] == 25.0).all() and (seen.iloc[49:] == 49.0).all()
    assert list(merged["date_1d"].dropna().dt.day.unique()) == [2, 3] and len(merged) == len(HOURS)
    exact = merge_informative_pair(HOURS, days, "1h", "1d", ffill=False, suffix="day")["close_day"]
    assert exact.dropna().index.tolist() == [25, 49]
    with pytest.raises(ValueError, match="which is longer"):
        merge_informative_pair(HOURS, days, "1d", "1h")


def test_candles_open_on_the_grid_of_their_timeframe_and_weeks_on_mondays():
    closes = pd.DatetimeIndex(["2024-01-02 21:00", "2024-01-03 00:00"], tz="UTC")
    assert opened(closes, 1440).dt.day.tolist() == [2, 2]
    assert opened(closes, 60).dt.hour.tolist() == [20, 23]
    assert opened(closes, timeframe_to_minutes("1w")).dt.date.astype(str).tolist() == ["2024-01-01"] * 2
    with pytest.raises(ValueError, match="'1M' is no timeframe"):
        timeframe_to_minutes("1M")


def test_crossings_and_bands_are_what_their_names_say():
    line = pd.Series([1.0, 3.0, 3.0, 1.0, 2.0, 4.0])
    assert qtpylib.crossed_above(line, 2.0).tolist() == [False, True, False, False, False, True]
    assert qtpylib.crossed_below(line, pd.Series(2.0, line.index)).tolist() == [False, False, False, True, False, False]
    bands = qtpylib.bollinger_bands(line, window=3, stds=2)
    assert bands["mid"].iloc[2] == pytest.approx(7.0 / 3.0) and np.isnan(bands["mid"].iloc[1])
    assert bands["upper"].iloc[2] - bands["mid"].iloc[2] == pytest.approx(2.0 * np.std([1.0, 3.0, 3.0], ddof=1))
    bars = pd.DataFrame({"open": [1.0, 2.0], "high": [3.0, 6.0], "low": [1.0, 2.0], "close": [2.0, 4.0]})
    assert qtpylib.typical_price(bars).tolist() == [2.0, 4.0] and qtpylib.true_range(bars).tolist() == [2.0, 4.0]
    assert qtpylib.heikinashi(bars)["close"].tolist() == [1.75, 3.5]
    assert qtpylib.heikinashi(bars)["open"].tolist() == [1.0, (1.0 + 1.75) / 2.0]
    assert qtpylib.rsi(pd.Series(np.arange(30.0))).iloc[-1] == 100.0
    for name in qtpylib.__all__:
        assert callable(getattr(qtpylib, name)), name


def test_a_parameter_is_its_default_and_its_range_that_alone():
    chosen = CategoricalParameter(["rsi", "ema"], default="ema", space="buy", optimize=True)
    assert chosen.value == "ema" and list(chosen.range) == ["ema"]
    assert BooleanParameter(default=False).value is False and CategoricalParameter([3, 4]).value == 3


def test_what_is_not_honoured_and_other_candles_are_told(tmp_path):
    file = tmp_path / "CrossFreqtrade.py"
    file.write_text(own_strategies.FREQTRADE)
    assert notes_of(strategy_of(file), "1d") == [
        "not honoured: minimal_roi, stoploss; sizes, stops and orders are the desk's",
        "written for candles of 5m; the desk's bars are of 1d",
    ]
    assert len(notes_of(strategy_of(file), "5m")) == 1
