"""What `quorum agent new` writes: for each kind of strategy a file that works at once, to be changed."""

from __future__ import annotations

from agents.core.own_strategies import Kind

FUNCTION = '''"""{name}: one symbol's bars -> its positions. Try it: quorum agent check {file}"""

import pandas as pd

bars_needed = 200  # a position may depend on so many bars before it, and on no others


def positions(bars: pd.DataFrame) -> pd.Series:
    """From -1 (short) to 1 (long), NaN where there is no opinion, on the index of `bars`.

    `bars` has open, high, low, close and volume (adjusted); its index are the closes of the bars, in UTC. The desk acts
    on a bar's position after that bar; its sizes, limits and costs are the desk's.
    """
    fast = bars["close"].rolling(20).mean()
    slow = bars["close"].rolling(100).mean()
    position = (fast > slow).astype(float)
    return position.where(slow.notna())
'''
ENTRIES = '''"""{name}: entries and exits of all symbols, as vectorbt takes them. Try it: quorum agent check {file}"""

import pandas as pd

bars_needed = 200  # an entry may depend on so many bars before it
hold_bars = 500  # a position without another entry is closed after so many bars


def entries(close: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Where to enter and where to leave; two more frames, (.., short_entries, short_exits), may follow.

    Arguments are named after what you want: open, high, low, close, volume, frames with a column for each symbol.
    """
    fast, slow = close.rolling(20).mean(), close.rolling(100).mean()
    above = fast > slow
    before = above.shift(1, fill_value=False)
    return above & ~before, before & ~above
'''
FREQTRADE = '''"""{name}: a strategy of freqtrade, as it is. Try it: quorum agent check {file}"""

import freqtrade.vendor.qtpylib.indicators as qtpylib
from freqtrade.strategy import IntParameter, IStrategy
from pandas import DataFrame


class {class_name}(IStrategy):
    timeframe = "1d"
    startup_candle_count = 100
    minimal_roi = {{"0": 10}}  # not honoured by Quorum: the desk decides about sizes and stops
    stoploss = -0.99  # not honoured either

    buy_fast = IntParameter(5, 50, default=20, space="buy")

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["fast"] = qtpylib.sma(dataframe["close"], self.buy_fast.value)
        dataframe["slow"] = qtpylib.sma(dataframe["close"], 100)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["fast"] > dataframe["slow"], "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["fast"] < dataframe["slow"], "exit_long"] = 1
        return dataframe
'''
SIGNALS = """time,symbol,position
2000-01-03,*,1
2002-07-01,*,0.5
2004-01-05,*,1
2008-01-07,*,0.25
2009-04-01,*,1
2020-01-02,*,1
"""
_RETURNS = (0.004, -0.002, 0.001, 0.003, -0.005, 0.002, 0.0)


def _returns() -> str:
    """Sixty made days."""
    days = [f"2012-{month:02d}-{day:02d}" for month in (1, 2, 3) for day in range(1, 21)]
    return "time,return\n" + "".join(f"{day},{_RETURNS[k % 7]}\n" for k, day in enumerate(days))


def template(kind: Kind, name: str, file: str) -> str:
    """The text of a new file of a kind."""
    if kind is Kind.SIGNALS:
        return SIGNALS
    if kind is Kind.RETURNS:
        return _returns()
    texts = {Kind.FUNCTION: FUNCTION, Kind.ENTRIES: ENTRIES, Kind.FREQTRADE: FREQTRADE}
    class_name = "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_")) or "Strategy"
    class_name = class_name if class_name.isidentifier() else f"Strategy{class_name}"
    return texts[kind].format(name=name, file=file, class_name=class_name)


def file_name(kind: Kind, name: str) -> str:
    """How the file is called, by which its kind is known again."""
    endings = {Kind.SIGNALS: ".csv", Kind.RETURNS: ".returns.csv"}
    return name + endings.get(kind, ".py")
