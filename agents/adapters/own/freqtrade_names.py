"""What a freqtrade strategy imports, for those who have not installed freqtrade: the names of its public documentation
that need nothing but pandas. Where freqtrade is installed, it is used instead.

Written from the documentation (freqtrade.io: strategy customization, hyperopt), not from freqtrade's code. What is not
here says so at the import.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, TypeVar

import pandas as pd

from agents.adapters.own import freqtrade_indicators
from agents.adapters.own.timeframes import timeframe_to_minutes, timeframe_to_seconds

Value = TypeVar("Value")
Informed = Callable[..., pd.DataFrame]


class Parameter(Generic[Value]):
    """A parameter that hyperopt would search over; here it is its default, or what `buy_params`, `sell_params` and the
    like of its strategy say."""

    def __init__(self, default: Value, *, load: bool = True) -> None:
        self.value, self.load = default, load

    @property
    def range(self) -> Sequence[Value]:
        """The values to prepare indicators for: outside hyperopt the one in use."""
        return [self.value]


class IntParameter(Parameter[int]):
    """A whole number from `low` to `high`."""

    def __init__(self, low: Any, high: Any = None, *, default: int, load: bool = True, **_search: Any) -> None:
        self.low, self.high = low, high
        super().__init__(default, load=load)


class RealParameter(Parameter[float]):
    """A number from `low` to `high`."""

    def __init__(self, low: Any, high: Any = None, *, default: float, load: bool = True, **_search: Any) -> None:
        self.low, self.high = low, high
        super().__init__(default, load=load)


class DecimalParameter(RealParameter):
    """A number of at most `decimals` decimals."""

    def __init__(
        self, low: Any, high: Any = None, *, default: float, decimals: int = 3, load: bool = True, **_search: Any
    ) -> None:
        super().__init__(low, high, default=round(default, decimals), load=load)


class CategoricalParameter(Parameter[Any]):
    """One of `categories`; the first, where no default is given."""

    def __init__(self, categories: Sequence[Any], *, default: Any = None, load: bool = True, **_search: Any) -> None:
        self.opt_range = [*categories]
        super().__init__(categories[0] if default is None else default, load=load)


class BooleanParameter(CategoricalParameter):
    """True or false."""

    def __init__(self, *, default: Any = None, load: bool = True, **_search: Any) -> None:
        super().__init__([True, False], default=default, load=load)


class IStrategy:
    """The base of a strategy: its settings' defaults, and methods that do nothing until a strategy writes its own."""

    INTERFACE_VERSION = 3
    timeframe = ""
    can_short = False
    startup_candle_count = 0
    minimal_roi: Mapping[str, float] = {}
    stoploss = -1.0
    dp: Any = None
    wallets: Any = None

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:  # noqa: ARG002
        """The frame with indicators."""
        return dataframe

    def informative_pairs(self) -> list[Any]:
        """Other frames that it reads; all of the desk's are there without asking."""
        return []


@dataclass(frozen=True)
class Informative:
    """A frame of a longer timeframe that a method makes indicators on."""

    timeframe: str
    asset: str
    fmt: Any
    ffill: bool


def informative(
    timeframe: str, asset: str = "", fmt: Any = None, *, candle_type: Any = None, ffill: bool = True
) -> Callable[[Informed], Informed]:
    """Marks a method that makes indicators on a longer timeframe, which are merged before `populate_indicators`."""

    def mark(method: Informed) -> Informed:
        marked = [*getattr(method, "_ft_informative", []), Informative(timeframe, asset, fmt, ffill)]
        method._ft_informative = marked  # type: ignore[attr-defined]  # freqtrade's own name for it
        return method

    if candle_type:
        raise ImportError(f"informative: candle_type '{candle_type}' is not honoured; the desk has one kind of bars")
    return mark


def merge_informative_pair(
    dataframe: pd.DataFrame,
    informative: pd.DataFrame,
    timeframe: str,
    timeframe_inf: str,
    ffill: bool = True,
    **naming: Any,
) -> pd.DataFrame:
    """`dataframe` with the columns of a longer timeframe's frame, named `COLUMN_TIMEFRAME`; each row sees the newest
    candle that was over when its own was (without `ffill` only the row that ends with it). `naming` are
    `append_timeframe`, `suffix` (in the place of the timeframe) and `date_column`."""
    suffix, date_column = naming.get("suffix"), naming.get("date_column", "date")
    minutes, longer = timeframe_to_minutes(timeframe), timeframe_to_minutes(timeframe_inf)
    if longer < minutes:
        raise ValueError(f"a frame of {timeframe_inf} cannot be merged into one of {timeframe}, which is longer")
    ending = f"_{suffix}" if suffix else f"_{timeframe_inf}" if naming.get("append_timeframe", True) else ""
    known = _plain(informative[date_column]) + pd.Timedelta(minutes=longer - minutes)
    right = informative.rename(columns={name: f"{name}{ending}" for name in informative.columns})
    right = right.assign(_known=known.to_numpy()).sort_values("_known")
    left = dataframe.assign(_known=_plain(dataframe[date_column]).to_numpy())
    if ffill:
        merged = pd.merge_asof(left, right, on="_known", direction="backward")
    else:
        merged = left.merge(right, on="_known", how="left")
    return merged.drop(columns="_known")


def _plain(dates: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """UTC, in one resolution and without its zone, so that frames of any length can be merged by it."""
    return pd.to_datetime(dates, utc=True).dt.tz_localize(None).astype("datetime64[us]")


class _Elsewhere:
    """A name that strategies import for callbacks, which are not run here."""

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        raise NotImplementedError(f"freqtrade's {type(self).__name__} exists only where freqtrade trades")


class Trade(_Elsewhere):
    """A trade on an exchange."""


class Order(_Elsewhere):
    """An order on an exchange."""


class PairLocks(_Elsewhere):
    """Pairs that may not be traded for a while."""


class DataProvider(_Elsewhere):
    """Data of an exchange."""


# ---------------------------------------------------------------- modules


class _Module(ModuleType):
    """A module that says what it lacks."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(
            f"{self.__name__}.{name} is not among what Quorum knows of freqtrade; install freqtrade itself:"
            " pip install freqtrade"
        )


_STRATEGY = {
    kind.__name__: kind
    for kind in (
        IStrategy,
        IntParameter,
        RealParameter,
        DecimalParameter,
        CategoricalParameter,
        BooleanParameter,
        informative,
        merge_informative_pair,
        timeframe_to_minutes,
        timeframe_to_seconds,
    )
}
_PERSISTENCE = {"Trade": Trade, "Order": Order, "PairLocks": PairLocks}
_INDICATORS = {name: getattr(freqtrade_indicators, name) for name in freqtrade_indicators.__all__}
MODULES: dict[str, dict[str, Any]] = {
    "freqtrade": {},
    "freqtrade.strategy": _STRATEGY | _PERSISTENCE | {"DataProvider": DataProvider},
    "freqtrade.strategy.interface": {"IStrategy": IStrategy},
    "freqtrade.strategy.parameters": {name: kind for name, kind in _STRATEGY.items() if name.endswith("Parameter")},
    "freqtrade.persistence": _PERSISTENCE,
    "freqtrade.data": {},
    "freqtrade.data.dataprovider": {"DataProvider": DataProvider},
    "freqtrade.exchange": {"timeframe_to_minutes": timeframe_to_minutes, "timeframe_to_seconds": timeframe_to_seconds},
    "freqtrade.vendor": {},
    "freqtrade.vendor.qtpylib": {},
    "freqtrade.vendor.qtpylib.indicators": _INDICATORS,
}


def stand_in() -> bool:
    """Put these names where a strategy imports them from; False, and nothing is done, where freqtrade is installed."""
    if "freqtrade" not in sys.modules and importlib.util.find_spec("freqtrade") is not None:
        return False
    modules = dict(MODULES)
    if "technical" not in sys.modules and importlib.util.find_spec("technical") is None:
        modules |= {"technical": {}, "technical.qtpylib": _INDICATORS}
    for name, content in modules.items():
        made = _Module(name)
        made.__dict__.update(content, __path__=[])
        sys.modules[name] = made
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, made)
    return True
