"""A block of bars as every book sees it: what is the same for all of them is made once, bar by bar, into rows.

NamedTuples of arrays, since compiled code takes them as they are. K rows, S symbols, A agents.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.core.types import Booleans, Floats, Integers
from agents.pipeline.bar import Depth, MarketAtClose, MarketWithin, Opinions
from agents.pipeline.parameters import FLATTEN
from agents.pipeline.state import Inputs
from agents.quant.compiled import compiled_inline

CELLS_AT_ONCE = 4096
"""Rows times symbols of a block: its rows stay in a core's cache while one book after the other goes through them."""


class Span(NamedTuple):
    """Bars of the inputs that are in the rows of a block."""

    first: int
    stop: int


class Rows(NamedTuple):
    """Room for one block; [K, S] where nothing else is said."""

    has_bar: Booleans
    suspect: Booleans
    """There is a bar, and its price is not believed."""
    may_only_shrink: Booleans
    """Suspect, or too old to trade on."""
    doubted: Booleans
    """[K] any bar is suspect."""
    acts: Booleans
    """[K] any symbol has a split, a dividend, funding before the open, or is taken off the market."""
    funds: Booleans
    """[K] any symbol has funding within the bar."""
    open: Floats
    """Prices at which orders may be filled."""
    mark_before: Floats
    """The last believed close before the bar, splits of the bar included."""
    doubt_before: Floats
    """The suspect price after that one where it counts (`Inputs.doubt_counts`), NaN for none."""
    mark: Floats
    """The same after the bar."""
    doubt: Floats
    feared: Floats
    """The suspect price after the last believed one where it does not count, NaN for none."""
    depth: Depth
    overnight: Floats
    """Return from the last close to the bar's open with dividends and funding, NaN where there is no believed bar."""
    intraday: Floats
    """Return from the bar's open to its close with funding, 0 where there is none."""
    unit_weight: Floats
    cost_band: Floats
    opinions: Opinions
    """[K, A, S] and [K, S]"""
    listed: Floats
    share: Floats
    """[K] the part of the benchmark's equity that is in each listed symbol."""
    rebalances: Booleans
    """[K] the benchmark begins to rebalance."""
    new_month: Booleans
    """[K]"""
    variance: Floats
    """[K, A] `State.shadow_variance` and `State.shadow_weight` after the bar."""
    variance_weight: Floats
    equity_before: Floats
    """[2] of the live book and of `hold` before the first row."""


def rows_of(agents: int, symbols: int, rows: int) -> Rows:
    """Room for so many rows."""
    floats = iter(np.zeros((15, rows, symbols)))
    truths = iter(np.zeros((3, rows, symbols), dtype=np.bool_))
    flags = iter(np.zeros((5, rows), dtype=np.bool_))
    spoken, voted = np.zeros((2, rows, agents, symbols))
    alike, voters = np.zeros((2, rows, symbols), dtype=np.int64)
    variance, variance_weight = np.zeros((2, rows, agents))
    return Rows(
        has_bar=next(truths),
        suspect=next(truths),
        may_only_shrink=next(truths),
        doubted=next(flags),
        acts=next(flags),
        funds=next(flags),
        open=next(floats),
        mark_before=next(floats),
        doubt_before=next(floats),
        mark=next(floats),
        doubt=next(floats),
        feared=next(floats),
        depth=Depth(next(floats), next(floats), next(floats)),
        overnight=next(floats),
        intraday=next(floats),
        unit_weight=next(floats),
        cost_band=next(floats),
        opinions=Opinions(spoken, voted, alike, voters, next(floats)),
        listed=next(floats),
        share=np.zeros(rows),
        rebalances=next(flags),
        new_month=next(flags),
        variance=variance,
        variance_weight=variance_weight,
        equity_before=np.zeros(2),
    )


@compiled_inline
def opinions_at(rows: Rows, k: int) -> Opinions:
    """Of one row."""
    o = rows.opinions
    return Opinions(o.spoken[k], o.voted[k], o.alike[k], o.voters[k], o.weight[k])


@compiled_inline
def depth_at(rows: Rows, k: int) -> Depth:
    """Of one row."""
    return Depth(rows.depth.whole[k], rows.depth.units[k], rows.depth.slope[k])


@compiled_inline
def market_within(rows: Rows, inputs: Inputs, t: int, k: int) -> MarketWithin:
    """Of one row, bar `t` of the inputs."""
    depth, mark = depth_at(rows, k), rows.mark_before[k]
    return MarketWithin(rows.open[k], inputs.high[t], inputs.low[t], inputs.close[t], mark, depth)


@compiled_inline
def market_at_close(rows: Rows, inputs: Inputs, ordered: float, t: int, k: int) -> MarketAtClose:
    """Of one row, bar `t` of the inputs, with what a person has ordered."""
    return MarketAtClose(rows.mark[k], rows.has_bar[k], rows.may_only_shrink[k], inputs.leaving[t], ordered == FLATTEN)


@compiled_inline
def copy_row(source: Floats | Integers, target: Floats | Integers) -> None:
    """A loop, since compiled slice assignment costs far more than twenty numbers."""
    for k in range(len(source)):
        target[k] = source[k]
