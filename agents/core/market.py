"""Market records: bars as they were traded, and the adjusted panel that agents see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from agents.core.arrays import Booleans, Floats, Times

_NOT_GIVEN: Booleans = np.zeros((0, 0), dtype=bool)
_NO_PRICES: Floats = np.zeros((0, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Raw bars of several symbols on one time axis, as they were traded; [T] or [T, S], NaN where there is no bar.

    `time` are the bars' closes, strictly increasing datetime64[us] in UTC, `opened` their opens. `open high low close`
    are unadjusted prices, `volume` units traded. `adjustment` is adjusted close / close, a positive factor of which
    only ratios carry meaning. `split` is the number of new shares for each old one that takes effect before this bar's
    open (1 = none), `dividend` the cash for each share that goes ex before this bar's open (0 = none). `exogenous` maps
    a name to a series known at each bar's close. `delisting` is the price at which a symbol was taken off the market
    before this bar's open (NaN = it was not, as where it is left out). `suspect` marks bars whose price is not believed
    (none, where it is left out). `funding` is the cash for each unit of a perpetual future that was settled since the
    close before and up to this bar's open, `funding_within` that of what is settled after that and before its close
    (negative: longs pay; 0 = none, as where they are left out). `version` is the newest read of files that they come
    from, 0 where reads are not numbered. ValueError where an array has another shape or time does not rise.
    """

    time: Times
    opened: Times
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    adjustment: Floats
    split: Floats
    dividend: Floats
    exogenous: Mapping[str, Floats] = field(default_factory=dict)
    suspect: Booleans = field(default_factory=lambda: _NOT_GIVEN)
    delisting: Floats = field(default_factory=lambda: _NO_PRICES)
    funding: Floats = field(default_factory=lambda: _NO_PRICES)
    funding_within: Floats = field(default_factory=lambda: _NO_PRICES)
    version: int = 0

    def __post_init__(self) -> None:
        if self.suspect is _NOT_GIVEN:  # the dataclass is frozen, and the default hangs on the shape
            object.__setattr__(self, "suspect", np.zeros(self.open.shape, dtype=bool))
        _check_axis(self.time, len(self.symbols), self.open, self.high, self.low, self.close, self.volume)
        _check_axis(self.time, len(self.symbols), self.adjustment, self.split, self.dividend, *self.exogenous.values())
        if self.delisting is _NO_PRICES:
            object.__setattr__(self, "delisting", np.full(self.open.shape, np.nan))
        for name in ("funding", "funding_within"):
            if getattr(self, name) is _NO_PRICES:
                object.__setattr__(self, name, np.zeros(self.open.shape))
        _check_axis(self.time, len(self.symbols), self.suspect, self.delisting, self.funding, self.funding_within)

    def believed(self) -> Bars:
        """The same without the suspect bars: there is none in their places."""
        if not self.suspect.any():
            return self
        numbers: dict[str, Any] = {name: np.where(self.suspect, np.nan, getattr(self, name)) for name in _PRICES}
        return replace(self, **numbers, suspect=np.zeros(self.suspect.shape, dtype=bool))

    def rows(self, start: int, stop: int) -> Bars:
        """Bars `start` to `stop` (exclusive) as views."""
        return self._taken(slice(start, stop))

    def where(self, chosen: Booleans) -> Bars:
        """The bars of a mask [T], copied."""
        return self._taken(chosen)

    def _taken(self, rows: slice | Booleans) -> Bars:
        arrays: dict[str, Any] = {name: getattr(self, name)[rows] for name in _BAR_ARRAYS}
        exogenous = {name: series[rows] for name, series in self.exogenous.items()}
        return Bars(**arrays, symbols=self.symbols, exogenous=exogenous, version=self.version)

    def followed_by(self, later: Bars) -> Bars:
        """This piece of a history and the next as one; a series that only one of them has is NaN in the other."""

        def series(bars: Bars, name: str) -> Floats:
            return bars.exogenous[name] if name in bars.exogenous else np.full(bars.open.shape, np.nan)

        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(later, name)]) for name in _BAR_ARRAYS
        }
        names = sorted({*self.exogenous, *later.exogenous})
        exogenous = {name: np.concatenate([series(self, name), series(later, name)]) for name in names}
        return Bars(**arrays, symbols=self.symbols, exogenous=exogenous, version=later.version)


_PRICES = ("open", "high", "low", "close", "volume", "adjustment")
_BAR_ARRAYS = ("time", "opened", *_PRICES, "split", "dividend", "suspect", "delisting", "funding", "funding_within")


class PriceLimits(NamedTuple):
    """What is believed of a price: from one bar to the next it moves by at most `largest_move` times; after
    `suspect_bars` refused ones that agree with each other, the next that agrees is believed."""

    largest_move: float = 1.4
    suspect_bars: int = 3


class MarketAction(NamedTuple):
    """A fact about one symbol that changes what its price means, from the bar that closes at `time` on (datetime64[us],
    the first bar that trades with it).

    `value` is the number of new shares for an old one ("split"), cash for an old share ("dividend"), or the price at
    which it was taken off ("delisting") or which a person "accepted" or "rejected" of a suspect bar, or of which they
    have "withdrawn" their acceptance (the last word about a bar counts). `factor` is what prices from then on are
    multiplied by to be like those before. `read_id` is the read of files after which it was known.
    """

    symbol: str
    time: np.datetime64
    kind: str
    value: float
    factor: float
    source: str
    read_id: int = 0


class FundingRate(NamedTuple):
    """A settlement of a perpetual future at `time` (datetime64[us], the start of its minute): who holds it long then
    pays `rate` of `price`, the mark price of that moment, for each unit, who holds it short gets that; the other way
    round where the rate is negative. `read_id` is the read of files after which it was known."""

    symbol: str
    time: np.datetime64
    rate: float
    price: float
    source: str
    read_id: int = 0

    @property
    def cash(self) -> float:
        """Of one unit that is held long."""
        return -self.rate * self.price


@dataclass(frozen=True, slots=True)
class Panel:
    """What agents see: adjusted prices (splits and dividends folded in), known at each bar's close.

    `time` [T] are the bars' closes, strictly increasing datetime64 in UTC; `open high low close volume` [T, S], NaN
    where there is no bar; `exogenous` maps a name to a series [T, S] known at each time. Prices have no absolute scale:
    an agent must answer the same when a symbol's prices are all multiplied by one number. ValueError as for `Bars`.
    """

    time: Times
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    exogenous: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_axis(self.time, len(self.symbols), self.open, self.high, self.low, self.close, self.volume)
        _check_axis(self.time, len(self.symbols), *self.exogenous.values())

    def rows(self, start: int, stop: int) -> Panel:
        """Bars `start` to `stop` (exclusive) as views."""
        return Panel(
            time=self.time[start:stop],
            symbols=self.symbols,
            open=self.open[start:stop],
            high=self.high[start:stop],
            low=self.low[start:stop],
            close=self.close[start:stop],
            volume=self.volume[start:stop],
            exogenous={name: series[start:stop] for name, series in self.exogenous.items()},
        )


def _check_axis(time: Times, symbols: int, *arrays: Floats | Booleans) -> None:
    if time.ndim != 1 or time.dtype.kind != "M":
        raise ValueError(f"time must be a datetime64 vector, not {time.dtype} with {time.ndim} dimensions")
    if len(time) > 1 and not bool((time[1:] > time[:-1]).all()):
        raise ValueError("time must be strictly increasing")
    for array in arrays:
        if array.shape != (len(time), symbols):
            raise ValueError(f"an array has shape {array.shape}, expected {(len(time), symbols)}")
