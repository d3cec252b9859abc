"""Splits and dividends that are known -> the adjustment of prices, and what each bar does to positions. Pure.

Prices are adjusted forward: those from a split or dividend on are multiplied by its factor, and by those of all before.
So what becomes known of a later bar changes nothing about earlier ones, and a window needs no reading again when a bar
is appended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from agents.core.market import MarketAction
from agents.core.types import Bars, Floats, Times

TRADED = ("split", "dividend", "delisting")
"""Kinds that change prices and positions."""


class Decided(NamedTuple):
    """The last decision before some bars: the close of its bar (datetime64[us]), and the newest read of files that it
    knew."""

    time: np.datetime64
    version: int


class ActionGrids(NamedTuple):
    """What actions do to bars, [T, S] each, as in `Bars`."""

    adjustment: Floats
    split: Floats
    dividend: Floats
    delisting: Floats


def with_actions(bars: Bars, actions: Iterable[MarketAction], *, first: int = 0, since: Decided | None = None) -> Bars:
    """The bars adjusted by `actions`, with splits and dividends where positions take them.

    That is the first bar from `first` on that trades with them. What a decision `since` has not known although its bar
    was there already takes effect at bar `first`; without such a decision, what was before that bar has no effect.
    """
    if not len(bars.time):
        return bars
    shape = bars.close.shape
    grids = ActionGrids(
        np.where(np.isfinite(bars.close), 1.0, np.nan), np.ones(shape), np.zeros(shape), np.full(shape, np.nan)
    )
    column = {symbol: s for s, symbol in enumerate(bars.symbols)}
    known = sorted((a for a in actions if a.symbol in column and a.kind in TRADED), key=lambda a: (a.time, a.kind))
    for action in known:
        past = action.time <= (bars.opened[first] if since is None else since.time)
        felt = not past or (since is not None and action.read_id > since.version)
        put_action(grids, (bars.time, column[action.symbol]), action, first if felt else None)
    return replace(bars, **grids._asdict())


def put_action(grids: ActionGrids, place: tuple[Times, int], action: MarketAction, first: int | None) -> None:
    """Write one action of the symbol in a column into the grids on a time axis, after all earlier ones; positions take
    it at bar `first` or later, or not at all."""
    time, s = place
    start = int(np.searchsorted(time, action.time))
    grids.adjustment[start:, s] *= action.factor
    row = len(time) if first is None else max(start, first)
    if row == len(time):
        return
    if action.kind == "split":
        grids.split[row, s] *= action.value
    elif action.kind == "delisting":
        grids.delisting[row, s] = action.value
    else:
        grids.dividend[row, s] += action.value


def actions_in(bars: Bars, source: str) -> list[MarketAction]:
    """The splits and dividends that bars carry."""
    found = []
    for s, symbol in enumerate(bars.symbols):
        there = np.nonzero(np.isfinite(bars.adjustment[:, s]))[0]
        steps = bars.adjustment[there[1:], s] / bars.adjustment[there[:-1], s]
        step = dict(zip(there[1:].tolist(), steps.tolist(), strict=True))
        for t in np.nonzero((bars.split[:, s] != 1.0) | (bars.dividend[:, s] != 0.0))[0].tolist():
            split, dividend = float(bars.split[t, s]), float(bars.dividend[t, s])
            if split != 1.0:
                found.append(MarketAction(symbol, bars.time[t], "split", split, split, source))
            if dividend != 0.0:
                found.append(
                    MarketAction(symbol, bars.time[t], "dividend", dividend, step.get(t, split) / split, source)
                )
    return found
