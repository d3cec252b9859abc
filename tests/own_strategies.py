"""One strategy written in each way that Quorum reads: long while the mean of 10 closes is above that of 40."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

FUNCTION = """
bars_needed = 60

def positions(bars):
    fast, slow = bars["close"].rolling(10).mean(), bars["close"].rolling(40).mean()
    return (fast > slow).astype(float)
"""
ENTRIES = """
bars_needed = 60

def entries(close):
    fast, slow = close.rolling(10).mean(), close.rolling(40).mean()
    return fast > slow, ~(fast > slow)
"""
FREQTRADE = """
import freqtrade.vendor.qtpylib.indicators as qtpylib
from freqtrade.strategy import DecimalParameter, IntParameter, IStrategy, informative


class CrossFreqtrade(IStrategy):
    timeframe = "5m"
    minimal_roi = {"0": 0.1}
    stoploss = -0.05
    buy_fast = IntParameter(5, 20, default=7, space="buy")
    slow = DecimalParameter(20, 60, default=40.0, space="buy", load=False)
    buy_params = {"buy_fast": 10, "slow": 33}

    @informative("1w")
    def populate_indicators_1w(self, dataframe, metadata):
        dataframe["top"] = dataframe["close"].rolling(4).max()
        return dataframe

    def populate_indicators(self, dataframe, metadata):
        dataframe["fast"] = qtpylib.sma(dataframe["close"], self.buy_fast.value)
        dataframe["slow"] = dataframe["close"].rolling(int(self.slow.value)).mean()
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        up = (dataframe["fast"] > dataframe["slow"]) & (dataframe["volume"] > 0)
        dataframe.loc[up, ["enter_long", "enter_tag"]] = (1, "up")
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[~(dataframe["fast"] > dataframe["slow"]), "exit_long"] = 1
        return dataframe
"""
AGENT = """
import numpy as np
from agents.core.types import Signals

class Cross:
    name, bars_needed = "Cross", 60

    def signals(self, panel):
        def mean(n):
            out = np.full(panel.close.shape, np.nan)
            for row in range(n - 1, len(out)):
                out[row] = panel.close[row + 1 - n : row + 1].mean(axis=0)
            return out
        with np.errstate(invalid="ignore"):
            position = (mean(10) > mean(40)).astype(float)
        return Signals(strength=position, confidence=np.full(position.shape, 0.5), abstained=np.isnan(panel.close))
"""


def expected(panel):
    """The closed form: [T, S] of 0 and 1."""
    close = pd.DataFrame(panel.close)
    return (close.rolling(10).mean() > close.rolling(40).mean()).to_numpy().astype(float)


def signal_rows(panel, positions, *, before_s=0):
    """A table of signals: each bar's position, dated `before_s` seconds before its close."""
    lines = ["time,symbol,position"]
    for row, close in enumerate(panel.time):
        for column, symbol in enumerate(panel.symbols):
            lines.append(f"{close - np.timedelta64(before_s, 's')}Z,{symbol},{positions[row, column]:g}")
    return "\n".join(lines) + "\n"


def write(folder: Path, panel) -> dict[str, Path]:
    """All of them as files, by what each is."""
    texts = {
        "cross_function.py": FUNCTION,
        "cross_entries.py": ENTRIES,
        "CrossFreqtrade.py": FREQTRADE,
        "cross_class.py": AGENT,
        "cross_signals.csv": signal_rows(panel, expected(panel), before_s=1),
    }
    files = {}
    for name, text in texts.items():
        files[name] = folder / name
        files[name].write_text(text)
    return files
