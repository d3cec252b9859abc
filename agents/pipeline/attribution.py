"""the live book's P&L of a bar -> each agent's share and one named remainder, exactly.

`holding` [A+1] splits the position of a symbol: each agent what it asked for (scaled down where less is held, never
up), the remainder, last, what nobody asked for. `pool` [A+1] collects the shares while a position is open; a fill that
shrinks the position realises that fraction of the pool, so a trade's shares are those of its own holding time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from agents.core.types import Floats
from agents.pipeline.desk import StepDesk
from agents.quant.compiled import compiled_inline


class PositionChange(NamedTuple):
    """The live book's position in one symbol before a bar, and the bar's fill: signed units, price and fee in money."""

    before: float
    filled: float
    price: float
    fee: float


class BarPrices(NamedTuple):
    """Prices of one symbol over one bar: the close before it, its open and its close."""

    mark: float
    open: float
    close: float


class Shares(NamedTuple):
    """Whose P&L it is, for one symbol, [A+1] each but `asked`; the last is the remainder."""

    asked: Floats
    """[A] units that each agent asked for at the last decision."""
    holding: Floats
    """Units of the position."""
    pool: Floats
    """Money that the open position has earned."""
    contribution: Floats
    """Money that the bar has earned, over all symbols."""
    cost: Floats
    """Money that the bar's fills have cost, over all symbols; it is taken off `contribution`."""
    realised: Floats
    """Money that the bar's fill has realised."""


@compiled_inline
def attribute_bar(change: PositionChange, prices: BarPrices, shares: Shares, scratch: Floats) -> None:
    """One symbol, one bar of the live book, whose P&L is added to `shares`; `scratch` [A+1] is overwritten.

    before x (open - mark) goes by the old holding, (before + filled) x (close - open) by the new one, and
    what the fill cost (spread, impact, fee) by how much each share of the holding changed. `realised` gets
    the part of the pool that a shrinking fill closes, with the closing part of its costs.
    """
    before, filled = change.before, change.filled
    holding, pool, contribution, realised = shares.holding, shares.pool, shares.contribution, shares.realised
    overnight = prices.open - prices.mark if before != 0.0 else 0.0
    cost = filled * (change.price - prices.open) + change.fee if filled != 0.0 else 0.0
    _earn(holding, overnight, pool, contribution)
    closed = 0.0
    if filled != 0.0 and before * filled < 0.0:
        closed = min(1.0, abs(filled) / abs(before))
        for k in range(len(holding)):
            realised[k] = closed * pool[k]
            pool[k] -= realised[k]
    for k in range(len(holding)):
        scratch[k] = holding[k]
    split_position(before + filled, shares.asked, holding)
    if cost != 0.0:
        changed = 0.0
        for k in range(len(holding)):
            changed += abs(holding[k] - scratch[k])
        closing = abs(before) * closed / abs(filled)
        for k in range(len(holding)):
            paid = cost * abs(holding[k] - scratch[k]) / changed
            contribution[k] -= paid
            shares.cost[k] += paid
            realised[k] -= paid * closing
            pool[k] -= paid * (1.0 - closing)
    _earn(holding, prices.close - prices.open, pool, contribution)
    if before + filled == 0.0:
        for k in range(len(holding)):
            pool[k] = 0.0


@compiled_inline
def _earn(holding: Floats, move: float, pool: Floats, contribution: Floats) -> None:
    for k in range(len(holding)):
        earned = holding[k] * move
        contribution[k] += earned
        pool[k] += earned


@compiled_inline
def split_position(position: float, asked: Floats, holding: Floats) -> None:
    """`holding` [A+1] of one symbol from `asked` [A]: asked x clip(position / sum(asked), 0, 1), then the rest."""
    agents = len(asked)
    total = 0.0
    for a in range(agents):
        total += asked[a]
    share = 0.0
    if total != 0.0 and position != 0.0:
        share = min(1.0, max(0.0, position / total))
    rest = position
    for a in range(agents):
        holding[a] = asked[a] * share
        rest -= holding[a]
    holding[agents] = rest


@compiled_inline
def remember_asked(desk: StepDesk, forecast: Floats, k: int, capital: float) -> None:
    """What each agent asked for of the live book, in units, after caps and limits shrank all shares alike; unchanged
    where the symbol was not decided upon. `forecast` [S, A] is of row `k`."""
    asked, weights, targets = desk.state.asked, desk.work.weights, desk.work.targets
    mark, unit_weight = desk.rows.mark[k], desk.rows.unit_weight[k]
    symbols, agents = forecast.shape
    for s in range(symbols):
        combined, raw_weight = desk.work.forecast[k, s], targets.raw_weight[s]
        if not (math.isfinite(combined) and math.isfinite(raw_weight)):
            continue
        total = 0.0
        for a in range(agents):
            value = forecast[s, a]
            asked[s, a] = weights[a] * value if math.isfinite(value) else 0.0
            total += asked[s, a]
        scale = 0.0
        if total != 0.0:
            scale = combined / total * unit_weight[s] * capital / mark[s]
            if targets.clamps[s] != 0 and raw_weight != 0.0:
                scale *= min(1.0, max(0.0, targets.weight[s] / raw_weight))
        for a in range(agents):
            asked[s, a] *= scale


@compiled_inline
def attribute_cash(cash: float, holding: Floats, pool: Floats, contribution: Floats) -> None:
    """A dividend or cash in lieu of one symbol goes by the holding [A+1] that earned it."""
    shares = len(holding)
    total = 0.0
    for k in range(shares):
        total += holding[k]
    rest = cash
    for k in range(shares - 1):
        part = cash * holding[k] / total if total != 0.0 else 0.0
        contribution[k] += part
        pool[k] += part
        rest -= part
    contribution[shares - 1] += rest
    pool[shares - 1] += rest


def exact_shares(pnl: float, shares: Floats) -> Floats:
    """Float shares whose sum is `pnl` up to rounding, with the difference moved into the last one (the remainder)."""
    result: Floats = np.where(np.isfinite(shares), shares, 0.0)
    result[-1] += pnl - math.fsum(result)
    return result
