"""A freqtrade strategy as an agent: its `populate_indicators`, `populate_entry_trend` and `populate_exit_trend` run as
they are, on candles that are the desk's bars; entries and exits become positions of 1, -1 and 0.

Not honoured, since the desk decides about size, stops and orders: `minimal_roi`, `stoploss` and trailing stops, custom
exits and stakes, leverage, protections, and what else a strategy does when freqtrade trades.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from agents.adapters.own.entries_agent import USUAL_HOLD_BARS, positions_of
from agents.adapters.own.frames import PRICES, PositionAgent, SymbolFrame, frame_of, signals_of, truths
from agents.adapters.own.freqtrade_names import merge_informative_pair, stand_in
from agents.adapters.own.function_agent import USUAL_BARS, whole_number
from agents.adapters.own.timeframes import DESK_MINUTES, UNITS_MINUTES, opened, timeframe_to_minutes, whole_candle
from agents.core.agent_code import module_of_file
from agents.core.asking import problem_of
from agents.core.errors import DataError
from agents.core.types import Booleans, Floats, Panel, Signals

LEAST_BARS = 2
EVENTS = (
    (("enter_long", "buy"), ("exit_long", "sell")),
    (("enter_short",), ("exit_short",)),
)
"""Columns of entries and exits, long and short; the old names behind the new."""
STEPS = (
    ("populate_indicators",),
    ("populate_entry_trend", "populate_buy_trend"),
    ("populate_exit_trend", "populate_sell_trend"),
)
"""What is asked, in this order, under its name of today or of before."""
WRITTEN_BY = {
    "populate_entry_trend": ("enter_long", "enter_short", "enter_tag"),
    "populate_exit_trend": ("exit_long", "exit_short", "exit_tag"),
    "populate_buy_trend": ("buy", "enter_short", "enter_tag", "buy_tag"),
    "populate_sell_trend": ("sell", "exit_short", "exit_tag"),
}
PARAMETER_TABLES = ("buy_params", "sell_params", "enter_params", "exit_params", "protection_params")


class FreqtradeAgent(PositionAgent):
    """One strategy. Its memory: `startup_candle_count`, at least USUAL_BARS, and behind them `hold_bars` (an attribute
    of the strategy, USUAL_HOLD_BARS) for the entry that a position comes from."""

    def __init__(self, name: str, file: Path, class_name: str) -> None:
        stand_in()
        strategy_class = getattr(module_of_file(str(file)), class_name)
        self.name = name
        self._strategy: Any = strategy_class({"stake_currency": "", "dry_run": True, "candle_type_def": ""})
        self._hold_bars = whole_number(self._strategy, "hold_bars", USUAL_HOLD_BARS)
        startup = int(getattr(self._strategy, "startup_candle_count", 0) or 0)
        self.bars_needed = max(USUAL_BARS, startup) + self._hold_bars
        _load_parameters(self._strategy)

    def signals(self, panel: Panel) -> Signals:
        """Positions that the strategy's entries and exits lead to, on all bars."""
        strategy, minutes = self._strategy, _minutes_of(panel)
        frames = [frame_of(panel, column) for column in range(len(panel.symbols))]
        candles = {frame.symbol: _candles(frame, minutes) for frame in frames}
        strategy.timeframe = _timeframe(minutes)
        strategy.config["stake_currency"] = panel.symbols[0].partition("/")[2] or "USD"
        strategy.dp = Candles(candles, minutes)
        positions = np.full(panel.close.shape, np.nan)
        for column, frame in enumerate(frames):
            if len(frame.rows) >= LEAST_BARS:
                positions[frame.rows, column] = self._positions(frame.symbol)
                positions[frame.rows[: LEAST_BARS - 1], column] = np.nan  # nobody could be asked about one candle
        return signals_of(panel, positions)

    def _positions(self, pair: str) -> Floats:
        strategy, metadata = self._strategy, {"pair": pair}
        frame = _with_informative(strategy, strategy.dp.get_pair_dataframe(pair), metadata)
        bars = len(frame)
        for steps in STEPS:
            step = next((name for name in steps if name in _written(strategy)), "")
            if step:
                frame = _asked(strategy, step, frame.assign(**_columns_to_write(step, bars)), pair)
            if len(frame) != bars:
                raise DataError(f"{step}({pair}): returned {len(frame):,} of {bars:,} candles; none may be dropped")
        masks = [_event(frame, names) for side in EVENTS for names in side]
        if not getattr(strategy, "can_short", False):
            masks[2:] = [np.zeros(bars, dtype=bool)] * 2
        return positions_of(*masks, hold_bars=self._hold_bars)


class Candles:
    """What a strategy asks its `dp` for: candles of the desk's symbols, of its interval and longer ones."""

    def __init__(self, candles: dict[str, pd.DataFrame], minutes: int) -> None:
        self._candles, self._minutes = candles, minutes
        self.runmode = SimpleNamespace(value="backtest")

    def current_whitelist(self) -> list[str]:
        """All symbols of the desk."""
        return [*self._candles]

    def get_pair_dataframe(self, pair: str, timeframe: str = "", candle_type: str = "") -> pd.DataFrame:  # noqa: ARG002
        """The candles of one symbol; DataError for one that the desk does not trade, or a shorter timeframe."""
        if pair not in self._candles:
            raise DataError(f"the strategy asks for {pair}, which the desk does not trade")
        minutes = timeframe_to_minutes(timeframe) if timeframe else self._minutes
        if minutes < self._minutes:
            raise DataError(f"the strategy asks for candles of {timeframe}; the desk's are {_timeframe(self._minutes)}")
        frame = self._candles[pair]
        return frame.copy() if minutes == self._minutes else whole_candle(frame, minutes)

    ohlcv = historic_ohlcv = get_pair_dataframe

    def __getattr__(self, name: str) -> Any:
        """What else freqtrade's `dp` has: AttributeError, so that `hasattr` says no, with what there is instead."""
        raise AttributeError(
            f"dp.{name} is not supported: a strategy sees candles here, no exchange (dp.get_pair_dataframe,"
            " dp.current_whitelist)"
        )


class _Wanted(NamedTuple):
    """A method on a longer timeframe, and how its columns are named."""

    method: Any
    timeframe: str
    asset: str
    fmt: Any
    ffill: bool


def _with_informative(strategy: Any, frame: pd.DataFrame, metadata: dict[str, str]) -> pd.DataFrame:
    """The candles with the columns of all methods that are marked `@informative`."""
    for wanted in _wanted(strategy):
        pair = _asset(wanted.asset, metadata["pair"], strategy.config["stake_currency"])
        longer = strategy.dp.get_pair_dataframe(pair, wanted.timeframe)
        longer = wanted.method(longer, {"pair": pair, "timeframe": wanted.timeframe})
        base, _, quote = pair.partition("/")
        words = {"asset": pair, "timeframe": wanted.timeframe, "base": base.lower(), "BASE": base.upper()}
        words |= {"quote": quote.lower(), "QUOTE": quote.upper()}
        fmt = wanted.fmt or ("{base}_{quote}_{column}_{timeframe}" if wanted.asset else "{column}_{timeframe}")
        named = {str(name): _named(fmt, str(name), words) for name in longer.columns}
        frame = _merged(strategy, frame, longer, named, wanted)
    return frame


def _merged(
    strategy: Any, frame: pd.DataFrame, longer: pd.DataFrame, named: dict[str, str], wanted: _Wanted
) -> pd.DataFrame:
    """The frame with the longer one's columns under their names."""
    merged = merge_informative_pair(
        frame, longer, strategy.timeframe, wanted.timeframe, wanted.ffill, suffix="informative"
    )
    back = {f"{name}_informative": new for name, new in named.items()}
    return merged[[*frame.columns, *back]].rename(columns=back)


def _wanted(strategy: Any) -> list[_Wanted]:
    """The methods that are marked `@informative`, by freqtrade or by our stand-in."""
    found = []
    for name in dir(type(strategy)):
        method = getattr(type(strategy), name)
        for mark in getattr(method, "_ft_informative", []) if callable(method) else []:
            bound = getattr(strategy, name)
            found.append(_Wanted(bound, mark.timeframe, mark.asset, mark.fmt, mark.ffill))
    return found


def _asset(asset: str, pair: str, stake: str) -> str:
    """The pair that a mark means: "" is the one in hand."""
    base, _, quote = pair.partition("/")
    words = {"stake": stake, "base": base, "BASE": base.upper(), "quote": quote, "QUOTE": quote.upper()}
    return asset.format(**words) if asset else pair


def _named(fmt: Any, column: str, words: dict[str, str]) -> str:
    """A column's name in the strategy's own frame."""
    made = fmt(column=column, **words) if callable(fmt) else fmt.format(column=column, **words)
    return str(made)


def _written(strategy: Any) -> set[str]:
    """The methods that the strategy's own classes define, not those that freqtrade's base has."""
    kinds = [kind for kind in type(strategy).__mro__ if kind is not object and kind.__name__ != "IStrategy"]
    return {name for kind in kinds for name in vars(kind)}


def _asked(strategy: Any, step: str, frame: pd.DataFrame, pair: str) -> pd.DataFrame:
    """One step's frame; DataError, naming the step and the symbol, for what it raises or returns otherwise."""
    try:
        said = getattr(strategy, step)(frame, {"pair": pair})
    except Exception as error:  # a user's code may raise anything
        raise DataError(f"{step}({pair}): {problem_of(error)}") from None
    if not isinstance(said, pd.DataFrame):
        raise DataError(f"{step}({pair}): returned a {type(said).__name__}, expected the frame (return dataframe)")
    return said


def _columns_to_write(step: str, bars: int) -> dict[str, Any]:
    """The columns of a step's events, empty, of any kind of value: pandas cannot make two new ones with
    `dataframe.loc[up, ["enter_long", "enter_tag"]] = (1, "up")` where no row is up."""
    names = WRITTEN_BY.get(step, ())
    return {name: np.full(bars, "" if name.endswith("_tag") else np.nan, dtype=object) for name in names}


def _event(frame: pd.DataFrame, names: tuple[str, ...]) -> Booleans:
    """Where a column of entries or exits is 1; nowhere, where there is none."""
    name = next((name for name in names if name in frame.columns), None)
    if name is None:
        return np.zeros(len(frame), dtype=bool)
    return truths(frame[name].to_numpy(dtype=object), f"column {name}")


# ---------------------------------------------------------------- candles


def _candles(frame: SymbolFrame, minutes: int) -> pd.DataFrame:
    """The bars as freqtrade has them: a column `date`, when the candle opened, and rows counted from 0."""
    bars = frame.bars.reset_index(drop=True)[list(PRICES)]
    bars.insert(0, "date", opened(frame.bars.index, minutes))
    return bars


def _minutes_of(panel: Panel) -> int:
    """The desk's interval, from the usual distance of its bars."""
    if len(panel.time) < LEAST_BARS:
        return 1440
    usual = float(np.median(np.diff(panel.time) / np.timedelta64(1, "m")))
    return min(DESK_MINUTES, key=lambda minutes: abs(np.log(minutes / usual)))


def _timeframe(minutes: int) -> str:
    unit = next(unit for unit in ("d", "h", "m") if minutes % UNITS_MINUTES[unit] == 0)
    return f"{minutes // UNITS_MINUTES[unit]}{unit}"


def _load_parameters(strategy: Any) -> None:
    """What tables such as `buy_params` say of parameters takes the place of their defaults, as freqtrade documents."""
    for table in PARAMETER_TABLES:
        for name, value in (getattr(strategy, table, None) or {}).items():
            parameter: Any = getattr(strategy, name, None)
            if getattr(parameter, "load", False) and hasattr(parameter, "value"):  # freqtrade's parameters, or ours
                parameter.value = value
